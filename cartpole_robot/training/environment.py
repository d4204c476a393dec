"""The environments of training and evaluation."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.env import ENV_ID
from cartpole_robot.rig import Start
from cartpole_robot.rollout.history_wrapper import with_history
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.config import LearnerReward, TrainingConfig


class FallReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Rewards the step that ends in a fall with -1 and every other step with 0: values measure the time to a fall."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, (-1.0 if terminated else 0.0), terminated, truncated, info


def balancing_env(
    cart: CartParams,
    rig: str,
    max_steps: int,
    randomization: Randomization | None = None,
    *,
    history_length: int = 1,
    engine: Engine | None = None,
    start: Start = Start.BY_HAND,
) -> gymnasium.Env[Any, Any]:
    """The registered environment with another TimeLimit and without Gymnasium's checker.

    Its observations are those of a policy with `history_length`; `engine` and `start` are those of
    `CartPoleEnv`.
    """
    env: gymnasium.Env[Any, Any] = gymnasium.make(
        ENV_ID,
        rig=rig,
        cart=cart,
        randomization=randomization,
        engine=engine,
        start=start,
        max_episode_steps=max_steps,
        disable_env_checker=True,
    )
    return with_history(env, history_length, cart.action_duties)


def training_env(
    cart: CartParams,
    rig: str,
    config: TrainingConfig,
    randomization: Randomization | None = None,
    *,
    engine: Engine | None = None,
) -> gymnasium.Env[Any, Any]:
    """The environment for training; SB3's Monitor counts steps below the reward that the learner sees."""
    past = config.history_length
    balancing = balancing_env(cart, rig, config.max_steps, randomization, history_length=past, engine=engine)
    env: gymnasium.Env[Any, Any] = Monitor(balancing)
    return FallReward(env) if config.learner_reward is LearnerReward.FALL else env
