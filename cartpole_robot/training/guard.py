"""The collapse guard: it detects when a learner with a small replay memory has nothing left to learn from.

Two good episodes fill a memory of 1000 steps. Without a fall in it, every target is only the target network's own
estimate, and the values drift until a network that balanced no longer does. Values can also leave the range of returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.training.config import GuardAction, LearnerReward, TrainingConfig
from cartpole_robot.training.log import GuardEvent, GuardRow, LearningLog

VALUES_EVERY_STEPS = 250
SETTLED_SHARE = 0.05  # of the position limit: the RMS position below which a cart keeps to the middle of the track
_SLACK = 0.25  # of the range of returns: how far outside it the mean value may lie
_NO_ACTION = "the guard only watches"
_MOST_VALUES = 5000  # evaluated in a check: of a large memory's steps an even share tells the mean as well


@dataclass(frozen=True)
class _Kept:
    """Copies of network and target network at a step."""

    step: int
    tensors: list[torch.Tensor]

    @staticmethod
    def of(model: DQN) -> _Kept:
        return _Kept(model.num_timesteps, [tensor.detach().clone() for tensor in _tensors(model)])

    def restore(self, model: DQN) -> None:
        """Restore the weights in place and zero the optimizer's moments and step counts."""
        with torch.no_grad():
            for own, kept in zip(_tensors(model), self.tensors, strict=True):
                own.copy_(kept)
            for state in model.policy.optimizer.state.values():
                for number in state.values():
                    number.zero_()


def _tensors(model: DQN) -> list[torch.Tensor]:
    return [*model.q_net.parameters(), *model.q_net_target.parameters()]


class CollapseGuard(BaseCallback):
    """Checks the replay memory and the values between two blocks of steps and logs a row for each change.

    A learner is settled when the memory holds no fall and the cart keeps to the middle of the track in it. While it is,
    `GuardAction.HOLD` makes no updates, which could only harm a good policy. When the mean greedy value over the
    memory lies outside the range of returns, `HOLD` restores network and target network from the last check that was
    inside and resets the optimizer. `WATCH` only reports. The guard works with any SB3 DQN.

    In an extension of the training no updates are held: it is there because learning has to continue.
    """

    def __init__(
        self,
        log: LearningLog,
        config: TrainingConfig,
        position_limit_m: float,
        on_event: Callable[[str], object] | None = None,
    ) -> None:
        """`on_event` receives a sentence the first time each kind of event happens."""
        super().__init__()
        self._rows = log.guard
        self._config = config
        self._acts = config.collapse_guard is GuardAction.HOLD
        self._settled_m = SETTLED_SHARE * position_limit_m
        self._on_event = on_event
        self._range = returns_range(config)
        self._sound: _Kept | None = None  # the last check with values inside the range
        self._due_step = 0

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
        falls, before = falls_in(memory), fall_event(self._rows)
        if falls > 0:
            if before in (GuardEvent.NO_FALLS, GuardEvent.SETTLED):
                self._note(GuardEvent.FALLS_AGAIN, float(falls), "a fall is in the replay memory again")
        elif before is not GuardEvent.SETTLED:
            if before is not GuardEvent.NO_FALLS:
                self._note(GuardEvent.NO_FALLS, 0.0, "no fall is left in the replay memory")
            strays_m = rms_position(memory)
            if strays_m < self._settled_m:
                done = "updates are held until a fall comes" if self._holds else _NO_ACTION
                text = f"the cart strays only {strays_m * 1000.0:.0f} mm (RMS) in the replay memory; {done}"
                self._note(GuardEvent.SETTLED, strays_m, text)
        is_held = self._holds and fall_event(self._rows) is GuardEvent.SETTLED
        model.gradient_steps = 0 if is_held else self._config.gradient_steps

    @property
    def _holds(self) -> bool:
        """Whether a settled learner makes no updates."""
        return self._acts and self.model.num_timesteps < self._config.steps

    def _watch_values(self, model: DQN, memory: ReplayBuffer) -> None:
        value = mean_value(model, memory)
        model.logger.record("guard/mean_value", value)
        model.logger.record("guard/falls_in_memory", falls_in(memory))
        low, high = self._range
        slack = _SLACK * (high - low)
        if low - slack <= value <= high + slack:
            self._sound = _Kept.of(model)
            return
        done = self._back_to_sound(model) if self._acts else _NO_ACTION
        text = f"the values drift: their mean is {value:.3g}, returns lie in {low:g} to {high:g}; {done}"
        self._note(GuardEvent.DRIFT, value, text)

    def _back_to_sound(self, model: DQN) -> str:
        """Restore the last sound network, if there is one; returns what was done."""
        if self._sound is None:
            return "there is no earlier network to restore"
        self._sound.restore(model)
        return f"the network of step {self._sound.step} is restored, with a fresh optimizer"

    def _note(self, event: GuardEvent, measured: float, text: str) -> None:
        is_first = all(row.event is not event for row in self._rows)
        self._rows.append(GuardRow(self.model.num_timesteps, event, measured))
        if is_first and self._on_event is not None:
            self._on_event(f"step {self.model.num_timesteps}: {text}")


