"""The section [time] of a column map: which clocks a foreign CSV has."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_positive

PERIODS_S = (1e-4, 1.0)  # the shortest and the longest time between rows


class TimeUnit(enum.StrEnum):
    """The unit a clock counts in."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def seconds(self) -> float:
        """Seconds in one unit."""
        return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[self.value]


class TimeBase(enum.StrEnum):
    """Which clock defines the second."""

    DEVICE = "device"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class TimeColumns:
    """The clocks: `device` paces the rows, `host` runs along; one is enough. `base` is the one that defines the second.

    `wraps_after` is where the device's counter restarts at 0, in its unit (2^32 for a uint32). `row_counter` is a
    column that numbers the rows, and restarts after `counter_wraps_after`; it paces them in place of a time. Without a
    device's clock, `period_s` is the time from one row to the next. A column may also hold ISO 8601 dates or times of
    day; then its unit does not count.
    """

    device: str | None = None
    host: str | None = None
    row_counter: str | None = None
    counter_wraps_after: float | None = None
    period_s: float | None = None
    unit: TimeUnit = TimeUnit.SECONDS
    host_unit: TimeUnit | None = None
    base: TimeBase | None = None
    wraps_after: float | None = None

    def __post_init__(self) -> None:
        require(
            not (self.device is None and self.host is None and self.period_s is None),
            "no clock; name its column in device or in host, or give the time between rows as period_s",
        )
        require(
            self.device is None or self.period_s is None,
            "device and period_s both say how far apart the rows are; leave one of them out",
        )
        require(
            self.base is not TimeBase.HOST or self.host is not None,
            "base = 'host', and no column is named in host; add it, or choose the other base",
        )
        require(
            self.base is not TimeBase.DEVICE or self.paces_without_host,
            "base = 'device', and no column is named in device; add it, or choose the other base",
        )
        require(
            self.counter_wraps_after is None or self.row_counter is not None,
            "counter_wraps_after without row_counter; name the column that counts rows",
        )
        require(
            self.period_s is None or PERIODS_S[0] <= self.period_s <= PERIODS_S[1],
            f"period_s = {self.period_s}, expected {PERIODS_S[0]:g} to {PERIODS_S[1]:g} s; correct it",
        )
        for name in ("wraps_after", "counter_wraps_after"):
            if getattr(self, name) is not None:
                require_positive(self, name)

    @property
    def paces_without_host(self) -> bool:
        """Whether the period is known without the host's clock."""
        return self.device is not None or self.period_s is not None

    @property
    def pacing(self) -> str:
        """The column that paces the rows; "period_s" where none does."""
        return self.row_counter or self.device or (self.host if self.period_s is None else None) or "period_s"
