"""The recorded and the simulated motion on one time axis, as pictures and the report show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.open_loop.series import series_of

Floats = NDArray[np.float64]
_PAST, _TUBES, _SPARE = 0.5, 2.0, 0.05
RECORDED, SIMULATED, LIMIT, FAINT = "#1f5a99", "#de8728", "#c0392b", "#b9c4d0"  # distinct to colour-blind readers too


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """Both motions; SI units, time since the recording's first row, angles unwrapped.

    `recorded` has position and angle at each tick, shape (ticks, 2); `duty` what was requested there, NaN where nothing
    was. `run_s` and `simulated` are the free runs in sequence, shapes (entries,) and (entries, 2), with a row of NaN
    between two of them. `simulated_at_ticks` has the simulated position and angle at each tick of the recording,
    `since_s` the time since that run's start; NaN where none runs. Where one run ends as the next begins, the next one
    counts.
    """

    time_s: Floats
    recorded: Floats
    duty: Floats
    run_s: Floats
    simulated: Floats
    simulated_at_ticks: Floats
    since_s: Floats

    @property
    def starts(self) -> NDArray[np.intp]:
        """Indices in `run_s` at which a run begins."""
        before = np.concatenate([[np.nan], self.run_s[:-1]])[: len(self.run_s)]
        return np.flatnonzero(np.isfinite(self.run_s) & np.isnan(before))


def trajectories(comparison: Comparison) -> Trajectories:
    """The two motions of a comparison."""
    series = series_of(comparison.recorded)
    at_ticks, since_s = np.full((len(series), 2), np.nan), np.full(len(series), np.nan)
    times: list[Floats] = []
    values: list[Floats] = []
    for run in sorted(comparison.open_loop.runs, key=lambda run: run.first):
        part = slice(run.first, run.first + len(run.since_s))
        at_ticks[part], since_s[part] = run.simulated, run.since_s
        times += [run.time_s, np.full(1, np.nan)]
        values += [run.simulated, np.full((1, 2), np.nan)]
    return Trajectories(
        time_s=series.time_s,
        recorded=np.column_stack([series.position_m, series.angle_rad]),
        duty=series.duty,
        run_s=np.concatenate(times[:-1]) if times else np.zeros(0),
        simulated=np.concatenate(values[:-1]) if values else np.zeros((0, 2)),
        simulated_at_ticks=at_ticks,
        since_s=since_s,
    )


def shown_range(recorded: Floats, simulated: Floats, tube: float) -> tuple[float, float]:
    """The range of an axis for one signal: everything recorded, but only the beginning of a diverging simulation.

    Simulated values are shown up to half of the recorded range beyond it, or to twice the `tube` if that is more.
    """
    low, high = float(recorded.min()), float(recorded.max())
    room = max(_PAST * (high - low), _TUBES * tube)
    every = np.concatenate([recorded, simulated[np.isfinite(simulated)]])
    lowest, highest = max(low - room, float(every.min())), min(high + room, float(every.max()))
    spare = _SPARE * (highest - lowest) or tube
    return lowest - spare, highest + spare


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Indices of at most `most` of `count` entries, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
