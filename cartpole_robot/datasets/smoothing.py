"""Speeds and accelerations from positions: slope and curvature of a polynomial fitted to neighbouring rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from cartpole_robot.datasets.row_clock import RowClock

Numbers = NDArray[np.float64]

_WINDOW_S = 0.12  # a few times shorter than a pole's motion, long enough to smooth a potentiometer's steps
_DEGREE = 3


def smoothed(values: Numbers, clock: RowClock) -> tuple[Numbers, Numbers, Numbers]:
    """Value, first and second time derivative of each row, from cubics fitted to 0.12 s around it (Savitzky-Golay).

    Each has shape (rows,). No window spans a gap; rows too near to a gap or an end are NaN.
    """
    window = window_rows(clock)
    found = tuple(np.full(len(values), np.nan) for _ in range(3))
    for piece in clock.pieces():
        if piece.stop - piece.start < window:
            continue
        inner = slice(piece.start + window // 2, piece.stop - window // 2)
        for order, column in enumerate(found):
            whole = savgol_filter(values[piece], window, _DEGREE, deriv=order, delta=clock.period_s)
            column[inner] = whole[window // 2 : len(whole) - window // 2]
    return found[0], found[1], found[2]


def slopes(values: Numbers, clock: RowClock) -> Numbers:
    """The speed at each row, (rows,), with the same window; at the ends of a piece the nearest fit is evaluated there.

    NaN for a single row between two gaps: one position has no slope.
    """
    found = np.full(len(values), np.nan)
    for piece in clock.pieces():
        rows = piece.stop - piece.start
        window = min(window_rows(clock), rows - 1 + rows % 2)
        if window > _DEGREE:
            found[piece] = savgol_filter(values[piece], window, _DEGREE, deriv=1, delta=clock.period_s)
        elif rows > 1:
            found[piece] = np.gradient(values[piece], clock.period_s)
    return found


def window_rows(clock: RowClock) -> int:
    """The rows of a smoothing window, an odd number."""
    return max(_DEGREE + 2, 2 * round(_WINDOW_S / clock.period_s / 2.0) + 1)
