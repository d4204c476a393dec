"""How much of the gap each single term of the simulation explains, at its own best value.

The gap is the squared error over windows of half a second, each from the start state that fits the model best (multiple
shooting, as in `identify`): what a wrong start state could explain does not count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.identify.search import Search
from cartpole_robot.open_loop.error import farthest_m
from cartpole_robot.open_loop.lost_steps import jumps_in
from cartpole_robot.open_loop.model import TERMS, Model, Term, freed, with_room
from cartpole_robot.open_loop.predictor import predictor_on
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Shooting, step_back
from cartpole_robot.open_loop.windows import Window, by_window, guessed_starts, thinned, windows_of
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.workers import WorkerPool

Floats = NDArray[np.float64]
Progress = Callable[[float], object]
WINDOW_S = 0.5
MOST_WINDOWS = 30
_GRID = (-0.8, -0.4, -0.15, 0.0, 0.15, 0.4, 0.8, 1.6)  # of a term's size, about the simulation's value
_MOST_CORRECTIONS = 6  # of the start states
_STALLED = 0.98  # of the error before a correction: with more left, the next one gains nothing
_FAR_GRID = (-20.0, -12.0, -6.0, -3.0, 3.0, 6.0, 12.0, 20.0)  # of an angle's zero, which an import may have far off
ENCODER_SIGN = "encoder_sign"
ANGLE_ZERO = "angle_zero"
LOST_STEPS = "lost_steps"


@dataclass(frozen=True, kw_only=True)
class _Effort:
    """How much an attribution tries: windows, searches from the grid's best values, and the steps of a search."""

    windows: int
    searches: int
    steps: int
    multistart_steps: int | None


_EFFORTS = {
    Engine.NATIVE: _Effort(windows=MOST_WINDOWS, searches=2, steps=15, multistart_steps=5),
    Engine.PYBULLET: _Effort(windows=10, searches=1, steps=4, multistart_steps=None),  # a hundred times slower
}
BLAMED = (
    "delay",
    "motor_gain",
    "cart_mass",
    "damping",
    "coulomb",
    "dead_zone",
    "gain_asymmetry",
    "dead_zone_asymmetry",
    "pole_viscous",
    "pole_length",
    ANGLE_ZERO,
    ENCODER_SIGN,
)
BLAMED_OF_A_STEPPER = (
    *("delay", "settling", "steps_per_m", "pole_viscous", "pole_coulomb", "pole_length", ANGLE_ZERO, ENCODER_SIGN),
    LOST_STEPS,
)


def blamed_of(cart: CartParams) -> tuple[str, ...]:
    """The terms that can be to blame on a cart with that drive."""
    return BLAMED if cart.stepper is None else BLAMED_OF_A_STEPPER


@dataclass(frozen=True, kw_only=True)
class Blame:
    """One term: its value in the simulation, the best value of it alone, SI, and the share of the gap that explains.

    For `encoder_sign` and `lost_steps` the values are text.
    """

    term: str
    label: str
    unit: str
    in_simulation: float | str
    best: float | str
    explained: float


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """All terms, the one that explains most first. `gap` is the RMS error (m, rad) to explain."""

    blames: tuple[Blame, ...]
    gap: tuple[float, float]
    windows: int
    window_s: float


