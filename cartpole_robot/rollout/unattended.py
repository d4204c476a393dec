"""When a long run without an operator has to stop: equal faults in a row, or enough cart time or distance."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.swing_start import SwingStart, kind_of

EQUAL_FAULTS = 3
_LEAST_FREE_BYTES = 50_000_000
_ROW_BYTES = 200  # of a recording, journal and Parquet file together


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """How long the motor may be armed in all, in seconds, and how far the cart may travel in m; None: no limit."""

    cart_time_s: float | None = None
    distance_m: float | None = None

    @property
    def are_set(self) -> bool:
        return self.cart_time_s is not None or self.distance_m is not None


NO_LIMITS = RunLimits()


class UnattendedRun:
    """Counts what a run without an operator has used up."""

    def __init__(self, rig: Rig, limits: RunLimits) -> None:
        """Raises `UsageError` for limits on a rig that does not swing up its pole: an operator is there."""
        if not isinstance(rig, SwingStart) and limits.are_set:
            raise UsageError("limits of cart time and distance are for runs without an operator; add --start swing-up")
        self._rig = rig if isinstance(rig, SwingStart) else None
        self._limits = limits
        self._kind: str | None = None
        self._equal = 0

    def reason_to_stop(self, fault: str | None) -> str | None:
        """Why no other episode should follow one that ended with `fault`, None for one without; None to continue."""
        kind = None if fault is None else kind_of(fault)
        self._equal = self._equal + 1 if kind is not None and kind == self._kind else int(kind is not None)
        self._kind = kind
        if self._equal >= EQUAL_FAULTS:
            return f"{self._equal} equal faults in a row, the last: {fault}"
        if self._rig is None:
            return None
        limits, rig = self._limits, self._rig
        if limits.cart_time_s is not None and rig.cart_time_s >= limits.cart_time_s:
            return f"the motor was armed for {rig.cart_time_s:.0f} s, the limit is {limits.cart_time_s:g} s"
        if limits.distance_m is not None and rig.distance_m >= limits.distance_m:
            return f"the cart travelled {rig.distance_m:.1f} m, the limit is {limits.distance_m:g} m"
        return None


def disk_problem(folder: Path, rows: int) -> str | None:
    """Why a recording of `rows` rows should not begin in `folder`: too little space; None if there is enough."""
    free, needed = shutil.disk_usage(folder).free, _LEAST_FREE_BYTES + _ROW_BYTES * rows
    if free >= needed:
        return None
    return (
        f"{folder}: {free / 1e6:.0f} MB are free, the next episode needs {needed / 1e6:.0f} MB; free space and resume"
    )
