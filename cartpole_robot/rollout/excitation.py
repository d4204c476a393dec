"""A regulator with moving targets and a shaken duty: a motion that reveals a cart's parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.still_pole import StillPole

_WAVES_HZ = (0.29, 0.71, 1.13)  # of the place it is sent to; none divides another
_REACHES = (0.2, 0.14, 0.08)  # of each, of the way from the middle to the limit
_LEAST_SHAKE = 0.5  # of a stepper's cart, of the largest: less moves the cart, but not a pole in its dry friction
_STEPPER_MOVED_COUNTS = 2.5  # the firmware, which looks each millisecond, may have another count to compare with
_KICK_M_S2, _KICK_S = 4.5, 0.04  # of a stepper's cart whose pole stands still: the regulator would take a shake back
_SHAKE = 1.0  # of the weakest action's duty
_SHAKE_S = (0.04, 0.16)
_CALM_ANGLE = 0.45  # of the angle's limit: past it the regulator is left alone until it has caught the pole
_CALM_PLACE = 0.75  # of the position's
_FADE_S = 1.0


class Excitation:
    """Implements `cartpole_robot.policy.controllers.Controller`: the same seed asks for the same places.

    The cart moves back and forth in waves, never at constant speed, which would reveal nothing (and looks like a torn
    wire if the pole stands still meanwhile). The duty is shaken by up to the weakest action, for small and large, short
    and long pushes of both signs. If pole or cart come near their limits, the regulator alone drives, back to the
    middle.
    """

    def __init__(self, regulator: LqrController, cart: CartParams, seed: int, tip_s: float = math.inf) -> None:
        """After `tip_s` the cart is pushed toward the middle to tip the pole over."""
        self._tip_s = tip_s
        self._regulator = regulator
        self._period_s = cart.timing.control_period_s
        self._limits = cart.limits
        self._size = _SHAKE * min(abs(duty) for duty in cart.action_duties if duty)
        self._pole = StillPole(cart) if cart.stepper is None else StillPole(cart, _STEPPER_MOVED_COUNTS)
        self._kick = 0.0 if cart.stepper is None else min(1.0, _KICK_M_S2 / cart.stepper.maximum_acceleration_m_s2)
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """A new episode, from the middle."""
        self._regulator.reset()
        self._rng = np.random.default_rng(self._seed)
        self._phases = self._rng.uniform(0.0, 2.0 * math.pi, len(_WAVES_HZ))
        self._time_s = self._shake_s = 0.0
        self._share = self._kick_s = 0.0  # the first of the waves
        self._shake = 0.0
        self._pole.reset()

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units."""
        limits = self._limits
        is_calm = (
            abs(observation[2]) < _CALM_ANGLE * limits.pole_angle_rad
            and abs(observation[0]) < _CALM_PLACE * limits.cart_position_m
        )
        if self._pole.passes_for_torn(float(observation[0]), float(observation[2])):  # push hard, against the last push
            self._shake = -math.copysign(self._size, self._shake)
            self._shake_s = _SHAKE_S[1]
            self._kick_s = _KICK_S if self._kick else 0.0
        if self._time_s >= self._tip_s:
            self._time_s += self._period_s
            return -math.copysign(self._size, observation[0])
        seen = np.array(observation, dtype=float)
        seen[0] -= self._next_place_m(is_calm)
        duty = self._regulator.duty(seen)
        if self._kick_s > 0.5 * self._period_s:
            self._kick_s -= self._period_s
            duty = math.copysign(self._kick, self._shake)
            self._regulator.sent(duty)
            return duty
        if is_calm:
            duty = min(1.0, max(-1.0, duty + self._shake))
            self._regulator.sent(duty)
        return duty

    def _next_place_m(self, is_calm: bool) -> float:
        """The target position; the waves fade in and out, and each shake is replaced by a new one when it is over."""
        self._time_s += self._period_s
        self._shake_s -= self._period_s
        if self._shake_s <= 0.0:
            self._shake_s = self._rng.uniform(*_SHAKE_S)
            self._shake = self._rng.uniform(-1.0, 1.0) * self._size
            if self._kick:
                self._shake = math.copysign(max(_LEAST_SHAKE * self._size, abs(self._shake)), self._shake)
        fade = self._period_s / _FADE_S
        self._share = min(1.0, self._share + fade) if is_calm else max(0.0, self._share - 3.0 * fade)
        waves = (
            reach * math.sin(2.0 * math.pi * hertz * self._time_s + phase)
            for reach, hertz, phase in zip(_REACHES, _WAVES_HZ, self._phases, strict=True)
        )
        return self._share * self._limits.cart_position_m * sum(waves)
