"""Multiple shooting: the residuals of a model over windows, and start states corrected to minimise them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import START_SIGNALS, Predictor, Try, Window, measured

Floats = NDArray[np.float64]

START_STEPS = np.array([1e-4, 1e-3, 1e-3, 1e-2])  # m, m/s, rad, rad/s: the differences that derivatives are taken over
START_REACH = np.array([2e-3, 0.1, 0.02, 0.5])  # of one correction, where the residuals leave it free
_MOST_CORRECTIONS = 3
_LEAST_CORRECTION = 0.02  # of `START_STEPS`: a smaller one is left out
_SLOWER = 0.3
_FAR = 1e3  # times the noise: a prediction farther off is as wrong as can be


class Shooting:
    """Multiple shooting over `windows`; `noise` (m, rad) is the unit of the residuals and may be set."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], predictor: Predictor) -> None:
        """`predictor` is for the same windows."""
        self.noise = np.array([1e-3, 5e-3])
        self._predictor = predictor
        self._read = np.concatenate(measured(all_series, windows))
        ends = np.cumsum([window.end - window.first for window in windows])
        self.parts = [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def residuals(self, tries: Sequence[Try]) -> list[Floats]:
        """Predicted minus measured for each of `tries`, in units of the noise, shape (entries, 2); always finite."""
        found = np.stack([runs.readings for runs in self._predictor.run(tries)])
        found -= self._read
        found /= self.noise
        if not np.isfinite(np.sum(found)):
            np.nan_to_num(found, copy=False, nan=_FAR, posinf=_FAR, neginf=-_FAR)
        return list(np.clip(found, -_FAR, _FAR, out=found))

    def residual(self, model: Model, starts: Floats) -> Floats:
        return self.residuals([(model, starts)])[0]

    def slopes_by_starts(self, model: Model, residual: Floats, starts: Floats) -> list[Floats]:
        """The derivative of each window's residual by its start state, shape (2 * entries, 4)."""
        tries = []
        for k in range(START_SIGNALS):
            moved = starts.copy()
            moved[:, k] += START_STEPS[k]
            tries.append((model, moved))
        slopes = [(found - residual) / step for found, step in zip(self.residuals(tries), START_STEPS, strict=True)]
        return [np.column_stack([slope[part].ravel() for slope in slopes]) for part in self.parts]

    def correct_starts(self, model: Model, starts: Floats, slopes: list[Floats]) -> tuple[Floats, Floats]:
        """The residual with corrected start states, and these; `slopes` are the derivatives by them.

        A window whose residual would grow keeps its start state.
        """
        residual = self.residual(model, starts)
        starts = starts.copy()
        pace = np.ones(len(self.parts))
        for _ in range(_MOST_CORRECTIONS):
            changes = pace[:, None] * np.array(
                [step_back(slope, residual[part].ravel()) for slope, part in zip(slopes, self.parts, strict=True)]
            )
            changes[np.max(np.abs(changes) / START_STEPS, axis=1) < _LEAST_CORRECTION] = 0.0  # each window by itself
            if not changes.any():
                break
            tried = self.residual(model, starts - changes)
            is_better = np.array([np.sum(tried[p] ** 2) < np.sum(residual[p] ** 2) for p in self.parts])
            for part, better in zip(self.parts, is_better, strict=True):
                if better:
                    residual[part] = tried[part]
            starts[is_better] -= changes[is_better]
            pace = np.where(is_better, 1.0, _SLOWER * pace)
        return residual, starts


def step_back(slope: Floats, residual: Floats) -> Floats:
    """The change of a start state that explains `residual`, shape (4,) or (4, k), regularised by `START_REACH`.

    A cart held by dry friction hardly shows its start speed: in such a direction the change stays near 0.
    """
    wide = np.vstack([slope, np.diag(1.0 / START_REACH)])
    padding = np.zeros((START_SIGNALS, *residual.shape[1:]))
    found: Floats = np.linalg.lstsq(wide, np.concatenate([residual, padding]), rcond=None)[0]
    return found
