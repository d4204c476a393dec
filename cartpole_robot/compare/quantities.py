"""The four signals that are compared, and numbers with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Floats = NDArray[np.float64]
_RESAMPLES = 999
_SEED = 0  # the same recordings, the same intervals


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal: its column in a recording, and how it is shown (`factor` times SI, in `unit`)."""

    name: str
    label: str
    factor: float
    unit: str


SIGNALS = (
    Signal(name="cart_position_m", label="cart position", factor=1e3, unit="mm"),
    Signal(name="cart_speed_m_s", label="cart speed", factor=1e3, unit="mm/s"),
    Signal(name="pole_angle_rad", label="pole angle", factor=1e3, unit="mrad"),
    Signal(name="pole_speed_rad_s", label="pole speed", factor=1.0, unit="rad/s"),
)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its 95 % interval; both ends equal the number where the interval is unknown."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Interval:
        return Interval(value=factor * self.value, low=factor * self.low, high=factor * self.high)

    def as_dict(self) -> dict[str, float]:
        return {"value": self.value, "low_95": self.low, "high_95": self.high}


def over_windows(statistic: Callable[..., Any], *columns: Floats) -> Interval:
    """`statistic(*columns, axis=-1)` of columns with one number per window, with its percentile bootstrap."""
    value = float(statistic(*columns, axis=-1))
    if len(columns[0]) < 2 or not np.isfinite(value):
        return Interval(value=value, low=value, high=value)
    found = bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(value=value, low=float(found.low), high=float(found.high))


def root_mean(squares: Floats, counts: Floats, axis: int = -1) -> Any:
    """Root of the mean of `squares`, which are sums over `counts` entries each."""
    return np.sqrt(np.sum(squares, axis=axis) / np.sum(counts, axis=axis))
