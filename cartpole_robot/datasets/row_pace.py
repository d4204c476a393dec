"""The clock that paces the rows: a column of times, a row counter, or a fixed period."""

from __future__ import annotations

import numpy as np

from cartpole_robot.datasets.clock_line import level_steps, line_through
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.pace import (
    PAUSE_US,
    Pace,
    check_order,
    check_period,
    check_size,
    on_grid,
    pause_text,
    seconds_of,
    whole_us,
)
from cartpole_robot.datasets.time_columns import TimeColumns
from cartpole_robot.datasets.timed_rows import pace_of_times
from cartpole_robot.errors import UsageError

_LARGEST_COUNT = 1e15


def paced_rows(table: CsvTable, time: TimeColumns) -> Pace:
    """The pace of the rows. Raises `UsageError` for rows out of order, and for a changing period."""
    if time.row_counter is not None:
        return _by_counter(table, time)
    if time.period_s is not None:
        ticks = np.arange(len(table))
        period_us = time.period_s * 1e6
        time_us = np.round(ticks * period_us).astype(np.int64)
        pace = Pace(ticks=ticks, time_us=time_us, period_us=period_us, off_us=np.zeros(len(table)))
    else:
        unit = time.unit if time.device is not None else (time.host_unit or time.unit)
        pace = pace_of_times(table, time.pacing, whole_us(seconds_of(table, time.pacing, unit, time.wraps_after)))
        if time.device is None:  # a host's times show when rows arrived, not when they were measured
            pace.time_us = on_grid(pace)
    return pace


def _by_counter(table: CsvTable, time: TimeColumns) -> Pace:
    """Ticks as counted; the period is fixed, or that of the times."""
    column = time.row_counter or ""
    check_size(table, column, _LARGEST_COUNT)
    readings = table.columns[column]
    for row in np.nonzero(readings != np.round(readings))[0][:1].tolist():
        raise table.refusal(row, column, f"{readings[row]:g}, expected a whole number; correct row_counter in [time]")
    if time.counter_wraps_after is not None:
        readings = np.unwrap(readings, period=time.counter_wraps_after)
    counts = readings.astype(np.int64)
    check_order(table, column, counts)
    usual = int(np.median(np.diff(counts)))
    if usual != 1:
        raise UsageError(
            f"{table.path}: column {column!r}: counts {usual} from row to row, expected 1; it is no counter of rows: "
            "name it as device in [time], with its unit"
        )
    pace = Pace(ticks=counts, time_us=counts, period_us=1.0, off_us=np.zeros(len(table)))
    advice = "remove one row, or give counter_wraps_after in [time] where the counter restarts"
    for row in pace.backward_rows(table, column, counts, advice):
        pace.begin(
            row,
            f"the row counter goes back from {counts[row - 1]} to {counts[row]}; if it restarts there, give "
            "counter_wraps_after in [time]",
        )
    for row in np.nonzero(np.diff(counts) == 0)[0][:1].tolist():
        raise table.refusal(row + 1, column, f"counts {counts[row]} twice, expected a growing number; {advice}")
    ticks = counts.copy()
    for row in pace.breaks:
        ticks[row:] += counts[row - 1] + 1 - counts[row]
    pace.ticks = ticks - ticks[0]
    unit = time.unit if time.device is not None else (time.host_unit or time.unit)
    timing = time.device or time.host or ""
    x = pace.ticks.astype(np.float64)
    if time.period_s is not None:
        pace.period_us = time.period_s * 1e6
        times_us = np.round(x * pace.period_us).astype(np.int64)
    else:
        times_us = whole_us(seconds_of(table, timing, unit, time.wraps_after))
        line = line_through(x, times_us.astype(np.float64), pace.part())
        check_period(table, timing, line.slope)
        for step in level_steps(line.rest, line.slope, pace.part()):
            pace.begin(
                step.row, f"the clocks part: {timing!r} moves by {step.size * 1e-6:.4g} s against the row counter"
            )
        line = line_through(x, times_us.astype(np.float64), pace.part())
        pace.period_us, pace.off_us = line.slope, line.rest
    for row in (np.nonzero(np.diff(pace.ticks) * pace.period_us > PAUSE_US)[0] + 1).tolist():
        pace.begin(row, pause_text((pace.ticks[row] - pace.ticks[row - 1]) * pace.period_us))
    pace.time_us = times_us
    pace.time_us = on_grid(pace)
    return pace
