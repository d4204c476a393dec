"""The linear-quadratic regulator at work: the baseline on every cart, with NumPy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.parts import Motor

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Lqr:
    """Gains for drive = -(state_gain · observation + duty_gain · past drives), the most recent drive first.

    Drive counts duty from the end of the dead zone, in shares of what is left; to each side it pushes equally.
    Shapes: state_gain (4,), duty_gain (k,) with k the control periods a command takes to work.
    """

    state_gain: Matrix
    duty_gain: Matrix


class LqrController:
    """Maps an observation to a duty and remembers what was sent; `reset` it before each episode.

    Implements `cartpole_robot.policy.controllers.Controller`.
    """

    def __init__(self, lqr: Lqr, motor: Motor) -> None:
        """The regulator with these gains, on a cart with this `commanded_motor`: its dead zone and its asymmetry."""
        self._lqr = lqr
        self._sides = tuple((motor.dead_zone_at(side), motor.share_at(side)) for side in (-1.0, 1.0))
        self.reset()

    def reset(self) -> None:
        self._past = np.zeros(len(self._lqr.duty_gain))

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), beyond the dead zone unless it is 0."""
        wanted = -float(self._lqr.state_gain @ observation) - float(self._lqr.duty_gain @ self._past)
        dead_zone, share = self._sides[wanted > 0.0]
        wanted = min(share, max(-share, wanted))
        self._push(wanted)
        return math.copysign(dead_zone + (1.0 - dead_zone) * (abs(wanted) / share), wanted) if wanted else 0.0

    def remember(self, duty: float) -> None:
        """Record that another controller sent `duty`, which is beyond the dead zone as `duty` returns it."""
        self._push(self._beyond(duty))

    def sent(self, duty: float) -> None:
        """Record that `duty` was sent in place of the newest answer."""
        if len(self._past):
            self._past[0] = self._beyond(duty)

    def _beyond(self, duty: float) -> float:
        dead_zone, share = self._sides[duty > 0.0]
        return math.copysign(share * max(0.0, abs(duty) - dead_zone) / (1.0 - dead_zone), duty)

    def _push(self, wanted: float) -> None:
        if len(self._past):
            self._past[1:] = self._past[:-1]
            self._past[0] = wanted
