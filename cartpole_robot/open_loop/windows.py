"""Recordings cut into windows, each with a start state of its own, and what runs a model through them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.series import Series

Floats = NDArray[np.float64]
START_SIGNALS = 4
_FEWEST_KEPT = 5  # windows of a series, where it has as many


@dataclass(frozen=True, kw_only=True)
class Window:
    """Entries `first` to before `end` of one series; its start is the state at `first`."""

    series: int
    first: int
    end: int


def windows_of(all_series: Sequence[Series], length_s: float, *, stride_s: float | None = None) -> list[Window]:
    """Windows of `length_s`, one every `stride_s` (default: end to end), none across a gap.

    End to end, a rest of at least half that length is a window too.
    """
    found = []
    for number, series in enumerate(all_series):
        size = max(2, round(length_s / series.period_s)) + 1
        stride = size - 1 if stride_s is None else max(1, round(stride_s / series.period_s))
        for begin, end in series.stretches():
            first = begin
            while first + size <= end:
                found.append(Window(series=number, first=first, end=first + size))
                first += stride
            if stride_s is None and end - first > size // 2:
                found.append(Window(series=number, first=first, end=end))
    return found


def pieces_of(windows: Sequence[Window], longest: int) -> list[Window]:
    """Each window cut into pieces of equal length, at most `longest` periods, that share their end points."""
    found: list[Window] = []
    for window in windows:
        size = window.end - 1 - window.first
        count = math.ceil(size / longest)
        edges = [window.first + round(k * size / count) for k in range(count + 1)]
        found.extend(Window(series=window.series, first=a, end=b + 1) for a, b in itertools.pairwise(edges))
    return found


def thinned(windows: Sequence[Window], most: int) -> list[Window]:
    """At most `most` of `windows`, evenly spread, the first and the last among them."""
    return [windows[k] for k in np.linspace(0, len(windows) - 1, min(len(windows), most)).round().astype(int)]


def bounded(windows: Sequence[Window], most: int, most_entries: int) -> list[Window]:
    """`windows`, of each series as many, evenly spread, as leave at most about `most` and `most_entries` in all."""
    entries = sum(window.end - window.first for window in windows)
    share = min(1.0, most / max(1, len(windows)), most_entries / max(1, entries))
    if share == 1.0:
        return list(windows)
    found: list[Window] = []
    for _, of_one in itertools.groupby(windows, key=lambda window: window.series):
        mine = list(of_one)
        found += thinned(mine, max(_FEWEST_KEPT, math.ceil(share * len(mine))))
    return found


Try = tuple[Model, Floats]
"""A model and its start states, shape (windows, 4)."""


class Runs(NamedTuple):
    """What a model predicts for windows.

    `readings` are the predicted readings of all windows' entries, one window after the other, (entries, 2): position
    m, angle rad, the first of each window its start itself. `ends` are the true states at the windows' last entries,
    (windows, 4).
    """

    readings: Floats
    ends: Floats


class Predictor(Protocol):
    """Runs models through the windows that it was made for."""

    def run(self, tries: Sequence[Try]) -> list[Runs]:
        """The runs of each of `tries`. Raises ValueError for a model that no cart can have."""

    def close(self) -> None:
        """Release what runs. May be called twice."""


def measured(all_series: Sequence[Series], windows: Sequence[Window]) -> list[Floats]:
    """The readings of each window, shape (entries, 2): position m, angle rad."""
    return [
        np.column_stack(
            [
                all_series[w.series].position_m[w.first : w.end],
                all_series[w.series].angle_rad[w.first : w.end],
            ]
        )
        for w in windows
    ]


def by_window(windows: Sequence[Window], of_all: Floats) -> list[Floats]:
    """The parts of an array with one row for each entry of all `windows`."""
    return np.split(of_all, np.cumsum([window.end - window.first for window in windows])[:-1]) if windows else []


def guessed_starts(all_series: Sequence[Series], windows: Sequence[Window], model: Model, *, points: int = 5) -> Floats:
    """Start states, shape (windows, 4), from a parabola fitted to `points` readings around each window's start."""
    found = np.zeros((len(windows), START_SIGNALS))
    stretches = [series.stretches() for series in all_series]
    for row, window in zip(found, windows, strict=True):
        series = all_series[window.series]
        low, high = next((b, e) for b, e in stretches[window.series] if b <= window.first < e)
        half = points // 2
        begin = min(max(low, window.first - half), max(low, high - points))
        part = slice(begin, min(high, begin + points))
        times_s = series.seconds(part.start, part.stop, window.first)
        readings = np.column_stack([series.position_m[part], series.angle_rad[part]])
        powers = np.vander(times_s, min(3, len(times_s)), increasing=True)  # a line through two readings
        row.reshape(2, 2)[:] = np.linalg.lstsq(powers, model.true(readings), rcond=None)[0][:2].T
    return found
