"""Clock lines: the period of a column of times, the tick of each row, and where the times leave their line.

Times are whole microseconds. Rows come in order, one per control period: a late row keeps its place among its
neighbours, and only what persists over the rows that follow counts as missing rows or as another line.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_LOCAL_ROWS = 51  # whose common phase is the line near a row
_LEVEL_ROWS = 25  # on each side of a step show whether it persists
_FEWEST_LEVEL_ROWS = 3
_AT_ONCE = 50_000  # windows
_UNSURE = 0.2  # of a period: rows that scatter more do not refine it
_ROUNDS = 5
_SPREADS = 6.0  # robust standard deviations: rows further from a line do not shape it


class Placed(NamedTuple):
    """The ticks of rows, (rows,), how far each row is from its tick by the line near it, and that line, in us.

    `nearest` is the tick that is nearest to each row, which two rows may share.
    """

    ticks: Ints
    nearest: Ints
    off_us: Floats
    line_us: Floats


def period_of(time_us: Ints) -> float:
    """The period of the rows in us, from differences over more and more rows; robust against late and missing ones."""
    return period_over(time_us)[0]


def period_over(time_us: Ints) -> tuple[float, int]:
    """As `period_of`, and over how many rows the differences show it."""
    period = float(np.median(np.diff(time_us)))
    lag = 2
    while period > 0.0 and lag <= len(time_us) // 2:
        spans = (time_us[lag:] - time_us[:-lag]).astype(np.float64)
        ticks = np.round(spans / period)
        if float(np.median(np.abs(spans / period - ticks))) > _UNSURE:
            break
        is_apart = ticks > 0
        period = float(np.median(spans[is_apart] / ticks[is_apart])) if is_apart.any() else period
        lag *= 2
    return period, lag // 2


def place(time_us: Ints, period_us: float) -> Placed:
    """Each row on its tick, counted from the first row's; the rows are in order, and no two share one."""
    since_us = (time_us - time_us[0]).astype(np.float64)
    turns = np.exp(2j * np.pi * np.mod(since_us / period_us, 1.0))
    window = min(_LOCAL_ROWS, len(time_us))
    common = uniform_filter1d(turns.real, window) + 1j * uniform_filter1d(turns.imag, window)
    phase_us = np.unwrap(np.angle(common)) * period_us / (2.0 * np.pi)
    nearest = np.round((since_us - phase_us) / period_us).astype(np.int64)
    order = np.arange(len(time_us))
    ticks = in_order(nearest - order) + order
    line_us = time_us[0] + phase_us + ticks * period_us
    return Placed(ticks - ticks[0], nearest, time_us - line_us, line_us)


def in_order(values: Ints) -> Ints:
    """The non-decreasing sequence nearest to `values` (rows,), by the sum of absolute differences."""
    if not len(values) or (np.diff(values) >= 0).all():
        return values
    highest: list[int] = []  # a heap of negated values
    tops = []
    for value in values.tolist():
        heapq.heappush(highest, -value)
        if -highest[0] > value:
            heapq.heapreplace(highest, -value)
        tops.append(-highest[0])
    return np.minimum.accumulate(np.array(tops, np.int64)[::-1])[::-1]


class Line(NamedTuple):
    """`slope` of the rows' common line, with an intercept for each part, and each row's distance from it, (rows,)."""

    slope: float
    rest: Floats


def line_through(x: Floats, y: Floats, part: Ints) -> Line:
    """The line with one slope and an own intercept for each number in `part`, without the rows far from it."""
    lag = max(1, len(x) // 8)
    slope = float(np.median((y[lag:] - y[:-lag]) / (x[lag:] - x[:-lag])))  # a start that few steps spoil
    firsts = np.nonzero(np.diff(part, prepend=part[0] - 1))[0]
    sizes = np.diff(np.append(firsts, len(part)))
    used = np.ones(len(x), bool)
    for _ in range(_ROUNDS):
        rest = _without_medians(y - slope * x, firsts, sizes)
        spread = 1.4826 * float(np.median(np.abs(rest)))
        used = np.abs(rest) <= max(_SPREADS * spread, 1.0)
        counts = np.maximum(np.add.reduceat(used.astype(np.float64), firsts), 1.0)
        from_mean_x = x - np.repeat(np.add.reduceat(np.where(used, x, 0.0), firsts) / counts, sizes)
        from_mean = rest - np.repeat(np.add.reduceat(np.where(used, rest, 0.0), firsts) / counts, sizes)
        weight = float(np.sum(np.square(from_mean_x[used])))
        if weight <= 0.0:
            break
        change = float(np.sum(from_mean_x[used] * from_mean[used])) / weight
        slope += change
        if abs(change) <= 1e-12 * abs(slope):
            break
    return Line(slope, _without_medians(y - slope * x, firsts, sizes))


def _without_medians(values: Floats, firsts: Ints, sizes: Ints) -> Floats:
    found = values.copy()
    for first, size in zip(firsts.tolist(), sizes.tolist(), strict=True):
        found[first : first + size] -= np.median(values[first : first + size])
    return found


def _perhaps(level: Floats, jumps: Ints, bounds: Ints, least: float) -> Ints:
    """Those of the rows `jumps` at which a whole window's level changes, and all that are near a bound."""
    after = np.searchsorted(bounds, jumps, side="right")
    is_near = (jumps - bounds[after - 1] < _LEVEL_ROWS) | (bounds[after] - jumps < _LEVEL_ROWS)
    inner = jumps[~is_near]
    if not len(inner):
        return jumps
    windows = np.lib.stride_tricks.sliding_window_view(level, _LEVEL_ROWS)
    is_step = np.concatenate(
        [
            np.abs(np.median(windows[rows], axis=1) - np.median(windows[rows - _LEVEL_ROWS], axis=1)) > least
            for rows in np.array_split(inner, 1 + len(inner) // _AT_ONCE)
        ]
    )
    return np.sort(np.concatenate([jumps[is_near], inner[is_step]]))


class Step(NamedTuple):
    """At `row` a level changes by `size`."""

    row: int
    size: float


def level_steps(level: Floats, least: float, part: Ints | None = None) -> list[Step]:
    """The steps by more than `least` at which `level` (rows,) stays; a row that returns is none.

    No step is sought between two parts, or among the last few rows of one.
    """
    found: list[Step] = []
    ends = [0, len(level)]
    if part is not None:
        ends = [0, *(np.nonzero(np.diff(part))[0] + 1).tolist(), len(level)]
    bounds = np.array(ends)
    jumps = np.nonzero(np.abs(np.diff(level)) > 0.5 * least)[0] + 1
    for row in _perhaps(level, jumps, bounds, least).tolist():
        after_part = int(np.searchsorted(bounds, row, side="right"))
        first, end = int(bounds[after_part - 1]), int(bounds[after_part])
        first = max(first, row - _LEVEL_ROWS)
        if found and row - found[-1].row > _LEVEL_ROWS // 2:  # the level since the last step, if it shows
            first = max(first, found[-1].row)
        end = min(end, row + _LEVEL_ROWS)
        if min(row - first, end - row) < _FEWEST_LEVEL_ROWS:
            continue
        step = float(np.median(level[row:end]) - np.median(level[first:row]))
        # the largest of several jumps near a step is where it happens
        if abs(step) > least and abs(level[row] - level[row - 1]) > 0.5 * abs(step):
            found.append(Step(row, step))
    return found
