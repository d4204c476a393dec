"""The linear-quadratic regulator at work: the baseline on every cart, with NumPy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Lqr:
    """Gains for duty = -(state_gain · observation + duty_gain · past duties), the most recent duty first.

    Shapes: state_gain (4,), duty_gain (k,) with k the control periods a command takes to work.
    """

    state_gain: Matrix
    duty_gain: Matrix


class LqrController:
    """Maps an observation to a duty and remembers what was sent; `reset` it before each episode.

    Implements `cartpole_robot.policy.controllers.Controller`.
    """

    def __init__(self, lqr: Lqr, dead_zone_duty: float) -> None:
        """The regulator with these gains, on a cart whose motor has this dead zone."""
        self._lqr = lqr
        self._dead_zone = dead_zone_duty
        self.reset()

    def reset(self) -> None:
        self._past = np.zeros(len(self._lqr.duty_gain))

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), beyond the dead zone unless it is 0."""
        wanted = -float(self._lqr.state_gain @ observation) - float(self._lqr.duty_gain @ self._past)
        wanted = min(1.0, max(-1.0, wanted))
        self._push(wanted)
        return math.copysign(self._dead_zone + (1.0 - self._dead_zone) * abs(wanted), wanted) if wanted else 0.0

    def remember(self, duty: float) -> None:
        """Record that another controller sent `duty`, which is beyond the dead zone as `duty` returns it."""
        self._push(self._beyond(duty))

    def sent(self, duty: float) -> None:
        """Record that `duty` was sent in place of the newest answer."""
        if len(self._past):
            self._past[0] = self._beyond(duty)

    def _beyond(self, duty: float) -> float:
        return math.copysign(max(0.0, abs(duty) - self._dead_zone) / (1.0 - self._dead_zone), duty)

    def _push(self, wanted: float) -> None:
        if len(self._past):
            self._past[1:] = self._past[:-1]
            self._past[0] = wanted
