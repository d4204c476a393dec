"""A motion of the cart, its pole hanging, that reveals the parameters of a cart whose file may be far off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.policy.swing_up import HEAT_TIME_S
from cartpole_robot.signals import wrap_angle_rad

TRAVEL_SHARE = 0.6  # of the limit of position
_LEAST_DUTY, _GROWTH = 0.05, 1.35  # of the pushes that look for the first motion
_SEARCH_S, _REST_S = 0.04, 0.08  # each of them, and the wait for what it does
_MOVES_M = 1e-3  # a push by which the cart moves so far is strong enough
_LATE_S = 0.05  # from a measurement until its command shows, at most: 30 ms of latency, a period, half of the estimator
_UNIT_M_S2 = 5.0  # what a push of the unit duty gives a cart at rest
_MOST_UNITS = 2.0  # of that, which the unit duty gives by the strongest push that was seen
_UNIT_CHANGE = 1.3  # of the unit duty, from one push to the next, at most
_SLOW_M_S, _FAST_M_S = 0.05, 0.3  # a cart whose gain of speed says nothing of the push: it brakes, or is fast already
_UNSEEN_STUCK_S = 0.1  # of pushes in which the firmware sees no motion; it stops after twice as much
MOST_GAIN_M_S = 1.0  # of speed by one hard push
_KNOWN_UNITS = 1.2  # of the first pushes
_MOST_SWING_RAD, _FREE_SWING_RAD = 1.5, 2.1  # from hanging: no more is pumped; the motor waits
_LEAST_SWING_RAD = 0.7  # below it the pole is pumped, above by chance
_BEARABLE = 0.6  # of the heat that the firmware allows


@dataclass(frozen=True)
class _Kind:
    """A kind of push: its size in unit duties, and how long it lasts."""

    units: tuple[float, float]
    lasts_s: tuple[float, float]
    weight: float


_COAST = _Kind((0.0, 0.0), (0.06, 0.24), 0.2)
_KINDS = (
    _COAST,
    _Kind((0.25, 0.7), (0.06, 0.14), 0.2),  # about the breakaway: dead zone and dry friction
    _Kind((0.8, 1.2), (0.08, 0.3), 0.3),
    _Kind((1.3, 2.2), (0.06, 0.16), 0.2),
    _Kind((99.0, 99.0), (0.04, 0.06), 0.1),  # as hard as its gain of speed allows: saturation
)


class HangingExcitation:
    """Implements `cartpole_robot.policy.controllers.Controller`: the same seed makes the same choices.

    It first looks for the duty that moves the cart, by short pushes to either side, each stronger than the one before.
    From then on it pushes in bursts of random size and length, and coasts between them, about a unit duty that follows
    what the pushes are seen to do. A push toward the middle takes over where the cart, at its speed, would leave the
    share of the track; to which side another goes depends on whether the pole should swing more or less. Of the cart's
    parameters it uses the limits, the pole's period and `firmware.moving_duty` alone.
    """

    def __init__(
        self, cart: CartParams, seed: int, *, travel_share: float = TRAVEL_SHARE, most_gain_m_s: float = MOST_GAIN_M_S
    ) -> None:
        """The cart stays within `travel_share` of its limit, as far as its motor can brake it.

        One push makes it faster by about `most_gain_m_s` at most.
        """
        self._most_gain_m_s = most_gain_m_s
        body = cart.pole_cart
        self._period_s = cart.timing.control_period_s
        self._bound_m = travel_share * cart.limits.cart_position_m
        self._swing_rad_s = math.sqrt(body.coupling_kg_m * body.gravity_m_s2 / body.hinge_inertia_kg_m2)
        firmware = cart.firmware
        self._moving_duty = 1.0 if firmware is None else firmware.moving_duty
        self._bearable = _BEARABLE if firmware is None else _BEARABLE * firmware.continuous_duty**2
        self._keep_heat = math.exp(-self._period_s / HEAT_TIME_S)
        self._counts_m = 2.0 / cart.encoders.cart_counts_per_m if cart.encoders is not None else 0.0
        self._heat = 0.0
        self._rng = np.random.default_rng(seed)
        self._unit = 0.0  # duty; 0: not known yet
        self._slope = 0.0  # m/s² per duty, the most that was seen
        self.largest_duty = 0.0
        self.farthest_m = self.largest_swing_rad = 0.0
        self.reset()

    def reset(self) -> None:
        """Another piece of the motion: what pushes do stays known."""
        self._duty, self._left, self._is_returning = 0.0, 0, False
        self._search_duty, self._search_side = _LEAST_DUTY / _GROWTH, 1.0
        self._search_from_m: float | None = None
        self._step = 0
        self._stuck_s, self._stuck_at_m = 0.0, math.inf
        self._past: list[tuple[float, float, float]] = []  # position, speed, duty of each step
        self._swing = 0.0

    @property
    def moves(self) -> bool:
        """Whether a push has moved the cart."""
        return self._unit > 0.0

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units. Raises `RigError` for a cart that nothing moves."""
        x, v, angle, rate = (float(part) for part in observation)
        hanging = wrap_angle_rad(angle - math.pi)
        self.farthest_m = max(self.farthest_m, abs(x))
        self.largest_swing_rad = max(self.largest_swing_rad, abs(hanging))
        height = 1.0 - math.cos(hanging) + 0.5 * (rate / self._swing_rad_s) ** 2
        self._swing = math.pi if height >= 2.0 else math.acos(1.0 - height)
        self._learn(x, v)
        duty = self._searched(x) if not self.moves else self._excited(x, v, hanging, rate)
        duty = self._bounded(duty, x)
        self._heat = self._keep_heat * self._heat + (1.0 - self._keep_heat) * duty * duty
        self.largest_duty = max(self.largest_duty, abs(duty))
        self._past.append((x, v, duty))
        self._duty = duty
        self._step += 1
        return duty

    def _searched(self, x: float) -> float:
        """The next step of the search for the duty that moves the cart."""
        if self._search_from_m is not None and abs(x - self._search_from_m) > _MOVES_M:
            self._unit = self._search_duty
            self._left = 0
            return 0.0
        push, rest = (max(1, round(s / self._period_s)) for s in (_SEARCH_S, _REST_S))
        phase = self._step % (push + rest)
        if phase == 0:
            if self._search_duty >= 1.0:
                raise RigError(
                    f"the cart did not move: pushes of up to duty {self.largest_duty:.2f} to both sides moved it less "
                    f"than {1000 * _MOVES_M:g} mm; is the motor powered, its belt on, and the cart free?"
                )
            self._search_duty = min(1.0, _GROWTH * self._search_duty)
            self._search_side = -self._search_side
            self._search_from_m = x
        return self._search_side * self._search_duty if phase < push else 0.0

    def _learn(self, x: float, v: float) -> None:
        """What the last push, all the same for long enough to show, did to the cart's speed."""
        late, window = math.ceil(_LATE_S / self._period_s), max(2, round(0.04 / self._period_s))
        past = self._past[-(late + window) :]
        if len(past) < late + window or not self.moves:
            return
        pushes = [duty for _, _, duty in past[:-1]]
        if not pushes[0] or max(pushes) - min(pushes) > 1e-9:
            return
        side = math.copysign(1.0, pushes[0])
        begin_m_s, size = side * past[-window][1], abs(pushes[0])
        if begin_m_s < -_SLOW_M_S:
            return  # it brakes, and friction helps
        gained = (side * v - begin_m_s) / (window * self._period_s)
        self._slope = max(self._slope, gained / size)
        if begin_m_s > _FAST_M_S or not 0.7 * self._unit <= size <= 1.5 * self._unit:
            return
        wanted = _UNIT_M_S2 * size / self._unit
        if gained < 0.1 * wanted:
            self._unit = min(1.0, _UNIT_CHANGE * self._unit)
            return
        change = min(_UNIT_CHANGE, max(1.0 / _UNIT_CHANGE, (wanted / gained) ** 0.3))
        self._unit = min(1.0, self._unit * change, _MOST_UNITS * _UNIT_M_S2 / self._slope)

    def _excited(self, x: float, v: float, hanging: float, rate: float) -> float:
        """The next step of the motion."""
        ahead_m = self._where_it_stops(x, v)
        if abs(ahead_m) > self._bound_m:
            if not self._is_returning or self._duty * ahead_m > 0.0:
                size = min(1.0, self._unit * float(self._rng.uniform(1.0, 1.5)))
                self._is_returning, self._duty = True, -math.copysign(size, ahead_m)
            return self._duty
        if self._is_returning:
            if abs(x) > 0.6 * self._bound_m and x * self._duty < 0.0 and x * v >= 0.0:
                return self._duty  # it has stopped, and begins to go back
            self._is_returning, self._left = False, 0
        self._left -= 1
        return self._duty if self._left >= 0 else self._next_push(x, hanging, rate)

    def _next_push(self, x: float, hanging: float, rate: float) -> float:
        rng = self._rng
        kind = _KINDS[rng.choice(len(_KINDS), p=[kind.weight for kind in _KINDS])]
        lasts_s = float(rng.uniform(*kind.lasts_s))
        units = float(rng.uniform(*kind.units))
        if self._swing > _FREE_SWING_RAD or self._heat > self._bearable:
            kind = _COAST
            lasts_s, units = 0.1, 0.0
        self._left = max(1, round(lasts_s / self._period_s)) - 1
        size = min(1.0, units * self._unit)
        if self._slope > 0.0:
            size = min(size, self._most_gain_m_s / (self._slope * max(lasts_s, self._period_s)))
        else:  # what a push does is not known yet
            size = min(size, _KNOWN_UNITS * self._unit)
        return self._side(x, hanging, rate) * size

    def _side(self, x: float, hanging: float, rate: float) -> float:
        """To the middle from far out; else as the pole's swing needs it, or by chance."""
        place = x / self._bound_m
        if abs(place) > 0.6:
            return -math.copysign(1.0, place)
        pumping = math.copysign(1.0, rate * math.cos(hanging))  # cos(angle) = -cos(hanging): the cart goes with the bob
        if self._swing > _MOST_SWING_RAD:
            return -pumping
        if self._swing < _LEAST_SWING_RAD:
            return pumping
        return 1.0 if self._rng.uniform() < 0.5 - 0.4 * place else -1.0

    def _where_it_stops(self, x: float, v: float) -> float:
        """The place at which a unit push against its motion would stop the cart, once one shows."""
        steps = math.ceil(_LATE_S / self._period_s)
        for _, _, duty in self._past[-steps:]:
            v += self._slope * duty * self._period_s
            x += v * self._period_s
        return x + math.copysign(v * v / (1.4 * _UNIT_M_S2), v)

    def _bounded(self, duty: float, x: float) -> float:
        """No push for so long that the firmware takes the cart, which does not move, for stuck."""
        if abs(x - self._stuck_at_m) > self._counts_m:
            self._stuck_at_m, self._stuck_s = x, 0.0
        if abs(duty) >= self._moving_duty and self.moves:
            self._stuck_s += self._period_s
            if self._stuck_s > _UNSEEN_STUCK_S:  # look again for the duty that moves it, from here
                self._search_duty, self._unit, self._search_from_m = self._unit, 0.0, None
                self._step = -1
                return 0.0
        return duty
