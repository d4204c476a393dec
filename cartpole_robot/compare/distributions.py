"""How differently two recordings are distributed over each signal: the Wasserstein distance, which ignores time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.recording.format import Recording


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The first Wasserstein distance of one signal in its SI unit, and over the recorded signal's standard deviation.

    It is the mean distance by which the simulated values must move to have the distribution of the recorded ones.
    `normalised` is NaN for a constant signal.
    """

    signal: str
    distance: float
    normalised: float


def distances(simulated: Recording, recorded: Recording) -> tuple[Distance, ...]:
    """One for each of `SIGNALS`; angles as recorded."""
    found = []
    for signal in SIGNALS:
        ours, theirs = simulated.column(signal.name).astype(float), recorded.column(signal.name).astype(float)
        distance = float(wasserstein_distance(ours, theirs))
        spread = float(np.std(theirs))
        found.append(
            Distance(signal=signal.name, distance=distance, normalised=distance / spread if spread > 0.0 else np.nan)
        )
    return tuple(found)
