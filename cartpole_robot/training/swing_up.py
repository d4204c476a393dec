"""The end of a training that swings up: its verdicts, export and summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gymnasium

from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, VERDICT_SEED, visited_observations
from cartpole_robot.rollout.swing_up_evaluation import SwingUpEvaluation
from cartpole_robot.rollout.trials import TrialsRecord
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.dqn.learner import network_of
from cartpole_robot.training.environment import swing_up_env
from cartpole_robot.training.export import finish
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.learning import VERDICT_EPISODES, Learned
from cartpole_robot.training.parity import PARITY_STATES, agreement_text
from cartpole_robot.training.summary import Rows, Summary
from cartpole_robot.training.swing_up_trials import HOLD_STEPS, swung_up

_PYBULLET_EPISODES = 2  # a physics step there takes about 50 times as long


@dataclass(frozen=True, kw_only=True)
class SwingUpSummary(Summary):
    """Of a training in simulation that swings up.

    `behind_firmware` judges the exported policy on the rig virtual, None for a cart without a firmware; `on_pybullet`
    is None where that engine is not there.
    """

    first_verified_step: int | None
    trials: TrialsRecord
    last_model: SwingUpEvaluation
    selected_at_step: int
    exported: SwingUpEvaluation
    exported_int16: SwingUpEvaluation
    behind_firmware: SwingUpEvaluation | None = None
    on_pybullet: SwingUpEvaluation | None = None

    @property
    def rig_failures(self) -> Sequence[str]:
        judged = (self.last_model, self.exported, self.exported_int16, self.behind_firmware)
        return [fault for found in judged if found is not None for fault in found.faults]

    @property
    def _rows(self) -> Rows:
        behind, again = self.behind_firmware, self.on_pybullet
        return [
            ("training", f"{self.steps} steps, {self.episodes} episodes, {self.training_s:.1f} s"),
            ("trials", self.trials.text),
            ("last model", self.last_model.text()),
            ("exported policy", f"{self.exported.text()} (network of training step {self.selected_at_step})"),
            ("exported as int16", self.exported_int16.text()),
            *([("behind firmware", behind.text())] if behind is not None else []),
            *([("on PyBullet", again.text())] if again is not None else []),
            ("same action", agreement_text(self.agreement)),
        ]


def check_swing_up(job: TrainingJob) -> None:
    """Raise `UsageError` for what a training that swings up cannot have."""
    if job.rig != "sim":
        raise UsageError(f"preset {job.config.name} and --rig {job.rig}: a swing-up is learned on the rig sim")


def finish_swing_up(job: TrainingJob, learned: Learned, env: gymnasium.Env[Any, Any]) -> SwingUpSummary:
    """Judge the last and the selected network, and export the selected one."""
    state, first = learned.state, learned.first_verified
    verdicts = 3 if job.cart.firmware is None else 4
    with progress_bar(verdicts * VERDICT_EPISODES, "judging", " episodes", quiet=True) as bar:

        def verdict(act: ActionFunction) -> SwingUpEvaluation:
            return swung_up(
                act,
                env,
                episodes=VERDICT_EPISODES,
                first_seed=VERDICT_SEED,
                hold_steps=HOLD_STEPS,
                on_episode=bar.update,
            )

        last = verdict(float_action_function(network_of(state.model)))
        act = float_action_function(learned.selected.network)
        exported = verdict(act)
        visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
        done = finish(job, state, visited, evaluation=exported.as_dict(), trials=learned.trials)
        return SwingUpSummary(
            first_verified_step=None if first is None else first.step,
            trials=learned.trials,
            preset=job.config.name,
            cart=job.cart.name,
            seed=job.seed,
            steps=state.model.num_timesteps,
            episodes=len(state.log.episodes),
            training_s=round(state.elapsed_s, 2),
            last_model=last,
            selected_at_step=learned.selected.row.step,
            exported=exported,
            exported_int16=verdict(done.bundle.action_function(Backend.INT16)),
            behind_firmware=_behind_firmware(job, act, bar.update),
            on_pybullet=_on_pybullet(job, act),
            agreement=done.agreement,
            policy_hash=done.bundle.policy_hash(),
            machine=provenance.machine(),
        )


def _behind_firmware(
    job: TrainingJob, act: ActionFunction, on_episode: Callable[[], object]
) -> SwingUpEvaluation | None:
    if job.cart.firmware is None:
        return None
    with closing(swing_up_env(job.cart, "virtual", HOLD_STEPS)) as env:
        return swung_up(
            act,
            env,
            episodes=VERDICT_EPISODES,
            first_seed=VERDICT_SEED,
            hold_steps=HOLD_STEPS,
            on_episode=on_episode,
        )


def _on_pybullet(job: TrainingJob, act: ActionFunction) -> SwingUpEvaluation | None:
    if job.engine is not Engine.NATIVE or not is_installed(Engine.PYBULLET):
        return None
    with closing(swing_up_env(job.cart, job.rig, HOLD_STEPS, engine=Engine.PYBULLET)) as env:
        return swung_up(act, env, episodes=_PYBULLET_EPISODES, first_seed=VERDICT_SEED, hold_steps=HOLD_STEPS)
