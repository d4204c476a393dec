"""The length of a swinging pole, estimated while it swings."""

from __future__ import annotations

import math

from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import State

_WINDOW_S = 0.16
_LEAST, _MOST = 0.6, 1.6
_PRIOR = 0.1
_KEPT = 0.9


class PoleEstimate:
    """How many times as long as in the cart's parameters the pole is; `reset` it before each swing-up.

    With p the pole's coupling over its inertia, the angular speed gains p (g sin(angle) dt - cos(angle) dv) in a
    time dt in which the cart's speed gains dv: motor, cart and delay play no part. p is a least-squares fit over
    windows of 0.16 s, older ones weighing less, that begins at the value of the parameters.
    """

    def __init__(self, cart: CartParams, lag_s: float) -> None:
        """`lag_s` is how much older speeds are than positions."""
        body, friction = cart.pole_cart, cart.friction
        self._gravity, self._step_s, self._lag_s = body.gravity_m_s2, cart.timing.control_period_s, lag_s
        self._expected = body.coupling_kg_m / body.hinge_inertia_kg_m2
        self._viscous = friction.pole_viscous_n_m_s / body.hinge_inertia_kg_m2
        self._coulomb = friction.pole_coulomb_n_m / body.hinge_inertia_kg_m2
        self._window = max(1, round(_WINDOW_S / self._step_s))
        self._prior = _PRIOR * self._gravity * self._gravity * _WINDOW_S * _WINDOW_S
        self.reset()

    def numbers(self) -> dict[str, float]:
        """What the twin in C (`page/native/swing_up.c`) takes."""
        return {
            "pole_expected": self._expected,
            "pole_viscous": self._viscous,
            "pole_coulomb": self._coulomb,
            "pole_window": self._window,
            "pole_prior": self._prior,
        }

    def reset(self) -> None:
        """Return to the cart's parameters."""
        self._squares, self._products = self._prior, self._prior * self._expected
        self._last: State | None = None
        self._steps, self._cause, self._gain = 0, 0.0, 0.0

    @property
    def scale(self) -> float:
        """The pole's length over that of the parameters, its mass being the same."""
        return min(_MOST, max(_LEAST, self._expected * self._squares / self._products)) if self._products > 0 else _MOST

    def update(self, seen: State) -> None:
        """Take in the next measurement."""
        angle = seen.pole_angle_rad - self._lag_s * seen.pole_speed_rad_s
        now = State(math.sin(angle), seen.cart_speed_m_s, math.cos(angle), seen.pole_speed_rad_s)
        last, self._last = self._last, now
        if last is None:
            return
        rate = 0.5 * (last[3] + now[3])
        self._cause += 0.5 * self._gravity * self._step_s * (last[0] + now[0])
        self._cause -= 0.5 * (last[2] + now[2]) * (now[1] - last[1])
        self._gain += now[3] - last[3] + self._step_s * (self._viscous * rate + math.copysign(self._coulomb, rate))
        self._steps += 1
        if self._steps == self._window:
            self._squares = _KEPT * self._squares + self._cause * self._cause
            self._products = _KEPT * self._products + self._cause * self._gain
            self._steps, self._cause, self._gain = 0, 0.0, 0.0
