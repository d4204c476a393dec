"""Rows on control ticks: the period of a recording, its gaps, where it falls into parts, and how two clocks agree.

One period is fitted to all rows; times are whole microseconds. A row that is off the line of its neighbours keeps its
tick and is reported. Where the rows pause, a clock restarts, or two clocks part for good, a new part begins: a
recording of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.clock_line import Floats, Ints, level_steps, line_through
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.pace import Pace, seconds_of, whole_us
from cartpole_robot.datasets.row_pace import paced_rows
from cartpole_robot.datasets.time_columns import TimeBase, TimeColumns
from cartpole_robot.datasets.timed_rows import OFF_TICK
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.printable import counted

_HOST_PARTS = 1.0  # periods: a host's clock that moves by more against the pacing one, and stays, begins a new part
_OTHER_CLOCK = 0.1  # two clocks that differ by more do not show the same time
_MOST_PARTS = 100
_LISTED = 20
_MANY_MISSING = 0.1  # of all rows: a warning


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Rows that are missing before the row on `line` of the file."""

    line: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class OffRow:
    """A row whose time is `off_s` after its tick."""

    line: int
    off_s: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of one recording, on the lines `first_line` to `last_line`; `why` says why it begins there."""

    rows: slice
    first_line: int
    last_line: int
    why: str

    @property
    def place(self) -> str:
        """Its lines, as a text."""
        if self.first_line == self.last_line:
            return f"line {self.first_line}"
        return f"lines {self.first_line} to {self.last_line}"


@dataclass(frozen=True, kw_only=True)
class RowClock:
    """When each row was measured.

    `ticks` (rows,) count control periods and grow within each part; `part` (rows,) numbers the parts, and
    `reasons` say why each begins. `time_us` (rows,) is the pacing clock, rows that are off their tick being put on it,
    and `host_time_s` (rows,) the other clock as in the file, or the same. A period is `nominal_period_s` by the pacing
    clock; its true length is `period_s`, in whole microseconds: `host_s_per_device_s` times as long where the host's
    clock defines the second. `off_s` (rows,) is how far each row is from its tick. `notes` are warnings.
    """

    lines: Ints
    ticks: Ints
    part: Ints
    reasons: tuple[str, ...]
    time_us: Ints
    host_time_s: NDArray[np.float64]
    off_s: NDArray[np.float64]
    nominal_period_s: float
    period_s: float
    base: TimeBase
    host_s_per_device_s: float | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """What was found, without the times of the rows: plain JSON values."""
        off = self.off_rows()
        return {
            "nominal_period_s": self.nominal_period_s,
            "period_s": self.period_s,
            "base": self.base.value,
            "host_s_per_device_s": self.host_s_per_device_s,
            "worst_jitter_s": self.worst_jitter_s,
            "rows_off_their_tick": len(off),
            "off_their_tick": [dataclasses.asdict(row) for row in off[:_LISTED]],
            "gaps": [dataclasses.asdict(gap) for gap in self.gaps],
            "parts": [{"first_line": p.first_line, "last_line": p.last_line, "why": p.why} for p in self.parts()],
        }

    @property
    def worst_jitter_s(self) -> float:
        """The largest distance of a row from its tick."""
        return float(np.abs(self.off_s).max(initial=0.0))

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The places within parts where rows are missing."""
        steps = np.where(np.diff(self.part) == 0, np.diff(self.ticks), 1)
        return tuple(
            Gap(line=int(self.lines[row + 1]), missing=int(steps[row]) - 1) for row in np.nonzero(steps > 1)[0]
        )

    def off_rows(self) -> list[OffRow]:
        """The rows that are off their tick, in their order."""
        is_off = np.abs(self.off_s) > OFF_TICK * self.nominal_period_s
        return [
            OffRow(line=int(self.lines[row]), off_s=float(self.off_s[row])) for row in np.nonzero(is_off)[0].tolist()
        ]

    def parts(self) -> list[Part]:
        """The parts, in their order."""
        ends = [0, *(np.nonzero(np.diff(self.part))[0] + 1).tolist(), len(self.part)]
        return [
            Part(
                rows=slice(first, end),
                first_line=int(self.lines[first]),
                last_line=int(self.lines[end - 1]),
                why=self.reasons[int(self.part[first])],
            )
            for first, end in itertools.pairwise(ends)
        ]

    def pieces(self) -> list[slice]:
        """The rows between gaps, each within one part."""
        is_break = (np.diff(self.ticks) > 1) | (np.diff(self.part) != 0)
        ends = [0, *(np.nonzero(is_break)[0] + 1).tolist(), len(self.ticks)]
        return [slice(first, last) for first, last in itertools.pairwise(ends)]

    def rows(self, which: NDArray[np.bool_] | slice) -> RowClock:
        """The clock of the rows `which` alone."""
        each = ("lines", "ticks", "part", "time_us", "host_time_s", "off_s")
        return dataclasses.replace(self, **{name: getattr(self, name)[which] for name in each})


