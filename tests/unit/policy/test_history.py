"""What a policy with history sees, and what stores it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import Motor
from cartpole_robot.deployment.firmware_image import on_board_fit
from cartpole_robot.deployment.pilots import Envelope, FallbackPilot, ShadowPilot
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import Golden, Interface, PolicyBundle, load_policy
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.controllers import HistoryController, PolicyController, policy_controller
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import History, input_gain, input_layout
from cartpole_robot.policy.lqr import Lqr, LqrController
from cartpole_robot.policy.network import Network, quantized
from cartpole_robot.rollout.history_wrapper import with_history
from tests.conftest import make_network

LENGTHS = (1, 2, 3, 6)
CART = load_cart("diy_arduino")
MOTOR = Motor(stall_force_n=1.0)


def observations(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def expected_inputs(seen: np.ndarray, duties: list[float], length: int) -> list[float]:
    """The contract written out: `seen` are the episode's observations so far, `duties` answered all but the last."""
    inputs = [*seen[-1]]
    for back in range(1, length):
        step = len(seen) - 1 - back
        inputs += [duties[step] if step >= 0 else 0.0, *seen[max(0, step)]]
    return inputs


def a_bundle(history_length: int = 3, seed: int = 0) -> PolicyBundle:
    inputs = 5 * history_length - 1
    network = dataclasses.replace(make_network(seed, inputs=inputs), input_gain=input_gain(CART, history_length))
    visited = np.random.default_rng(seed).normal(size=(300, inputs)).astype(np.float32)
    return bundle_of(network, CART, visited, {"cart": CART.as_dict()}, history_length=history_length)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("length", LENGTHS)
def test_inputs_are_this_observation_and_what_went_before_newest_first(length: int, kind: type) -> None:
    history, rng = History(length), np.random.default_rng(length)
    array = history.inputs
    for episode in range(3):
        seen, duties = observations(12, seed=episode).astype(kind), list[float]()
        history.reset()
        for step in range(len(seen)):
            inputs = history.observe(seen[step])
            assert inputs is array
            assert inputs.dtype == np.float32
            wanted = np.array(expected_inputs(seen[: step + 1], duties, length), np.float32)
            assert inputs.shape == (5 * length - 1,)
            assert (inputs == wanted).all(), f"episode {episode}, step {step}"
            duties.append(float(rng.uniform(-1.0, 1.0)))
            history.duty = duties[-1]


def test_episode_begins_as_if_nothing_had_moved_and_nothing_been_asked_for() -> None:
    history = History(3)
    for row in observations(5):
        history.observe(row)
        history.duty = 0.7
    history.reset()
    first = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    assert history.observe(first).tolist() == [*first, 0.0, *first, 0.0, *first]


def test_observation_that_is_not_contiguous_is_taken_too() -> None:
    history, wide = History(2), observations(3).repeat(2, axis=1)
    for row in wide:
        assert (history.observe(row[::2])[:4] == row[::2]).all()


@pytest.mark.parametrize("wrong", [np.zeros(5, np.float32), np.zeros((1, 4), np.float32), np.float32(1.0)])
def test_observation_of_another_shape_is_refused_in_every_step(wrong: Any) -> None:
    history = History(3)
    for _ in range(2):
        with pytest.raises(ValueError, match="expected an observation of 4 numbers, got shape"):
            history.observe(wrong)
        history.observe(np.zeros(4, np.float32))


@pytest.mark.parametrize("length", [-1, 0, 7])
def test_length_that_no_policy_has_is_refused(length: int) -> None:
    for make in (History, lambda given: Interface.of(CART, given)):
        with pytest.raises(ValueError, match=f"history_length = {length}, expected 1 to 6"):
            make(length)


def test_layout_names_every_input() -> None:
    now = ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")
    assert input_layout(1) == now
    assert input_layout(3) == (
        *now,
        *("duty[t-1]", *(f"{name}[t-1]" for name in now)),
        *("duty[t-2]", *(f"{name}[t-2]" for name in now)),
    )


