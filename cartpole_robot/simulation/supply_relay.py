"""The relay of the motor's supply, which the e-stop opens, and the capacitor between it and the bridge."""

from __future__ import annotations

import math

from firmware_bridge.constants import TICK_S

_FALL_S = 1.03  # 2200 uF over the bleeder of 470 ohm, as docs/hardware/building.md wires them
_RISE_S = 0.09  # over the precharge resistor, from the same table
START_SHARE = 0.85  # of the supply: as far as the precharge gets; then START is pressed, which closes the relay
KEPT, MISSING = math.exp(-TICK_S / _FALL_S), math.exp(-TICK_S / _RISE_S)


class SupplyRelay:
    """What share of the supply's voltage the bridge has; 1 while the relay is closed."""

    def __init__(self, *, is_opened_by_estop: bool) -> None:
        self.share = 1.0
        self._is_opened_by_estop = is_opened_by_estop

    def pass_ms(self, *, is_estop_pressed: bool) -> None:
        """Let a millisecond pass."""
        if is_estop_pressed and self._is_opened_by_estop:
            self.share *= KEPT
        elif self.share < 1.0:
            self.share = 1.0 - (1.0 - self.share) * MISSING
            if self.share >= START_SHARE:
                self.share = 1.0
