"""Measurements that are slower than the rows: each value stands in several rows, and the motion looks like steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.row_clock import RowClock

_FEWEST = 50
_MOST_OF_THEM = 0.9


def held_rows(position_m: NDArray[np.float64], angle_rad: NDArray[np.float64]) -> float | None:
    """In how many rows, on average, each position and angle stands; None where they change as a motion does.

    Coarse encoders show a value for many rows while the motion is slow and for few while it is fast; a slow measurement
    shows each for the same number of rows, or one more.
    """
    changes = np.nonzero((np.diff(position_m) != 0.0) | (np.diff(angle_rad) != 0.0))[0]
    lengths = np.diff(changes)
    if len(lengths) < _FEWEST:
        return None
    usual = int(np.median(lengths))
    is_usual = (lengths == usual) | (lengths == usual + 1)
    if usual < 2 or is_usual.mean() < _MOST_OF_THEM:
        return None
    return float(lengths[is_usual].mean())


def held_warning(position_m: NDArray[np.float64], angle_rad: NDArray[np.float64], clock: RowClock) -> str | None:
    """The warning that the measurement is slower than the rows, if it is."""
    rows = held_rows(position_m, angle_rad)
    if rows is None:
        return None
    return (
        f"position and angle change only every {rows:.3g} rows: they are measured about every "
        f"{rows * clock.period_s * 1000.0:.3g} ms, and the speeds between are none of the cart's; log at the rate of "
        "the measurement, or keep the first row of each value"
    )
