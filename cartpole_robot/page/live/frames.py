"""Snapshots as the rows that a browser gets: at most one for each 10 ms, with the worst lateness of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from cartpole_robot.page.live.ring import Snapshot

ROW_S = 0.01
_DIGITS = (4, 5, 4, 5, 3, 4, 4, 2, 1)  # after the point: time, position, speed, angle, rate, duties, supply, lateness


class Rows:
    """Joins snapshots to rows, across calls."""

    def __init__(self) -> None:
        self._bin = -1
        self._waiting: Snapshot | None = None
        self._late_us = math.nan

    def add(self, snapshots: Iterable[Snapshot]) -> list[list[float | int | None]]:
        """The rows that these snapshots complete: a row is complete when a snapshot of another 10 ms comes."""
        rows = []
        for snapshot in snapshots:
            at = math.floor(snapshot.time_s / ROW_S)
            if at != self._bin and self._waiting is not None:
                rows.append(self._row(self._waiting))
                self._late_us = math.nan
            self._bin, self._waiting = at, snapshot
            if not (math.isnan(snapshot.lateness_us) or self._late_us >= snapshot.lateness_us):  # it may be NaN, too
                self._late_us = snapshot.lateness_us
        return rows

    def rest(self) -> list[list[float | int | None]]:
        """The row of the newest snapshot, if it was not given yet: for when no other follows."""
        if self._waiting is None:
            return []
        row = self._row(self._waiting)
        self._waiting = None
        return [row]

    def _row(self, snapshot: Snapshot) -> list[float | int | None]:
        numbers = (*snapshot[:8], self._late_us)
        cells: list[float | int | None] = [
            round(value, digits) if math.isfinite(value) else None
            for value, digits in zip(numbers, _DIGITS, strict=True)
        ]
        return [*cells, snapshot.state, snapshot.fault, snapshot.driver]


def event(name: str, value: object) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
