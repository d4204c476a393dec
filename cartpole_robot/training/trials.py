"""The trials of a network that training makes: how many there are of each kind, and of how many steps."""

from __future__ import annotations

from typing import Any

import gymnasium

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.rollout.evaluation import SELECTION_SEED
from cartpole_robot.rollout.trials import Trials
from cartpole_robot.task import Task
from cartpole_robot.training.config import TrainingConfig
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.swing_up_trials import SwingUpTrials

# A network's trials. Of 110 networks that survived 500 steps from every corner and fell later, all fell within 4,360
# steps from one of them; of 369 others none fell in any of 150 random runs of 15,000 steps (recommended on gym, 30
# seeds).
TRIAL_STARTS = 50  # random ones, of episodes of the usual length
TRIAL_CORNER_STEPS = 5_000  # of a long run from each corner
TRIAL_STEPS, TRIAL_RUNS = 15_000, 3  # of a long run from a random start, and their number
TRIALS_BEHIND_FIRMWARE = 100  # of drawn carts


def trials_of(
    config: TrainingConfig, env: gymnasium.Env[Any, Any], randomization: Randomization | None = None
) -> Trials | SwingUpTrials:
    """The trials that a network of this configuration must pass in `env`.

    Where carts are drawn from `randomization`, a weak one may hardly move under a weak push: then trials behind the
    firmware follow, of a cart that has one.
    """
    first_seed = SELECTION_SEED + config.evaluation_episodes
    if config.task is Task.SWING_UP:
        return SwingUpTrials(env, config, first_seed=first_seed)
    cart: CartParams = env.get_wrapper_attr("cart")

    def opened() -> gymnasium.Env[Any, Any]:
        return balancing_env(cart, "virtual", MAX_EPISODE_STEPS, randomization, history_length=config.history_length)

    return Trials(
        env,
        first_seed=first_seed,
        max_steps=MAX_EPISODE_STEPS,
        random_starts=TRIAL_STARTS,
        corner_steps=TRIAL_CORNER_STEPS,
        long_steps=TRIAL_STEPS,
        long_runs=TRIAL_RUNS,
        behind_firmware=None if cart.firmware is None or randomization is None else opened,
        firmware_starts=TRIALS_BEHIND_FIRMWARE,
    )
