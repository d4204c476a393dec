"""Which single term of the simulation explains how much of the gap, each put at its own best value.

The gap is the squared error over windows of half a second, each started where the model at hand does best (multiple
shooting, as in `identify`): what a wrong start state could explain is no gap.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.identify.fit import Fit
from cartpole_robot.identify.model import TERMS, Model, Term, freed, with_room
from cartpole_robot.identify.open_loop_error import farthest_m
from cartpole_robot.identify.series import Series
from cartpole_robot.identify.shooting import Shooting, step_back
from cartpole_robot.identify.windows import Predictor, Window, guessed_starts, windows_of

Floats = NDArray[np.float64]
Progress = Callable[[float], object]
WINDOW_S = 0.5
MOST_WINDOWS = 30
_GRID = (-0.8, -0.4, -0.15, 0.0, 0.15, 0.4, 0.8, 1.6)  # of a term's size, about the simulation's value
_ITERATIONS = 8
_MENDINGS = 6  # rounds at most
_MENDED = 0.98  # of the error that a round left: the next brings nothing
_SHORTEST = 0.4  # of the pole's length: the shortest that is tried
ENCODER_SIGN = "encoder_sign"
BLAMED = (
    "delay",
    "motor_gain",
    "cart_mass",
    "damping",
    "coulomb",
    "dead_zone",
    "pole_viscous",
    "pole_length",
    "angle_zero",
    ENCODER_SIGN,
)


@dataclass(frozen=True, kw_only=True)
class Blame:
    """One term: its value in the simulation and the one that is best alone, SI, and the share of the gap it explains.

    For `encoder_sign` the values are words.
    """

    term: str
    label: str
    unit: str
    in_simulation: float | str
    best: float | str
    explained: float


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """All terms, the one that explains most first. `gap` is the RMS error (m, rad) that there is to explain."""

    blames: tuple[Blame, ...]
    gap: tuple[float, float]
    windows: int
    window_s: float


def attribute(
    series: Series, model: Model, *, workers: int = 2, progress: Progress | None = None
) -> Attribution | None:
    """The terms by what they explain of `model`'s gap to `series`; None where the recording is too short to say."""
    windows = windows_of([series], WINDOW_S)
    if len(windows) > MOST_WINDOWS:
        windows = [windows[k] for k in np.linspace(0, len(windows) - 1, MOST_WINDOWS).round().astype(int)]
    if not windows:
        return None
    arguments = ([series], windows, with_room(freed(model), farthest_m([series])))
    if workers:
        with ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_worker,
            initargs=arguments,
        ) as pool:
            futures = {pool.submit(_blame_here, name): name for name in BLAMED}
            blames = []
            for done in as_completed(futures):
                blames.append(done.result())
                if progress is not None:
                    progress(len(blames) / len(BLAMED))
            gap = pool.submit(_gap_here).result()
    else:
        judge = _Judge(*arguments)
        try:
            blames = [judge.blame(name) for name in BLAMED]
            gap = judge.gap
        finally:
            judge.close()
    blames.sort(key=lambda blame: (-blame.explained, BLAMED.index(blame.term)))
    return Attribution(blames=tuple(blames), gap=gap, windows=len(windows), window_s=WINDOW_S)


