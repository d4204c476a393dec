"""Models run through windows on the native engine: all windows of all tries in one call of C."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import START_SIGNALS, Runs, Try, Window

Floats = NDArray[np.float64]


class NativePredictor:
    """Runs models through windows on the native engine; implements `windows.Predictor`."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window]) -> None:
        from cartpole_robot.simulation._native import Windows

        begins = np.cumsum([0, *map(len, all_series)]).tolist()
        self._windows = Windows(
            np.concatenate([series.time_us for series in all_series]) if all_series else np.zeros(0, np.int64),
            np.concatenate([_duties(series) for series in all_series]) if all_series else np.zeros(0),
            [
                (begins[w.series], begins[w.series + 1], begins[w.series] + w.first, begins[w.series] + w.end)
                for w in windows
            ],
        )
        self._shape = (len(windows), sum(window.end - window.first for window in windows))

    def run(self, tries: Sequence[Try]) -> list[Runs]:
        """As `windows.Predictor.run`."""
        windows, entries = self._shape
        carts = [model.cart for model, _ in tries]
        delays_s = np.array([model.delay_s for model, _ in tries], float)
        starts = np.stack([starts for _, starts in tries])
        readings, ends = np.empty((len(tries), entries, 2)), np.empty((len(tries), windows, START_SIGNALS))
        self._windows.run(carts, delays_s, starts, readings, ends)
        return [
            Runs(readings=model.shown(found), ends=end)
            for (model, _), found, end in zip(tries, readings, ends, strict=True)
        ]

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _duties(series: Series) -> Floats:
    """The requested duties, 0 where there was none, NaN with the bridge open."""
    duties = np.nan_to_num(series.duty)
    return duties if series.is_coasting is None else np.where(series.is_coasting, np.nan, duties)
