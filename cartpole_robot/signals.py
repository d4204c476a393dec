"""The signals that pass between a task and a rig, and the arithmetic of angles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class State(NamedTuple):
    """Where the cart-pole is and how it moves.

    The cart's position counts from the middle of the track, the pole's angle from upright. Positive is to the
    right, and for the angle: the pole leans to the right.
    """

    cart_position_m: float
    cart_speed_m_s: float
    pole_angle_rad: float
    pole_speed_rad_s: float


@dataclass(slots=True)
class Measurement:
    """What a rig knows at one control tick.

    A rig keeps one `Measurement` and writes the next tick into it, so that stepping makes no objects: copy what must
    last (`state()` does). `motor_power_w` is NaN where nobody knows it.
    """

    cart_position_m: float = 0.0
    cart_speed_m_s: float = 0.0
    pole_angle_rad: float = 0.0
    pole_speed_rad_s: float = 0.0
    applied_duty: float = 0.0
    motor_power_w: float = math.nan

    def state(self) -> State:
        """The four state signals as an immutable copy."""
        return State(self.cart_position_m, self.cart_speed_m_s, self.pole_angle_rad, self.pole_speed_rad_s)


def wrap_angle_rad(angle_rad: float) -> float:
    """The same direction in [-pi, pi): 0 is upright, ±pi is hanging."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi
