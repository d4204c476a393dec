"""Recordings cut into windows, and the model run through each from its own start state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.plant_runs import OpenLoop, step_duties
from cartpole_robot.open_loop.series import Series
from cartpole_robot.signals import State

Floats = NDArray[np.float64]
START_SIGNALS = 4


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


class Predictor:
    """Runs a model through windows; keeps one plant. `ends` are the final states of the last prediction."""

    ends: Floats

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], loaded: CartParams) -> None:
        """`loaded` has the shortest pole that will be simulated."""
        self._series, self._windows = list(all_series), list(windows)
        self._loop = OpenLoop(loaded)

    def predict(self, model: Model, starts: Floats) -> list[Floats]:
        """The predicted readings of each window, shape (entries, 2): position m, angle rad; `starts` is (windows, 4).

        The first entry is the start itself. Raises ValueError for a model that the plant cannot represent.
        """
        self._loop.change(model.cart)
        step_s = self._loop.step_s
        found: list[Floats] = []
        self.ends = np.zeros((len(self._windows), START_SIGNALS))
        for window, start in zip(self._windows, starts, strict=True):
            series = self._series[window.series]
            places = window_places(self._series, window, step_s)
            ran = self._loop.run(State(*start.tolist()), duties_in(series, window, places, model.delay_s, step_s))
            self.ends[len(found)] = _at(ran, places[-1])
            found.append(
                np.column_stack(
                    [
                        model.position_sign * placed(places, ran[:, 0]),
                        model.angle_sign * placed(places, ran[:, 2]) + model.angle_zero_rad,
                    ]
                )
            )
        return found

    @property
    def step_s(self) -> float:
        """The plant's physics step."""
        return self._loop.step_s

    def close(self) -> None:
        self._loop.close()


def window_places(all_series: Sequence[Series], window: Window, step_s: float) -> Floats:
    """The time of each entry of the window, in physics steps from its start."""
    times_s = all_series[window.series].time_s[window.first : window.end]
    places: Floats = (times_s - times_s[0]) / step_s
    return places


def duties_in(series: Series, window: Window, places: Floats, delay_s: float, step_s: float) -> list[float]:
    """The duty of each physics step from the window's start to its last entry, NaN with the bridge open."""
    if series.is_coasting is not None and series.is_coasting[window.first]:
        return [math.nan] * math.ceil(places[-1] - 1e-6)
    back = max(0, window.first - 2 - int(delay_s / series.period_s))
    asked = slice(back, window.end)
    times_s = series.time_s[asked] - series.time_s[window.first]
    steps = math.ceil(places[-1] - 1e-6)
    return step_duties(0.0, times_s, np.nan_to_num(series.duty[asked]), delay_s, step_s, steps)


def placed(places: Floats, ran: Floats) -> Floats:
    """A signal that is known after each step, interpolated at `places`."""
    found: Floats = np.interp(places, np.arange(len(ran)), ran)
    return found


def _at(ran: Floats, place: float) -> Floats:
    before = int(place)
    share = place - before
    end: Floats = ran[before] if share < 1e-9 else (1.0 - share) * ran[before] + share * ran[before + 1]
    return end


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


def level_and_slope(times_s: Floats, values: Floats) -> tuple[float, float]:
    """Value and slope at time 0 of the parabola fitted to `values`, or of the line through two of them."""
    level, slope = np.polynomial.polynomial.polyfit(times_s, values, min(2, len(times_s) - 1))[:2]
    return float(level), float(slope)


def guessed_starts(all_series: Sequence[Series], windows: Sequence[Window], model: Model, *, points: int = 5) -> Floats:
    """Start states, shape (windows, 4), from a parabola fitted to `points` readings around each window's start."""
    found = np.zeros((len(windows), START_SIGNALS))
    for row, window in zip(found, windows, strict=True):
        series = all_series[window.series]
        low, high = next((b, e) for b, e in series.stretches() if b <= window.first < e)
        half = points // 2
        begin = min(max(low, window.first - half), max(low, high - points))
        part = slice(begin, min(high, begin + points))
        times_s = series.time_s[part] - series.time_s[window.first]
        for k, signal in ((0, series.position_m), (2, series.angle_rad)):
            values = signal[part]
            row[k], row[k + 1] = level_and_slope(times_s, true_values(values, k, model))
    return found


def true_values(values: Floats, signal: int, model: Model) -> Floats:
    """True positions (`signal` 0) or angles (2) from readings, by `model`."""
    return model.angle_sign * (values - model.angle_zero_rad) if signal == 2 else model.position_sign * values
