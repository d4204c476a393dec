"""Callbacks of a training: the log, greedy evaluation, checkpoints, the progress bar, stopping on a signal."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import gymnasium
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rollout.evaluation import SELECTION_SEED, Evaluation, evaluate
from cartpole_robot.rollout.swing_up_evaluation import SwingUpEvaluation
from cartpole_robot.rollout.trials import Trials, TrialsRecord
from cartpole_robot.task import Task
from cartpole_robot.terminal.interrupts import StopWish
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.checkpoint import Selected, TrainingState, save_checkpoint
from cartpole_robot.training.config import Selection, TrainingConfig, extended_to
from cartpole_robot.training.dqn.learner import network_of
from cartpole_robot.training.dqn.quiet_steps import SparseCallback
from cartpole_robot.training.log import EpisodeRow, EvaluationRow
from cartpole_robot.training.precision import PrecisionReward, RegulatorReference
from cartpole_robot.training.swing_up_trials import swung_up
from cartpole_robot.training.trials import trials_of

_NEVER = 2**62
_SHOWN_STEPS = 50  # between two updates of the progress bar


def _at_once() -> int:
    return 0


class TrainingCallbacks(CallbackList, SparseCallback):
    """Calls the callbacks of a training only on steps that matter to them.

    These are the steps that end an episode and every `_SHOWN_STEPS`th or `evaluate_every_steps`th step: calling five
    callbacks on every step would take longer than learning from it.
    """

    def __init__(self, callbacks: Sequence[BaseCallback], config: TrainingConfig) -> None:
        super().__init__(list(callbacks))
        self._every = math.gcd(_SHOWN_STEPS, config.evaluate_every_steps)
        self._planned_steps = config.steps
        hooks = ("_on_rollout_start", "_on_rollout_end", "on_rollout_start", "on_rollout_end")
        heeding = [
            one for one in callbacks if any(getattr(type(one), h) is not getattr(BaseCallback, h) for h in hooks)
        ]
        self._rollout_due = [getattr(one, "rollout_due_in", _at_once) for one in heeding]

    def update_locals(self, locals_: dict[str, Any]) -> None:
        self.locals = locals_

    def _on_training_start(self) -> None:
        if self.model.num_timesteps >= self._planned_steps:  # epsilon and learning rate stay at their ends
            self.model._total_timesteps = self._planned_steps
        super()._on_training_start()

    def on_step(self) -> bool:
        self.n_calls += 1
        steps = self.num_timesteps = self.model.num_timesteps
        if steps % self._every and not self.locals["dones"][0]:
            return True
        self.update_child_locals(self.locals)
        return self._on_step()

    def due_in(self) -> int:
        """Steps until the next on which a callback is called, unless an episode ends before; at least 1."""
        return self._every - self.model.num_timesteps % self._every

    def rollout_due_in(self) -> int:
        """Steps from which on the next start or end of a rollout matters to a callback."""
        return min((due() for due in self._rollout_due), default=_NEVER)

    def skip(self, steps: int) -> None:
        """As `on_step` after each of the newest `steps`, on none of which a callback is called."""
        self.n_calls += steps
        self.num_timesteps = self.model.num_timesteps


class EpisodeLogging(BaseCallback):
    """Adds a row to the log at the end of each episode and ends the training after `episodes` episodes."""

    def __init__(self, state: TrainingState, episodes: int | None) -> None:
        super().__init__()
        self._state = state
        self._episodes = episodes

    def _on_step(self) -> bool:
        if not self.locals["dones"][0]:
            return True
        rows = self._state.log.episodes
        length = int(self.locals["infos"][0]["episode"]["l"])
        rows.append(EpisodeRow(self.num_timesteps, length, float(self._state.model.exploration_rate)))
        return self._episodes is None or len(rows) < self._episodes


class GreedyEvaluation(BaseCallback):
    """Evaluates the greedy policy on the selection seeds every `evaluate_every_steps` and keeps the best network.

    Where the training averages its network, that is the network evaluated.

    The best network survives, or holds, the most steps. One with all of them also runs the trials. Ties go to the
    network that strays least from the middle of the track, because a long run needs that, or with
    `Selection.REGULATOR` to the one that compares best with the cart's regulator.
    """

    def __init__(
        self,
        state: TrainingState,
        config: TrainingConfig,
        env: gymnasium.Env[Any, Any],
        randomization: Randomization | None = None,
    ) -> None:
        """`env` draws its carts from `randomization`, if given."""
        super().__init__()
        self._state = state
        self._config = config
        self._env = env
        self._trials = trials_of(config, env, randomization)
        self._regulator = self._reference() if config.selection is Selection.REGULATOR else None
        self.first_verified_s: float | None = (
            None  # learning time up to `first_verified_step`; None if an earlier run reached it
        )

    def _on_step(self) -> bool:
        if self.num_timesteps % self._config.evaluate_every_steps == 0:
            self.evaluate_now()
            if self._config.ends_when_verified:
                return self.first_verified_step is None
            is_extended = self._config.extension_steps > 0 and self.num_timesteps > self._config.steps
            return not (is_extended and self.may_end)
        return True

    def evaluate_newest(self) -> None:
        """Count the time, and evaluate the current network unless the last evaluation was of this step.

        The selected network runs the trials that were put off.
        """
        state = self._state
        rows = state.log.evaluations
        state.count_time()
        if not rows or rows[-1].step != state.model.num_timesteps:
            self.evaluate_now()
        best = state.selected
        assert best is not None
        if self._regulator is not None and best.row.mean_steps >= MAX_EPISODE_STEPS and best.row.trials == 0:
            row = dataclasses.replace(best.row, trials=self._survived(float_action_function(best.network)))
            rows[rows.index(best.row)] = row
            state.selected = dataclasses.replace(best, row=row)
            if row.trials == len(self._trials):
                self.first_verified_s = state.count_time()

    @property
    def _runs_trials(self) -> bool:
        """Whether a network that balances best runs the trials at once.

        Where figures decide, the best of them changes often, and with rare exceptions passes: it waits for the end.
        """
        return self._regulator is None or self._state.model.num_timesteps > self._config.steps

    def _balances_best(self, row: EvaluationRow) -> bool:
        """Whether the network of `row` balances, and is the best so far if it passes every trial."""
        return row.mean_steps >= MAX_EPISODE_STEPS and self._is_best(dataclasses.replace(row, trials=len(self._trials)))

    def evaluate_now(self) -> None:
        """Evaluate the current network and keep a copy if it is the best so far."""
        state = self._state
        network = state.averaged or network_of(state.model)
        act = float_action_function(network)
        result = self._evaluated(act)
        row = EvaluationRow(state.model.num_timesteps, result.mean_steps, result.rms_position_m)
        if self._regulator is not None and isinstance(result, Evaluation):
            row = dataclasses.replace(row, against_regulator=self._regulator.score(result, act, self._env))
        if self._runs_trials and self._balances_best(row):
            row = dataclasses.replace(row, trials=self._survived(act))
        state.log.evaluations.append(row)
        if hasattr(state.model, "_logger"):  # not where a training is resumed at its end
            state.model.logger.record("evaluation/mean_steps", row.mean_steps)
        if self.first_verified_step == row.step:
            self.first_verified_s = state.count_time()
        if self._is_best(row):
            state.selected = Selected(network, row)

    def _evaluated(self, act: ActionFunction) -> Evaluation | SwingUpEvaluation:
        episodes = self._config.evaluation_episodes
        if self._config.task is Task.SWING_UP:
            return swung_up(act, self._env, episodes=episodes, first_seed=SELECTION_SEED, hold_steps=MAX_EPISODE_STEPS)
        return evaluate(act, self._env, episodes=episodes, first_seed=SELECTION_SEED, max_steps=MAX_EPISODE_STEPS)

    def _reference(self) -> RegulatorReference:
        """That of the training's reward, if it has one."""
        training: gymnasium.Env[Any, Any] = cast(DummyVecEnv, self._state.model.env).envs[0]
        if isinstance(training, PrecisionReward):
            return training.regulator
        return RegulatorReference(self._env, episodes=self._config.evaluation_episodes)

    def _survived(self, act: ActionFunction) -> int:
        """Trials survived; a swing-up is given up where it will not be the best."""
        if isinstance(self._trials, Trials):
            return self._trials.survived(act)
        best = self._state.selected
        return self._trials.survived(act, least=0 if best is None else best.row.trials)

    @property
    def is_durable(self) -> bool:
        """Whether the selected network has passed every trial."""
        best = self._state.selected
        return best is not None and best.row.mean_steps >= MAX_EPISODE_STEPS and best.row.trials == len(self._trials)

    @property
    def may_end(self) -> bool:
        """Whether the selected network has passed every trial, and the newest survived its evaluation episodes."""
        return self.is_durable and self._state.log.evaluations[-1].mean_steps >= MAX_EPISODE_STEPS

    def trials_of_selected(self) -> TrialsRecord:
        """The trials of the selected network; unless it has passed all, they run again, each to its end."""
        best = self._state.selected
        assert best is not None
        if self.is_durable:
            return TrialsRecord(of=len(self._trials))
        return self._trials.record(float_action_function(best.network))

    def _is_best(self, row: EvaluationRow) -> bool:
        best = self._state.selected
        return best is None or _rank(row) > _rank(best.row)

    @property
    def first_verified_step(self) -> int | None:
        """The step at which a network first survived all its evaluation episodes and trials; None if none has."""
        for row in self._state.log.evaluations:
            if row.mean_steps >= MAX_EPISODE_STEPS and row.trials == len(self._trials):
                return row.step
        return None


