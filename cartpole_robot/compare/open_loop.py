"""Open loop: the recorded commands in the simulation, which restarts from the recorded state at regular intervals.

A start state comes only from the readings before it: the simulation runs through the 0.3 s before from the state that
fits them best (`open_loop.error.observed_starts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from cartpole_robot.compare.quantities import SIGNALS, Interval, over_windows, root_mean
from cartpole_robot.open_loop.error import observed_starts, predicted, windows_with_past
from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.repeated import Repeated, repeated_on_pybullet
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import START_SIGNALS, Window, measured, thinned
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]
Progress = Callable[[float], object]
HORIZONS_S = (0.1, 0.2, 0.5, 1.0)
_FREE_S = (2.0, 1.0, 0.5, 0.2)  # lengths of a free run, within which it should leave the tube
_FEWEST_STARTS = 8  # two for each quarter
_MOST_STARTS = 400
_SHIFTS_S = np.arange(-60, 61) * 1e-3
_FEWEST_SHIFTED = 5  # entries of a run that remain when its ends are cut off
_FEWEST_RUNS = 3
_RESAMPLES = 500
_CHUNK = 100  # starts between two progress reports


@dataclass(frozen=True, kw_only=True)
class Tube:
    """How far off a simulated cart may be and still count as following the recorded one."""

    position_m: float = 0.01
    angle_rad: float = 0.05


@dataclass(frozen=True, kw_only=True)
class HorizonError:
    """Errors over all windows of one length, end to end; one entry of `rmse` for each of `SIGNALS`, SI units.

    `normalised` is the same over the recorded signal's standard deviation in these windows. Speeds, simulated and
    recorded, are differences over one control period, so that no estimator's lag is mistaken for an error.
    """

    horizon_s: float
    windows: int
    rmse: tuple[Interval, ...]
    normalised: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How long a free run stays in the tube: quartiles in s over all starts, `longest_s` where it never leaves.

    `first_out` counts the runs that left by each signal; the rest, `inside` of `starts`, did not leave.
    """

    tube: Tube
    longest_s: float
    starts: int
    inside: int
    lower_quartile_s: float
    median_s: Interval
    upper_quartile_s: float
    first_out: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class FreeRun:
    """One free run from entry `first` of the series on: (entries, 2) position m and angle rad, simulated and recorded.

    `time_s` counts from the series' first entry, `since_s` from the run's own.
    """

    first: int
    time_s: Floats
    since_s: Floats
    simulated: Floats
    recorded: Floats


@dataclass(frozen=True, kw_only=True)
class OpenLoopComparison:
    """The open-loop result.

    `growth_s` are times since the start of a run, `growth` the RMS error over all runs there, (times, 2): m, rad.
    `later_s` is by how much later than the simulated cart the recorded one responds to its commands: the shift at which
    their speeds correlate best, to the millisecond; None where nothing moves, or no such shift is found.
    `runs` are runs end to end through the recording, for display. `repeated` is what PyBullet makes of the runs of all
    horizons where another engine ran them.
    """

    horizons: tuple[HorizonError, ...]
    fidelity: Fidelity | None
    growth_s: Floats
    growth: Floats
    later_s: Interval | None
    runs: tuple[FreeRun, ...]
    is_thinned: bool
    repeated: Repeated | None


def compare_open_loop(
    series: Series,
    model: Model,
    engine: Engine,
    *,
    tube: Tube | None = None,
    horizons_s: Sequence[float] = HORIZONS_S,
    progress: Progress | None = None,
) -> OpenLoopComparison:
    """The errors of `model` on `series`. A horizon for which the recording is too short has no windows."""
    tube = tube or Tube()
    asked = {h: thinned(windows_with_past([series], h, h), _MOST_STARTS) for h in horizons_s}
    longest_s, free = _free_windows(series)
    everything = [*(w for windows in asked.values() for w in windows), *free]
    starts = _starts([series], model, everything, engine, progress)
    found = predicted([series], model, everything, starts, engine)
    every_run = [
        FreeRun(
            first=w.first,
            time_s=series.seconds(w.first, w.end),
            since_s=series.seconds(w.first, w.end, w.first),
            simulated=simulated,
            recorded=recorded,
        )
        for w, simulated, recorded in zip(everything, found, measured([series], everything), strict=True)
    ]
    at = 0
    errors = []
    shown: tuple[FreeRun, ...] = ()
    for horizon_s, windows in asked.items():
        mine = every_run[at : at + len(windows)]
        at += len(windows)
        errors.append(_horizon_error(horizon_s, mine))
        if windows:  # the longest that there is
            shown = tuple(mine)
    if progress is not None:
        progress(1.0)
    growth_s, growth = _growth(series, every_run[at:])
    return OpenLoopComparison(
        horizons=tuple(errors),
        fidelity=_fidelity(every_run[at:], tube, longest_s),
        growth_s=growth_s,
        growth=growth,
        later_s=_later(shown) if np.nansum(np.abs(series.duty)) > 0.0 else None,
        runs=shown,
        is_thinned=any(len(windows) == _MOST_STARTS for windows in asked.values()),
        repeated=repeated_on_pybullet(engine, [series], model, everything[:at], starts[:at], found[:at]),
    )


def _free_windows(series: Series) -> tuple[float, list[Window]]:
    """The length of free runs, and the runs: the longest of which there are enough, else that with the most runs.

    A recording with many gaps has few long stretches, and a quartile over one start is none.
    """
    found: tuple[float, list[Window]] = (0.0, [])
    for length_s in _FREE_S:
        windows = windows_with_past([series], length_s, length_s / 4.0)
        if len(windows) > len(found[1]):
            found = length_s, windows
        if len(windows) >= _FEWEST_STARTS:
            break
    return found[0], thinned(found[1], _MOST_STARTS)


