"""How long each part of a step takes in a run, logged without waiting."""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 1 << 20  # kept; of a longer run the last ones


class StepTimes:
    """When each measurement arrived and reached the pilot, when its command was decided and sent, and their ages.

    All in s. It has its full length before the run begins, so that `append` allocates nothing.
    """

    def __init__(self, steps: int) -> None:
        length = max(1, min(steps, MOST_STEPS))
        self._length = length
        self.steps = 0
        self._received, self._asked, self._decided, self._sent, self._lateness, self._age = (
            array("d", bytes(8 * length)) for _ in range(6)
        )

    def append(
        self, received_s: float, asked_s: float, decided_s: float, sent_s: float, lateness_s: float, age_s: float
    ) -> None:
        """Log one step."""
        at = self.steps % self._length
        self._received[at] = received_s
        self._asked[at] = asked_s
        self._decided[at] = decided_s
        self._sent[at] = sent_s
        self._lateness[at] = lateness_s
        self._age[at] = age_s
        self.steps += 1

    @property
    def newest_lateness_s(self) -> float:
        """Of the last step; NaN before the first."""
        return self._lateness[(self.steps - 1) % self._length] if self.steps else math.nan

    @property
    def newest_reaction_s(self) -> float:
        """From the last measurement to its command; NaN before the first step."""
        at = (self.steps - 1) % self._length
        return self._sent[at] - self._received[at] if self.steps else math.nan

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """The four latencies of every step kept, in s, shape (steps,); unknown ages are left out."""
        kept = min(self.steps, self._length)
        received, asked, decided, sent, lateness, age = (
            np.frombuffer(column)[:kept]
            for column in (self._received, self._asked, self._decided, self._sent, self._lateness, self._age)
        )
        return {
            "sensor_to_command": lateness + (sent - received),
            "inference": decided - asked,
            "loop_lateness": lateness.copy(),
            "command_age": age[np.isfinite(age)],
        }
