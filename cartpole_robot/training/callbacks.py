"""Callbacks of a training: the log, checkpoints, the progress bar, stopping on a signal."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from tqdm import tqdm

from cartpole_robot.terminal.interrupts import StopWish
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.checkpoint import TrainingState, save_checkpoint
from cartpole_robot.training.config import TrainingConfig, extended_to
from cartpole_robot.training.dqn.quiet_steps import SparseCallback
from cartpole_robot.training.log import EpisodeRow

_NEVER = 2**62
_SHOWN_STEPS = 250  # between two updates of the progress bar


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
            held = ", updates paused" if self._state.model.gradient_steps == 0 else ""
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
