"""Least squares that leaves out rows that no motion explains, such as those in a potentiometer's gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SPREADS = 6.0  # robust standard deviations: a row further from the fit is not part of the motion
_ROUNDS = 20
_FEWEST = 0.5  # of the rows always stay
_ENOUGH = 100_000  # rows; more show no more


class Fit(NamedTuple):
    """`coefficients` (columns,), the root mean square of what is left, and which rows were used, (rows,)."""

    coefficients: NDArray[np.float64]
    rms: float
    is_used: NDArray[np.bool_]


def few_rows(is_known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows that `is_known`, evenly thinned out where a long recording has more than a fit needs."""
    rows = np.nonzero(is_known)[0]
    return rows[:: 1 + (len(rows) - 1) // _ENOUGH]


def trimmed_fit(columns: NDArray[np.float64], target: NDArray[np.float64]) -> Fit:
    """`target` (rows,) as a sum of `columns` (rows, columns), without the rows far from the fit, found iteratively.

    Rows with a NaN are not used.
    """
    is_known = np.isfinite(target) & np.isfinite(columns).all(axis=1)
    is_used = is_known.copy()
    for _ in range(_ROUNDS):
        fit = plain_fit(columns, target, is_used)
        distance = np.abs(target - columns @ fit.coefficients)
        spread = 1.4826 * float(np.median(distance[is_used]))
        limit = max(_SPREADS * spread, float(np.quantile(distance[is_known], _FEWEST)), 1e-9)
        is_near = is_known & (np.nan_to_num(distance, nan=np.inf) <= limit)
        if (is_near == is_used).all():
            break
        is_used = is_near
    return plain_fit(columns, target, is_used)


def plain_fit(columns: NDArray[np.float64], target: NDArray[np.float64], is_used: NDArray[np.bool_]) -> Fit:
    """`target` (rows,) as a sum of `columns` (rows, columns), fitted to the rows that `is_used`."""
    coefficients = np.linalg.lstsq(columns[is_used], target[is_used], rcond=None)[0].astype(np.float64)
    rest = target[is_used] - columns[is_used] @ coefficients
    return Fit(coefficients, float(np.sqrt(np.mean(np.square(rest)))), is_used)
