"""One training from configuration to verdict in one run folder."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import torch

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.files.run_folder import NO_POLICY_FILE, SUMMARY_FILE, locked_run, new_run_folder, write_json
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rollout.evaluation import (
    CALIBRATION_SEED,
    LONG_RUN_SEED,
    Evaluation,
    evaluate,
    visited_observations,
)
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.callbacks import Checkpointing, ProgressBar, StopOnSignal
from cartpole_robot.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint
from cartpole_robot.training.config import Selection, check_seed, extended_by
from cartpole_robot.training.dqn.learner import new_learner, symmetry_of
from cartpole_robot.training.environment import balancing_env, judging_env, training_env
from cartpole_robot.training.export import finish, save_run
from cartpole_robot.training.guard import guard_record
from cartpole_robot.training.job import TrainingJob, job_from_folder
from cartpole_robot.training.learning import VERDICT_EPISODES, Learned, judge, learn, verdict, verdict_on_pybullet
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.on_cart.run import learn_on_cart
from cartpole_robot.training.parity import PARITY_STATES
from cartpole_robot.training.precision import Against, against, check_regulator, regulator_evaluation
from cartpole_robot.training.summary import LongRun, NoPolicy, Summary, TrainingOutcome, TrainingSummary
from cartpole_robot.training.swing_up import check_swing_up, finish_swing_up
from cartpole_robot.training.trials import REPEATED_EPISODES

LONG_RUN_STEPS = 15_000


def start_training(job: TrainingJob) -> TrainingOutcome:
    """Train from scratch into a new run folder. Raises `UsageError`."""
    check_seed(job.seed)
    if job.config.task is Task.SWING_UP:
        check_swing_up(job)
    symmetry = symmetry_of(job.config, job.cart)
    if job.config.cost is not None or job.config.selection is Selection.REGULATOR:
        check_regulator(job.cart)  # raises, before anything is written
    new_run_folder(job.folder, job.as_dict())
    with locked_run(job.folder):
        if job.engine_note is not None:
            say(job.engine_note)
        if symmetry is not job.config.symmetry:
            say(f"the motor of {job.cart.name} is not the same to both sides: the learner uses no symmetry")
        return _train(job)


def _train(job: TrainingJob) -> TrainingOutcome:
    with ExitStack() as stack:
        env = stack.enter_context(
            closing(training_env(job.cart, job.rig, job.config, job.randomization, engine=job.engine))
        )
        torch.set_num_threads(1)
        model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=_log_folder(job))
        return _train_and_finish(job, TrainingState(model, LearningLog()))


def resume_training(folder: Path) -> TrainingOutcome:
    """Resume from the newest checkpoint of a run folder; one without a policy has another extension before it.

    Raises `UsageError`.
    """
    job = job_from_folder(folder)
    if (folder / SUMMARY_FILE).exists():
        raise UsageError(f"{folder}: this training is finished (it has a {SUMMARY_FILE}); train into a new folder")
    with locked_run(folder):
        if job.init is not None:
            return learn_on_cart(job)
        checkpoint = latest_checkpoint(folder / "checkpoints")
        if checkpoint is None:
            return _train(job)  # stopped before its first checkpoint
        with ExitStack() as stack:
            env = stack.enter_context(
                closing(training_env(job.cart, job.rig, job.config, job.randomization, engine=job.engine))
            )
            torch.set_num_threads(1)
            model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=_log_folder(job))
            state = load_checkpoint(checkpoint, model)
            return _train_and_finish(job, state)


def _log_folder(job: TrainingJob) -> str | None:
    return str(job.folder / "tensorboard") if job.tensorboard else None


def _train_and_finish(job: TrainingJob, state: TrainingState) -> TrainingOutcome:
    with ExitStack() as stack:
        past = job.config.history_length
        env = stack.enter_context(
            closing(judging_env(job.config, job.cart, job.rig, LONG_RUN_STEPS, engine=job.engine))
        )
        drawing = env
        if job.randomization is not None:
            drawn = balancing_env(
                job.cart, job.rig, LONG_RUN_STEPS, job.randomization, history_length=past, engine=job.engine
            )
            drawing = stack.enter_context(closing(drawn))
        checkpointing = Checkpointing(state, job.folder / "checkpoints", job.config.checkpoint_every_steps)
        with StopOnSignal() as stop, closing(ProgressBar(state, job.config)) as bar:
            callbacks = [checkpointing, bar, stop]
            learned = learn(
                state,
                job.config,
                drawing,
                callbacks,
                name=str(job.folder),
                randomization=job.randomization,
                on_event=partial(say, about="training"),
            )
        if learned is None or stop.was_asked:
            return TrainingOutcome(folder=job.folder, summary=None, checkpoint=checkpointing.save_now())
        if job.config.extension_steps and not learned.trials.is_passed:
            return _without_policy(job, learned)
        try:
            if job.config.task is Task.SWING_UP:
                summary: Summary = finish_swing_up(job, learned, env)
            else:
                summary = _finish(job, learned, env, drawing)
        except KeyboardInterrupt:
            checkpoint = latest_checkpoint(job.folder / "checkpoints")
            if checkpoint is None:
                raise
            return TrainingOutcome(folder=job.folder, summary=None, checkpoint=checkpoint)
        write_json(job.folder / SUMMARY_FILE, summary.as_dict())
        (job.folder / NO_POLICY_FILE).unlink(missing_ok=True)  # of an extension before this one
        return TrainingOutcome(folder=job.folder, summary=summary, checkpoint=None)


def _without_policy(job: TrainingJob, learned: Learned) -> TrainingOutcome:
    """Save models and log, and record what came closest to a policy."""
    state, rows = learned.state, learned.state.log.evaluations
    save_run(job, state)
    no_policy = NoPolicy(
        preset=job.config.name,
        cart=job.cart.name,
        seed=job.seed,
        extension_steps=extended_by(job.config, state.model.num_timesteps),
        steps=state.model.num_timesteps,
        episodes=len(state.log.episodes),
        training_s=round(state.elapsed_s, 2),
        collapse_guard=guard_record(state.log.guard, job.config, state.model.num_timesteps),
        evaluated=len(rows),
        balanced=sum(row.mean_steps >= MAX_EPISODE_STEPS for row in rows),
        newest=rows[-1],
        closest=learned.selected.row,
        trials=learned.trials,
        machine=provenance.machine(),
    )
    write_json(job.folder / NO_POLICY_FILE, no_policy.as_dict())
    return TrainingOutcome(folder=job.folder, summary=None, checkpoint=None, no_policy=no_policy)


def _finish(
    job: TrainingJob, learned: Learned, env: gymnasium.Env[Any, Any], drawing: gymnasium.Env[Any, Any]
) -> TrainingSummary:
    """Judge the last and the selected network, and export the selected one.

    `drawing` is the environment of randomised carts, or `env` itself if there are none.
    """
    state, first = learned.state, learned.first_verified
    forms = 3 if drawing is env else 4
    with progress_bar(forms * VERDICT_EPISODES, "judging", " episodes", quiet=True) as bar:
        judged = judge(learned, env, bar.update)
        act = float_action_function(learned.selected.network)
        visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
        exported = finish(job, state, visited, evaluation=judged.selected.as_dict(), trials=learned.trials)
        int16_act = exported.bundle.action_function(Backend.INT16)
        long_run = evaluate(act, env, episodes=1, first_seed=LONG_RUN_SEED, max_steps=LONG_RUN_STEPS)
        return TrainingSummary(
            on_pybullet=_on_pybullet(job, act),
            first_verified_step=None if first is None else first.step,
            preset=job.config.name,
            cart=job.cart.name,
            seed=job.seed,
            extension_steps=extended_by(job.config, state.model.num_timesteps),
            steps=state.model.num_timesteps,
            trials=learned.trials,
            episodes=len(state.log.episodes),
            training_s=round(state.elapsed_s, 2),
            collapse_guard=guard_record(state.log.guard, job.config, state.model.num_timesteps),
            last_model=judged.last,
            selected_at_step=learned.selected.row.step,
            exported=judged.selected,
            exported_int16=verdict(int16_act, env, bar.update),
            exported_randomized=None if drawing is env else verdict(act, drawing, bar.update),
            long_run=LongRun(steps=long_run.steps[0], of=LONG_RUN_STEPS),
            against_regulator=_against_regulator(job, judged.selected),
            agreement=exported.agreement,
            policy_hash=exported.bundle.policy_hash(),
            machine=provenance.machine(),
        )


def _against_regulator(job: TrainingJob, found: Evaluation) -> Against | None:
    """The exported policy's figures over the regulator's on the verdict's starts; None if that selects no network."""
    if job.config.selection is not Selection.REGULATOR:
        return None
    with closing(balancing_env(job.cart, job.rig, MAX_EPISODE_STEPS, engine=job.engine)) as env:
        regulator = regulator_evaluation(env, episodes=len(found.steps), first_seed=found.first_seed)
    return against(found, regulator)


def _on_pybullet(job: TrainingJob, act: ActionFunction) -> Evaluation | None:
    """The first episodes of the verdict on PyBullet; None if it is not installed or simulated them already."""
    if job.engine is not Engine.NATIVE:
        return None
    return verdict_on_pybullet(act, job.cart, history_length=job.config.history_length, episodes=REPEATED_EPISODES)
