"""The trials of a network that training makes: how many there are of each kind, and of how many steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gymnasium

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.evaluation import SELECTION_SEED
from cartpole_robot.rollout.trials import BEHIND_FIRMWARE, ON_PYBULLET, Elsewhere, TrialPlan, Trials
from cartpole_robot.simulation.engine import Engine, is_installed
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
REPEATED_EPISODES = 20  # on PyBullet, of those that another engine simulated
TRIALS = TrialPlan(
    max_steps=MAX_EPISODE_STEPS,
    random_starts=TRIAL_STARTS,
    corner_steps=TRIAL_CORNER_STEPS,
    long_steps=TRIAL_STEPS,
    long_runs=TRIAL_RUNS,
)
_OF_DRAWN_CARTS = TrialPlan(max_steps=MAX_EPISODE_STEPS, random_starts=100)  # behind the firmware
_ON_PYBULLET = TrialPlan(max_steps=MAX_EPISODE_STEPS, random_starts=REPEATED_EPISODES)


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

    elsewhere = Elsewhere(name=BEHIND_FIRMWARE, opened=opened, plan=_OF_DRAWN_CARTS)
    is_behind = cart.firmware is not None and randomization is not None
    return Trials(env, TRIALS, first_seed=first_seed, elsewhere=[elsewhere] if is_behind else [])


def trials_of_model(env: gymnasium.Env[Any, Any], engine: Engine | None, on_note: Callable[[str], object]) -> Trials:
    """The trials that a policy which was trained elsewhere must pass in `env`, whose rig sim has that engine.

    Some follow on PyBullet where `engine` is another, and as many again behind the firmware of a cart that has one,
    which stops a motor that the policy drives too hard. `on_note` gets a sentence if no firmware can drive the cart.
    """
    cart: CartParams = env.get_wrapper_attr("cart")
    elsewhere = []
    if engine is Engine.NATIVE and is_installed(Engine.PYBULLET):
        opened = functools.partial(balancing_env, cart, "sim", MAX_EPISODE_STEPS, engine=Engine.PYBULLET)
        elsewhere.append(Elsewhere(name=ON_PYBULLET, opened=opened, plan=_ON_PYBULLET))
    if cart.firmware is not None:
        try:
            VirtualRig(cart).close()
        except UsageError as error:
            on_note(f"no trials {BEHIND_FIRMWARE}: {error}")
        else:
            opened = functools.partial(balancing_env, cart, "virtual", TRIAL_STEPS)
            elsewhere.append(Elsewhere(name=BEHIND_FIRMWARE, opened=opened, plan=TRIALS))
    return Trials(env, TRIALS, first_seed=SELECTION_SEED, elsewhere=elsewhere)