def _starts(
    all_series: Sequence[Series],
    model: Model,
    windows: Sequence[Window],
    engine: Engine,
    progress: Progress | None,
) -> Floats:
    """Each window's start state; windows with the same beginning share it."""
    firsts = sorted({w.first: w for w in windows}.items())
    starts: dict[int, Floats] = {}
    for begin in range(0, len(firsts), _CHUNK):
        part = firsts[begin : begin + _CHUNK]
        observed = observed_starts(all_series, [window for _, window in part], model, engine)
        starts.update(zip((first for first, _ in part), observed, strict=True))
        if progress is not None:
            progress(0.9 * (begin + len(part)) / len(firsts))
    return np.array([starts[w.first] for w in windows]).reshape(-1, START_SIGNALS)


def _horizon_error(horizon_s: float, runs: Sequence[FreeRun]) -> HorizonError:
    if not runs:
        none = (Interval(value=np.nan, low=np.nan, high=np.nan),) * len(SIGNALS)
        return HorizonError(horizon_s=horizon_s, windows=0, rmse=none, normalised=none)
    rmse, normalised = [], []
    errors = [_four(run.since_s, run.simulated - run.recorded) for run in runs]
    recorded = np.concatenate([_four(run.since_s, run.recorded) for run in runs])
    spreads = np.std(recorded, axis=0)
    counts = np.array([len(error) for error in errors], dtype=float)
    for column, spread in enumerate(spreads):
        squares = np.array([float(np.sum(error[:, column] ** 2)) for error in errors])
        found = over_windows(root_mean, squares, counts)
        rmse.append(found)
        normalised.append(found.scaled(1.0 / spread if spread > 0.0 else np.nan))
    return HorizonError(horizon_s=horizon_s, windows=len(runs), rmse=tuple(rmse), normalised=tuple(normalised))


def _four(time_s: Floats, pair: Floats) -> Floats:
    """Position, speed, angle, speed of all entries but the first, shape (entries - 1, 4)."""
    slopes = np.diff(pair, axis=0) / np.diff(time_s)[:, None]
    return np.column_stack([pair[1:, 0], slopes[:, 0], pair[1:, 1], slopes[:, 1]])


def _fidelity(runs: Sequence[FreeRun], tube: Tube, longest_s: float) -> Fidelity | None:
    if not runs:
        return None
    times, outs = [], {"cart_position_m": 0, "pole_angle_rad": 0}
    reach = np.array([tube.position_m, tube.angle_rad])
    for run in runs:
        is_out = ~(np.abs(run.simulated - run.recorded) <= reach)
        where = np.flatnonzero(is_out.any(axis=1))
        if not len(where):
            times.append(longest_s)
            continue
        times.append(float(run.since_s[where[0]]))
        outs["cart_position_m" if is_out[where[0], 0] else "pole_angle_rad"] += 1
    column = np.array(times)
    lower, upper = np.percentile(column, (25.0, 75.0)).tolist()
    return Fidelity(
        tube=tube,
        longest_s=longest_s,
        starts=len(runs),
        inside=len(runs) - sum(outs.values()),
        lower_quartile_s=lower,
        median_s=over_windows(np.median, column),
        upper_quartile_s=upper,
        first_out=outs,
    )


def _growth(series: Series, runs: Sequence[FreeRun]) -> tuple[Floats, Floats]:
    """Times since the start, and the RMS error over all runs there."""
    if not runs:
        return np.zeros(0), np.zeros((0, 2))
    entries = min(len(run.since_s) for run in runs)
    squares = np.mean([(run.simulated - run.recorded)[:entries] ** 2 for run in runs], axis=0)
    growth: Floats = np.sqrt(squares)
    return np.arange(float(entries)) * series.period_s, growth


def _later(runs: Sequence[FreeRun]) -> Interval | None:
    """The shift at which simulated and recorded speeds correlate best over all runs, with its bootstrap interval."""
    products, squares = [], []
    for run in runs:
        speeds = np.diff(np.column_stack([run.simulated[:, 0], run.recorded[:, 0]]), axis=0)
        speeds /= np.diff(run.since_s)[:, None]
        middle_s = 0.5 * (run.since_s[1:] + run.since_s[:-1])
        inside = (middle_s >= middle_s[0] + _SHIFTS_S[-1]) & (middle_s <= middle_s[-1] - _SHIFTS_S[-1])
        if np.count_nonzero(inside) < _FEWEST_SHIFTED:
            continue
        shifted = CubicSpline(middle_s, speeds[:, 0])(middle_s[inside] - _SHIFTS_S[:, None])
        products.append(shifted @ speeds[inside, 1])
        squares.append(np.sum(shifted**2, axis=1))
    if len(products) < _FEWEST_RUNS or not np.any(squares):
        return None
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(products), np.full(len(products), 1.0 / len(products)), size=_RESAMPLES)
    every = np.vstack([np.ones(len(products)), weights])
    places = np.argmax((every @ products) / np.sqrt(np.maximum(every @ squares, 1e-30)), axis=1)
    if not 0 < places[0] < len(_SHIFTS_S) - 1:
        return None  # the best shift is outside the range: this is no delay
    best = _SHIFTS_S[places]
    low, high = np.percentile(best[1:], (2.5, 97.5)).tolist()
    return Interval(value=float(best[0]), low=low, high=high)