def attribute(
    series: Series,
    model: Model,
    engine: Engine,
    *,
    terms: Sequence[str] | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> Attribution | None:
    """The `terms` by what they explain of `model`'s gap to `series`; None for a recording that is too short.

    `terms` None: those of the cart's drive.
    """
    terms = terms or blamed_of(model.cart)
    windows = thinned(windows_of([series], WINDOW_S), _EFFORTS[engine].windows)
    if not windows:
        return None
    arguments = ([series], windows, with_room(freed(model), farthest_m([series])), engine)
    if workers:
        with WorkerPool(workers, _begin_worker, *arguments) as pool:
            futures = {pool.submit(_blame_here, name): name for name in terms}
            blames = []
            for done in as_completed(futures):
                blames.append(done.result())
                if progress is not None:
                    progress(len(blames) / len(terms))
            gap = pool.submit(_gap_here).result()
    else:
        judge = _Judge(*arguments)
        try:
            blames = [judge.blame(name) for name in terms]
            gap = judge.gap
        finally:
            judge.close()
    blames.sort(key=lambda blame: (-blame.explained, terms.index(blame.term)))
    return Attribution(blames=tuple(blames), gap=gap, windows=len(windows), window_s=WINDOW_S)


class _Judge:
    """Tries values of the terms."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], model: Model, engine: Engine) -> None:
        self._all_series, self._windows, self._model = all_series, windows, model
        self._effort = _EFFORTS[engine]
        self._predictor = predictor_on(engine, all_series, windows, model.cart)
        self._shooting = Shooting(all_series, windows, self._predictor)
        self._starts, self._slopes, residual = self._begun(model)
        self._residual = residual
        self._error = float(np.sum(residual**2))
        rms = np.sqrt(np.mean(residual**2, axis=0)) * self._shooting.noise
        self.gap = (float(rms[0]), float(rms[1]))

    def _begun(self, model: Model) -> tuple[Floats, list[Floats], Floats]:
        """Start states corrected until that gains nothing, the residual's derivatives by them, and the residual."""
        starts = guessed_starts(self._all_series, self._windows, model)
        residual = self._shooting.residual(model, starts)
        for _ in range(_MOST_CORRECTIONS):
            before = float(np.sum(residual**2))
            slopes = self._shooting.slopes_by_starts(model, residual, starts)
            residual, starts = self._shooting.correct_starts(model, starts, slopes)
            if np.sum(residual**2) > _STALLED * before:
                break
        return starts, slopes, residual

    def _guessed_errors(self, models: Sequence[Model]) -> list[float]:
        """Squared errors after corrected start states, estimated by the known derivatives: one run each.

        A model that the plant cannot represent has an infinite error.
        """
        try:
            residuals = self._shooting.residuals([(model, self._starts) for model in models])
        except ValueError:
            return [np.inf] * len(models) if len(models) == 1 else [self._guessed_errors([m])[0] for m in models]
        errors = []
        for residual in residuals:
            corrected = (
                mine - slope @ step_back(slope, mine)
                for slope, mine in (
                    (s, residual[p].ravel()) for s, p in zip(self._slopes, self._shooting.parts, strict=True)
                )
            )
            errors.append(sum(float(np.sum(rest**2)) for rest in corrected))
        return errors

    def blame(self, name: str) -> Blame:
        if name == ENCODER_SIGN:
            return self._sign_blame()
        if name == LOST_STEPS:
            return self._steps_blame()
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
        """The best value and its squared error, by searches of this term alone from the best values of a grid."""
        size = term.size(self._model)
        shares = (*_GRID, *_FAR_GRID) if term.name == ANGLE_ZERO else _GRID
        grid = sorted({min(max(now + share * size, term.low), term.high) for share in shares})
        models = [term.write(self._model, value) for value in grid]
        order = np.argsort(self._guessed_errors(models), kind="stable")[: self._effort.searches]
        search = Search(self._shooting, [term], self._model)
        try:
            points = [search.iterate(models[k], self._begun(models[k])[0]) for k in order]
            found = min(search.minimize(points, self._effort.steps, lambda: None), key=lambda point: point.cost)
            if self._effort.multistart_steps is not None:
                found = search.multistart(found, self._effort.multistart_steps, lambda: None)
        except ValueError:  # the search met a model that no cart can have
            return now, self._error
        error = float(np.sum(self._shooting.residual(found.model, found.starts) ** 2))
        return (term.read(found.model), error) if error < self._error else (now, self._error)

    def _sign_blame(self) -> Blame:
        """The best of the three ways in which encoders may be reversed."""
        best, best_signs = self._error, "as simulated"
        for angle_sign, position_sign, signs in (
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
                best, best_signs = error, signs
        return Blame(
            term=ENCODER_SIGN,
            label="encoder signs",
            unit="",
            in_simulation="as simulated",
            best=best_signs,
            explained=self._share(best),
        )

    def _steps_blame(self) -> Blame:
        """The jumps of the cart against its count of steps that explain windows which stand out."""
        residuals = by_window(self._windows, self._residual)
        jumps = jumps_in(self._all_series, self._windows, self._model, residuals, self._slopes, self._shooting.noise)
        found = "none"
        if jumps:
            most_mm = 1e3 * max(abs(jump.distance_m) for jump in jumps)
            found = f"{len(jumps)} jump{'s' if len(jumps) > 1 else ''}, up to {most_mm:.0f} mm"
        return Blame(
            term=LOST_STEPS,
            label="a cart that jumps (lost steps)",
            unit="",
            in_simulation="none",
            best=found,
            explained=self._share(self._error - sum(jump.explained for jump in jumps)),
        )

    def close(self) -> None:
        self._predictor.close()


_judge: _Judge | None = None  # of a worker process


def _begin_worker(all_series: Sequence[Series], windows: Sequence[Window], model: Model, engine: Engine) -> None:
    global _judge
    _judge = _Judge(all_series, windows, model, engine)


def _blame_here(name: str) -> Blame:
    assert _judge is not None
    return _judge.blame(name)


def _gap_here() -> tuple[float, float]:
    assert _judge is not None
    return _judge.gap
