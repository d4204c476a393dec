"""The firmware's limits that a policy can reach by what it asks for, watched in simulations without a firmware.

A policy that learns or is judged without them would learn to break them. They are decided in `safety.c`; here they are
looked at once a control step, where the firmware looks every millisecond.
"""

from __future__ import annotations

import math

from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2
from cartpole_robot.cart.params import CartParams
from firmware_bridge.constants import (
    HEAT_TIME_CONSTANT_S,
    MOVED_COUNTS,
    STILL_COUNTS,
    STUCK_CALM_S,
    STUCK_EITHER_WAY_S,
    STUCK_S,
    STUCK_SWING_S,
    STUCK_WEAK,
    SWING_STILL,
)


class DriveLimits:
    """Travel, heat, reversals, a stuck cart and a pole that seems to stand still; none without [firmware].

    From `begin` to the first that is passed.
    """

    def __init__(self, cart: CartParams) -> None:
        self._settings, self._encoders = cart.firmware, cart.encoders
        self._period_s = cart.timing.control_period_s
        if cart.firmware is not None:
            assert cart.encoders is not None  # a cart with firmware has them
            self._decel_m_s2 = braking_deceleration_m_s2(cart)
            self._still_rad = (MOVED_COUNTS - 0.5) / cart.encoders.pole_counts_per_rad
            self._upright_needed = math.ceil(cart.firmware.upright_s / self._period_s - 1e-9)
        self._warming = -math.expm1(-self._period_s / HEAT_TIME_CONSTANT_S)
        self._steps_per_s = max(1, round(1.0 / self._period_s))
        self.begin(0.0)

    def begin(self, position_m: float) -> None:
        """An episode begins there, with a cool motor and a pole that has not been upright."""
        self._heat = 0.0
        self.resume(position_m)

    def resume(self, position_m: float, rested_s: float = 0.0, duty_square: float = 0.0) -> None:
        """Begin another swing-up there, after the motor was off for so long, or driven with that mean of duty²."""
        kept = math.exp(-rested_s / HEAT_TIME_CONSTANT_S)
        self._heat = kept * self._heat + (1.0 - kept) * duty_square
        self._pushed_s = self._driven_s = self._travelled_m = 0.0
        self._stood_at_m = self._position_m = position_m
        self._stood_at_rad = self._pushed_at_rad = 0.0
        self._side = self._reversals = self._steps = self._upright = 0

    def passed(self, position_m: float, speed_m_s: float, angle_rad: float, duty: float) -> str | None:
        """The name of the firmware's fault after a step with `duty` at the bridge, which led there; None while well."""
        settings = self._settings
        if settings is None:
            return None
        left_m = settings.travel_limit_m - abs(position_m)
        if left_m <= 0.0 or (position_m * speed_m_s > 0.0 and speed_m_s**2 >= 2.0 * self._decel_m_s2 * left_m):
            return "TRAVEL_LIMIT"
        self._heat += (duty * duty - self._heat) * self._warming
        if self._heat > settings.continuous_duty**2:
            return "MOTOR_HOT"
        if self._reverses_too_often(duty, settings.reversals_per_s):
            return "REVERSALS"
        is_swinging = self._is_swinging(angle_rad, settings.pole_limit_rad)
        if self._is_stuck(position_m, angle_rad, duty, is_swinging=is_swinging):
            return "CART_STUCK"
        most_m = settings.still_travel_m * (SWING_STILL if is_swinging else 1)
        return "POLE_STILL" if self._pole_stands(position_m, angle_rad, most_m) else None

    def _is_swinging(self, angle_rad: float, limit_rad: float) -> bool:
        """Whether the pole has not been upright for long enough since `begin`."""
        if self._upright < self._upright_needed:
            is_upright = abs(math.remainder(angle_rad, 2.0 * math.pi)) <= limit_rad
            self._upright = self._upright + 1 if is_upright else 0
        return self._upright < self._upright_needed

    def _reverses_too_often(self, duty: float, most_per_s: int) -> bool:
        if duty:
            side = 1 if duty > 0.0 else -1
            self._reversals += side == -self._side
            self._side = side
        self._steps += 1
        if self._steps % self._steps_per_s:
            return False
        is_too_often, self._reversals = self._reversals > most_per_s, 0
        return is_too_often

    def _is_stuck(self, position_m: float, angle_rad: float, duty: float, *, is_swinging: bool) -> bool:
        assert self._encoders is not None
        assert self._settings is not None
        moving_duty = self._settings.moving_duty
        if self._driven_s == 0.0:
            self._pushed_at_rad = angle_rad
        if abs(position_m - self._stood_at_m) * self._encoders.cart_counts_per_m >= MOVED_COUNTS:
            self._stood_at_m, self._pushed_s, self._driven_s = position_m, 0.0, 0.0
        elif abs(duty) >= moving_duty:
            weight = 0.5 if is_swinging and abs(duty) < STUCK_WEAK * moving_duty else 1.0
            self._pushed_s += math.copysign(weight * self._period_s, duty)
            self._driven_s += weight * self._period_s
        moved_counts = abs(math.remainder(angle_rad - self._pushed_at_rad, 2.0 * math.pi))
        moved_counts *= self._encoders.pole_counts_per_rad
        still_s = STUCK_CALM_S if moved_counts < STILL_COUNTS - 0.5 else STUCK_EITHER_WAY_S
        most_s = STUCK_SWING_S if is_swinging else still_s
        return abs(self._pushed_s) >= STUCK_S - 1e-9 or self._driven_s >= most_s - 1e-9

    def _pole_stands(self, position_m: float, angle_rad: float, most_m: float) -> bool:
        """Whether the cart has travelled `most_m` while the pole's encoder showed the same angle."""
        if not abs(math.remainder(angle_rad - self._stood_at_rad, 2.0 * math.pi)) < self._still_rad:
            self._stood_at_rad, self._travelled_m = angle_rad, 0.0
        else:
            self._travelled_m += abs(position_m - self._position_m)
        self._position_m = position_m
        return self._travelled_m >= most_m
