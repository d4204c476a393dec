"""The environments of training and evaluation."""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any, SupportsFloat

import gymnasium
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.env import ENV_ID, SWING_UP_ID
from cartpole_robot.rig import Start
from cartpole_robot.rollout.drive_limits import DriveLimits
from cartpole_robot.rollout.history_wrapper import with_history
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.swing_up_task import start_anywhere
from cartpole_robot.task import Task
from cartpole_robot.training.config import LearnerReward, TrainingConfig
from cartpole_robot.training.precision import PrecisionReward, RegulatorReference
from cartpole_robot.training.priced_steps import PricedSteps

ANYWHERE_SHARE = 0.3


class FallReward(PricedSteps):
    """Rewards the step that ends in a fall with -1 and every other step with 0: values measure the time to a fall."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, (-1.0 if terminated else 0.0), terminated, truncated, info

    def price(self) -> float:
        return 0.0


class WithinDriveLimits(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Ends an episode of a swing-up where the firmware would stop the motor, with its fault in `info["limit"]`.

    A share `hard_share` of the episodes begins at one of `hard_starts`, once there are any. Of the others a share
    `ANYWHERE_SHARE` begins with the pole anywhere, upright too, which no firmware would do. The fall of a pole that
    was up ends none: with that a learner shuns the upright pole (0 of 5 seeds learned to hold it).
    """

    def __init__(self, env: gymnasium.Env[Any, Any], hard_share: float = 0.0) -> None:
        super().__init__(env)
        self.hard_starts: list[State] = []
        self._hard_share = hard_share
        self._cart: CartParams = env.get_wrapper_attr("cart")
        self._limits = DriveLimits(self._cart)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is None and options is None:
            random = self.unwrapped.np_random
            if self.hard_starts and random.random() < self._hard_share:
                options = {"state": self.hard_starts[random.integers(len(self.hard_starts))]}
            elif random.random() < ANYWHERE_SHARE:
                options = {"state": start_anywhere(self._cart, random)}
        observation, info = self.env.reset(seed=seed, options=options)
        self._limits.begin(float(observation[0]))
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        position_m, speed_m_s, sine, cosine, _ = observation.tolist()
        limit = self._limits.passed(position_m, speed_m_s, math.atan2(sine, cosine), info["applied_duty"])
        if limit is not None:
            info["limit"] = limit
        return observation, reward, terminated or limit is not None, truncated, info


class ScaledReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The swing-up's reward times 1 - gamma, and 0 for the step that ends an episode past a limit."""

    def __init__(self, env: gymnasium.Env[Any, Any], gamma: float) -> None:
        super().__init__(env)
        self._scale = 1.0 - gamma

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, 0.0 if terminated else self._scale * float(reward), terminated, truncated, info


def swing_up_env(
    cart: CartParams,
    rig: str,
    max_steps: int,
    randomization: Randomization | None = None,
    *,
    engine: Engine | None = None,
) -> gymnasium.Env[Any, Any]:
    """As `balancing_env`, for the swing-up."""
    return _unchecked(SWING_UP_ID, max_steps, rig=rig, cart=cart, randomization=randomization, engine=engine)


def balancing_env(
    cart: CartParams,
    rig: str,
    max_steps: int,
    randomization: Randomization | None = None,
    *,
    history_length: int = 1,
    engine: Engine | None = None,
    start: Start = Start.BY_HAND,
    action: str = "table",
) -> gymnasium.Env[Any, Any]:
    """The registered environment with another TimeLimit and without Gymnasium's checker.

    Its observations are those of a policy with `history_length`; `engine`, `start` and `action` are those of
    `CartPoleEnv`.
    """
    options = {"randomization": randomization, "engine": engine, "start": start, "action": action}
    env = _unchecked(ENV_ID, max_steps, rig=rig, cart=cart, **options)
    return with_history(env, history_length, cart.action_duties)


def _unchecked(env_id: str, max_steps: int, **made_of: object) -> gymnasium.Env[Any, Any]:
    """The registered environment with another TimeLimit and without Gymnasium's checker."""
    return gymnasium.make(env_id, max_episode_steps=max_steps, disable_env_checker=True, **made_of)


def training_env(
    cart: CartParams,
    rig: str,
    config: TrainingConfig,
    randomization: Randomization | None = None,
    *,
    engine: Engine | None = None,
) -> gymnasium.Env[Any, Any]:
    """The environment for training; SB3's Monitor counts steps below the reward that the learner sees."""
    if config.task is Task.SWING_UP:
        swinging = swing_up_env(cart, rig, config.max_steps, randomization, engine=engine)
        return ScaledReward(Monitor(WithinDriveLimits(swinging, config.hard_start_share)), config.gamma)
    past = config.history_length
    balancing = balancing_env(cart, rig, config.max_steps, randomization, history_length=past, engine=engine)
    env: gymnasium.Env[Any, Any] = Monitor(balancing)
    if config.cost is not None:
        with closing(balancing_env(cart, rig, MAX_EPISODE_STEPS, engine=engine)) as plain:
            regulator = RegulatorReference(plain, episodes=config.evaluation_episodes)
        return PrecisionReward(env, config.cost, regulator, config.gamma, config.wide_start_share)
    return FallReward(env) if config.learner_reward is LearnerReward.FALL else env


def judging_env(
    config: TrainingConfig, cart: CartParams, rig: str, max_steps: int, *, engine: Engine | None = None
) -> gymnasium.Env[Any, Any]:
    """The environment of the task that `config` trains, with the inputs its policy takes."""
    if config.task is Task.SWING_UP:
        return swing_up_env(cart, rig, max_steps, engine=engine)
    return balancing_env(cart, rig, max_steps, history_length=config.history_length, engine=engine)
