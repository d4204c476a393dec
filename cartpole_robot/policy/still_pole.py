"""Whether a cart travels while its pole's encoder shows the same angle, which a firmware takes for a torn wire."""

from __future__ import annotations

import math

from cartpole_robot.cart.params import CartParams

_SHARE = 0.3  # of the travel at which the firmware stops the motor
_MOVED_COUNTS = 1.5  # of the pole's encoder: one count is a flicker


class StillPole:
    """Watches the pole of a cart that is driven: a well balanced one may stand still for centimetres."""

    def __init__(self, cart: CartParams, moved_counts: float = _MOVED_COUNTS) -> None:
        """A pole has moved once it is more than `moved_counts` from where it was."""
        self._most_m = math.inf if cart.firmware is None else _SHARE * cart.firmware.still_travel_m
        self._moved_rad = moved_counts / cart.encoders.pole_counts_per_rad if cart.encoders is not None else 0.0
        self.reset()

    def numbers(self) -> dict[str, float]:
        """What the twin in C (`page/native/swing_up.c`) takes."""
        return {"most_still_m": self._most_m, "moved_rad": self._moved_rad}

    def reset(self) -> None:
        self._seen_m = self._still_rad = self._travelled_m = 0.0

    def passes_for_torn(self, position_m: float, angle_rad: float) -> bool:
        """After one more measurement: whether the pole should be made to move. True once for each such stretch."""
        self._travelled_m += abs(position_m - self._seen_m)
        self._seen_m = position_m
        if abs(math.remainder(angle_rad - self._still_rad, 2.0 * math.pi)) > self._moved_rad:
            self._still_rad, self._travelled_m = angle_rad, 0.0
        if self._travelled_m <= self._most_m:
            return False
        self._travelled_m = 0.0
        return True
