"""Continued learning of an exported policy on the real cart, from bundle to bundle in one run folder."""

from __future__ import annotations

import dataclasses
import gc
from contextlib import ExitStack, closing
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.files import provenance
from cartpole_robot.files.run_folder import SUMMARY_FILE, locked_run, new_run_folder, write_json
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.cart_progress import CartProgress
from cartpole_robot.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint
from cartpole_robot.training.dqn.learner import new_learner, set_network
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.export import finish
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.learning import divergence_named
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.on_cart.episode import StopBetweenSteps
from cartpole_robot.training.on_cart.initial import network_of_dqn
from cartpole_robot.training.on_cart.learning import CartLearning
from cartpole_robot.training.summary import CartSummary, TrainingOutcome

INITIAL_FILE = "initial_policy.npz"


def start_on_cart(job: TrainingJob, initial: PolicyBundle) -> TrainingOutcome:
    """Continue to train `initial` in a new run folder, which stores a copy of it. Raises `UsageError`, `RunError`."""
    new_run_folder(job.folder, job.as_dict())
    with locked_run(job.folder):
        if job.engine_note is not None:
            say(job.engine_note)
        initial.save(job.folder / INITIAL_FILE)
        return learn_on_cart(job)


def learn_on_cart(job: TrainingJob) -> TrainingOutcome:
    """Begin, or resume from the newest checkpoint of the run folder. Raises `UsageError`, `RunError`."""
    initial = load_policy(job.folder / INITIAL_FILE)
    torch.set_num_threads(1)
    with ExitStack() as stack:
        most, past = max(job.config.max_steps, MAX_EPISODE_STEPS), job.config.history_length
        env = stack.enter_context(closing(balancing_env(job.cart, job.rig, most, history_length=past, start=job.start)))
        checkpoint = latest_checkpoint(job.folder / "checkpoints")
        if checkpoint is None:
            state = begin_on_cart(job, initial, env)
        else:
            model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=None)
            state = load_checkpoint(checkpoint, model)
            state.model.set_logger(_logger(job))
        stop = stack.enter_context(StopBetweenSteps())
        bar = stack.enter_context(
            progress_bar(job.config.episodes or 0, "learning on the cart", " episodes", initial=_episodes(state))
        )

        def show(steps: int) -> None:
            assert state.on_cart is not None
            best = state.on_cart.best
            greedy = "-" if best is None else f"{best.mean_steps:.0f} ({best.survived} of {best.planned})"
            bar.update(_episodes(state) - bar.n)
            bar.set_postfix_str(f"steps {steps}, epsilon {learning.epsilon:.3f}, best greedy {greedy}", refresh=False)

        learning = CartLearning(job.config, state, env, job.folder / "checkpoints", stop, show)
        gc.collect()
        gc.freeze()  # later collections skip everything loaded so far
        try:
            with divergence_named(str(job.folder)):
                is_over = learning.run()
        finally:
            gc.unfreeze()
        if not is_over:
            return TrainingOutcome(
                folder=job.folder, summary=None, checkpoint=latest_checkpoint(job.folder / "checkpoints")
            )
    return TrainingOutcome(folder=job.folder, summary=_finish(job, state, initial), checkpoint=None)


def begin_on_cart(job: TrainingJob, initial: PolicyBundle, env: gymnasium.Env[Any, Any]) -> TrainingState:
    """A learner on `env` with the network of `initial` as network and target network, and an empty memory."""
    model = new_learner(job.config, job.cart, env, seed=job.seed, tensorboard=None)
    set_network(model, network_of_dqn(initial))
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


def _finish(job: TrainingJob, state: TrainingState, initial: PolicyBundle) -> CartSummary:
    """Export the best network, or the initial policy if none was better, and write the summary.

    The cart does not move: a verdict of a hundred episodes would wear it.
    """
    progress = state.on_cart
    assert progress is not None
    assert progress.initial is not None
    assert progress.best is not None
    assert job.init is not None
    is_kept = progress.best.step == 0
    exported = finish(
        job,
        state,
        progress.observations(),
        evaluation=dataclasses.asdict(progress.best),
        unchanged=initial if is_kept else None,
    )
    summary = CartSummary(
        preset=job.config.name,
        cart=job.cart.name,
        rig=job.rig,
        seed=job.seed,
        init=job.init,
        steps=state.model.num_timesteps,
        episodes=_episodes(state),
        episodes_at_most=job.config.episodes or 0,
        learning_episodes=len(state.log.episodes),
        evaluation_episodes=progress.evaluation_episodes,
        updates=progress.updates,
        training_s=round(state.elapsed_s, 2),
        initial=progress.initial,
        selected=progress.best,
        is_initial_kept=is_kept,
        faults=progress.faults,
        agreement=exported.agreement,
        policy_hash=exported.bundle.policy_hash(),
        machine=provenance.machine(),
    )
    write_json(job.folder / SUMMARY_FILE, summary.as_dict())
    return summary
