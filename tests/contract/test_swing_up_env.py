from __future__ import annotations

import math
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from cartpole_robot.env import ENV_ID, SWING_UP_ID, CartPoleEnv, CartPoleSwingUpEnv
from cartpole_robot.errors import UsageError

NATIVE: dict[str, Any] = {"cart": "diy_arduino", "engine": "native"}


@pytest.mark.parametrize("env_id", [ENV_ID, SWING_UP_ID])
@pytest.mark.parametrize("action", ["table", "duty"])
def test_both_checkers_pass_and_warn_of_unbounded_speeds_alone(env_id: str, action: str) -> None:
    env = gymnasium.make(env_id, action=action, render_mode="rgb_array", **NATIVE)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        gymnasium_check(env.unwrapped, skip_render_check=True)
        sb3_check(env)
    assert [("infinity" in str(one.message)) for one in found] == [True, True]


def test_hanging_pole_is_observed_rewarded_little_and_drawn_below_the_cart() -> None:
    env = gymnasium.make(SWING_UP_ID, render_mode="rgb_array", **NATIVE)
    observation, _ = env.reset(seed=0, options={"state": [0.1, 0.0, math.pi, 0.0]})
    assert observation == pytest.approx([0.1, 0.0, 0.0, -1.0, 0.0], abs=1e-3)
    picture = np.asarray(env.render(), np.int16)
    rows = np.flatnonzero((np.abs(picture - (222, 135, 40)).sum(axis=2) < 30).any(axis=1))
    assert picture.shape[0] / 2 < rows.mean() < rows.max() < picture.shape[0] - 1
    rest = env.unwrapped.cart.swing_up_table.index(0.0)  # type: ignore[attr-defined]
    _, reward, terminated, _, info = env.step(rest)
    assert 0.0 <= float(reward) < 0.01
    assert not terminated
    assert info["requested_duty"] == 0.0


def test_pole_may_turn_and_the_cart_may_not_pass_its_limit() -> None:
    env = CartPoleSwingUpEnv(action="duty", **NATIVE)
    env.reset(seed=0, options={"state": [0.0, 0.0, 0.0, 20.0]})
    turned = [env.step(np.zeros(1))[:3] for _ in range(30)]
    assert min(observation[3] for observation, *_ in turned) < -0.9
    assert not any(terminated for *_, terminated in turned)
    terminated, observation = False, None
    while not terminated:
        observation, _, terminated, *_ = env.step(np.ones(1))
    assert observation is not None
    assert 0.40 < observation[0] < 0.45


def test_duty_action_drives_as_the_table_does() -> None:
    by_table, by_duty = (CartPoleEnv(action=action, **NATIVE) for action in ("table", "duty"))
    for env in (by_table, by_duty):
        env.reset(seed=3)
    for step in range(10):
        taken, same = by_table.step(step % 2), by_duty.step(np.array([(-0.2, 0.2)[step % 2]]))
        assert np.array_equal(taken[0], same[0])
        assert taken[1:] == same[1:]


def test_duty_beyond_full_drive_counts_as_full_and_no_number_is_refused() -> None:
    env = CartPoleEnv(action="duty", **NATIVE)
    env.reset(seed=0)
    assert env.step(np.array([3.0], np.float32))[4]["requested_duty"] == 1.0
    for wrong in (np.array([math.nan]), np.zeros(2), 0.5, "left", None):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"expected an array of shape \(1,\)"):
            env.step(wrong)  # type: ignore[arg-type]


def test_swing_up_before_the_swing_up_task_is_refused() -> None:
    with pytest.raises(UsageError, match="begins with a hanging pole; leave start out"):
        gymnasium.make(SWING_UP_ID, start="swing_up", **NATIVE)


def test_unknown_kind_of_action_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'force' is not known; expected one of table, duty"):
        CartPoleEnv(action="force", **NATIVE)


def test_swing_up_runs_in_a_vector_environment() -> None:
    envs = gymnasium.make_vec(SWING_UP_ID, num_envs=2, **NATIVE)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (2, 5)
    alone, _ = gymnasium.make(SWING_UP_ID, **NATIVE).reset(seed=1)
    assert np.array_equal(observations[1], alone)


class _Upright:
    """A rig whose firmware arms an upright pole alone."""

    def __init__(self) -> None:
        self.cart = CartPoleEnv(**NATIVE).cart
        self.was_closed = False

    def step(self, duty: float) -> None:
        raise AssertionError

    def close(self) -> None:
        self.was_closed = True


def test_rig_that_cannot_begin_hanging_is_refused_and_closed() -> None:
    rig = _Upright()
    with pytest.raises(UsageError, match="cannot begin a swing-up"):
        CartPoleSwingUpEnv(rig=rig)  # type: ignore[arg-type]
    assert rig.was_closed
