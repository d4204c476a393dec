"""Networks for hosts alone: C and NumPy decide alike, on a desk and in whole episodes."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import MAKE_ID
from cartpole_robot.policy.controllers import DutyController, PolicyController
from cartpole_robot.policy.host_network import SAME_DUTY, Activation, HostNetwork, Output, host_decision_function
from cartpole_robot.rollout.evaluation import evaluate
from cartpole_robot.rollout.native_episodes import episodes_in_c
from firmware_bridge import _host
from tests.host_policies import FORMS, balancing_network, random_host_network

CART = load_cart("diy_arduino")


def seen(count: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(8)
    return (rng.normal(size=(count, 4)) * (0.3, 0.6, 0.2, 1.0)).astype(np.float32)


def in_c(network: HostNetwork) -> Any:
    return host_decision_function(network).__self__  # type: ignore[attr-defined]


@pytest.mark.parametrize(("activation", "output", "hidden", "is_bounded"), FORMS)
def test_c_and_numpy_decide_alike(
    activation: Activation, output: Output, hidden: tuple[int, ...], is_bounded: bool
) -> None:
    network = random_host_network(activation, output, hidden, is_bounded)
    observations = seen()
    compiled, twin = host_decision_function(network), host_decision_function(network, use_numpy=True)
    policy = in_c(network)
    values = np.array([policy.values(row) for row in observations])
    assert values == pytest.approx(network.values(observations), abs=2e-5)
    found, expected = [[act(row) for row in observations] for act in (compiled, twin)]
    if output is Output.TABLE:
        assert found == expected
        assert {type(action) for action in found} == {int}
        assert len(set(found)) > 1
    else:
        assert np.abs(np.subtract(found, expected)).max() < 0.2 * SAME_DUTY
        assert max(found) <= 1.0
        assert min(found) >= -1.0
        assert np.ptp(found) > 0.1


def test_bound_clips_observations_before_the_gain() -> None:
    network = random_host_network(Activation.TANH, Output.TABLE, (7,), True)
    inside, outside = np.array([0.3, -0.4, 0.3, -0.4], np.float32), np.array([9.0, -9.0, 0.31, -0.41], np.float32)
    assert in_c(network).values(inside) == in_c(network).values(outside)
    assert network.values(inside).tolist() == network.values(outside).tolist()


def test_tanh_of_c_is_tanh_within_half_a_millionth() -> None:
    one = np.ones((1, 1), np.float32)
    zero = np.zeros(1, np.float32)
    policy = _host.HostPolicy(
        sizes=(1, 1, 1), activation=1, output=1, arrays=(np.ones(1, np.float32), None, one, zero, one, zero)
    )
    xs = np.concatenate([np.linspace(-12.0, 12.0, 20_001), [0.0, -0.0, 1e-30, 1e30, -1e30, math.inf, -math.inf]])
    errors = [abs(policy.act(np.array([x], np.float32)) - math.tanh(np.float32(x))) for x in xs]
    assert max(errors) < 5e-7


@pytest.mark.parametrize("use_numpy", [False, True])
@pytest.mark.parametrize("activation", list(Activation))
def test_no_number_becomes_no_duty(activation: Activation, use_numpy: bool) -> None:
    for output in (Output.CLIPPED, Output.SQUASHED):
        decide = host_decision_function(random_host_network(activation, output, (7, 5), False), use_numpy=use_numpy)
        assert decide(np.full(4, math.nan, np.float32)) == 0.0


def test_huge_observation_gives_a_duty_in_range() -> None:
    for activation in Activation:
        decide = host_decision_function(random_host_network(activation, Output.CLIPPED, (7, 5), False))
        assert all(-1.0 <= decide(np.full(4, sign * 1e30, np.float32)) <= 1.0 for sign in (-1.0, 1.0))


@pytest.mark.parametrize("output", list(Output))
@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_episodes_in_c_are_those_of_the_loop(name: str, output: Output) -> None:
    cart = load_cart(name)
    decide: Any = host_decision_function(balancing_network(cart, Activation.TANH, output))
    controller = PolicyController(decide, cart.action_duties) if output is Output.TABLE else DutyController(decide)
    found = []
    for act in (controller.duty, lambda observation: controller.duty(observation)):
        with gymnasium.make(MAKE_ID, cart=cart, engine="native", disable_env_checker=True) as env:
            inner: Any = env.unwrapped
            assert (episodes_in_c(act, env, take_step=inner.step_duty) is not None) == (act == controller.duty)
            result = evaluate(act, env, episodes=10, first_seed=7, max_steps=400, take_step=inner.step_duty)
            found.append(repr((result, inner.np_random.bit_generator.state)))
    assert found[0] == found[1]


def test_extension_refuses_what_is_no_network() -> None:
    def made(**changed: Any) -> Any:
        one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
        arrays = (np.ones(1, np.float32), None, one, zero, one, zero)
        return _host.HostPolicy(**{"sizes": (1, 1, 1), "activation": 0, "output": 1, "arrays": arrays, **changed})

    policy = made()
    with pytest.raises(TypeError, match="has its weights already"):
        policy.__init__(sizes=(1, 1, 1), activation=0, output=1, arrays=())
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    for changed, message in (
        ({"sizes": (1, 1)}, "one or two hidden layers"),
        ({"sizes": (1, 257, 1)}, "hidden = 257, expected 1 to 256"),
        ({"sizes": (33, 1, 1)}, "inputs = 33"),
        ({"activation": 2}, "activation = 2"),
        ({"output": 3}, "output = 3"),
        ({"sizes": (1, 1, 2)}, "outputs = 2, expected 1: a duty"),
        ({"arrays": (zero,)}, "expected a tuple of 6"),
        ({"arrays": (zero, None, one, zero, one, np.zeros(1))}, "bias: expected a contiguous array of format 'f'"),
        ({"arrays": (zero, zero, one, zero, one, zero)}, r"input_bound: .* shape \(2, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**changed)
    with pytest.raises(RuntimeError, match="never given its weights"):
        _host.HostPolicy.__new__(_host.HostPolicy).act(zero)
    with pytest.raises(ValueError, match="expected an observation of 1 numbers"):
        policy.act(np.zeros(2, np.float32))
