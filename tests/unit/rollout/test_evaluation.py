from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing

import gymnasium
import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import StartSpread
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.rollout.evaluation import evaluate, visited_observations
from cartpole_robot.rollout.trials import BEHIND_FIRMWARE, Elsewhere, TrialPlan, Trials, corner_starts
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.environment import balancing_env


def follow_the_pole(observation: np.ndarray) -> int:
    """Balances for a while: push under the lean and under the lean to come."""
    return int(observation[2] + 0.3 * observation[3] > 0)


def test_steps_are_those_of_a_plain_loop(env: gymnasium.Env) -> None:
    expected = []
    for seed in range(40, 50):
        env.reset(seed=seed)
        steps, ended = 0, False
        while not ended:
            _, _, terminated, truncated, _ = env.step(1)
            steps, ended = steps + 1, terminated or truncated
        expected.append(steps)
    found = evaluate(lambda observation: 1, env, episodes=10, first_seed=40, max_steps=500)
    assert found.steps == tuple(expected)
    assert found.mean_steps == np.mean(expected)
    assert found.reversals_per_step == 0.0


def test_episode_is_cut_at_max_steps(env: gymnasium.Env) -> None:
    found = evaluate(follow_the_pole, env, episodes=3, first_seed=0, max_steps=30)
    assert found.steps == (30, 30, 30)
    assert found.as_dict()["episodes_survived"] == 3
    assert found.reversals_per_step > 0.0


def test_rms_is_that_of_the_visited_states(env: gymnasium.Env) -> None:
    observation, _ = env.reset(seed=7)
    seen = []
    for _ in range(20):
        seen.append(observation)
        observation = env.step(follow_the_pole(observation))[0]
    found = evaluate(follow_the_pole, env, episodes=1, first_seed=7, max_steps=20)
    rms = np.sqrt((np.array(seen, np.float64) ** 2).mean(axis=0))
    assert (found.rms_position_m, found.rms_angle_rad) == pytest.approx((rms[0], rms[2]))


def test_visited_observations_repeat_by_seed(env: gymnasium.Env) -> None:
    first = visited_observations(follow_the_pole, env, count=300, first_seed=9)
    again = visited_observations(follow_the_pole, env, count=300, first_seed=9)
    assert first.shape == (300, 4)
    assert (first == again).all()


def test_corner_starts_are_the_corners_of_the_spread(gym_cart: CartParams) -> None:
    corners = corner_starts(gym_cart.start)
    assert len(set(corners)) == 16
    assert all(abs(number) == 0.05 for corner in corners for number in corner)
    assert corner_starts(
        StartSpread(cart_position_m=0.1, cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.2)
    ) == (
        State(-0.1, 0.0, 0.0, -0.2),
        State(-0.1, 0.0, 0.0, 0.2),
        State(0.1, 0.0, 0.0, -0.2),
        State(0.1, 0.0, 0.0, 0.2),
    )


def test_trials_are_counted_up_to_the_first_fall(env: gymnasium.Env) -> None:
    steps = 0

    def balances_for(least: int) -> Callable[[np.ndarray], int]:
        nonlocal steps
        steps = 0

        def act(observation: np.ndarray) -> int:
            nonlocal steps
            steps += 1
            return follow_the_pole(observation) if steps <= least else 1

        return act

    plan = TrialPlan(max_steps=20, random_starts=4, corner_steps=100, long_steps=200, long_runs=2)
    trials = Trials(env, plan, first_seed=0)
    assert len(trials) == 38
    assert trials.survived(balances_for(10_000)) == 38
    assert steps == 20 * 20 + 16 * 100 + 2 * 200
    assert trials.survived(balances_for(20 * 20 + 50)) == 20, "the long ones follow the short ones"
    assert trials.survived(balances_for(20 * 20 + 16 * 100 + 200 + 100)) == 37
    assert trials.survived(balances_for(0)) == 0


def test_trials_behind_the_firmware_come_last_and_name_its_fault() -> None:
    """A policy that balances, behind a firmware that allows its motor little."""
    cart = load_cart("diy_arduino")
    assert cart.firmware is not None
    strict = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, continuous_duty=0.05))
    gain = design_lqr(cart).state_gain
    opened: list[gymnasium.Env] = []

    def balance(observation: np.ndarray) -> int:
        return int(-gain @ observation > 0.0)

    def behind_firmware() -> gymnasium.Env:
        opened.append(balancing_env(strict, "virtual", 500))
        return opened[-1]

    with closing(balancing_env(strict, "sim", 500, engine=Engine.NATIVE)) as env:
        plan = TrialPlan(max_steps=200, random_starts=2, corner_steps=200, long_steps=300, long_runs=1)
        three = Elsewhere(name=BEHIND_FIRMWARE, opened=behind_firmware, plan=TrialPlan(max_steps=200, random_starts=3))
        trials = Trials(env, plan, first_seed=7, elsewhere=[three])
        others = 2 * len(corner_starts(cart.start)) + 3
        assert len(trials) == others + 3
        assert trials.survived(balance) == others
        found = trials.record(balance)
    assert (found.passed, found.of) == (others, others + 3)
    for one in found.failed:
        assert (one.kind, one.of) == ("random start behind the firmware", 200)
        assert one.fault is not None
        assert one.fault.startswith("MOTOR_HOT")
    assert found.failed[0].text in found.text
    for env in opened:
        with pytest.raises(RigError):
            env.reset()
    assert len(opened) == 2