def returns_range(config: TrainingConfig) -> tuple[float, float]:
    """The smallest and the largest return of any policy; infinite if returns are not discounted."""
    if config.learner_reward is LearnerReward.FALL:
        return -1.0, 0.0
    return 0.0, 1.0 / (1.0 - config.gamma) if config.gamma < 1.0 else math.inf


def falls_in(memory: ReplayBuffer) -> int:
    """Number of steps in the memory that ended in a fall; a time limit does not count as a fall."""
    count = memory.size()
    return int(np.count_nonzero(memory.dones[:count] > memory.timeouts[:count]))


def mean_value(model: DQN, memory: ReplayBuffer) -> float:
    """Mean of the largest action value over the memory's steps, or over every n-th where they are many."""
    count = memory.size()
    every = max(1, math.ceil(count / _MOST_VALUES))
    with torch.no_grad():
        values = model.q_net(torch.from_numpy(memory.observations[:count:every, 0]))
        return float(values.amax(dim=1).mean())


def rms_position(memory: ReplayBuffer) -> float:
    """RMS distance of the cart from the middle of the track over the memory's steps, m."""
    positions = memory.observations[: memory.size(), 0, 0]
    return math.sqrt(float(np.square(positions, dtype=np.float64).mean()))


def fall_event(rows: list[GuardRow]) -> GuardEvent | None:
    """The last event that concerns falls, or None."""
    return next((row.event for row in reversed(rows) if row.event is not GuardEvent.DRIFT), None)


def spans_since(event: GuardEvent, rows: list[GuardRow], last_step: int) -> list[tuple[int, int]]:
    """(first, last) step of each span that `event` began, in order; a fall or the end of the training ends a span."""
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for row in rows:
        if row.event is event:
            begin = row.step
        elif row.event is GuardEvent.FALLS_AGAIN and begin is not None:
            spans.append((begin, row.step))
            begin = None
    return spans if begin is None else [*spans, (begin, last_step)]


def settled_spans(rows: list[GuardRow], config: TrainingConfig, last_step: int) -> list[tuple[int, int]]:
    """(first, last) step of each span in which the learner was settled, without those of an extension."""
    spans = spans_since(GuardEvent.SETTLED, rows, last_step)
    end = config.steps if config.extension_steps else last_step
    return [(first, min(last, end)) for first, last in spans if first < end]


@dataclass(frozen=True, kw_only=True)
class GuardRecord:
    """Summary of a guard: its action, spans and steps without a fall, planned steps settled, and drifts."""

    action: GuardAction
    times: int
    steps_without_falls: int
    steps_settled: int
    drifts: int

    @property
    def text(self) -> str:
        """A line for a person; empty if there was no event."""
        acts = self.action is GuardAction.HOLD
        texts = []
        if self.steps_without_falls:
            spans = "" if self.times == 1 else f", in {self.times} spans"
            texts.append(f"no fall in the replay memory for {self.steps_without_falls} steps{spans}")
        if self.steps_settled:
            paused = "updates paused" if acts else "the cart hardly strayed"
            texts.append(f"{paused} for {self.steps_settled} of them")
        if self.drifts:
            times = "once" if self.drifts == 1 else f"{self.drifts} times"
            reverted = ", and the network was set back" if acts else ""
            texts.append(f"values beyond any possible return {times}{reverted}")
        return "; ".join(texts)


def guard_record(rows: list[GuardRow], config: TrainingConfig, last_step: int) -> GuardRecord:
    """The record of a training that ended at step `last_step`."""
    without = spans_since(GuardEvent.NO_FALLS, rows, last_step)
    settled = settled_spans(rows, config, last_step)
    return GuardRecord(
        action=config.collapse_guard,
        times=len(without),
        steps_without_falls=sum(end - begin for begin, end in without),
        steps_settled=sum(end - begin for begin, end in settled),
        drifts=sum(row.event is GuardEvent.DRIFT for row in rows),
    )