def read_clock(table: CsvTable, time: TimeColumns) -> RowClock:
    """The clock of the rows. Raises `UsageError` for rows out of order, a changing period, and clocks that disagree."""
    pace = paced_rows(table, time)
    pacing_s: Floats = pace.time_us.astype(np.float64) * 1e-6
    base = time.base or (TimeBase.DEVICE if time.paces_without_host else TimeBase.HOST)
    host_s, ratio = None, None
    notes: tuple[str, ...] = ()
    if time.host is not None:
        host_s = seconds_of(table, time.host, time.host_unit or time.unit)
        if time.paces_without_host:
            ratio, apart = _followed(table, time.host, pace, whole_us(host_s))
            if base is TimeBase.HOST:
                for row, why in apart.items():
                    pace.begin(row, why)
            elif abs(ratio - 1.0) <= _OTHER_CLOCK:  # a simulation's host shows no time of its cart
                notes = _notes(table, apart)
    elif time.device is not None:
        pacing_s = seconds_of(table, time.device, time.unit, time.wraps_after)
    is_scaled = base is TimeBase.HOST and ratio is not None
    if is_scaled and ratio is not None and abs(ratio - 1.0) > _OTHER_CLOCK:
        raise UsageError(
            f"{table.path}: columns {time.device or time.row_counter or 'period_s'!r} and {time.host!r}: the host's "
            f"clock counts {ratio:.4g} s per second of the device's, expected 1 within {_OTHER_CLOCK:g}; correct unit "
            "or host_unit in [time], or choose the other base"
        )
    part = pace.part()
    if part[-1] >= _MOST_PARTS:
        raise table.refusal(
            min(pace.breaks),
            time.pacing,
            f"{pace.breaks[min(pace.breaks)]}, and the rows fall into {part[-1] + 1} parts, expected at most "
            f"{_MOST_PARTS}; name a steadier clock, a row_counter, or give wraps_after where a counter restarts",
        )
    clock = RowClock(
        lines=table.lines,
        ticks=pace.ticks,
        part=part,
        reasons=("the file begins", *(pace.breaks[row] for row in sorted(pace.breaks))),
        time_us=pace.time_us,
        host_time_s=pacing_s if host_s is None else host_s,
        off_s=pace.off_us * 1e-6,
        nominal_period_s=pace.period_us * 1e-6,
        period_s=round(pace.period_us * (ratio if is_scaled and ratio is not None else 1.0)) / 1e6,
        base=base,
        host_s_per_device_s=ratio,
        notes=notes,
    )
    return dataclasses.replace(clock, notes=(*notes, *_gap_notes(clock)))


def _gap_notes(clock: RowClock) -> tuple[str, ...]:
    """A warning where a good part of the rows is missing."""
    gaps = clock.gaps
    missing = sum(gap.missing for gap in gaps)
    share = missing / (missing + len(clock.lines))
    if len(gaps) < 2 or share < _MANY_MISSING:
        return ()
    places = ", ".join(str(gap.line) for gap in gaps[:_LISTED])
    more = f" and {len(gaps) - _LISTED} more" if len(gaps) > _LISTED else ""
    return (
        f"{missing} rows, {100.0 * share:.0f} % of all, are missing at {len(gaps)} places, before the lines {places}"
        f"{more}; the others stay on their ticks: was the link too slow?",
    )


def _notes(table: CsvTable, apart: dict[int, str]) -> tuple[str, ...]:
    """A warning that the clocks part where the device's defines the second: its rows stay together."""
    rows = sorted(apart)
    if not rows:
        return ()
    more = f", and at {counted(len(rows) - 1, 'more place')}" if len(rows) > 1 else ""
    return (
        f"line {table.lines[rows[0]]}: {apart[rows[0]]}{more}; the device's clock defines the second, so the rows stay "
        'together: if the device stood still there, base = "host" in [time] begins a new recording',
    )


def _followed(table: CsvTable, column: str, pace: Pace, host_us: Ints) -> tuple[float, dict[int, str]]:
    """Seconds of the host's clock per second of the pacing clock, and the rows from which the two part for good."""
    breaks: dict[int, str] = {}
    part = pace.part()
    for row in pace.backward_rows(table, column, host_us, "correct it, or leave the host's clock out of the map"):
        breaks[row] = f"column {column!r} goes back by {(host_us[row - 1] - host_us[row]) * 1e-6:.4g} s"
        part[row:] += 1
    x, y = pace.ticks.astype(np.float64) * pace.period_us, host_us.astype(np.float64)
    line = line_through(x, y, part)
    for step in level_steps(line.rest, _HOST_PARTS * pace.period_us, part):
        breaks[step.row] = f"the clocks part: {column!r} moves by {step.size * 1e-6:.4g} s against the other"
        part[step.row :] += 1
    return line_through(x, y, part).slope, breaks
