"""Rows paced by a column of times: a common line through the times gives each row its tick."""

from __future__ import annotations

import numpy as np

from cartpole_robot.datasets.clock_line import Bools, Ints, level_steps, line_through, period_of, period_over, place
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.pace import PAUSE_US, Pace, check_order, check_period, copies, pause_text
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.printable import counted

OFF_TICK = 0.2  # of a period: a row further from its tick is put on it, and reported
_NO_LINE = 0.35  # of a period: rows further from their tick show no steady clock
_MOST_WITHOUT_LINE = 0.05  # of all rows; a host's clock has a few late ones
_NEW_LINE = 0.35  # of a period: a clock that moves by more against its line, and stays, begins a new part
_MOST_GAPS = 0.1  # places, of all rows: more are gaps only on an exact grid
_MOST_EXACT_GAPS = 1.0 / 3.0  # places, of all rows
_EXACT = 0.1  # of a period: rows of an exact grid are nearer to their tick
_MOST_IN_A_ROW = 20  # gaps of one size: more are another period
_OFF_BEAT = 0.2  # of a period: for the message
_LEVEL_ROWS = 25  # before and after a time that is far off
_SPIKE = 1.5  # periods
_FEWEST_AROUND = 3
_LISTED = 20
_STEADY_ROWS = 200  # at least, show a period of their own
_STEADY_PARTS = 20
_STEADY = 0.005  # of the period


def pace_of_times(table: CsvTable, column: str, time_us: Ints) -> Pace:
    """Ticks by the line of the times."""
    check_order(table, column, time_us)
    steps_us = np.diff(time_us)
    usual_us = float(np.median(steps_us))
    if usual_us <= 0.0:
        raise UsageError(
            f"{table.path}: column {column!r}: most rows have the time of the row before, expected a growing time; it "
            "is too coarse for a clock: name another, or a row_counter, or give period_s in [time]"
        )
    check_period(table, column, usual_us)
    period_us = period_of(time_us)
    written_us, time_us = time_us, _without_spikes(time_us, period_us)
    steps_us = np.diff(time_us)
    if (steps_us == 1_000_000).mean() > 0.9:
        raise UsageError(
            f"{table.path}: column {column!r}: grows by 1 from row to row, so as seconds the rows are 1 s apart, "
            "expected a time; if it counts rows, name it as row_counter in [time] and give period_s"
        )
    pace = Pace(ticks=np.arange(len(time_us)), time_us=time_us.copy(), period_us=period_us, off_us=np.zeros(len(table)))
    advice = "remove one row, or give wraps_after in [time] where the counter restarts"
    for row in (np.nonzero(steps_us > PAUSE_US)[0] + 1).tolist():
        pace.begin(row, pause_text(steps_us[row - 1]))
    for row in pace.backward_rows(table, column, time_us, advice):
        pace.begin(
            row,
            f"{column!r} goes back from {time_us[row - 1] * 1e-6:.10g} to {time_us[row] * 1e-6:.10g} s; if its counter "
            "restarts there, give wraps_after in [time]",
        )
    nearest = np.zeros(len(table), np.int64)
    pieces = pace.pieces()
    for first, end in pieces:
        nearest[first:end] = _place(pace, time_us, first, end)
    _check_line(table, column, steps_us, usual_us, pace)
    _check_steady(table, column, time_us, pieces)
    while pieces:
        first, end = pieces.pop()
        _check_single(table, column, time_us, first, nearest[first:end])
        apart_us = time_us[first:end] - pace.ticks[first:end] * pace.period_us
        for step in level_steps(apart_us, _NEW_LINE * pace.period_us)[:1]:
            row = first + step.row
            pace.begin(row, f"{column!r} moves by {step.size * 1e-6:.4g} s against its line")
            for piece in ((first, row), (row, end)):
                nearest[slice(*piece)] = _place(pace, time_us, *piece)
                pieces.append(piece)
    for first, end in pace.pieces()[1:]:
        step = round((time_us[first] - time_us[first - 1]) / pace.period_us)
        pace.ticks[first:end] += pace.ticks[first - 1] + max(1, step) - pace.ticks[first]
    pace.period_us = line_through(pace.ticks.astype(np.float64), time_us.astype(np.float64), pace.part()).slope
    is_spike = written_us != time_us
    pace.off_us[is_spike] += (written_us - time_us)[is_spike]
    return pace


def _without_spikes(time_us: Ints, period_us: float) -> Ints:
    """The times, with single rows and pairs that are far from the line of their neighbours put back on it."""
    level = time_us - np.arange(len(time_us)) * period_us
    far = np.nonzero(np.abs(np.diff(level)) > _SPIKE * period_us)[0]
    found = time_us.copy()
    for row in np.unique(far + 1).tolist():
        for end in (row + 1, row + 2):
            around = level[max(0, row - _LEVEL_ROWS) : row], level[end : end + _LEVEL_ROWS]
            if min(map(len, around)) < _FEWEST_AROUND:
                continue
            before, after = map(float, map(np.median, around))
            away = np.abs(level[row:end] - before)
            if abs(after - before) < 0.5 * period_us and away.min() > _SPIKE * period_us:
                found[row:end] = np.round(before + np.arange(row, end) * period_us)
                break
    return found


