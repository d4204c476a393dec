"""A motion of a stepper's cart, its pole hanging, that reveals the cart's parameters: moves from rest to rest."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.rollout.hanging_excitation import MOST_GAIN_M_S, TRAVEL_SHARE
from cartpole_robot.signals import wrap_angle_rad

_ACCELERATIONS = (0.08, 0.8)  # of the largest; the rest is for corrections
_MOST_SPEED = 0.8  # of the largest
_SPEEDING_S, _CRUISING_S, _RESTING_S = (0.02, 0.24), (0.0, 0.12), (0.0, 0.3)
_SWINGS_RAD = (0.4, 1.4)  # that the moves aim at, from hanging
_MOST_SWING_RAD = 2.0
_LEAST_MOVE_M = 0.004
_TRIES = 24
_STEP_S = 0.01  # of the pole's simulation
_STIFFNESS, _DAMPING = 4.0, 3.0  # 1/s², 1/s: toward the plan, slowly, so that no delay matters
_MOST_CORRECTION = 0.15  # of the largest acceleration


class _Move(NamedTuple):
    """Whole control periods of acceleration, of travel at constant speed, of braking, and of rest."""

    acceleration_m_s2: float  # with its sign
    speeding: int
    cruising: int
    resting: int

    def plan(self) -> list[float]:
        """The acceleration in each control period."""
        a, n = self.acceleration_m_s2, self.speeding
        return [a] * n + [0.0] * self.cruising + [-a] * n + [0.0] * self.resting

    def length_m(self, period_s: float) -> float:
        """The distance from rest to rest, with its sign."""
        return self.acceleration_m_s2 * period_s**2 * self.speeding * (self.speeding + self.cruising)


class StepperExcitation:
    """Implements `cartpole_robot.policy.controllers.Controller`: the same seed and cart make the same moves.

    A duty is an acceleration, and the cart follows it: each move accelerates, travels, brakes and rests for a random
    time within the share of the track, its speed and acceleration within those of the cart. Of some random moves it
    takes the one after which the pole, of the length in the cart file, swings most nearly as wanted. A slow feedback
    corrects what commands that arrive late leave over.
    """

    def __init__(
        self, cart: CartParams, seed: int, *, travel_share: float = TRAVEL_SHARE, most_gain_m_s: float = MOST_GAIN_M_S
    ) -> None:
        """The cart stays within `travel_share` of its limit of position, and no faster than `most_gain_m_s`.

        Raises ValueError for a cart without a stepper.
        """
        if cart.stepper is None:
            raise ValueError(f"cart {cart.name!r} has no stepper; use HangingExcitation")
        body = cart.pole_cart
        self._period_s = cart.timing.control_period_s
        self._late = max(1, round(cart.mean_delay_s / self._period_s))
        self._full_m_s2 = cart.stepper.maximum_acceleration_m_s2
        self._most_m_s = min(_MOST_SPEED * cart.stepper.maximum_speed_m_s, most_gain_m_s)
        self._bound_m = travel_share * cart.limits.cart_position_m
        self._length_m = body.equal_pendulum_m
        self._gravity_m_s2 = body.gravity_m_s2
        self._rng = np.random.default_rng(seed)
        self.largest_duty = self.farthest_m = self.largest_swing_rad = 0.0
        self.reset()

    def reset(self) -> None:
        """Another piece of the motion, from rest."""
        self._planned: list[float] = []
        self._place_m: float | None = None  # of the plan, at this measurement
        self._speed_m_s = 0.0
        self._past: deque[tuple[float, float]] = deque(maxlen=self._late + 1)

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units."""
        x, v, angle, rate = (float(part) for part in observation)
        hanging = wrap_angle_rad(angle - math.pi)
        self.farthest_m = max(self.farthest_m, abs(x))
        self.largest_swing_rad = max(self.largest_swing_rad, abs(hanging))
        if self._place_m is None:
            self._place_m = x
        self._past.append((self._place_m, self._speed_m_s))
        if not self._planned:
            self._planned = self._next_move(hanging, rate).plan()
        acceleration = self._planned.pop(0)
        place_m, speed_m_s = self._past[0]  # what the measurement shows of the plan
        correction = _STIFFNESS * (place_m - x) + _DAMPING * (speed_m_s - v)
        most = _MOST_CORRECTION * self._full_m_s2
        duty = (acceleration + min(most, max(-most, correction))) / self._full_m_s2
        self._place_m += self._speed_m_s * self._period_s + 0.5 * acceleration * self._period_s**2
        self._speed_m_s += acceleration * self._period_s
        self.largest_duty = max(self.largest_duty, abs(duty))
        return min(1.0, max(-1.0, duty))

    def _next_move(self, hanging: float, rate: float) -> _Move:
        """The best of some random moves; a rest where none fits."""
        moves = [move for move in (self._random_move() for _ in range(_TRIES)) if self._fits(move)]
        if not moves:
            return _Move(0.0, 0, 0, max(1, round(0.1 / self._period_s)))
        wanted = self._rng.uniform(*_SWINGS_RAD)
        swings = self._swings_after(moves, hanging, rate)
        return moves[int(np.argmin(np.abs(swings - wanted)))]

    def _random_move(self) -> _Move:
        """To the side that has more room, more often."""
        rng, period_s = self._rng, self._period_s
        low, high = _ACCELERATIONS
        size = self._full_m_s2 * low * (high / low) ** rng.uniform()
        speeding, cruising, resting = (
            round(rng.uniform(*lasts_s) / period_s) for lasts_s in (_SPEEDING_S, _CRUISING_S, _RESTING_S)
        )
        place = (self._place_m or 0.0) / self._bound_m
        side = 1.0 if rng.uniform() < 0.5 - 0.5 * place else -1.0
        return _Move(side * size, max(1, speeding), cruising, resting)

    def _fits(self, move: _Move) -> bool:
        length_m = move.length_m(self._period_s)
        is_inside = abs((self._place_m or 0.0) + length_m) <= self._bound_m and abs(length_m) >= _LEAST_MOVE_M
        return is_inside and abs(move.acceleration_m_s2) * move.speeding * self._period_s <= self._most_m_s

    def _swings_after(self, moves: list[_Move], hanging: float, rate: float) -> NDArray[np.float64]:
        """How far from hanging the pole swings after each of `moves`; infinite where it swings too far on its way."""
        plans = [move.plan() for move in moves]
        longest = max(map(len, plans))
        accelerations = np.array([plan + [0.0] * (longest - len(plan)) for plan in plans])
        angles, rates = np.full(len(moves), hanging), np.full(len(moves), rate)
        farthest = np.abs(angles)
        parts = max(1, round(self._period_s / _STEP_S))
        step_s = self._period_s / parts
        pull, push = self._gravity_m_s2 / self._length_m, 1.0 / self._length_m
        for column in np.repeat(accelerations, parts, axis=1).T:
            # `hanging` is positive where the bob is to the left of its pivot
            rates = rates + step_s * (push * column * np.cos(angles) - pull * np.sin(angles))
            angles = angles + step_s * rates
            farthest = np.maximum(farthest, np.abs(angles))
        height = 1.0 - np.cos(angles) + 0.5 * rates**2 / pull
        swings = np.arccos(np.clip(1.0 - height, -1.0, 1.0))
        swings[(farthest > _MOST_SWING_RAD) | (height >= 2.0)] += math.inf if hanging**2 < 1.0 else math.pi
        found: NDArray[np.float64] = swings
        return found
