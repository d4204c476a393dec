"""The pace of rows: the tick of each by the clock that paces them, and the checks that every clock needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cartpole_robot.datasets.clock_line import Bools, Floats, Ints
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.time_columns import PERIODS_S, TimeUnit
from cartpole_robot.errors import UsageError

PAUSE_US = 10_000_000  # no run has a gap as long
_LEVEL_ROWS = 25  # before and after a row at which the time goes back
_MOST_OF_THEM = 0.9
_DAY_S = 86_400.0
_LATEST_S = 1e11  # the year 5138: a later time has another unit


@dataclass(kw_only=True)
class Pace:
    """The pacing clock of a table: `ticks` and `time_us` of each row, and how far it was `off_us` before.

    `breaks` are the rows at which a new part begins, each with its reason. Ticks grow from row to row across parts too.
    """

    ticks: Ints
    time_us: Ints
    period_us: float
    off_us: Floats
    breaks: dict[int, str] = field(default_factory=dict)

    def begin(self, row: int, why: str) -> None:
        """Begin a part at `row`, unless one does already."""
        self.breaks.setdefault(row, why)

    def part(self) -> Ints:
        """The number of each row's part, from 0."""
        first = np.zeros(len(self.ticks), np.int64)
        first[list(self.breaks)] = 1
        return np.cumsum(first)

    def pieces(self) -> list[tuple[int, int]]:
        """(first, one past the last) row of each part."""
        return list(itertools.pairwise([0, *sorted(self.breaks), len(self.ticks)]))

    def backward_rows(self, table: CsvTable, column: str, time_us: Ints, advice: str) -> Iterator[int]:
        """The rows at which a clock goes back and stays. Raises `UsageError` where a row is out of order instead."""
        return _backward_rows(table, column, time_us, self.period_us, advice)


def seconds_of(table: CsvTable, column: str, unit: TimeUnit, wraps_after: float | None = None) -> Floats:
    """A column of times in seconds, unwrapped. Raises `UsageError` for a time that no clock shows."""
    readings = table.columns[column]
    if column in table.text_times:
        is_time_of_day = float(readings.max()) < _DAY_S
        return np.unwrap(readings, period=_DAY_S) if is_time_of_day else readings
    check_size(table, column, _LATEST_S / unit.seconds)
    return (readings if wraps_after is None else np.unwrap(readings, period=wraps_after)) * unit.seconds


def check_size(table: CsvTable, column: str, largest: float) -> None:
    """Raise `UsageError` for a reading beyond `largest`."""
    readings = table.columns[column]
    for row in np.nonzero(np.abs(readings) > largest)[0][:1].tolist():
        raise table.refusal(
            row, column, f"{readings[row]:g}, expected at most {largest:g}; correct the column or its unit in [time]"
        )


def whole_us(time_s: Floats) -> Ints:
    """Seconds as whole microseconds."""
    return np.round(time_s * 1e6).astype(np.int64)


def check_order(table: CsvTable, column: str, readings: Ints | Floats) -> None:
    """Raise `UsageError` for rows in reversed order, and for a table in which every row comes several times."""
    steps = np.diff(readings)
    backward = int((steps < 0).sum())
    if backward > _MOST_OF_THEM * len(steps):
        raise UsageError(
            f"{table.path}: column {column!r}: decreases in {backward} of {len(steps)} steps, expected a growing "
            f"clock: the newest row comes first; turn the order of the rows around, or sort them by {column!r}"
        )
    firsts = np.concatenate([[0], np.nonzero(steps)[0] + 1, [len(readings)]])
    times = int(np.median(np.diff(firsts)))
    if times < 2 or len(firsts) <= 2 or (np.diff(firsts) == times).mean() < _MOST_OF_THEM:
        return
    if copies(table, column).sum() > _MOST_OF_THEM * (steps == 0).sum():
        raise UsageError(
            f"{table.path}: every row is in the file {times} times, first on lines {table.lines[0]} and "
            f"{table.lines[1]}, expected once; remove the copies"
        )


def copies(table: CsvTable, column: str) -> Bools:
    """Which rows but the first equal the one before, (rows - 1,); none where the table has the clock `column` alone."""
    if len(table.columns) == 1:
        return np.zeros(len(table) - 1, bool)
    are_copies: Bools = np.logical_and.reduce([_equals_before(values) for values in table.columns.values()])
    return are_copies


def _equals_before(values: Floats) -> Bools:
    is_equal: Bools = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return is_equal


def pause_text(pause_us: float) -> str:
    """Why a part begins after a pause."""
    return f"a pause of {pause_us * 1e-6:.4g} s"


def on_grid(pace: Pace) -> Ints:
    """Each row's time by its tick, from the first row of its part."""
    firsts = np.nonzero(np.diff(pace.part(), prepend=-1))[0]
    sizes = np.diff(np.append(firsts, len(pace.ticks)))
    start_us, start = (np.repeat(values[firsts], sizes) for values in (pace.time_us, pace.ticks))
    return start_us + np.round((pace.ticks - start) * pace.period_us).astype(np.int64)


def _backward_rows(table: CsvTable, column: str, time_us: Ints, period_us: float, advice: str) -> Iterator[int]:
    level = time_us - np.arange(len(time_us)) * period_us
    for row in (np.nonzero(np.diff(time_us) < 0)[0] + 1).tolist():
        before = float(np.median(level[max(0, row - _LEVEL_ROWS) : row]))
        after = float(np.median(level[row : row + _LEVEL_ROWS]))
        if after - before > -1.5 * period_us or (time_us[row:] > time_us[row - 1])[:2].any():
            raise table.refusal(
                row,
                column,
                f"time goes backwards, {time_us[row - 1] * 1e-6:.10g} s and then {time_us[row] * 1e-6:.10g} s, "
                f"expected a growing time; {advice}",
            )
        yield row


def check_period(table: CsvTable, column: str, period_us: float) -> None:
    """Raise `UsageError` for a period that is none of a cart's log."""
    if not PERIODS_S[0] <= period_us * 1e-6 <= PERIODS_S[1]:
        raise UsageError(
            f"{table.path}: column {column!r}: the rows are {period_us * 1e-6:.4g} s apart, expected "
            f"{PERIODS_S[0]:g} to {PERIODS_S[1]:g} s; correct the unit in [time]"
        )
