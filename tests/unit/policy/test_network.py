from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.policy import network as network_module
from cartpole_robot.policy.network import (
    Network,
    float_action_function,
    has_extension,
    int16_action_function,
    quantized,
)
from tests.conftest import make_network

INT32_MAX = 2**31 - 1


def observations(count: int, seed: int, inputs: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, inputs)).astype(np.float32)


def test_extension_is_built() -> None:
    assert has_extension()


@pytest.mark.parametrize("hidden", [1, 7, 8, 100, 256])
@pytest.mark.parametrize("outputs", [2, 3, 8])
def test_c_and_numpy_choose_alike(hidden: int, outputs: int) -> None:
    network = make_network(hidden + outputs, hidden=hidden, outputs=outputs)
    in_c, in_numpy = float_action_function(network), float_action_function(network, use_numpy=True)
    rows = observations(2000, seed=hidden)
    values = np.sort(network.values(rows), axis=1)
    clear = values[:, -1] - values[:, -2] > 1e-4  # nearer than that, float32 sums in another order may swap them
    assert clear.mean() > 0.99
    assert [in_c(row) for row in rows[clear]] == [in_numpy(row) for row in rows[clear]]


def test_float64_observation_is_taken_as_float32(random_network: Network) -> None:
    act = float_action_function(random_network)
    for row in observations(100, seed=1).astype(np.float64):
        assert act(row) == act(row.astype(np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(3, np.float32),
        np.zeros(5, np.float32),
        np.zeros(4, np.int32),
        np.zeros(4, np.complex64),
        np.zeros((4, 2), np.float32)[:, 0],
        b"1234567890123456",
    ],
)
def test_what_is_no_observation_is_refused(random_network: Network, wrong: object) -> None:
    for act in (
        float_action_function(random_network),
        int16_action_function(quantized(random_network, observations(9, 1))),
    ):
        with pytest.raises((ValueError, BufferError)):
            act(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            act([0.0, 0.0, 0.0, 0.0])  # type: ignore[arg-type]


def test_int16_twin_in_numpy_equals_the_c_bit_for_bit() -> None:
    for seed in range(5):
        network = make_network(seed, outputs=2 + seed)
        int16 = quantized(network, observations(500, seed))
        act = int16_action_function(int16)
        rows = np.concatenate([observations(2000, seed + 10), 100.0 * observations(500, seed + 20)])
        rows[0] = [np.inf, -np.inf, np.nan, 0.0]
        assert [act(row) for row in rows] == [int16.act(row) for row in rows], f"seed {seed}"


def test_quantized_observation_saturates_and_rounds(random_network: Network) -> None:
    int16 = dataclasses.replace(
        quantized(random_network, observations(9, 1)), input_gain=np.array([1, 1, 1, 1], np.float32)
    )
    c_quantize = int16_action_function(int16).__self__.quantize  # type: ignore[attr-defined]
    for given, expected in [
        ([0.5, -0.5, 0.49, -0.49], [1, -1, 0, 0]),
        ([32767.4, -32767.4, 1e9, -1e9], [32767, -32767, 32767, -32767]),
        ([np.inf, -np.inf, np.nan, 2.5], [32767, -32767, 0, 3]),
    ]:
        assert list(c_quantize(np.array(given, np.float32))) == expected
        assert int16.quantized(np.array(given, np.float32)).tolist() == expected


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_quantized_weights_use_the_range_and_cannot_overflow(size: float) -> None:
    network = make_network(3)
    network = dataclasses.replace(
        network,
        hidden_weight=network.hidden_weight * np.float32(size),
        hidden_bias=network.hidden_bias * np.float32(size),
    )
    int16 = quantized(network, observations(100, 3))  # its own check refuses what could overflow
    sums = np.abs(int16.hidden_weight.astype(np.int64)).sum(axis=1) * 32768 + np.abs(int16.hidden_bias.astype(np.int64))
    assert INT32_MAX // 2 < sums.max() <= INT32_MAX


def test_weights_that_could_overflow_are_refused_in_python_and_in_c(random_network: Network) -> None:
    int16 = quantized(random_network, observations(100, 1))
    wild = np.full_like(int16.output_weight, 32767)
    with pytest.raises(ValueError, match=r"can sum to .* quantize again"):
        dataclasses.replace(int16, output_weight=wild)
    object.__setattr__(int16, "output_weight", wild)
    with pytest.raises(ValueError, match="can overflow a 32-bit sum"):
        int16_action_function(int16)


@pytest.mark.parametrize(
    ("shift", "weight", "is_safe"), [(0, 1, True), (30, 1, True), (31, 1, False), (0, 32767, False)]
)
def test_units_that_could_overflow_are_refused_in_c(
    random_network: Network, shift: int, weight: int, is_safe: bool
) -> None:
    int16 = quantized(random_network, observations(100, 1))
    object.__setattr__(int16, "hidden_shift", shift)
    object.__setattr__(int16, "hidden_weight", np.full_like(int16.hidden_weight, weight))
    object.__setattr__(int16, "hidden_bias", np.zeros_like(int16.hidden_bias))
    object.__setattr__(int16, "output_weight", np.ones_like(int16.output_weight))
    if is_safe:
        act = int16_action_function(int16)
        assert [act(row) for row in observations(20, 2)] == [int16.act(row) for row in observations(20, 2)]
    else:
        with pytest.raises(ValueError, match=r"can overflow a 32-bit sum|hidden_shift = 31, expected 0 to 30"):
            int16_action_function(int16)


def test_mean_over_the_actions_takes_no_bits_from_their_difference() -> None:
    network = make_network(4)
    shifted = dataclasses.replace(network, output_weight=network.output_weight + np.float32(1000.0))
    rows = observations(500, 4)
    assert quantized(shifted, rows).output_weight == pytest.approx(quantized(network, rows).output_weight, abs=40)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden_bias", np.zeros(99, np.float32), "expected float32 of shape \\(100,\\)"),
        ("hidden_bias", np.zeros(100, np.float64), "hidden_bias is float64"),
        ("hidden_weight", np.zeros((257, 4), np.float32), "has 257 hidden units, expected 1 to 256"),
        ("hidden_weight", np.zeros((100, 33), np.float32), "has 33 inputs, expected 1 to 32"),
        ("output_weight", np.zeros((1, 100), np.float32), "has 1 outputs, expected 2 to 8"),
        ("output_weight", np.zeros(100, np.float32), "has 1 dimensions, expected 2"),
        ("input_gain", np.full(4, np.nan, np.float32), "input_gain has a number that is not finite"),
    ],
)
def test_network_of_wrong_shape_is_refused(random_network: Network, name: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(random_network, **{name: value})


def test_without_the_extension_numpy_computes_the_same(
    monkeypatch: pytest.MonkeyPatch, random_network: Network
) -> None:
    rows = observations(300, 8)
    int16 = quantized(random_network, rows)
    with_c = [int16_action_function(int16)(row) for row in rows]
    monkeypatch.setattr(network_module, "_host", None)
    assert not has_extension()
    assert [int16_action_function(int16)(row) for row in rows] == with_c
    assert float_action_function(random_network)(rows[0]) == int(random_network.values(rows[0]).argmax())


def test_policy_in_c_takes_its_weights_once_and_never_acts_without(random_network: Network) -> None:
    from firmware_bridge._host import FloatPolicy, Int16Policy

    act = float_action_function(random_network)
    policy = act.__self__  # type: ignore[attr-defined]
    before = [act(row) for row in observations(50, 1)]
    with pytest.raises(TypeError, match="has its weights already"):
        policy.__init__(1, 1, 2, *[np.zeros(1, np.float32)] * 5)
    assert [act(row) for row in observations(50, 1)] == before
    for kind in (FloatPolicy, Int16Policy):
        with pytest.raises(RuntimeError, match="never given its weights"):
            kind.__new__(kind).act(np.zeros(0, np.float32))


def test_unaligned_observation_is_read_right(random_network: Network) -> None:
    row = observations(1, 2)[0].astype(np.float64)
    shifted = memoryview(bytearray(b"x" + row.tobytes()))[1:].cast("d")
    act = float_action_function(random_network)
    assert act(shifted) == act(row)  # type: ignore[arg-type]
