"""The collapse guard: it notices when a learner with a small replay memory has nothing left to learn from.

Two good episodes fill a memory of 1000 turns. Then no fall is in it: every target is the target network's own opinion,
and the values wander, until one network that balanced does so no longer. Values can also leave what any return can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.training.config import GuardAction, LearnerReward, TrainingConfig
from cartpole_robot.training.log import GuardEvent, GuardRow, LearningLog

VALUES_EVERY_STEPS = 250
_SLACK = 0.25  # of the range of returns: how far beyond it the mean value may be


class CollapseGuard(BaseCallback):
    """Watches the replay memory and the values between two blocks of turns; a row of the log for each change.

    Without a fall in the memory it holds the updates until there is one. Where the mean of the greedy values over the
    memory lies outside what returns can be, network and target go back to where they last lay inside, and the
    optimizer begins anew. With `GuardAction.WATCH` it only says so. It works on any of SB3's DQNs.
    """

    def __init__(
        self, log: LearningLog, config: TrainingConfig, on_event: Callable[[str], object] | None = None
    ) -> None:
        """`on_event` is told each kind of event in a sentence when it happens first."""
        super().__init__()
        self._rows = log.guard
        self._config = config
        self._acts = config.collapse_guard is GuardAction.HOLD
        self._on_event = on_event
        self._range = returns_range(config)
        self._sound: list[torch.Tensor] | None = None
        self._due_step = 0

    @property
    def is_holding(self) -> bool:
        """Whether the memory had no fall when it was last looked at."""
        return is_without_falls(self._rows)

    def _on_training_start(self) -> None:
        self._due_step = (self.num_timesteps // VALUES_EVERY_STEPS + 1) * VALUES_EVERY_STEPS

    def _on_rollout_start(self) -> None:
        model = self.model
        assert isinstance(model, DQN)
        memory = model.replay_buffer
        if memory is None or model.num_timesteps < max(model.learning_starts, 1):
            return
        self._watch_falls(model, memory)
        if model.num_timesteps >= self._due_step:
            self._due_step += VALUES_EVERY_STEPS
            self._watch_values(model, memory)

    def _on_step(self) -> bool:
        return True

    def _watch_falls(self, model: DQN, memory: ReplayBuffer) -> None:
        falls = falls_in(memory)
        if (falls == 0) != self.is_holding:
            event = GuardEvent.NO_FALLS if falls == 0 else GuardEvent.FALLS_AGAIN
            done = "updates are held until one comes" if self._acts else "it is only watched"
            self._note(event, float(falls), f"no fall is left in the replay memory; {done}")
        model.gradient_steps = 0 if falls == 0 and self._acts else self._config.gradient_steps

    def _watch_values(self, model: DQN, memory: ReplayBuffer) -> None:
        value = mean_value(model, memory)
        model.logger.record("guard/mean_value", value)
        model.logger.record("guard/falls_in_memory", falls_in(memory))
        low, high = self._range
        slack = _SLACK * (high - low)
        if low - slack <= value <= high + slack:
            self._sound = [tensor.detach().clone() for tensor in _tensors(model)]
            return
        done = "it is only watched"
        if self._acts and self._sound is not None:
            done = f"back to the network of {VALUES_EVERY_STEPS} turns or more before, with a fresh optimizer"
            _restore(model, self._sound)
        text = f"the values drift: their mean is {value:.3g}, returns lie in {low:g} to {high:g}; {done}"
        self._note(GuardEvent.DRIFT, value, text)

    def _note(self, event: GuardEvent, measured: float, text: str) -> None:
        is_first = all(row.event is not event for row in self._rows)
        self._rows.append(GuardRow(self.model.num_timesteps, event, measured))
        if is_first and self._on_event is not None and event is not GuardEvent.FALLS_AGAIN:
            self._on_event(f"turn {self.model.num_timesteps}: {text}")


def returns_range(config: TrainingConfig) -> tuple[float, float]:
    """The least and the largest return of any policy, infinite where returns are not discounted."""
    if config.learner_reward is LearnerReward.FALL:
        return -1.0, 0.0
    return 0.0, 1.0 / (1.0 - config.gamma) if config.gamma < 1.0 else math.inf


def falls_in(memory: ReplayBuffer) -> int:
    """Turns in the memory that ended in a fall; an episode cut by its time limit is none."""
    count = memory.size()
    return int(np.count_nonzero(memory.dones[:count] > memory.timeouts[:count]))


def mean_value(model: DQN, memory: ReplayBuffer) -> float:
    """The mean over the memory's turns of the largest action value."""
    with torch.no_grad():
        values = model.q_net(torch.from_numpy(memory.observations[: memory.size(), 0]))
        return float(values.amax(dim=1).mean())


def _tensors(model: DQN) -> list[torch.Tensor]:
    return [*model.q_net.parameters(), *model.q_net_target.parameters()]


def _restore(model: DQN, tensors: list[torch.Tensor]) -> None:
    """Weights as they were, in place; moments and step counts of the optimizer at zero."""
    with torch.no_grad():
        for own, kept in zip(_tensors(model), tensors, strict=True):
            own.copy_(kept)
        for state in model.policy.optimizer.state.values():
            for number in state.values():
                number.zero_()


def is_without_falls(rows: list[GuardRow]) -> bool:
    """Whether the last that the guard said of falls is that there are none."""
    for row in reversed(rows):
        if row.event is not GuardEvent.DRIFT:
            return row.event is GuardEvent.NO_FALLS
    return False


def spans_without_falls(rows: list[GuardRow], last_step: int) -> list[tuple[int, int]]:
    """From which turn to which the memory had no fall, one pair for each time, in order."""
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for row in rows:
        if row.event is GuardEvent.NO_FALLS:
            begin = row.step
        elif row.event is GuardEvent.FALLS_AGAIN and begin is not None:
            spans.append((begin, row.step))
            begin = None
    return spans if begin is None else [*spans, (begin, last_step)]


def guard_record(rows: list[GuardRow], config: TrainingConfig, last_step: int) -> dict[str, Any]:
    """For a summary: what the guard was to do, how often and for how many turns no fall was there, how many drifts."""
    spans = spans_without_falls(rows, last_step)
    return {
        "action": str(config.collapse_guard),
        "times": len(spans),
        "turns_without_falls": sum(end - begin for begin, end in spans),
        "drifts": sum(row.event is GuardEvent.DRIFT for row in rows),
    }
