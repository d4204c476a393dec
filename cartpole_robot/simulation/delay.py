"""The time between a measurement and the moment its action works, in physics steps."""

from __future__ import annotations

import math

import numpy as np

from cartpole_robot.cart.parts import Apply, Delay, Timing


class CommandDelay:
    """Converts one requested duty per control period into the duty of each physics step.

    A command that arrives in the middle of a physics step shares it with the one before, in proportion: delays need not
    be whole steps. Of two commands on their way the one sent later wins, whichever arrives first.

    `command_age_s` is, at the end of the last period, the time since the newest command had arrived; NaN before the
    first.
    """

    command_age_s: float

    def __init__(self, delay: Delay, timing: Timing) -> None:
        self._delay = delay
        self._steps = timing.physics_steps_per_period
        self._step_s = timing.physics_step_s
        self._is_certain = delay.jitter_s == 0.0 and delay.drop_probability == 0.0
        self._period_s = timing.control_period_s
        self._waiting: list[tuple[float, int, float]] = []  # effect in steps from now, number, duty
        self._on_the_way: list[tuple[float, int]] = []  # seconds from now until it arrives, number
        self.reset(np.random.default_rng(0))

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode: nothing on its way, duty 0 in force; `rng` draws jitter and losses from now on."""
        self._rng = rng
        self._sent = 0
        self._waiting.clear()
        self._on_the_way.clear()
        self._newest = -1  # of those that have arrived
        self._active = (-1, 0.0)  # number and duty of the command in force
        self.command_age_s = math.nan

    def duties(self, requested: float) -> list[float]:
        """The duty of each physics step of the period that begins now, when `requested` is sent."""
        if self._delay.apply is Apply.AT_ONCE:
            self._active = (self._sent, requested)
            self.command_age_s = self._period_s
            return [requested] * self._steps
        self._send(requested)
        self._grow_older()
        duties = self._constant_period() or self._mixed_period()
        self._waiting = [(effect - self._steps, number, duty) for effect, number, duty in self._waiting]
        return duties

    def _send(self, duty: float) -> None:
        delay = self._delay
        number = self._sent
        self._sent += 1
        if not self._is_certain and self._rng.random() < delay.drop_probability:
            return
        latency_s = delay.latency_s + (0.0 if self._is_certain else delay.jitter_s * self._rng.random())
        self._on_the_way.append((latency_s, number))
        self._waiting.append((delay.effect(latency_s / self._step_s, float(self._steps)), number, duty))

    def _grow_older(self) -> None:
        """Bring `command_age_s` to the end of the period."""
        self.command_age_s += self._period_s
        still = []
        for moment_s, number in sorted(self._on_the_way):
            if moment_s > self._period_s:
                still.append((moment_s - self._period_s, number))
            elif number > self._newest:  # an overtaken command does not count
                self._newest = number
                self.command_age_s = self._period_s - moment_s
        self._on_the_way = still

    def _constant_period(self) -> list[float] | None:
        """The whole period at one duty if no command takes effect inside it, else None."""
        if any(0.0 < effect < self._steps for effect, _, _ in self._waiting):
            return None
        self._take(0.0)
        return [self._active[1]] * self._steps

    def _mixed_period(self) -> list[float]:
        duties = []
        for step in range(self._steps):
            begin, mixed = float(step), 0.0
            for moment in sorted(e for e, _, _ in self._waiting if step < e < step + 1):
                self._take(begin)
                mixed += (moment - begin) * self._active[1]
                begin = moment
            self._take(begin)
            duties.append(mixed + (step + 1 - begin) * self._active[1])
        return duties

    def _take(self, now: float) -> None:
        """Put in force the newest command whose moment has come."""
        if not self._waiting:
            return
        come = [item for item in self._waiting if item[0] <= now]
        for item in come:
            self._waiting.remove(item)
            if item[1] > self._active[0]:
                self._active = (item[1], item[2])