def test_gain_scales_a_duty_by_the_largest_of_the_table() -> None:
    cart = dataclasses.replace(CART, action_duties=(-0.4, -0.2, 0.5))
    scale = [1.0 / size for size in cart.observation_scale.as_tuple()]
    assert input_gain(cart, 3).tolist() == np.array([*scale, 2.0, *scale, 2.0, *scale], np.float32).tolist()
    ones = [1.0] * 4
    sizes = cart.observation_scale.as_tuple()
    tripled = np.array([*(3.0 / size for size in sizes), 2.0, *(3.0 / size for size in sizes)], np.float32)
    assert input_gain(cart, 2, gain=3.0) == pytest.approx(tripled), "a duty keeps its own"
    assert input_gain(cart, 2, scale_observations=False).tolist() == [*ones, 2.0, *ones]
    assert input_gain(cart, 1, scale_observations=False).tolist() == ones


# ---- the environment ----


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version", "ignore:.*infinity")
def test_environment_with_history_keeps_to_gymnasiums_contract(env: gymnasium.Env) -> None:
    duties = env.unwrapped.cart.action_duties  # type: ignore[attr-defined]
    assert with_history(env, 1, duties) is env
    wrapped = with_history(env, 3, duties)
    assert wrapped.observation_space.shape == (14,)
    check_env(wrapped, skip_render_check=True)
    first, _ = wrapped.reset(seed=1)
    kept = first.copy()
    second = wrapped.step(0)[0]
    third = wrapped.step(1)[0]
    assert (first == kept).all(), "each step has an array of its own"
    assert second[4:9].tolist() == [duties[0], *first[:4]]
    assert third[4:].tolist() == [duties[1], *second[:4], duties[0], *first[:4]]
    assert wrapped.observation_space.contains(third)


# ---- controllers ----


def spying(length: int, duties: tuple[float, ...]) -> tuple[HistoryController, list[np.ndarray]]:
    """A controller that always takes the first action, and the inputs that it has seen."""
    seen: list[np.ndarray] = []

    def act(inputs: np.ndarray) -> int:
        seen.append(inputs.copy())
        return 0

    return HistoryController(act, duties, length), seen


def test_controller_remembers_what_it_asked_for_until_it_is_reset() -> None:
    controller, seen = spying(2, (-0.3, 0.3))
    one, other = observations(2)
    assert controller.duty(one) == -0.3
    controller.duty(other)
    controller.reset()
    controller.duty(one)
    expected = [[*one, 0.0, *one], [*other, np.float32(-0.3), *one], [*one, 0.0, *one]]
    assert [row.tolist() for row in seen] == [[float(number) for number in row] for row in expected]


def test_shadow_sees_the_duties_that_the_regulator_sent() -> None:
    controller, seen = spying(2, (-0.3, 0.3))
    regulator = LqrController(Lqr(state_gain=np.array([1.0, 0.0, 0.0, 0.0]), duty_gain=np.zeros(0)), MOTOR)
    pilot = ShadowPilot(regulator, controller)
    rows = observations(4) * np.float32(0.1)
    sent = [pilot.duty(row) for row in rows]
    assert [float(inputs[4]) for inputs in seen] == pytest.approx([0.0, *sent[:-1]])
    assert sent[0] == pytest.approx(-float(rows[0, 0]))


def test_policy_that_is_handed_back_to_has_seen_what_the_regulator_did() -> None:
    controller, seen = spying(3, (-0.3, 0.3))
    regulator = LqrController(Lqr(state_gain=np.array([1.0, 0.0, 0.0, 0.0]), duty_gain=np.zeros(1)), MOTOR)
    pilot = FallbackPilot(controller, regulator, Envelope(bound=np.full(4, 0.5, np.float32)), 0.1)
    rows = np.zeros((12, 4), np.float32)
    rows[:, 0] = 0.01 * np.arange(12)
    rows[3, 0] = 0.6  # out of the envelope
    duties, asked = [], []
    for row in rows:
        duties.append(pilot.duty(row))
        asked.append(bool(pilot.flags))
    assert asked == [False] * 3 + [True] * 5 + [False] * 4
    step = asked.index(False, 3)
    inputs = seen[3]  # the first after the regulator's steps
    assert inputs.tolist() == np.array(expected_inputs(rows[: step + 1], duties, 3), np.float32).tolist()


def test_policy_without_history_is_asked_without_any_memory() -> None:
    controller = policy_controller(a_bundle(1))
    assert type(controller) is PolicyController
    row = observations(1)[0]
    first = controller.duty(row)
    controller.sent(0.9)
    controller.watch(row, -0.9)
    assert controller.duty(row) == first


