"""Encoders whose count flickers while the shaft stands at an edge."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import floor

from cartpole_robot.files.records import require, require_not_negative


@dataclass(frozen=True, kw_only=True)
class Chatter:
    """Vibration and noise at the encoders' comparators, `counts` wide from end to end.

    A position of x counts reads floor(x + 1/2 + counts * u), with u drawn every millisecond, uniformly from -1/2 to
    1/2: within half the width of an edge the count flickers by one, elsewhere it is right.
    """

    counts: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "counts")
        require(self.counts <= 100.0, f"counts = {self.counts:g}, expected at most 100")


class ChatteringEncoder:
    """An encoder with the noise of `chatter`."""

    def __init__(self, chatter: Chatter, rng: random.Random) -> None:
        self._counts = chatter.counts
        self._rng = rng

    def read(self, position_counts: float) -> int:
        """The count at a position in counts, which need not be whole."""
        noise = self._counts * (self._rng.random() - 0.5) if self._counts else 0.0
        return floor(position_counts + 0.5 + noise)
