"""Switches and e-stop whose contacts bounce."""

from __future__ import annotations

import random
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_not_negative


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """Contacts that bounce: after each change one reads at random, open or closed, for between 0 and `bounce_s`."""

    bounce_s: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "bounce_s")
        require(self.bounce_s <= 1.0, f"bounce_s = {self.bounce_s:g}, expected at most 1 s")


class BouncingContacts:
    """The contacts of a cart, bits of `enum input_flag`, sampled every millisecond."""

    def __init__(self, contacts: Contacts, rng: random.Random) -> None:
        self._bounce_ms = 1000.0 * contacts.bounce_s
        self._rng = rng
        self._settled = 0
        self._bouncing = 0
        self._until_ms: dict[int, float] = {}

    def read(self, inputs: int, time_ms: int) -> int:
        """What the board reads at `time_ms` of contacts whose levers are at `inputs`."""
        changed = inputs ^ self._settled
        self._settled = inputs
        for number in range(changed.bit_length()):
            if changed >> number & 1:
                self._until_ms[1 << number] = time_ms + self._rng.random() * self._bounce_ms
                self._bouncing |= 1 << number
        if self._bouncing:
            for bit, until_ms in self._until_ms.items():
                if time_ms >= until_ms:
                    self._bouncing &= ~bit
                elif self._bouncing & bit and self._rng.random() < 0.5:
                    inputs ^= bit
        return inputs
