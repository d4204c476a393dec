"""A bridge that shortens every pulse."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_not_negative
from firmware_bridge._host import PULSE_PERIOD

CHIP_HZ = 16e6  # the clock that PULSE_PERIOD counts: firmware_bridge/firmware/pulses.h
PERIOD_S = PULSE_PERIOD / CHIP_HZ


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge that switches on later than off: each pulse is `pulse_loss_s` shorter at the motor.

    Of the duty d arrives |d| - pulse_loss_s / 50 us, or nothing. Full duty has no edges and loses nothing. The loss
    comes on top of the cart file's dead zone, which is what the driver knows of.
    """

    pulse_loss_s: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "pulse_loss_s")
        require(
            self.pulse_loss_s < PERIOD_S,
            f"pulse_loss_s = {self.pulse_loss_s:g}, expected less than {PERIOD_S:g}, the pulses' period",
        )

    def left_of(self, duty: float) -> float:
        """The duty at the motor when the chip asks for `duty`."""
        size = abs(duty)
        if size >= 1.0:
            return duty
        return math.copysign(max(0.0, size - self.pulse_loss_s / PERIOD_S), duty)
