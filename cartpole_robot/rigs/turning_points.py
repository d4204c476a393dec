"""How long a swinging pole has to be left alone until the firmware has checked its zero."""

from __future__ import annotations

from cartpole_robot.cart.firmware_figures import pole_half_period_s
from cartpole_robot.cart.params import CartParams
from firmware_bridge.constants import ZERO_POINTS
from firmware_bridge.messages import StateMessage

_WIDE = 2.0  # a wide swing takes longer than a small one


class TurningPoints:
    """Counts the turning points of a pole in consecutive STATEs."""

    def __init__(self, cart: CartParams) -> None:
        self._most_us = 1e6 * _WIDE * pole_half_period_s(cart)
        self._points = self._side = 0
        self._since_us: int | None = None

    def are_enough(self, state: StateMessage) -> bool:
        """Whether the firmware has seen enough of them, or the next is overdue: the pole hangs still, or rotates."""
        if self._since_us is None:
            self._since_us = state.time_us
        side = (state.pole_speed > 0) - (state.pole_speed < 0)
        if side == -self._side and side:
            self._points += 1
            self._since_us = state.time_us
        self._side = side or self._side
        waited_us = (state.time_us - self._since_us) & 0xFFFF_FFFF
        return self._points >= ZERO_POINTS or waited_us > self._most_us
