"""The collapse guard: it notices when a learner with a small replay memory has nothing left to learn from.

Two good episodes fill a memory of 1000 steps. Then no fall is in it: every target is the target network's own opinion,
and the values wander, until one network that balanced does so no longer. Values can also leave what any return can be.
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
SETTLED_SHARE = 0.05  # of the limit: how far a cart may stray (RMS) that keeps to the middle of its track
_SLACK = 0.25  # of the range of returns: how far beyond it the mean value may be
_WATCHED = "it is only watched"


@dataclass(frozen=True)
class _Kept:
    """Copies of network and target, and the step they are of."""

    step: int
    tensors: list[torch.Tensor]

    @staticmethod
    def of(model: DQN) -> _Kept:
        return _Kept(model.num_timesteps, [tensor.detach().clone() for tensor in _tensors(model)])

    def restore(self, model: DQN) -> None:
        """Weights as they were, in place; moments and step counts of the optimizer at zero."""
        with torch.no_grad():
            for own, kept in zip(_tensors(model), self.tensors, strict=True):
                own.copy_(kept)
            for state in model.policy.optimizer.state.values():
                for number in state.values():
                    number.zero_()


def _tensors(model: DQN) -> list[torch.Tensor]:
    return [*model.q_net.parameters(), *model.q_net_target.parameters()]


class CollapseGuard(BaseCallback):
    """Watches the replay memory and the values between two blocks of steps; a row of the log for each change.

    A learner is settled when no fall is in the memory and the cart keeps to the middle of the track in it: then
    `GuardAction.HOLD` makes no update until a fall comes, for all that is left to change is what is good. Where the
    mean of the greedy values over the memory lies outside what returns can be, it brings network and target back to
    where it last lay inside, and the optimizer begins anew. `WATCH` only says so. It works on any of SB3's DQNs.
    """

    def __init__(
        self,
        log: LearningLog,
        config: TrainingConfig,
        position_limit_m: float,
        on_event: Callable[[str], object] | None = None,
    ) -> None:
        """`on_event` is told each kind of event in a sentence when it happens first."""
        super().__init__()
        self._rows = log.guard
        self._config = config
        self._acts = config.collapse_guard is GuardAction.HOLD
        self._settled_m = SETTLED_SHARE * position_limit_m
        self._on_event = on_event
        self._range = returns_range(config)
        self._sound: _Kept | None = None  # values inside the range
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
                done = "updates are held until a fall comes" if self._acts else _WATCHED
                text = f"nor does the cart stray more than {strays_m * 1000.0:.0f} mm (RMS) in it; {done}"
                self._note(GuardEvent.SETTLED, strays_m, text)
        is_held = self._acts and fall_event(self._rows) is GuardEvent.SETTLED
        model.gradient_steps = 0 if is_held else self._config.gradient_steps

    def _watch_values(self, model: DQN, memory: ReplayBuffer) -> None:
        value = mean_value(model, memory)
        model.logger.record("guard/mean_value", value)
        model.logger.record("guard/falls_in_memory", falls_in(memory))
        low, high = self._range
        slack = _SLACK * (high - low)
        if low - slack <= value <= high + slack:
            self._sound = _Kept.of(model)
            return
        done = self._back_to_sound(model) if self._acts else _WATCHED
        text = f"the values drift: their mean is {value:.3g}, returns lie in {low:g} to {high:g}; {done}"
        self._note(GuardEvent.DRIFT, value, text)

    def _back_to_sound(self, model: DQN) -> str:
        """Go back, if there is something to go back to; returns what was done."""
        if self._sound is None:
            return "there is no network to go back to"
        self._sound.restore(model)
        return f"back to the network of step {self._sound.step}, with a fresh optimizer"

    def _note(self, event: GuardEvent, measured: float, text: str) -> None:
        is_first = all(row.event is not event for row in self._rows)
        self._rows.append(GuardRow(self.model.num_timesteps, event, measured))
        if is_first and self._on_event is not None:
            self._on_event(f"step {self.model.num_timesteps}: {text}")


def returns_range(config: TrainingConfig) -> tuple[float, float]:
    """The least and the largest return of any policy, infinite where returns are not discounted."""
    if config.learner_reward is LearnerReward.FALL:
        return -1.0, 0.0
    return 0.0, 1.0 / (1.0 - config.gamma) if config.gamma < 1.0 else math.inf


def falls_in(memory: ReplayBuffer) -> int:
    """Steps in the memory that ended in a fall; an episode cut by its time limit is none."""
    count = memory.size()
    return int(np.count_nonzero(memory.dones[:count] > memory.timeouts[:count]))


def mean_value(model: DQN, memory: ReplayBuffer) -> float:
    """The mean over the memory's steps of the largest action value."""
    with torch.no_grad():
        values = model.q_net(torch.from_numpy(memory.observations[: memory.size(), 0]))
        return float(values.amax(dim=1).mean())


def rms_position(memory: ReplayBuffer) -> float:
    """How far the cart strays from the middle of the track in the memory's steps, m."""
    positions = memory.observations[: memory.size(), 0, 0]
    return math.sqrt(float(np.square(positions, dtype=np.float64).mean()))


def fall_event(rows: list[GuardRow]) -> GuardEvent | None:
    """The last that the guard said of falls; None: it has said nothing of them."""
    return next((row.event for row in reversed(rows) if row.event is not GuardEvent.DRIFT), None)


def spans_since(event: GuardEvent, rows: list[GuardRow], last_step: int) -> list[tuple[int, int]]:
    """From which step to which it was so, one pair for each time, in order: a fall ends it, or the training."""
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for row in rows:
        if row.event is event:
            begin = row.step
        elif row.event is GuardEvent.FALLS_AGAIN and begin is not None:
            spans.append((begin, row.step))
            begin = None
    return spans if begin is None else [*spans, (begin, last_step)]


@dataclass(frozen=True, kw_only=True)
class GuardRecord:
    """What the guard was to do, how often and for how many steps no fall was there, steps it was settled, drifts."""

    action: GuardAction
    times: int
    steps_without_falls: int
    steps_settled: int
    drifts: int

    @property
    def text(self) -> str:
        """What the guard saw, in words; empty where it saw nothing."""
        acts = self.action is GuardAction.HOLD
        texts = []
        if self.steps_without_falls:
            times = "once" if self.times == 1 else f"{self.times} times"
            texts.append(f"no fall in the replay memory {times}, for {self.steps_without_falls} steps in all")
        if self.steps_settled:
            texts.append(f"settled for {self.steps_settled} of them" + (": updates held" if acts else ""))
        if self.drifts:
            texts.append(f"values beyond any return, {self.drifts} times" + (": taken back" if acts else ""))
        return "; ".join(texts)


def guard_record(rows: list[GuardRow], config: TrainingConfig, last_step: int) -> GuardRecord:
    """What the guard did in a training that ended with step `last_step`."""
    without, settled = (spans_since(event, rows, last_step) for event in (GuardEvent.NO_FALLS, GuardEvent.SETTLED))
    return GuardRecord(
        action=config.collapse_guard,
        times=len(without),
        steps_without_falls=sum(end - begin for begin, end in without),
        steps_settled=sum(end - begin for begin, end in settled),
        drifts=sum(row.event is GuardEvent.DRIFT for row in rows),
    )