@pytest.mark.parametrize("backend", list(Backend))
def test_every_backend_serves_a_policy_with_history(backend: Backend) -> None:
    bundle = a_bundle(6)
    controller, act, history = policy_controller(bundle, backend), bundle.action_function(backend), History(6)
    for row in observations(200):
        duty = controller.duty(row)
        assert duty == CART.action_duties[act(history.observe(row))]
        history.duty = duty


def test_envelope_of_a_policy_with_history_is_that_of_the_state() -> None:
    bundle = a_bundle(3)
    bundle.golden.observations[:, 4:] = 1e6
    assert Envelope.of(bundle, CART).bound.shape == (4,)
    assert Envelope.of(bundle, CART).bound.max() < 1e5


# ---- the bundle ----


def test_bundle_with_history_comes_back_and_fits_its_cart(tmp_path: Path) -> None:
    bundle = a_bundle(3)
    bundle.save(tmp_path / "policy.npz")
    again = load_policy(tmp_path / "policy.npz")
    assert again.interface.history_length == 3
    assert again.golden.observations.shape == (32, 14)
    assert again.policy_hash() == bundle.policy_hash()
    again.check_fits(CART, name="p.npz")
    with pytest.raises(UsageError, match=r"action_duties is \[-0\.2, 0\.2\], the cart 'gym' has"):
        again.check_fits(load_cart("gym"), name="p.npz")


def test_hash_of_a_policy_without_history_is_what_it_always_was() -> None:
    """A literal: recordings, boards and reports name policies by it."""
    network = Network(
        input_gain=np.ones(4, np.float32),
        hidden_weight=np.arange(8, dtype=np.float32).reshape(2, 4),
        hidden_bias=np.zeros(2, np.float32),
        output_weight=np.eye(2, dtype=np.float32),
        output_bias=np.zeros(2, np.float32),
    )
    golden = Golden(
        observations=np.zeros((0, 4), np.float32),
        values=np.zeros((0, 2), np.float32),
        actions=np.zeros(0, np.int32),
        int16_actions=np.zeros(0, np.int32),
    )
    bundle = PolicyBundle(
        interface=Interface.of(load_cart("gym")),
        network=network,
        int16=quantized(network, np.ones((1, 4))),
        golden=golden,
    )
    assert bundle.policy_hash() == "7813eeb1e86729fa9268a41b95fa037ba1023578e49bf5c8c9628cf13b6f96a3"


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (1, r"the network has 14 inputs, the interface 4 \(history_length = 1\)"),
        (2, r"the network has 14 inputs, the interface 9 \(history_length = 2\)"),
        (7, "history_length = 7, expected 1 to 6"),
        (0, "history_length = 0, expected 1 to 6"),
        (2.5, "history_length = 2.5, expected a whole number"),
    ],
)
def test_header_that_says_another_history_than_the_weights_is_refused(
    tmp_path: Path, length: object, message: str
) -> None:
    path = tmp_path / "policy.npz"
    a_bundle(3).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["interface"]["history_length"] = length
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match=message) as refused:
        load_policy(path)
    assert str(path) in str(refused.value)


def test_golden_examples_of_another_width_are_refused() -> None:
    bundle = a_bundle(3)
    narrow = dataclasses.replace(bundle.golden, observations=bundle.golden.observations[:, :9])
    with pytest.raises(ValueError, match=r"golden observations have shape \(32, 9\), expected \(N, 14\)"):
        dataclasses.replace(bundle, golden=narrow)


def test_c_header_names_every_input() -> None:
    head = c_header(a_bundle(2)).partition("*/")[0]
    named = " ".join(line.removeprefix(" * ") for line in head.splitlines())
    assert f"observation {', '.join(input_layout(2))}" in named
    assert max(map(len, head.splitlines())) <= 112


def test_microcontroller_refuses_a_policy_with_a_longer_history_than_it_keeps() -> None:
    for length in (1, 2, 3):
        on_board_fit(a_bundle(length), CART)
    for length in (4, 6):
        with pytest.raises(UsageError, match=rf"history_length is {length}, expected at most 3: .* run it on a host"):
            on_board_fit(a_bundle(length), CART)


def test_on_board_commands_refuse_it_in_one_line(command_line: Callable[..., Any], tmp_path: Path) -> None:
    a_bundle(4).save(tmp_path / "policy.npz")
    for words in (("deploy", "policy.npz", "--on-board"), ("firmware", "build", "--policy", "policy.npz")):
        done = command_line(*words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "history_length is 4, expected at most 3" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["policy.npz"]
