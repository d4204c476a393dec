"""Least-squares fit of a model's terms to windows, with the windows' start states eliminated.

The residual is predicted minus measured over a whole window (output error), each signal in units of its own noise.
Short windows come first: in them a wrong model diverges less, and the search is less often caught where dry friction
holds the cart. Their result is where the search in the whole windows begins. At the end PyBullet, where it is
installed, repeats some windows of a search on the native engine; where it differs, the search continues on PyBullet.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cartpole_robot.identify.search import WIDE_DIFFERENCE_STEP, Iterate, Search
from cartpole_robot.open_loop.model import Model, Term, freed
from cartpole_robot.open_loop.predictor import predictor_on
from cartpole_robot.open_loop.repeated import spread
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Shooting
from cartpole_robot.open_loop.windows import Predictor, Window, guessed_starts, pieces_of
from cartpole_robot.simulation.engine import Engine, is_installed

Floats = NDArray[np.float64]
Progress = Callable[[float], object]

_MULTISTARTS = 2  # at most
_MULTISTART_TOLERANCE = 1e-3  # of the cost: one that decreases it less is the last
_MULTISTART_STEPS = 5
_PIECES = 3  # that the shortest window is cut into for the first search
_ROUNDS = 2  # of weighting the signals again, in the whole windows
_ROUNDS_IN_PIECES = 2
_REFINING_STEPS = 15
_AS_GOOD = 0.02  # of the cost: a minimum higher by this may as well be the right one
_AT_BOUND = 1e-3  # of the interval or the value: as near as this is at the bound
_STEPS_ON_PYBULLET = 5  # at most, where PyBullet differs at the result
_CHECKED_STEPS = 5_000  # of PyBullet, at the result
_SAME_COST = 1e-3  # of the sum of squares
_BLOCK_S = 0.5  # residuals farther apart than this are hardly correlated
_PACE = 0.85  # of a search, what an iteration leaves to do
_STANDARD_95 = 0.975


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What follows from a model's terms, and is reported where `needs`, one of them, was searched for."""

    name: str
    label: str
    unit: str
    read: Callable[[Model], float]
    needs: str
    low: float = 0.0
    high: float = float("inf")


def bound_at(quantity: Term | Quantity, value: float, width: float) -> float | None:
    """The bound of the search at which `value`, with an interval of that width, is; None inside."""
    near = _AT_BOUND * min(quantity.high - quantity.low, max(abs(value), width))
    return next((bound for bound in (quantity.low, quantity.high) if abs(value - bound) <= near), None)


@dataclass(frozen=True, kw_only=True)
class OneRecording:
    """The value that one recording shows by itself, with its 95 % interval."""

    recording: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The value of a term, or of what follows from terms, and the 95 % interval about it, in its unit.

    Of several recordings, `by_recording` has the value of each one that shows it by itself, `tau` is the standard
    deviation between recordings, and `is_disputed` tells that they differ by more than their noise.
    """

    term: Term | Quantity
    value: float
    low: float
    high: float
    by_recording: tuple[OneRecording, ...] = ()
    tau: float | None = None
    is_disputed: bool = False

    @property
    def bound(self) -> float | None:
        """The bound of the search at which the value is; None inside."""
        return bound_at(self.term, self.value, self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The model that fits the recordings.

    `noise` is the residuals' root mean square for position (m) and angle (rad); `starts` the windows' start states.
    `engine` is the one whose residuals they are; `covariance` is of the terms, in the order of `estimates`, and
    `freedom` what Student's factor of their intervals has.
    """

    model: Model
    estimates: tuple[Estimate, ...]
    noise: tuple[float, float]
    starts: Floats
    engine: Engine
    correlation: Floats
    covariance: Floats
    freedom: int