def _place(pace: Pace, time_us: Ints, first: int, end: int) -> Ints:
    """Put the rows from `first` to `end` on their ticks; returns the nearest tick of each, which two may share."""
    placed = place(time_us[first:end], pace.period_us)
    pace.ticks[first:end] = placed.ticks
    pace.off_us[first:end] = placed.off_us
    is_off = np.abs(placed.off_us) > OFF_TICK * pace.period_us
    pace.time_us[first:end] = np.where(is_off, np.round(placed.line_us), time_us[first:end])
    return placed.nearest


def _are_exact_gaps(missing: Bools, pace: Pace) -> bool:
    """Whether the rows around many gaps are all on the ticks of one period, which is that of most rows."""
    if missing.sum() > _MOST_EXACT_GAPS * len(missing):
        return False
    if (np.abs(pace.off_us) > _EXACT * pace.period_us).sum() > _MOST_WITHOUT_LINE * len(pace.off_us):
        return False
    changes = np.nonzero(np.diff(np.diff(pace.ticks), prepend=0, append=0))[0]
    lengths, is_gap = np.diff(changes), missing[changes[:-1]]
    return int(lengths[is_gap].max(initial=0)) <= _MOST_IN_A_ROW


def _advice_for_copies(table: CsvTable, column: str, row: int) -> str:
    """What to do about a row too many; where it equals the row before, with the lines of all such rows."""
    again = np.nonzero(copies(table, column))[0] + 1
    if row not in again:
        return "remove one of the two, or name a steadier clock"
    lines = table.lines[again].tolist()
    more = f" and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    return (
        f"remove what is there twice ({counted(len(lines), 'row')} like the one before, on "
        f"{'line' if len(lines) == 1 else 'lines'} {', '.join(map(str, lines[:_LISTED]))}{more})"
    )


def _check_line(table: CsvTable, column: str, steps_us: Ints, usual_us: float, pace: Pace) -> None:
    """Raises `UsageError` where the rows do not follow one line."""
    missing = (np.diff(pace.ticks) > 1) & (np.diff(pace.part()) == 0)
    phase = pace.off_us / pace.period_us
    lost = np.abs(phase - np.round(phase)) > _NO_LINE
    beats = steps_us / usual_us
    off = np.nonzero(np.abs(beats - np.round(beats)) > _OFF_BEAT)[0]
    is_lost = lost.sum() > max(2.0, _MOST_WITHOUT_LINE * len(lost))
    if is_lost and len(off) > _MOST_WITHOUT_LINE * len(beats):
        raise table.refusal(
            int(off[0]) + 1,
            column,
            f"comes after {steps_us[off[0]] * 1e-6:.4g} s, most rows after {usual_us * 1e-6:.4g} s; {len(off)} of "
            f"{len(steps_us)} rows deviate, expected one period; import the parts one by one, name a row_counter, or "
            "give period_s where no row is missing",
        )
    if missing.sum() > _MOST_GAPS * len(missing) and not _are_exact_gaps(missing, pace):
        row = int(np.argmax(missing))
        raise table.refusal(
            row + 1,
            column,
            f"comes after {steps_us[row] * 1e-6:.4g} s, most rows after {usual_us * 1e-6:.4g} s; rows are missing at "
            f"{missing.sum()} of {len(missing)} places, expected one period with gaps at no more than a tenth of them "
            "(a third where all rows are on their tick, and gaps of one size do not follow each other); import the "
            "parts one by one, or name a row_counter",
        )
    if is_lost:
        worst = int(np.argmax(lost))
        raise table.refusal(
            worst,
            column,
            f"is {abs(pace.off_us[worst]) * 1e-6:.4g} s off its tick, as are {lost.sum()} of {len(lost)} rows, and the "
            f"period is {pace.period_us * 1e-6:.4g} s: it changes in the course of the file; name a steadier clock, or "
            "import the parts one by one",
        )


def _check_steady(table: CsvTable, column: str, time_us: Ints, pieces: list[tuple[int, int]]) -> None:
    """Raises `UsageError` where the period changes in the course of a part."""
    before_us: float | None = None
    for first, end in pieces:
        rows = max(_STEADY_ROWS, (end - first) // _STEADY_PARTS)
        for row in range(first, end - rows + 1, rows):
            period_us, over = period_over(time_us[row : row + rows])
            if over < rows // 4:  # they jitter too much to show it
                continue
            if before_us is not None and abs(period_us - before_us) > _STEADY * before_us:
                raise table.refusal(
                    row,
                    column,
                    f"from about here on the rows are {period_us * 1e-6:.5g} s apart, before {before_us * 1e-6:.5g} s: "
                    "the period changes in the course of the file; import the parts one by one, or name a steadier "
                    "clock",
                )
            before_us = before_us or period_us


def _check_single(table: CsvTable, column: str, time_us: Ints, first: int, nearest: Ints) -> None:
    """Raises `UsageError` where there is a row too many: all rows after it come a period early."""
    surplus = (nearest - np.arange(len(nearest))).astype(np.float64)
    for row, size in level_steps(surplus, 0.5):
        if size > 0.0 or surplus[row] >= surplus[row - 1]:
            continue
        this, before = time_us[first + row] * 1e-6, time_us[first + row - 1] * 1e-6
        fault = "two rows at once" if this == before else "two rows on one tick"
        raise table.refusal(
            first + row,
            column,
            f"{fault}, {before:.10g} s and then {this:.10g} s, and the rows after it show one row too many; "
            + _advice_for_copies(table, column, first + row),
        )
