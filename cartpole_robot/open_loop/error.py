"""Prediction error of a model that runs from the recorded state under the recorded commands."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.model import Model, freed, with_room
from cartpole_robot.open_loop.predictor import predictor_on
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Shooting
from cartpole_robot.open_loop.windows import START_SIGNALS, Window, by_window, guessed_starts, measured
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]
PAST_S = 0.3  # how far an observer looks back
_FEWEST_BEFORE = 4  # entries in it, however long the control period
_OBSERVATIONS = 2  # rounds of derivatives


@dataclass(frozen=True, kw_only=True)
class OpenLoopError:
    """Root mean square errors over all windows of one series: position m, angle rad; NaN where it has no window."""

    series: str
    windows: int
    position_m: float
    angle_rad: float


def observed_starts(all_series: Sequence[Series], windows: Sequence[Window], observer: Model, engine: Engine) -> Floats:
    """True start states, shape (windows, 4), estimated from the readings up to each window's first entry.

    `observer` runs through the `PAST_S` before the window, from the state that fits these readings best; the state it
    reaches is the start. It knows the commands, but nothing that comes after.
    """
    if not windows:
        return np.zeros((0, START_SIGNALS))
    past = [
        Window(
            series=window.series,
            first=window.first - _entries_before(all_series[window.series]),
            end=window.first + 1,
        )
        for window in windows
    ]
    observer = with_room(freed(observer), farthest_m(all_series))
    with contextlib.closing(predictor_on(engine, all_series, past, observer.cart)) as predictor:
        starts = guessed_starts(all_series, past, observer)
        shooting = Shooting(all_series, past, predictor)
        for _ in range(_OBSERVATIONS):
            slopes = shooting.slopes_by_starts(observer, shooting.residual(observer, starts), starts)
            _, starts = shooting.correct_starts(observer, starts, slopes)
        (runs,) = predictor.run([(observer, starts)])
        return runs.ends


def farthest_m(all_series: Sequence[Series]) -> float:
    """The largest measured distance of a cart from the middle."""
    return max((float(np.max(np.abs(series.position_m), initial=0.0)) for series in all_series), default=0.0)


def windows_with_past(all_series: Sequence[Series], length_s: float, stride_s: float) -> list[Window]:
    """Whole windows of `length_s`, one every `stride_s`, each after `PAST_S` of readings without a gap."""
    found: list[Window] = []
    for number, series in enumerate(all_series):
        size = max(2, round(length_s / series.period_s)) + 1
        stride = max(1, round(stride_s / series.period_s))
        for begin, end in series.stretches():
            firsts = range(begin + _entries_before(series), end - size + 1, stride)
            found.extend(Window(series=number, first=first, end=first + size) for first in firsts)
    return found


def _entries_before(series: Series) -> int:
    return max(_FEWEST_BEFORE, round(PAST_S / series.period_s))


def observed_errors(
    all_series: Sequence[Series], models: Sequence[Model], length_s: float, observer: Model, engine: Engine
) -> list[list[OpenLoopError]]:
    """The errors of each of `models` for each series, with a start every fifth of `length_s`.

    All models start from the same states, which `observer` estimates.
    """
    windows = windows_with_past(all_series, length_s, length_s / 5.0)
    starts = observed_starts(all_series, windows, observer, engine)
    return [errors_of(all_series, windows, predicted(all_series, model, windows, starts, engine)) for model in models]


def errors_of(all_series: Sequence[Series], windows: Sequence[Window], found: Sequence[Floats]) -> list[OpenLoopError]:
    """The errors for each series of what a model was `found` to predict for its `windows`: see `predicted`."""
    squares: list[list[Floats]] = [[] for _ in all_series]
    for window, mine, read in zip(windows, found, measured(all_series, windows), strict=True):
        squares[window.series].append((mine - read)[1:] ** 2)
    return [
        OpenLoopError(series=series.name, windows=len(mine), **_root_means(mine))
        for series, mine in zip(all_series, squares, strict=True)
    ]


def predicted(
    all_series: Sequence[Series], model: Model, windows: Sequence[Window], starts: Floats, engine: Engine
) -> list[Floats]:
    """The readings that `model` predicts for each window from `starts`, shape (windows, 4): (entries, 2) each.

    The track reaches at least as far as any measured position.
    """
    if not windows:
        return []
    model = with_room(freed(model), farthest_m(all_series))
    with contextlib.closing(predictor_on(engine, all_series, windows, model.cart)) as predictor:
        (runs,) = predictor.run([(model, starts)])
    return by_window(windows, runs.readings)


def _root_means(squares: list[Floats]) -> dict[str, float]:
    if not squares:
        return {"position_m": math.nan, "angle_rad": math.nan}
    position, angle = np.sqrt(np.mean(np.concatenate(squares), axis=0)).tolist()
    return {"position_m": position, "angle_rad": angle}
