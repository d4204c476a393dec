"""One training from configuration to verdict, in one run folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium
import torch

from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.files.run_folder import (
    SUMMARY_FILE,
    new_run_folder,
    read_run,
    write_json,
)
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.export import bundle_of, write_export
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rollout.evaluation import (
    CALIBRATION_SEED,
    LONG_RUN_SEED,
    evaluate,
    visited_observations,
)
from cartpole_robot.terminal.progress import progress_bar, say
from cartpole_robot.training.callbacks import (
    Checkpointing,
    EpisodeLogging,
    GreedyEvaluation,
    ProgressBar,
    StopOnSignal,
)
from cartpole_robot.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint
from cartpole_robot.training.config import GuardAction, check_seed
from cartpole_robot.training.curve import draw_learning_curve
from cartpole_robot.training.dqn.learner import network_of, new_learner, set_network
from cartpole_robot.training.environment import balancing_env, closing, training_env
from cartpole_robot.training.guard import guard_record
from cartpole_robot.training.job import TrainingJob, TrainingOutcome, job_from_folder
from cartpole_robot.training.learning import VERDICT_EPISODES, evaluate_the_end, run_learner, verdict
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.on_cart.run import learn_on_cart, on_cart_summary_text
from cartpole_robot.training.parity import agreement, agreement_text

LONG_RUN_TURNS = 15_000
PARITY_STATES = 10_000


def start_training(job: TrainingJob) -> TrainingOutcome:
    """Train from scratch into a new run folder. Raises `UsageError`."""
    check_seed(job.seed)
    new_run_folder(job.folder, job.as_dict())
    return _train(job)


def _train(job: TrainingJob) -> TrainingOutcome:
    with ExitStack() as stack:
        env = stack.enter_context(closing(training_env(job.cart, job.rig, job.config, job.randomization)))
        torch.set_num_threads(1)
        log_folder = str(job.folder / "tensorboard") if job.tensorboard else None
        model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=log_folder)
        return _train_and_finish(job, TrainingState(model, LearningLog()))


def resume_training(folder: Path) -> TrainingOutcome:
    """Go on from the newest checkpoint of a run folder. Raises `UsageError`."""
    job = job_from_folder(folder)
    if (folder / SUMMARY_FILE).exists():
        raise UsageError(f"{folder}: this training is finished (it has a {SUMMARY_FILE}); train into a new folder")
    if job.init is not None:
        return learn_on_cart(job)
    checkpoint = latest_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        return _train(job)  # it was stopped before its first checkpoint: nothing is lost by starting again
    with ExitStack() as stack:
        env = stack.enter_context(closing(training_env(job.cart, job.rig, job.config, job.randomization)))
        torch.set_num_threads(1)
        return _train_and_finish(job, load_checkpoint(checkpoint, job.config, env))


def _train_and_finish(job: TrainingJob, state: TrainingState) -> TrainingOutcome:
    with ExitStack() as stack:
        past = job.config.history_length
        env = stack.enter_context(closing(balancing_env(job.cart, job.rig, LONG_RUN_TURNS, history_length=past)))
        drawing = env
        if job.randomization is not None:
            drawn = balancing_env(job.cart, job.rig, LONG_RUN_TURNS, job.randomization, history_length=past)
            drawing = stack.enter_context(closing(drawn))
        evaluation = GreedyEvaluation(state, job.config, drawing)
        checkpointing = Checkpointing(state, job.folder / "checkpoints", job.config.checkpoint_every_steps)
        with StopOnSignal() as stop:
            is_whole = _learn(job, state, evaluation, checkpointing, stop)
        checkpoint = checkpointing.save_now()
        if not is_whole:
            return TrainingOutcome(folder=job.folder, summary=None, checkpoint=checkpoint)
        evaluate_the_end(state, evaluation)
        summary = {"first_verified_step": evaluation.first_verified_step, **_finish(job, state, env, drawing)}
        write_json(job.folder / SUMMARY_FILE, summary)
        return TrainingOutcome(folder=job.folder, summary=summary, checkpoint=None)


def _learn(
    job: TrainingJob,
    state: TrainingState,
    evaluation: GreedyEvaluation,
    checkpointing: Checkpointing,
    stop: StopOnSignal,
) -> bool:
    """Run the learner; True at the end of its steps or episodes, False when it was asked to stop before."""
    bar = ProgressBar(state, job.config)
    watchers = [EpisodeLogging(state, job.config.episodes), evaluation, checkpointing, bar, stop]
    try:
        return run_learner(state, job.config, watchers, name=str(job.folder), on_event=say)
    finally:
        bar.close()


def _finish(
    job: TrainingJob, state: TrainingState, env: gymnasium.Env[Any, Any], drawing: gymnasium.Env[Any, Any]
) -> dict[str, Any]:
    """Judge the last and the selected network, export the selected one, draw the curve; returns the summary.

    `drawing` is the environment of randomised carts, or `env` itself where there are none.
    """
    assert state.selected is not None  # evaluate_the_end() has run
    folder, model = job.folder, state.model
    bar = progress_bar((3 if drawing is env else 4) * VERDICT_EPISODES, "judging", " episodes", quiet=True)
    last = verdict(float_action_function(network_of(model)), env, bar.update)
    model.save(folder / "model_last.zip")
    set_network(model, state.selected.network)
    model.save(folder / "model_selected.zip")

    act = float_action_function(state.selected.network)
    visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    exported = verdict(act, env, bar.update)
    record = read_run(folder)
    record["selected_at_step"] = state.selected.row.step
    record["evaluation"] = exported.as_dict()
    bundle = bundle_of(state.selected.network, job.cart, visited, record, history_length=job.config.history_length)
    files = write_export(bundle, folder)
    int16_act = bundle.action_function(Backend.INT16)
    long_run = evaluate(act, env, episodes=1, first_seed=LONG_RUN_SEED, max_turns=LONG_RUN_TURNS)
    state.log.save(folder)
    title = f"{job.config.name} on {job.cart.name}, seed {job.seed}"
    draw_learning_curve(state.log, job.config, folder / "learning_curve.png", title=title)
    summary = {
        "preset": job.config.name,
        "cart": job.cart.name,
        "seed": job.seed,
        "steps": model.num_timesteps,
        "episodes": len(state.log.episodes),
        "training_s": round(state.elapsed_s, 2),
        "collapse_guard": guard_record(state.log.guard, job.config, model.num_timesteps),
        "last_model": last.as_dict(),
        "selected_at_step": state.selected.row.step,
        "exported": exported.as_dict(),
        "exported_int16": verdict(int16_act, env, bar.update).as_dict(),
        "exported_randomized": None if drawing is env else verdict(act, drawing, bar.update).as_dict(),
        "long_run": {"turns": long_run.turns[0], "of": LONG_RUN_TURNS},
        "agreement": agreement(bundle, files.onnx, model, visited),
        "policy_hash": bundle.policy_hash(),
        "machine": provenance.machine(),
    }
    bar.close()
    return summary


def summary_text(summary: Mapping[str, Any]) -> str:
    """A training's summary as lines for a person."""
    if "init" in summary:
        return on_cart_summary_text(summary)
    long_run = summary["long_run"]
    drawn = summary.get("exported_randomized")
    rows = [
        ("training", f"{summary['steps']} turns, {summary['episodes']} episodes, {summary['training_s']:.1f} s"),
        *_guard_rows(summary),
        ("last model", _evaluation_text(summary["last_model"])),
        ("exported policy", f"{_evaluation_text(summary['exported'])} (of turn {summary['selected_at_step']})"),
        ("exported as int16", _evaluation_text(summary["exported_int16"])),
        *([("on drawn carts", _evaluation_text(drawn))] if drawn is not None else []),
        ("one long episode", f"{long_run['turns']} of {long_run['of']} turns"),
        ("same action", agreement_text(summary["agreement"])),
    ]
    head = f"{summary['preset']} on {summary['cart']}, seed {summary['seed']}"
    return "\n".join([head, *(f"  {name:<18} {text}" for name, text in rows)])


def _guard_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the collapse guard saw, if it saw anything."""
    seen = summary.get("collapse_guard") or {}
    acts = seen.get("action") == GuardAction.HOLD
    texts = []
    if seen.get("turns_without_falls"):
        times = "once" if seen["times"] == 1 else f"{seen['times']} times"
        texts.append(f"no fall in the replay memory {times}, for {seen['turns_without_falls']} turns in all")
    if seen.get("turns_settled"):
        texts.append(f"settled for {seen['turns_settled']} of them" + (": updates held" if acts else ""))
    if seen.get("drifts"):
        texts.append(f"values beyond any return, {seen['drifts']} times" + (": taken back" if acts else ""))
    return [("collapse guard", "; ".join(texts))] if texts else []


def _evaluation_text(record: Mapping[str, Any]) -> str:
    return (
        f"{record['mean_turns']:.1f} mean turns over {record['episodes']} fresh episodes, "
        f"{record['episodes_survived']} survived all {record['max_turns']}"
    )
