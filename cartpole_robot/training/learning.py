"""Learning and judging without a run folder, shared by trainings and the cells of a study."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.policy.network import ActionFunction, Network, float_action_function
from cartpole_robot.rigs.engine_choice import chosen_engine
from cartpole_robot.rollout.evaluation import VERDICT_SEED, Evaluation, evaluate
from cartpole_robot.rollout.trials import TrialsRecord
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.task import Task
from cartpole_robot.training.averaging import Averaging
from cartpole_robot.training.callbacks import EpisodeLogging, Stopped, TrainingCallbacks
from cartpole_robot.training.checkpoint import Selected, TrainingState
from cartpole_robot.training.config import GuardAction, TrainingConfig, cart_to_learn, extended_by, extended_to
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.guard import CollapseGuard
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.swing_up_trials import Practice
from cartpole_robot.training.trials import REPEATED_EPISODES, TRIAL_STEPS

VERDICT_EPISODES = 100


@dataclass(frozen=True, kw_only=True)
class FirstVerified:
    """The first greedy evaluation that survived all its episodes and trials.

    `after_s` is the learning time until then, None if it happened before the training was resumed.
    """

    step: int
    after_s: float | None


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A training that ran to its end; `state.elapsed_s` includes the greedy evaluations.

    `trials` are those of the selected network. Where they are not passed, an extension has reached its end, if the
    configuration has one.
    """

    state: TrainingState
    selected: Selected
    trials: TrialsRecord
    first_verified: FirstVerified | None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts on the last network of a training and on the selected one.

    `selected_on_pybullet` repeats the first episodes of the latter; None if PyBullet simulated both, or is missing.
    """

    last: Evaluation
    selected: Evaluation
    selected_on_pybullet: Evaluation | None = None


def learn(
    state: TrainingState,
    config: TrainingConfig,
    selection_env: gymnasium.Env[Any, Any],
    callbacks: Sequence[BaseCallback] = (),
    *,
    name: str,
    randomization: Randomization | None = None,
    on_event: Callable[[str], object] | None = None,
) -> Learned | None:
    """Learn to the end and select the best network, also evaluating the last one; None if a callback stopped earlier.

    `selection_env` draws its carts from `randomization`, if given.
    Raises `RunError`, beginning with `name`, if the training diverges; `on_event` is that of `run_learner`.
    """
    evaluation = GreedyEvaluation(state, config, selection_env, randomization)
    callbacks = [
        EpisodeLogging(state, config.episodes),
        *([Averaging(state, config.averaged_steps)] if config.averaged_steps else []),
        *([Practice(state, config, selection_env)] if config.hard_start_share else []),
        evaluation,
        *callbacks,
    ]
    if not run_learner(state, config, callbacks, name=name, on_event=on_event):
        return None
    if not extended_by(config, state.model.num_timesteps):  # else this resumes an extension
        evaluation.evaluate_newest()
    if config.extension_steps and not evaluation.may_end:
        until = extended_to(config, state.model.num_timesteps)
        if on_event is not None:
            on_event(_extension_text(state, evaluation, until))
        if not run_learner(state, config, callbacks, name=name, on_event=on_event, until=until):
            return None
        evaluation.evaluate_newest()
    assert state.selected is not None  # evaluate_now() has run at least once
    step = evaluation.first_verified_step
    first = None if step is None else FirstVerified(step=step, after_s=evaluation.first_verified_s)
    return Learned(state=state, selected=state.selected, trials=evaluation.trials_of_selected(), first_verified=first)


def _extension_text(state: TrainingState, evaluation: GreedyEvaluation, until: int) -> str:
    newest = state.log.evaluations[-1].mean_steps
    lacking = (
        f"the newest network survives only {newest:.0f} of {MAX_EPISODE_STEPS} mean steps"
        if evaluation.is_durable
        else "no network has passed every trial"
    )
    return f"step {state.model.num_timesteps}: {lacking}; the training continues, up to step {until}"


def judge(learned: Learned, env: gymnasium.Env[Any, Any], on_episode: Callable[[], object] = lambda: None) -> Judged:
    """The verdicts in `env`; identical networks are judged once, with `on_episode` called as often as for two."""
    last, selected = network_of(learned.state.model), learned.selected.network
    found = verdict(float_action_function(last), env, on_episode)
    is_same = all(np.array_equal(getattr(last, f.name), getattr(selected, f.name)) for f in dataclasses.fields(Network))
    if is_same:
        for _ in range(VERDICT_EPISODES):
            on_episode()
        return Judged(last=found, selected=found)
    return Judged(last=found, selected=verdict(float_action_function(selected), env, on_episode))


def learn_unrecorded(config: TrainingConfig, cart: CartParams, *, seed: int, engine: Engine) -> tuple[Learned, Judged]:
    """Train in simulation on one thread and judge; networks and verdicts are those of `cartpole-robot train`.

    From the native engine as many episodes of the verdict are repeated on PyBullet as take `REPEATED_EPISODES` on a
    cart with one physics step in a control period: more would take as long as the training. Writes no files and shows
    no progress bar. Raises `RunError` if the training diverges, `UsageError` for an engine that is not installed here
    or moves this cart otherwise than PyBullet.
    """
    if config.task is not Task.BALANCE:
        raise UsageError(f"preset {config.name}: task = {str(config.task)!r}, a study trains policies that balance")
    torch.set_num_threads(1)
    cart = cart_to_learn(config, cart)
    _check_engine(cart, engine)
    past = config.history_length
    with ExitStack() as stack:
        env = stack.enter_context(closing(training_env(cart, "sim", config, engine=engine)))
        state = TrainingState(new_learner(config, cart, env, seed=seed, tensorboard=None), LearningLog())
        judging = stack.enter_context(
            closing(balancing_env(cart, "sim", TRIAL_STEPS, history_length=past, engine=engine))
        )
        learned = learn(state, config, judging, name=config.name)
        assert learned is not None  # no callback stops it
        judged = judge(learned, judging)
    if engine is Engine.NATIVE:
        act = float_action_function(learned.selected.network)
        episodes = max(1, REPEATED_EPISODES // cart.timing.physics_steps_per_period)
        again = verdict_on_pybullet(act, cart, history_length=past, episodes=episodes)
        judged = dataclasses.replace(judged, selected_on_pybullet=again)
    return learned, judged


@functools.cache
def _check_engine(cart: CartParams, engine: Engine) -> None:
    """Once in a process; raises `UsageError` as `chosen_engine` does."""
    chosen_engine(cart, engine)


def run_learner(
    state: TrainingState,
    config: TrainingConfig,
    callbacks: Sequence[BaseCallback],
    *,
    name: str,
    on_event: Callable[[str], object] | None = None,
    until: int | None = None,
) -> bool:
    """Run the learner; True at the end of its steps or episodes, False if a callback raised `Stopped` before.

    It runs to step `until`, if given, which may lie beyond the steps of `config`: epsilon and learning rate then stay
    at their ends.
    The collapse guard that `config` asks for runs first, logs its events and sends sentences to `on_event`.
    Raises `RunError`, beginning with `name`, if the training diverges.
    """
    remaining = (config.steps if until is None else until) - state.model.num_timesteps
    if remaining <= 0 or len(state.log.episodes) >= (config.episodes or math.inf):
        return True
    if config.collapse_guard is not GuardAction.OFF:
        cart: CartParams = state.model.get_env().get_attr("cart")[0]  # type: ignore[union-attr]
        callbacks = [CollapseGuard(state.log, config, cart.limits.cart_position_m, on_event), *callbacks]
    with divergence_named(name):
        try:
            state.model.learn(
                total_timesteps=remaining,
                callback=TrainingCallbacks(callbacks, config),
                log_interval=10,
                tb_log_name="dqn",
                reset_num_timesteps=False,
            )
        except Stopped:
            return False
    return True


@contextmanager
def divergence_named(name: str) -> Iterator[None]:
    """A context in which weights that are not finite raise `RunError`, beginning with `name`."""
    try:
        yield
    except ValueError as error:
        if "finite" not in str(error):
            raise
        raise RunError(f"{name}: the training diverged ({error}); use a smaller learning_rate") from None


def verdict(
    act: ActionFunction, env: gymnasium.Env[Any, Any], on_episode: Callable[[], object] | None = None
) -> Evaluation:
    """Evaluate a policy on starts that neither training nor selection has seen."""
    return evaluate(
        act,
        env,
        episodes=VERDICT_EPISODES,
        first_seed=VERDICT_SEED,
        max_steps=MAX_EPISODE_STEPS,
        on_episode=on_episode,
    )


def verdict_on_pybullet(
    act: ActionFunction, cart: CartParams, *, history_length: int, episodes: int
) -> Evaluation | None:
    """The first episodes of the verdict, simulated by PyBullet; None if it is not installed."""
    if not is_installed(Engine.PYBULLET):
        return None
    steps = MAX_EPISODE_STEPS
    env = balancing_env(cart, "sim", steps, history_length=history_length, engine=Engine.PYBULLET)
    with closing(env):
        return evaluate(act, env, episodes=episodes, first_seed=VERDICT_SEED, max_steps=steps)