class _Judge:
    """Holds one plant and tries values in it."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], model: Model) -> None:
        length = TERMS["pole_length"]
        shortest = length.write(model, _SHORTEST * length.read(model)).cart
        self._all_series, self._windows, self._model = all_series, windows, model
        self._predictor = Predictor(all_series, windows, shortest)
        self._shooting = Shooting(
            all_series,
            windows,
            lambda tries: [np.concatenate(self._predictor.predict(model, at)) for model, at in tries],
        )
        self._starts, self._slopes, residual = self._begun(model)
        self._error = float(np.sum(residual**2))
        rms = np.sqrt(np.mean(residual**2, axis=0)) * self._shooting.noise
        self.gap = (float(rms[0]), float(rms[1]))

    def _begun(self, model: Model) -> tuple[Floats, list[Floats], Floats]:
        """Start states, the residual's slopes by them, and the residual, mended until that brings nothing more."""
        starts = guessed_starts(self._all_series, self._windows, model)
        residual = self._shooting.residual(model, starts)
        for _ in range(_MENDINGS):
            before = float(np.sum(residual**2))
            slopes = self._shooting.slopes_by_starts(model, residual, starts)
            residual, starts = self._shooting.mended(model, starts, slopes)
            if np.sum(residual**2) > _MENDED * before:
                break
        return starts, slopes, residual

    def _guessed_error(self, model: Model) -> float:
        """Squared error, less what changes of the start states could mend by the slopes there are: one run.

        A model that no plant can be is as bad as can be.
        """
        try:
            residual = self._shooting.residual(model, self._starts)
        except ValueError:
            return np.inf
        error = 0.0
        for slope, part in zip(self._slopes, self._shooting.parts, strict=True):
            mine = residual[part].ravel()
            error += float(np.sum((mine - slope @ step_back(slope, mine)) ** 2))
        return error

    def blame(self, name: str) -> Blame:
        """What the term of that name explains."""
        if name == ENCODER_SIGN:
            return self._sign_blame()
        term = TERMS[name]
        now = term.read(self._model)
        best, error = self._best(term, now)
        return Blame(
            term=name,
            label=term.label,
            unit=term.unit,
            in_simulation=now,
            best=best,
            explained=self._share(error),
        )

    def _share(self, error: float) -> float:
        return max(0.0, 1.0 - error / self._error) if self._error > 0.0 else 0.0

    def _best(self, term: Term, now: float) -> tuple[float, float]:
        """The best value and its squared error: the most promising of a grid, and a fit of this term from there."""
        size = term.size(self._model)
        grid = sorted({min(max(now + share * size, term.low), term.high) for share in _GRID})
        errors = [self._guessed_error(term.write(self._model, value)) for value in grid]
        begin = term.write(self._model, grid[int(np.argmin(errors))])
        try:
            with Fit(self._all_series, self._windows, begin, [term], workers=0) as fit:
                found = fit.run(rounds=1, most_iterations=_ITERATIONS)
        except ValueError:  # the search came to what no plant can be
            return now, self._error
        entries = sum(window.end - window.first for window in self._windows)
        error = entries * float(np.sum((np.array(found.noise) / self._shooting.noise) ** 2))
        return (term.read(found.model), error) if error < self._error else (now, self._error)

    def _sign_blame(self) -> Blame:
        """Of the three ways in which encoders may count the other way round, the best."""
        best, words = self._error, "as simulated"
        for angle_sign, position_sign, told in (
            (-1, 1, "the pole's reversed"),
            (1, -1, "the cart's reversed"),
            (-1, -1, "both reversed"),
        ):
            model = dataclasses.replace(
                self._model,
                angle_sign=angle_sign * self._model.angle_sign,
                position_sign=position_sign * self._model.position_sign,
            )
            error = float(np.sum(self._begun(model)[2] ** 2))
            if error < best:
                best, words = error, told
        return Blame(
            term=ENCODER_SIGN,
            label="encoder signs",
            unit="",
            in_simulation="as simulated",
            best=words,
            explained=self._share(best),
        )

    def close(self) -> None:
        """Release the plant."""
        self._predictor.close()


_judge: _Judge | None = None  # of a worker process


def _begin_worker(all_series: Sequence[Series], windows: Sequence[Window], model: Model) -> None:
    global _judge
    _judge = _Judge(all_series, windows, model)


def _blame_here(name: str) -> Blame:
    assert _judge is not None
    return _judge.blame(name)


def _gap_here() -> tuple[float, float]:
    assert _judge is not None
    return _judge.gap
