"""Learning and its judgement without a folder: what a training and a study's cell have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_TURNS
from cartpole_robot.errors import RunError
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rollout.evaluation import VERDICT_SEED, Evaluation, evaluate
from cartpole_robot.training.callbacks import TRIAL_TURNS, EpisodeLogging, GreedyEvaluation, Stopped, Watchers
from cartpole_robot.training.checkpoint import Selected, TrainingState
from cartpole_robot.training.config import GuardAction, TrainingConfig
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import balancing_env, closing, training_env
from cartpole_robot.training.guard import CollapseGuard
from cartpole_robot.training.log import LearningLog

VERDICT_EPISODES = 100


def run_learner(
    state: TrainingState,
    config: TrainingConfig,
    watchers: Sequence[BaseCallback],
    *,
    name: str,
    on_event: Callable[[str], object] | None = None,
) -> bool:
    """Run the learner; True at the end of its steps or episodes, False when a watcher raised `Stopped` before.

    The collapse guard that `config` asks for watches first; what it sees goes to the log and, in words, to `on_event`.
    Raises `RunError`, beginning with `name`, where the training diverges.
    """
    remaining = config.steps - state.model.num_timesteps
    if remaining <= 0 or len(state.log.episodes) >= (config.episodes or math.inf):
        return True
    if config.collapse_guard is not GuardAction.OFF:
        cart: CartParams = state.model.get_env().get_attr("cart")[0]  # type: ignore[union-attr]
        watchers = [CollapseGuard(state.log, config, cart.limits.cart_position_m, on_event), *watchers]
    try:
        state.model.learn(
            total_timesteps=remaining,
            callback=Watchers(watchers, config),
            log_interval=10,
            tb_log_name="dqn",
            reset_num_timesteps=False,
        )
    except Stopped:
        return False
    except ValueError as error:
        if "finite" not in str(error):
            raise
        raise RunError(f"{name}: the training diverged ({error}); use a smaller learning_rate") from None
    return True


def evaluate_the_end(state: TrainingState, evaluation: GreedyEvaluation) -> Selected:
    """The best network, the last one looked at too."""
    if not state.log.evaluations or state.log.evaluations[-1].step != state.model.num_timesteps:
        evaluation.evaluate_now()
    assert state.selected is not None  # evaluate_now() has run at least once
    return state.selected


def verdict(
    act: ActionFunction, env: gymnasium.Env[Any, Any], on_episode: Callable[[], object] | None = None
) -> Evaluation:
    """How long a policy survives on the starts that neither training nor selection has seen."""
    return evaluate(
        act,
        env,
        episodes=VERDICT_EPISODES,
        first_seed=VERDICT_SEED,
        max_turns=MAX_TURNS,
        on_episode=on_episode,
    )


@dataclass(frozen=True, kw_only=True)
class FirstBalanced:
    """The first greedy evaluation that survived all its episodes and its trials: its step, and after how long."""

    step: int
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One training that left nothing behind but this; `training_s` has the greedy evaluations in it, no verdict."""

    log: LearningLog
    steps: int
    training_s: float
    selected_at_step: int
    last: Evaluation
    selected: Evaluation
    first_balanced: FirstBalanced | None


class _TimedEvaluation(GreedyEvaluation):
    """Remembers when the policy first survived every episode of an evaluation, and the trials."""

    def __init__(self, state: TrainingState, config: TrainingConfig, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(state, config, env)
        self.first_balanced: FirstBalanced | None = None
        self._began_s = time.monotonic()

    def evaluate_now(self) -> None:
        """As always, with a look at the clock."""
        super().evaluate_now()
        if self.first_balanced is None and (step := self.first_verified_step) is not None:
            self.first_balanced = FirstBalanced(step=step, wall_s=time.monotonic() - self._began_s)


def learn_unrecorded(config: TrainingConfig, cart: CartParams, *, seed: int) -> Learned:
    """Train in simulation on one thread and judge: networks and verdicts are those of `cartpole-robot train`.

    Nothing is written and no bar is shown. Raises `RunError` where the training diverges.
    """
    torch.set_num_threads(1)
    with ExitStack() as stack:
        env = stack.enter_context(closing(training_env(cart, "sim", config)))
        state = TrainingState(new_learner(config, cart, env, seed=seed, tensorboard=None), LearningLog())
        judging = stack.enter_context(
            closing(balancing_env(cart, "sim", TRIAL_TURNS, history_length=config.history_length))
        )
        evaluation = _TimedEvaluation(state, config, judging)
        began_s = time.monotonic()
        run_learner(state, config, [EpisodeLogging(state, config.episodes), evaluation], name=config.name)
        selected = evaluate_the_end(state, evaluation)
        training_s = time.monotonic() - began_s
        last = verdict(float_action_function(network_of(state.model)), judging)
        is_last = selected.row.step == state.model.num_timesteps
        return Learned(
            log=state.log,
            steps=state.model.num_timesteps,
            training_s=training_s,
            selected_at_step=selected.row.step,
            last=last,
            selected=last if is_last else verdict(float_action_function(selected.network), judging),
            first_balanced=evaluation.first_balanced,
        )
