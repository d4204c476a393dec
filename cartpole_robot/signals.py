"""The signals that pass between a task and a rig, and the arithmetic of angles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

NO_COUNT = -(2**31)  # in place of a count where no encoder counts
TIME_MASK = 0xFFFF_FFFF  # the microcontroller's clock is a uint32 of microseconds: it wraps after 71.6 minutes


class State(NamedTuple):
    """Where the cart-pole is and how it moves.

    The cart's position counts from the middle of the track, the pole's angle from upright. Positive is to the
    right, and for the angle: the pole leans to the right.
    """

    cart_position_m: float
    cart_speed_m_s: float
    pole_angle_rad: float
    pole_speed_rad_s: float


@dataclass(slots=True, kw_only=True)
class Measurement:
    """What a rig knows at one control tick.

    A rig keeps one `Measurement` and writes the next tick into it, so that stepping allocates nothing: copy what must
    last (`state()` does).

    `tick` counts control ticks from the reset, `mcu_time_us` is the microcontroller's clock (uint32, wraps; a
    simulated rig's is simulated time). Counts are raw, `NO_COUNT` without encoders. `applied_duty` was in force just
    before this tick. `command_age_s` is how long ago the newest command had arrived, `lateness_s` how late the host
    received the tick; both are NaN if not measured, as is `motor_power_w`.
    """

    tick: int = 0
    mcu_time_us: int = 0
    cart_counts: int = NO_COUNT
    pole_counts: int = NO_COUNT
    cart_position_m: float = 0.0
    cart_speed_m_s: float = 0.0
    pole_angle_rad: float = 0.0
    pole_speed_rad_s: float = 0.0
    applied_duty: float = 0.0
    motor_power_w: float = math.nan
    command_age_s: float = math.nan
    lateness_s: float = math.nan

    def state(self) -> State:
        """The four state signals as an immutable copy."""
        return State(self.cart_position_m, self.cart_speed_m_s, self.pole_angle_rad, self.pole_speed_rad_s)


def wrap_angle_rad(angle_rad: float) -> float:
    """The same direction in [-pi, pi): 0 is upright, ±pi is hanging."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi
