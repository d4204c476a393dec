"""Episodes in C are those of the loop in Python: the same steps, sums, faults and random numbers, bit for bit."""

from __future__ import annotations

import _thread
import dataclasses
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.cart.cart_file import cart_names, load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, StartSpread
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.env import MAKE_ID, CartPoleEnv
from cartpole_robot.policy.controllers import HistoryController, PolicyController
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import (
    ActionFunction,
    Int16Network,
    Network,
    compiled_policy,
    float_action_function,
    int16_action_function,
    quantized,
)
from cartpole_robot.rollout.evaluation import Evaluation, evaluate
from cartpole_robot.rollout.history_wrapper import HistoryObservation, with_history
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.rollout.trials import TrialPlan, Trials
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.simulation.native_cart import EpisodeSums, native_cart
from tests.conftest import make_network

FORMS = ("float", "int16")
LENGTHS = (1, 2, 3, 6)
FOUR = (-0.4, -0.2, 0.2, 0.4)


def balancing_network(cart: CartParams, history_length: int = 1, seed: int = 0) -> Network:
    """A network that pushes to the side to which the regulator does; the higher the seed, the sooner it falls."""
    rng = np.random.default_rng(seed)
    outputs, inputs, hidden = len(cart.action_duties), 5 * history_length - 1, 24
    network = make_network(seed, inputs=inputs, hidden=hidden, outputs=outputs)
    gain = input_gain(cart, history_length)
    toward = np.zeros(inputs)
    toward[:4] = -design_lqr(cart).state_gain / gain[:4] * np.clip(rng.uniform(1.0 - 0.5 * seed, 1.0, 4), -0.2, 1.0)
    toward /= np.abs(toward).max()
    hidden_weight = 0.05 * seed * network.hidden_weight
    hidden_weight[0], hidden_weight[1] = toward, -toward
    output_weight = 0.05 * network.output_weight
    output_weight[:, 0] = np.array(cart.action_duties)
    output_weight[:, 1] = -output_weight[:, 0]
    return dataclasses.replace(
        network,
        input_gain=gain,
        hidden_weight=hidden_weight.astype(np.float32),
        hidden_bias=np.zeros(hidden, np.float32),
        output_weight=output_weight.astype(np.float32),
        output_bias=np.zeros(outputs, np.float32),
    )


def int16_of(network: Network, seed: int = 0) -> Int16Network:
    size = 0.5 / network.input_gain
    return quantized(network, np.random.default_rng(seed).normal(size=(200, network.inputs)) * size)


def act_of(network: Network, form: str) -> ActionFunction:
    return float_action_function(network) if form == "float" else int16_action_function(int16_of(network))


def in_python(act: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as one that is no policy in C."""
    return lambda observation: act(observation)


def made(cart: CartParams, history_length: int = 1, max_steps: int = 500, **options: Any) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(
        MAKE_ID, cart=cart, engine="native", max_episode_steps=max_steps, disable_env_checker=True, **options
    )
    return with_history(env, history_length, cart.action_duties)


def evaluated_both_ways(
    act: ActionFunction, cart: CartParams, *, history_length: int = 1, max_steps: int = 500, **options: Any
) -> Evaluation:
    """The evaluation in C, once it is that in Python, and the generators of both environments ended alike."""
    found, generators, following = [], [], []
    for one in (act, in_python(act)):
        with made(cart, history_length, **options) as env:
            assert (episodes_in_c(one, env) is not None) == (one is act)
            found.append(evaluate(one, env, episodes=12, first_seed=100, max_steps=max_steps))
            generators.append(repr(env.unwrapped.np_random.bit_generator.state))
            following.append(env.reset()[0].tolist())
    assert repr(found[0]) == repr(found[1])
    assert generators[0] == generators[1]
    assert following[0] == following[1]
    return found[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("history_length", LENGTHS)
@pytest.mark.parametrize("name", cart_names())
def test_shipped_carts(name: str, history_length: int, form: str) -> None:
    cart = load_cart(name)
    survived: list[int] = []
    for seed in range(4):
        act = act_of(balancing_network(cart, history_length, seed), form)
        survived += evaluated_both_ways(act, cart, history_length=history_length).steps
    assert len(set(survived)) > 3, "episodes that all end alike show little"


def delays() -> Iterator[Delay]:
    for apply in (Apply.NEXT_TICK, Apply.ON_ARRIVAL):
        yield Delay(apply=apply, latency_s=0.0204)
        yield Delay(apply=apply, latency_s=0.001, jitter_s=0.03)
        yield Delay(apply=apply, latency_s=0.005, jitter_s=0.05, drop_probability=0.3)


@pytest.mark.parametrize("delay", list(delays()), ids=str)
def test_jitter_and_losses(delay: Delay) -> None:
    cart = dataclasses.replace(with_actions(load_cart("diy_arduino"), FOUR, given="the test"), delay=delay)
    for seed in range(3):
        evaluated_both_ways(float_action_function(balancing_network(cart, 2, seed)), cart, history_length=2)


def test_randomised_carts() -> None:
    cart = with_actions(load_cart("diy_arduino"), FOUR, given="the test")
    ranges = load_randomization(Path("diy_arduino"), cart)
    act = float_action_function(balancing_network(cart, seed=2))
    found = evaluated_both_ways(act, cart, randomization=ranges)
    assert len(set(found.steps)) > 3


@pytest.mark.parametrize(("most", "limit"), [(30, 500), (500, 30), (1, 500), (31, 30)])
def test_episodes_are_cut_where_the_loop_cuts_them(most: int, limit: int) -> None:
    cart = load_cart("quanser_ip02")
    with made(cart, max_steps=limit) as env:
        act = float_action_function(balancing_network(cart))
        found = evaluate(act, env, episodes=3, first_seed=0, max_steps=most)
        assert repr(found) == repr(evaluate(in_python(act), env, episodes=3, first_seed=0, max_steps=most))
        assert found.steps == (min(most, limit),) * 3


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_simulation_that_diverges_is_the_same_fault(name: str) -> None:
    spread = StartSpread(cart_position_m=0.01, cart_speed_m_s=0.0, pole_angle_rad=0.01, pole_speed_rad_s=1e200)
    cart = dataclasses.replace(load_cart(name), start=spread)
    found = evaluated_both_ways(float_action_function(balancing_network(load_cart(name))), cart)
    assert found.steps == (1,) * 12
    assert "episode 0: the simulation diverged at" in found.faults[0]
    assert "use a shorter physics step" in found.faults[0]
    assert math.isnan(found.mean_power_w)


@pytest.mark.parametrize("history_length", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_controllers_that_step_with_duties(form: str, history_length: int) -> None:
    """Duties go past the time limit; a controller has its own table and its own history."""
    cart = load_cart("diy_arduino")
    act = act_of(balancing_network(cart, history_length, 2), form)
    table = tuple(0.9 * duty for duty in cart.action_duties)
    found, generators = [], []
    with made(cart, max_steps=20) as env:
        inner = env.unwrapped
        assert isinstance(inner, CartPoleEnv)
        for one in (act, in_python(act)):
            controller = (
                PolicyController(one, table) if history_length == 1 else HistoryController(one, table, history_length)
            )
            words: dict[str, Any] = {"take_step": inner.step_duty, "on_reset": controller.reset}
            assert (episodes_in_c(controller.duty, env, **words) is not None) == (one is act)
            found.append(evaluate(controller.duty, env, episodes=5, first_seed=7, max_steps=300, **words))
            generators.append(repr(inner.np_random.bit_generator.state))
    assert repr(found[0]) == repr(found[1])
    assert generators[0] == generators[1]
    assert max(found[0].steps) > 20


@pytest.mark.parametrize("name", cart_names())
def test_trials_are_survived_alike(name: str) -> None:
    cart = load_cart(name)
    with made(cart, max_steps=1000) as env:
        plan = TrialPlan(max_steps=150, random_starts=3, corner_steps=500, long_steps=1000, long_runs=2)
        trials = Trials(env, plan, first_seed=0)
        counts = []
        for seed in range(8):
            act = float_action_function(balancing_network(cart, seed=seed))
            counts.append(trials.survived(act))
            assert counts[-1] == trials.survived(in_python(act)), f"seed {seed}"
            assert counts[-1] == trials.survived(PolicyController(act, cart.action_duties)), f"seed {seed}"
    assert len(set(counts)) > 1, "policies that all get as far show little"


def test_what_c_cannot_run_takes_the_loop() -> None:
    cart = load_cart("diy_arduino")
    network = balancing_network(cart)
    act = float_action_function(network)
    assert compiled_policy(act) is not None
    assert compiled_policy(float_action_function(network, use_numpy=True)) is None
    with made(cart) as env:
        inner = env.unwrapped
        assert isinstance(inner, CartPoleEnv)
        assert episodes_in_c(act, env) is not None
        assert episodes_in_c(act, inner) is not None
        assert episodes_in_c(in_python(act), env) is None
        assert episodes_in_c(compiled_policy(act).values, env) is None  # type: ignore[union-attr]
        assert episodes_in_c(act, env, take_step=inner.step_duty) is None
        assert episodes_in_c(act, Monitor(env)) is None
        assert episodes_in_c(act, gymnasium.wrappers.ClipReward(env, 0.0, 1.0)) is None
        remembering = act_of(balancing_network(cart, 2), "float")
        assert episodes_in_c(remembering, HistoryObservation(env, 2, cart.action_duties)) is not None
        assert episodes_in_c(remembering, HistoryObservation(env, 2, (-0.1, 0.1))) is None
        forgetting = HistoryController(remembering, cart.action_duties, 2)
        assert episodes_in_c(forgetting.duty, env, take_step=inner.step_duty) is None, "its history would go on"
        controller = PolicyController(act, cart.action_duties)
        assert episodes_in_c(controller.duty, env, take_step=inner.step_duty) is not None
        assert episodes_in_c(controller.duty, env, take_step=env.step) is None
    engines = [{"engine": Engine.PYBULLET}] if is_installed(Engine.PYBULLET) else []
    for options in (*engines, {"rig": "virtual", "cart": cart}):
        with closing(CartPoleEnv(**{"cart": cart, **options})) as other:  # type: ignore[arg-type]
            assert episodes_in_c(act, other) is None
    with gymnasium.make("CartPole-v1") as foreign:
        assert episodes_in_c(act, foreign) is None


def test_environment_needs_a_reset_afterwards() -> None:
    cart = load_cart("gym")
    with made(cart) as env:
        evaluate(float_action_function(balancing_network(cart)), env, episodes=1, first_seed=0, max_steps=5)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)
        env.reset(seed=0)
        env.step(0)


def unending(name: str = "gym") -> tuple[Any, Callable[[int], Any]]:
    """A cart, and a function that runs that many steps on it whatever falls."""
    params = load_cart(name)
    cart = native_cart(params, Measurement())
    cart.place(State(0.0, 0.0, 0.01, 0.0), np.random.PCG64(0))
    policy = compiled_policy(float_action_function(balancing_network(params)))
    assert policy is not None
    return cart, lambda steps: cart.episode(policy, params.action_duties, 1, (math.inf, math.inf), steps, EpisodeSums())


def test_other_threads_run_and_ctrl_c_ends_an_episode() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore it
    try:
        interrupt_an_episode()
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt_an_episode() -> None:
    cart, run = unending()
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(100_000_000)
    timer.join()
    assert run(10)[0] == 10, "the cart is free again"
    assert math.isfinite(cart.state()[0])


def test_signal_handler_cannot_touch_the_cart_of_an_episode() -> None:
    cart, run = unending()
    refused: list[str] = []

    def handler(number: int, frame: FrameType | None) -> None:
        for call in (lambda: cart.step(0.0), lambda: run(1), lambda: cart.change(load_cart("gym"))):
            with pytest.raises(RuntimeError, match="an episode runs on this cart; wait for its end") as found:
                call()
            refused.append(str(found.value))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not refused:
            run(1_000_000)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(refused) == 3


def test_policy_that_does_not_fit_is_refused_with_both_numbers() -> None:
    params = load_cart("gym")
    cart = native_cart(params, Measurement())
    policy = compiled_policy(float_action_function(make_network(0, inputs=9, outputs=3)))
    assert policy is not None
    limits, sums = (1.0, 1.0), EpisodeSums()
    with pytest.raises(ValueError, match="a policy of 9 inputs, which is none of history length 1"):
        cart.episode(policy, (-1.0, 0.0, 1.0), 1, limits, 10, sums)
    with pytest.raises(ValueError, match="2 duties, expected 3 to 8: as many as the policy has actions"):
        cart.episode(policy, (-1.0, 1.0), 2, limits, 10, sums)
    with pytest.raises(RuntimeError, match="has not been placed yet"):
        cart.episode(policy, (-1.0, 0.0, 1.0), 2, limits, 10, sums)
    with pytest.raises(TypeError, match="expected a FloatPolicy, Int16Policy or HostPolicy with weights"):
        cart.episode("policy", (-1.0, 1.0), 1, limits, 10, sums)  # type: ignore[arg-type]
