"""How far and how fast a swinging cart may go."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import State

LATE_S = 0.01  # the cart rolls on for this long before it brakes: half of the extra delay that a swing-up must bear
_SHARE = 0.95  # of each limit, that a plan may use


@dataclass(frozen=True, kw_only=True)
class Track:
    """The cart stays within `position_m`, and at speed v able to stop, by v² / 2 brake, within `stop_m` of the middle.

    `most_m` is what must never be passed: the end of an episode or the firmware's travel limit.
    """

    position_m: float
    stop_m: float
    most_m: float
    brake_m_s2: float

    def past_m(self, state: State) -> float:
        """How far a cart in that state is past what a plan may use, or would come to rest; 0 or less is inside."""
        x, v = state.cart_position_m, state.cart_speed_m_s
        rest = x + v * (LATE_S + abs(v) / (2.0 * self.brake_m_s2))
        return max(abs(rest) - self.stop_m, abs(x + LATE_S * v) - self.position_m)


def track_of(cart: CartParams) -> Track:
    """The track of `cart`, which brakes with its motor shorted, as the firmware does; without damping, by its drive.

    A stepper brakes by its drive too.
    """
    limits, firmware = cart.limits, cart.firmware
    if math.isinf(cart.terminal_speed_m_s):
        brake = drive_model(cart).acceleration_m_s2
    else:
        brake = braking_deceleration_m_s2(cart)
    ends = [limits.cart_position_m] if firmware is None else [limits.cart_position_m, firmware.travel_limit_m]
    return Track(
        position_m=_SHARE * limits.cart_position_m,
        stop_m=min(limits.cart_position_m, _SHARE * ends[-1]),
        most_m=min(ends),
        brake_m_s2=brake,
    )
