"""Least-squares fit of a model's terms to windows, with the windows' start states eliminated.

The residual is predicted minus measured over a whole window (output error), each signal in units of its own noise.
Short windows come first: in them a wrong model diverges less, and the search is less often caught where dry friction
holds the cart. Their result is where the search in the whole windows begins. The search runs on the plant's NumPy twin;
the plant itself, run through all windows, decides at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from cartpole_robot.cart.params import CartParams
from cartpole_robot.identify.search import WIDE_DIFFERENCE_STEP, Iterate, Search
from cartpole_robot.open_loop.model import TERMS, Model, Term, freed
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Predict, Shooting
from cartpole_robot.open_loop.twin import Twin, twin_knows
from cartpole_robot.open_loop.windows import Predictor, Window, guessed_starts, pieces_of
from cartpole_robot.simulation.workers import WorkerPool

Floats = NDArray[np.float64]
Progress = Callable[[float], object]

_MULTISTARTS = 2  # at most
_MULTISTART_TOLERANCE = 1e-3  # of the cost: one that decreases it less is the last
_MULTISTART_STEPS = 5
_PIECES = 3  # that the shortest window is cut into for the first search
_ROUNDS = 2  # of weighting the signals again, in the whole windows
_ROUNDS_IN_PIECES = 2
_PLANT_STEPS = 5  # at most, where plant and twin do not agree at the result
_TRIED = 1e-2  # of a term's size: how far from the start plant and twin are compared
_BEFORE_THE_END = 0.9  # of the track: at its ends the twin does not match the plant to floating-point rounding
_SAME_COST = 1e-3  # of the sum of squares
_BLOCK_S = 0.5  # residuals farther apart than this are hardly correlated
_SHORTEST = 0.6  # of the pole's length
_STANDARD_95 = 0.975


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A term's value, and the 95 % interval about it, in the term's unit."""

    term: Term
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The model that fits the recordings.

    `noise` is the residuals' root mean square for position (m) and angle (rad); `starts` the windows' start states.
    """

    model: Model
    estimates: tuple[Estimate, ...]
    noise: tuple[float, float]
    starts: Floats
    simulations: int
    correlation: Floats


_predictor: Predictor | None = None  # of a worker process


def _begin_worker(all_series: Sequence[Series], windows: Sequence[Window], loaded: CartParams) -> None:
    global _predictor
    _predictor = Predictor(all_series, windows, loaded)


def _predict(model: Model, starts: Floats) -> Floats:
    assert _predictor is not None
    return np.concatenate(_predictor.predict(model, starts))


class Fit:
    """One fit of `terms` to windows; a context manager, for it may hold worker processes."""

    def __init__(
        self,
        all_series: Sequence[Series],
        windows: Sequence[Window],
        begin: Model,
        terms: Sequence[Term],
        workers: int = 2,
    ) -> None:
        """The search begins at `begin`. `workers` run a plant without a twin; with 0 this process runs it."""
        self._series, self._windows = list(all_series), list(windows)
        self._terms = list(terms)
        self._begin = freed(begin)
        self._workers = workers
        self._plant = Predictor(all_series, windows, _shortest(self._begin))
        self._pool: WorkerPool | None = None
        self.simulations = 0
        self.has_twin = self._is_plant_like_twin()

    def _is_plant_like_twin(self) -> bool:
        """Whether plant and twin agree for this cart and for a change of each term."""
        end_m = self._begin.cart.limits.end_stop_m
        free = [w for w in self._windows if end_m is None or self._farthest_m(w) < _BEFORE_THE_END * end_m]
        if not free:
            return False
        begin = self._begin
        moved = (
            term.write(begin, min(term.high, term.read(begin) + _TRIED * term.size(begin))) for term in self._terms
        )
        return twin_knows(self._series, free, [begin, *moved], _shortest(begin))

    def _farthest_m(self, window: Window) -> float:
        return float(np.max(np.abs(self._series[window.series].position_m[window.first : window.end])))

    @property
    def _step_s(self) -> float:
        return self._begin.cart.timing.physics_step_s

    def run(self, *, progress: Progress | None = None, most_iterations: int = 25, rounds: int = _ROUNDS) -> Fitted:
        """The best model. Raises ValueError where the plant cannot represent the search's result."""
        meter = _ProgressMeter(progress, 3 * _ROUNDS_IN_PIECES + rounds, most_iterations)
        shortest = min(window.end - 1 - window.first for window in self._windows)
        model, noise = self._begin, None
        known: dict[tuple[int, int], Floats] = {}
        stages = [
            pieces_of(self._windows, length) for length in (max(3, round(shortest / _PIECES)), shortest, 2 * shortest)
        ]
        for windows in (*(stage for stage in stages if len(stage) > len(self._windows)), self._windows):
            starts = guessed_starts(self._series, windows, model)
            for row, window in zip(starts, windows, strict=True):
                row[:] = known.get((window.series, window.first), row)
            shooting = Shooting(self._series, windows, self._predictions_of(windows))
            if noise is not None:
                shooting.noise = noise
            search = Search(shooting, self._terms, self._begin)
            point = search.iterate(model, starts)
            for _ in range(rounds if windows is self._windows else _ROUNDS_IN_PIECES):
                (point,) = search.minimize([point], most_iterations, meter.step)
                meter.end_round()
                noise = shooting.noise = search.noise(point.residuals * shooting.noise)
                point = search.iterate(point.model, point.starts)
            for _ in range(_MULTISTARTS if windows is self._windows and self.has_twin else 0):
                before, point = point, search.multistart(point, _MULTISTART_STEPS, meter.step)
                if before.cost - point.cost < _MULTISTART_TOLERANCE * before.cost:
                    break
            model = point.model
            known = {(w.series, w.first): start for w, start in zip(windows, point.starts, strict=True)}
        fitted = self._fitted(*self._of_plant(shooting, search, point))
        if progress is not None:
            progress(1.0)
        return fitted

    def _of_plant(self, shooting: Shooting, search: Search, point: Iterate) -> tuple[Shooting, Search, Iterate]:
        """The point with the plant's residuals; where they differ from the twin's, after a search with the plant."""
        if not self.has_twin:
            return shooting, search, point
        here = Shooting(self._series, self._windows, self._plant_predictions)
        here.noise = shooting.noise
        seen = search.with_residuals(point, here.residual(point.model, point.starts))
        if abs(seen.cost - point.cost) < _SAME_COST * point.cost:
            return shooting, search, seen
        self.has_twin = False
        shooting = Shooting(self._series, self._windows, self._predictions_of(self._windows))
        shooting.noise = here.noise
        search = Search(shooting, self._terms, self._begin)
        (seen,) = search.minimize([seen], _PLANT_STEPS, lambda: None)
        return shooting, search, seen

    def predictions(self) -> Predict:
        """The prediction that the search uses, over all windows of the fit."""
        return self._predictions_of(self._windows)

    def _predictions_of(self, windows: Sequence[Window]) -> Predict:
        """The twin's, or without one the plant's, by worker processes."""
        if self.has_twin:
            twin = Twin(self._series, windows, self._step_s)

            def predict(tries: Sequence[tuple[Model, Floats]]) -> list[Floats]:
                self.simulations += len(tries)
                return twin.predictions(tries)

            return predict
        self._end_pool()
        if not self._workers:
            self._plant.close()
            self._plant = Predictor(self._series, windows, _shortest(self._begin))
            return self._plant_predictions
        loaded = _shortest(self._begin)
        self._pool = WorkerPool(self._workers, _begin_worker, self._series, list(windows), loaded)
        return self._pool_predictions

    def _plant_predictions(self, tries: Sequence[tuple[Model, Floats]]) -> list[Floats]:
        self.simulations += len(tries)
        return [np.concatenate(self._plant.predict(model, starts)) for model, starts in tries]

    def _pool_predictions(self, tries: Sequence[tuple[Model, Floats]]) -> list[Floats]:
        assert self._pool is not None
        self.simulations += len(tries)
        return list(self._pool.map(_predict, [m for m, _ in tries], [s for _, s in tries]))

    def _fitted(self, shooting: Shooting, search: Search, point: Iterate) -> Fitted:
        """The intervals are by residuals summed over blocks (they correlate), never narrower than by single ones."""
        # A narrower difference would show where exactly a cart sticks.
        (jacobian,) = search.jacobians([point], WIDE_DIFFERENCE_STEP)
        by_terms, residuals, _, _ = jacobian.projected()
        columns = by_terms.reshape(-1, len(self._terms))
        free = max(1, point.residuals.size - len(self._terms) - point.starts.size)
        inverse_hessian = np.linalg.pinv(columns.T @ columns, rcond=1e-14)
        single = inverse_hessian * float(np.sum(residuals**2)) / free
        sums = self._block_sums(by_terms * residuals[..., None])
        groups = len(sums)
        grouped = inverse_hessian @ (sums.T @ sums) @ inverse_hessian * (groups / max(1, groups - len(self._terms)))
        variance = np.maximum(np.diag(single), np.diag(grouped))
        reach = np.sqrt(variance) * search.sizes * float(student.ppf(_STANDARD_95, max(2, groups - 1)))
        estimates = []
        for term, width in zip(self._terms, reach, strict=True):
            value = term.read(point.model)
            estimates.append(
                Estimate(term=term, value=value, low=max(term.low, value - width), high=min(term.high, value + width))
            )
        spread = np.sqrt(np.maximum(np.diag(single), 1e-300))
        return Fitted(
            model=point.model,
            estimates=tuple(estimates),
            noise=tuple((shooting.noise * np.sqrt(np.mean(point.residuals**2, axis=0))).tolist()),
            starts=point.starts,
            simulations=self.simulations,
            correlation=single / np.outer(spread, spread),
        )

    def _block_sums(self, scores: Floats) -> Floats:
        """The sums over blocks, shape (blocks, terms), of scores (windows, rows, terms) with two rows per entry."""
        sums = []
        for window, mine in zip(self._windows, scores, strict=True):
            entries = window.end - window.first
            period_s = self._series[window.series].period_s
            blocks = max(1, round((entries - 1) * period_s / _BLOCK_S))
            sums += [part.sum(axis=0) for part in np.array_split(mine[: 2 * entries], blocks)]
        return np.array(sums)

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None

    def close(self) -> None:
        """End the workers. May be called twice."""
        self._end_pool()
        self._plant.close()

    def __enter__(self) -> Fit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _ProgressMeter:
    """Reports the share of the work that is done, as if every search took all its iterations."""

    def __init__(self, progress: Progress | None, rounds: int, most_iterations: int) -> None:
        self._progress, self._rounds, self._most = progress, rounds + 1, most_iterations
        self._round = self._step = 0

    def step(self) -> None:
        self._step += 1
        if self._progress is not None:
            self._progress((self._round + min(1.0, self._step / self._most)) / self._rounds)

    def end_round(self) -> None:
        self._round, self._step = self._round + 1, 0


def _shortest(model: Model) -> CartParams:
    """The cart with a much shorter pole than the model's, from which the plant can emulate every longer one."""
    length = TERMS["pole_length"]
    return length.write(model, _SHORTEST * length.read(model)).cart
