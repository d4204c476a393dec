from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rollout.episode import episode
from cartpole_robot.signals import Measurement, State


def follow_the_pole(observation: np.ndarray) -> int:
    return int(observation[2] + 0.3 * observation[3] > 0)


def test_steps_are_those_of_a_plain_loop(env: gymnasium.Env) -> None:
    observation, _ = env.reset(seed=4)
    expected: list[Any] = []
    is_over = False
    while not is_over:
        following, reward, terminated, truncated, info = env.step(1)
        expected.append((len(expected) + 1, observation.tolist(), 1, reward, terminated, truncated, info))
        observation, is_over = following, terminated or truncated
    found = [
        (step.number, step.observation.tolist(), *step[2:]) for step in episode(env, lambda _: 1, seed=4, max_steps=500)
    ]
    assert found == expected
    assert found[-1][4], "it fell"


def test_episode_takes_no_more_steps_than_asked_for(env: gymnasium.Env) -> None:
    asked = []

    def act(observation: np.ndarray) -> int:
        asked.append(observation)
        return follow_the_pole(observation)

    steps = list(episode(env, act, seed=0, max_steps=20))
    assert [step.number for step in steps] == list(range(1, 21))
    assert len(asked) == 20
    assert not steps[-1].is_terminated
    assert not steps[-1].is_truncated


def test_options_and_seed_choose_the_start(env: gymnasium.Env) -> None:
    start = State(0.1, 0.2, 0.05, -0.1)
    (step,) = episode(env, follow_the_pole, seed=0, max_steps=1, options={"state": start})
    assert step.state == pytest.approx(start)
    (step,) = episode(env, follow_the_pole, seed=7, max_steps=1)
    assert step.observation.tolist() == env.reset(seed=7)[0].tolist()


def test_a_regulator_is_reset_before_its_first_duty(env: gymnasium.Env) -> None:
    inner = env.unwrapped
    assert isinstance(inner, CartPoleEnv)
    events: list[str] = []

    def duty(observation: np.ndarray) -> float:
        events.append("duty")
        return 0.25

    (step,) = episode(
        env, duty, seed=0, max_steps=1, take_step=inner.step_duty, on_reset=lambda: events.append("reset")
    )
    assert events == ["reset", "duty"]
    assert (step.action, step.duty) == (0.25, 0.25)


def test_duty_is_the_action_where_an_environment_reports_none() -> None:
    with gymnasium.make("CartPole-v1") as peer:
        duties = [step.duty for step in episode(peer, follow_the_pole, seed=0, max_steps=30)]
    assert set(duties) == {-1, 1}


class LostRig(NativeSimRig):
    """A simulated cart whose link is lost at the third step."""

    def step(self, duty: float) -> Measurement:
        if self._measurement.tick == 2:
            raise RigError("no answer")
        return super().step(duty)


def test_a_rig_fault_is_the_last_step(gym_cart: Any) -> None:
    steps = list(episode(CartPoleEnv(LostRig(gym_cart)), follow_the_pole, seed=0, max_steps=30))
    assert [step.is_truncated for step in steps] == [False, False, True]
    assert steps[-1].info["fault"] == "no answer"
