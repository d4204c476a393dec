"""An exported policy that learns on, on the cart itself: from bundle to bundle, in one run folder."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from cartpole_robot.cart.parts import MAX_TURNS
from cartpole_robot.errors import RunError
from cartpole_robot.files import provenance
from cartpole_robot.files.run_folder import (
    SUMMARY_FILE,
    new_run_folder,
    read_run,
    write_json,
)
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.export import bundle_of, write_export
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.cart_progress import CartProgress
from cartpole_robot.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint
from cartpole_robot.training.curve import draw_learning_curve
from cartpole_robot.training.dqn.learner import new_learner, set_network
from cartpole_robot.training.environment import balancing_env, closing
from cartpole_robot.training.job import TrainingJob, TrainingOutcome
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.on_cart.episode import StopBetweenTurns
from cartpole_robot.training.on_cart.learning import CartLearning
from cartpole_robot.training.parity import agreement, agreement_text

INITIAL_FILE = "initial_policy.npz"


def start_on_cart(job: TrainingJob, initial: PolicyBundle) -> TrainingOutcome:
    """Let `initial` learn on, into a new run folder, which keeps a copy of it. Raises `UsageError`, `RunError`."""
    new_run_folder(job.folder, job.as_dict())
    initial.save(job.folder / INITIAL_FILE)
    return learn_on_cart(job)


def learn_on_cart(job: TrainingJob) -> TrainingOutcome:
    """Begin, or go on from the newest checkpoint of the run folder. Raises `UsageError`, `RunError`."""
    initial = load_policy(job.folder / INITIAL_FILE)
    torch.set_num_threads(1)
    with ExitStack() as stack:
        most, past = max(job.config.max_turns, MAX_TURNS), job.config.history_length
        env = stack.enter_context(closing(balancing_env(job.cart, job.rig, most, history_length=past)))
        checkpoint = latest_checkpoint(job.folder / "checkpoints")
        if checkpoint is None:
            state = begin_on_cart(job, initial, env)
        else:
            state = load_checkpoint(checkpoint, job.config, env)
            state.model.set_logger(_logger(job))
        stop = stack.enter_context(StopBetweenTurns())
        bar = stack.enter_context(
            progress_bar(job.config.episodes or 0, "learning on the cart", " episodes", initial=_episodes(state))
        )

        def show(turns: int) -> None:
            assert state.on_cart is not None
            best = state.on_cart.best
            greedy = "-" if best is None else f"{best.mean_turns:.0f} ({best.survived} of {best.planned})"
            bar.update(_episodes(state) - bar.n)
            bar.set_postfix_str(f"turns {turns}, epsilon {learning.epsilon:.3f}, best greedy {greedy}", refresh=False)

        learning = CartLearning(job.config, state, env, job.folder / "checkpoints", stop, show)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: later collections look at the rest alone
        try:
            is_over = learning.run()
        except ValueError as error:
            if "finite" not in str(error):
                raise
            raise RunError(f"{job.folder}: the learning diverged ({error}); use a smaller learning_rate") from None
        finally:
            gc.unfreeze()
        if not is_over:
            return TrainingOutcome(
                folder=job.folder, summary=None, checkpoint=latest_checkpoint(job.folder / "checkpoints")
            )
    return TrainingOutcome(folder=job.folder, summary=_finish(job, state, initial), checkpoint=None)


def begin_on_cart(job: TrainingJob, initial: PolicyBundle, env: gymnasium.Env[Any, Any]) -> TrainingState:
    """A learner on `env` whose network and target network are those of `initial`, its memory empty."""
    model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=None)
    set_network(model, initial.network)
    model.q_net_target.load_state_dict(model.q_net.state_dict())
    model.set_logger(_logger(job))
    env.unwrapped.np_random = np.random.default_rng(job.seed)  # of the starts
    return TrainingState(model, LearningLog(), on_cart=CartProgress())


def _episodes(state: TrainingState) -> int:
    assert state.on_cart is not None
    return len(state.log.episodes) + state.on_cart.evaluation_episodes


def _logger(job: TrainingJob) -> Logger:
    folder = job.folder / "tensorboard" / "on_cart"
    return Logger(str(folder), [TensorBoardOutputFormat(str(folder))] if job.tensorboard else [])


def _finish(job: TrainingJob, state: TrainingState, initial: PolicyBundle) -> dict[str, Any]:
    """Export the best network, or the initial policy where none was better; draw the curve, write the summary.

    The cart is not moved for it: no verdict of a hundred episodes falls on a cart that wears.
    """
    progress = state.on_cart
    assert progress is not None
    assert state.selected is not None
    assert progress.initial is not None
    assert progress.best is not None
    folder, model = job.folder, state.model
    model.save(folder / "model_last.zip")
    set_network(model, state.selected.network)
    model.save(folder / "model_selected.zip")
    is_kept = progress.best.step == 0
    record = read_run(folder)
    record["selected_at_step"] = progress.best.step
    record["evaluation"] = dataclasses.asdict(progress.best)
    visited = progress.observations()
    if is_kept:
        bundle = dataclasses.replace(initial, provenance=record)  # to the bit, its int16 form too
    else:
        past = job.config.history_length
        bundle = bundle_of(state.selected.network, job.cart, visited, record, history_length=past)
    files = write_export(bundle, folder)
    state.log.save(folder)
    title = f"{job.config.name} on {job.cart.name}, rig {job.rig}, seed {job.seed}"
    draw_learning_curve(state.log, job.config, folder / "learning_curve.png", title=title)
    summary: dict[str, Any] = {
        "preset": job.config.name,
        "cart": job.cart.name,
        "rig": job.rig,
        "seed": job.seed,
        "init": job.as_dict()["init"],
        "steps": model.num_timesteps,
        "episodes": _episodes(state),
        "episodes_at_most": job.config.episodes,
        "learning_episodes": len(state.log.episodes),
        "evaluation_episodes": progress.evaluation_episodes,
        "updates": progress.updates,
        "training_s": round(state.elapsed_s, 2),
        "initial": dataclasses.asdict(progress.initial),
        "selected": dataclasses.asdict(progress.best),
        "is_initial_kept": is_kept,
        "faults": progress.faults,
        "agreement": agreement(bundle, files.onnx, model, visited),
        "policy_hash": bundle.policy_hash(),
        "machine": provenance.machine(),
    }
    write_json(folder / SUMMARY_FILE, summary)
    return summary


def on_cart_summary_text(summary: Mapping[str, Any]) -> str:
    """The summary of a learning on the cart as lines for a person."""
    chosen = "the policy of --init: nothing better was found" if summary["is_initial_kept"] else "learned on the cart"
    rows = [
        (
            "on the cart",
            f"{summary['episodes']} episodes of at most {summary['episodes_at_most']}: {summary['learning_episodes']} "
            f"of learning ({summary['steps']} turns), {summary['evaluation_episodes']} of evaluation",
        ),
        ("between them", f"{summary['updates']} updates; {summary['training_s']:.1f} s in all"),
        ("policy of --init", _evaluation_text(summary["initial"])),
        ("exported policy", f"{_evaluation_text(summary['selected'])}: {chosen}"),
        ("same action", agreement_text(summary["agreement"])),
        *([("faults", f"{len(summary['faults'])}, the last: {summary['faults'][-1]}")] if summary["faults"] else []),
    ]
    head = f"{summary['preset']} on {summary['cart']}, rig {summary['rig']}, seed {summary['seed']}"
    return "\n".join([head, *(f"  {name:<18} {text}" for name, text in rows)])


def _evaluation_text(record: Mapping[str, Any]) -> str:
    turns, survived, planned = record["turns"], record["survived"], record["planned"]
    ended = ""
    if survived < len(turns):
        ended = f", then ended after {turns[-1]}"
    elif survived < planned:
        ended = f", and no episode was left for the rest of {planned}"
    return f"survived {MAX_TURNS} turns in {survived} of {len(turns)} episodes{ended}"