def _rank(row: EvaluationRow) -> tuple[float, int, float]:
    figure = row.rms_position_m if row.against_regulator is None else row.against_regulator
    return (row.mean_steps, row.trials, -figure)


class Checkpointing(BaseCallback):
    """Writes a checkpoint every `every_steps` steps and one at the end.

    It does so between two blocks of steps, when the last step has been stored and learned from.
    """

    def __init__(self, state: TrainingState, folder: Path, every_steps: int) -> None:
        super().__init__()
        self._state = state
        self._folder = folder
        self._every_steps = every_steps
        self._due_step = state.model.num_timesteps + every_steps

    def _on_rollout_start(self) -> None:
        if self._state.model.num_timesteps >= self._due_step:
            self._due_step += self._every_steps
            self.save_now()

    def rollout_due_in(self) -> int:
        """Steps until the next checkpoint."""
        return self._due_step - self._state.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.save_now()

    def save_now(self) -> Path:
        """Write a checkpoint; returns its folder."""
        self._state.count_time()
        return save_checkpoint(self._folder, self._state)


class ProgressBar(BaseCallback):
    """A bar on stderr: steps (or episodes, if they end the training), episode length, epsilon, last evaluation."""

    def __init__(self, state: TrainingState, config: TrainingConfig) -> None:
        super().__init__()
        self._state = state
        self._config = config
        self._recent: deque[int] = deque(maxlen=20)
        self._bar: tqdm[Any] | None = None
        self._first_step = 0  # at which the bar begins

    def _on_training_start(self) -> None:
        config, steps = self._config, self.num_timesteps
        if config.episodes is not None:
            self._begin("training", config.episodes, " episodes", len(self._state.log.episodes))
        elif steps < config.steps:
            self._begin("training", config.steps, " steps", steps)
        else:
            self._first_step = config.steps
            self._begin("extension", extended_to(config, steps) - config.steps, " steps", steps - config.steps)

    def _begin(self, description: str, total: int, unit: str, initial: int) -> None:
        self.close()
        self._bar = progress_bar(total, description, unit, initial=initial)

    def _on_step(self) -> bool:
        assert self._bar is not None
        has_ended = bool(self.locals["dones"][0])
        self._bar.update(has_ended if self._config.episodes else self.num_timesteps - self._first_step - self._bar.n)
        if has_ended:
            log = self._state.log
            self._recent.append(log.episodes[-1].length)
            greedy = f"{log.evaluations[-1].mean_steps:.0f}" if log.evaluations else "-"
            held = ", updates held" if self._state.model.gradient_steps == 0 else ""
            self._bar.set_postfix_str(
                f"steps {sum(self._recent) / len(self._recent):.0f}, "
                f"epsilon {self._state.model.exploration_rate:.2f}, greedy {greedy}{held}",
                refresh=False,
            )
        return True

    def _on_training_end(self) -> None:
        if self._bar is not None and self._config.episodes is None:
            self._bar.update(self._state.model.num_timesteps - self._first_step - self._bar.n)
        self.close()

    def close(self) -> None:
        """Finish the bar's line. May be called twice."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Raised out of SB3's learn() between two blocks of steps when a signal asked the training to stop."""


class StopOnSignal(StopWish, BaseCallback):
    """Ends the training after SIGINT (Ctrl-C) or SIGTERM by raising `Stopped`; the second signal ends it at once.

    The training ends between two blocks of steps, so the last step is stored and learned from.
    """

    def __init__(self) -> None:
        BaseCallback.__init__(self)
        StopWish.__init__(self)

    def _on_rollout_start(self) -> None:
        if self.was_asked:
            raise Stopped

    def rollout_due_in(self) -> int:
        """No start of a rollout matters unless a signal has come."""
        return 0 if self.was_asked else _NEVER

    def _on_step(self) -> bool:
        return True