class Fit:
    """One fit of `terms` to windows; a context manager, for it may hold worker processes."""

    def __init__(
        self,
        all_series: Sequence[Series],
        windows: Sequence[Window],
        begin: Model,
        terms: Sequence[Term],
        engine: Engine,
        workers: int = 2,
    ) -> None:
        """The search begins at `begin`; `workers` are those of `predictor_on`."""
        self._series, self._windows = list(all_series), list(windows)
        self._terms = list(terms)
        self._begin = freed(begin)
        self._engine, self._workers = engine, workers
        self._predictor: Predictor | None = None

    def run(self, *, progress: Progress | None = None, most_iterations: int = 25, rounds: int = _ROUNDS) -> Fitted:
        """The best model. Raises ValueError where the plant cannot represent the search's result."""
        shortest = min(window.end - 1 - window.first for window in self._windows)
        model, noise = self._begin, None
        known: dict[tuple[int, int], Floats] = {}
        stages = [
            pieces_of(self._windows, length) for length in (max(3, round(shortest / _PIECES)), shortest, 2 * shortest)
        ]
        stages = [stage for stage in stages if len(stage) > len(self._windows)]
        meter = _ProgressMeter(progress, len(stages) * _ROUNDS_IN_PIECES + rounds)
        for windows in (*stages, self._windows):
            starts = guessed_starts(self._series, windows, model)
            for row, window in zip(starts, windows, strict=True):
                row[:] = known.get((window.series, window.first), row)
            shooting = self._shooting(windows)
            if noise is not None:
                shooting.noise = noise
            search = Search(shooting, self._terms, self._begin)
            point = search.iterate(model, starts)
            for _ in range(rounds if windows is self._windows else _ROUNDS_IN_PIECES):
                (point,) = search.minimize([point], most_iterations, meter.step)
                meter.end_round()
                noise = shooting.noise = search.noise(point.residuals * shooting.noise)
                point = search.iterate(point.model, point.starts)
            for _ in range(_MULTISTARTS if windows is self._windows and self._engine is Engine.NATIVE else 0):
                before, point = point, search.multistart(point, _MULTISTART_STEPS, meter.step)
                if before.cost - point.cost < _MULTISTART_TOLERANCE * before.cost:
                    break
            model = point.model
            known = {(w.series, w.first): start for w, start in zip(windows, point.starts, strict=True)}
        if not self._is_same_on_pybullet(point, shooting.noise):
            self._engine = Engine.PYBULLET
            shooting, noise = self._shooting(self._windows), shooting.noise
            shooting.noise = noise
            search = Search(shooting, self._terms, self._begin)
            (point,) = search.minimize([search.iterate(point.model, point.starts)], _STEPS_ON_PYBULLET, lambda: None)
        fitted = self._fitted(shooting, search, point)
        if progress is not None:
            progress(1.0)
        return fitted

    def refine(
        self, noise: Sequence[float], others: Sequence[Model] = (), *, most_iterations: int = _REFINING_STEPS
    ) -> Fitted:
        """The best model near the one that the search begins at, in the whole windows alone, weighted by `noise`.

        Searches from `others` that end as well elsewhere add what lies between to the covariance: dry friction leaves
        many minima, and a search ends in one near its start.
        """
        shooting = self._shooting(self._windows)
        shooting.noise = np.array(noise)
        search = Search(shooting, self._terms, self._begin)
        points = [
            search.iterate(model, guessed_starts(self._series, self._windows, model))
            for model in (self._begin, *others)
        ]
        points = search.minimize(points, most_iterations, lambda: None)
        best = min(points, key=lambda point: point.cost)
        fitted = self._fitted(shooting, search, best)
        as_good = [point for point in points if point.cost <= (1.0 + _AS_GOOD) * best.cost]
        away = np.array([search.values(point.model) - search.values(best.model) for point in as_good]) * search.sizes
        return dataclasses.replace(fitted, covariance=fitted.covariance + away.T @ away / max(1, len(as_good) - 1))

    def _is_same_on_pybullet(self, point: Iterate, noise: Floats) -> bool:
        """Whether PyBullet, where it is installed and another, has the same cost in some of the windows."""
        if self._engine is Engine.PYBULLET or not is_installed(Engine.PYBULLET):
            return True
        chosen = spread(self._series, self._windows, point.model.cart.timing.physics_step_s, _CHECKED_STEPS)
        costs = []
        for engine in Engine:
            windows = [self._windows[k] for k in chosen]
            with contextlib.closing(predictor_on(engine, self._series, windows, point.model.cart)) as predictor:
                shooting = Shooting(self._series, windows, predictor)
                shooting.noise = noise
                search = Search(shooting, self._terms, self._begin)
                costs.append(search.iterate(point.model, point.starts[chosen]).cost)
        return abs(costs[1] - costs[0]) < _SAME_COST * costs[0]

    def _shooting(self, windows: Sequence[Window]) -> Shooting:
        """The residuals over `windows`, on the engine of this fit; those before are no longer computed."""
        self.close()
        self._predictor = predictor_on(self._engine, self._series, windows, self._begin.cart, self._workers)
        return Shooting(self._series, windows, self._predictor)

    def _fitted(self, shooting: Shooting, search: Search, point: Iterate) -> Fitted:
        """The intervals are by residuals summed over blocks (they correlate), never narrower than by single ones."""
        # A narrower difference would show where exactly a cart sticks.
        (jacobian,) = search.jacobians([point], WIDE_DIFFERENCE_STEP)
        by_terms, residuals, _, _ = jacobian.projected()
        columns = by_terms.reshape(-1, len(self._terms))
        free = max(1, point.residuals.size - len(self._terms) - point.starts.size)
        inverse_hessian = np.linalg.pinv(columns.T @ columns, rcond=1e-14)
        changes = search.value_changes(point.model)
        single = changes @ inverse_hessian @ changes.T * float(np.sum(residuals**2)) / free
        sums = self._block_sums(by_terms * residuals[..., None])
        groups = len(sums)
        influence = changes @ inverse_hessian @ sums.T
        grouped = influence @ influence.T * (groups / max(1, groups - len(self._terms)))
        variance = np.maximum(np.diag(single), np.diag(grouped))
        freedom = max(2, groups - 1)
        reach = np.sqrt(variance) * search.sizes * float(stdtrit(freedom, _STANDARD_95))
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
            engine=self._engine,
            correlation=single / np.outer(spread, spread),
            covariance=single * np.outer(*(2 * [np.sqrt(variance) * search.sizes / spread])),
            freedom=freedom,
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

    def close(self) -> None:
        """End the workers. May be called twice."""
        if self._predictor is not None:
            self._predictor.close()

    def __enter__(self) -> Fit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _ProgressMeter:
    """Reports the share of the work that is done; each iteration is as much of what its search has left to do."""

    def __init__(self, progress: Progress | None, rounds: int) -> None:
        self._progress, self._rounds = progress, rounds + 1
        self._round = self._step = 0

    def step(self) -> None:
        self._step += 1
        if self._progress is not None:
            self._progress((self._round + 1.0 - _PACE**self._step) / self._rounds)

    def end_round(self) -> None:
        self._round, self._step = self._round + 1, 0
