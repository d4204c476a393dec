"""Fitting a model to windows: SciPy's trust region over the terms, the windows' start states eliminated.

The residual is what was read less what the plant gives over a whole window (output error), each signal in units of its
own noise. The start states are no parameters of the cart: for each set of terms the best ones are found, and the
derivatives are taken along with them (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973; without
the second-derivative term, after Kaufman, BIT 15, 1975).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import t as student

from cartpole_robot.identify.model import TERMS, Model, Term, freed
from cartpole_robot.identify.series import Series
from cartpole_robot.identify.shooting import Shooting, step_back
from cartpole_robot.identify.windows import Predictor, Window, guessed_starts
from cartpole_robot.params import CartParams

Floats = NDArray[np.float64]
Progress = Callable[[float], object]

_STEP = 5e-2  # of a term's size: what a derivative is taken over; less, and it is that of where a cart happens to stick
_ROUNDS = 2  # of weighing the signals anew
_INSIDE = 0.1  # of a term's size: the search begins no nearer to a bound, for there it could hardly move
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
    """A model as the recordings have it.

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
    """One fit of `terms` to windows; a context manager, for it holds worker processes."""

    def __init__(
        self,
        all_series: Sequence[Series],
        windows: Sequence[Window],
        begin: Model,
        terms: Sequence[Term],
        workers: int = 2,
    ) -> None:
        """`begin` is where the search begins. With no worker everything is computed here."""
        self._terms = list(terms)
        self._begin = freed(begin)
        self._shooting = Shooting(all_series, windows, self._predictions)
        self._starts = guessed_starts(all_series, windows, begin)
        self.simulations = 0
        shortest = _shortest(self._begin)
        self._pool: ProcessPoolExecutor | None = None
        if workers:
            self._pool = ProcessPoolExecutor(
                workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin_worker,
                initargs=(list(all_series), list(windows), shortest),
            )
        else:
            self._predictor = Predictor(all_series, windows, shortest)

    def run(self, *, progress: Progress | None = None, most_iterations: int = 15, rounds: int = _ROUNDS) -> Fitted:
        """The best model. Raises ValueError where no plant can be what the search came to."""
        model = self._begin
        for round_number in range(rounds):
            self._on_iteration = _steps_of(progress, round_number, rounds, most_iterations)
            model = self._search(model, most_iterations, tolerance=1e-2 if round_number < rounds - 1 else 1e-4)
            residual = self._shooting.residual(model, self._starts) * self._shooting.noise
            self._shooting.noise = np.maximum(np.sqrt(np.mean(residual**2, axis=0)), 1e-9)
        told = self._told(model)
        if progress is not None:
            progress(1.0)
        return told

    def _search(self, model: Model, most_iterations: int, tolerance: float) -> Model:
        terms = self._terms
        sizes = np.array([term.size(model) for term in terms])
        at = np.array([term.read(model) for term in terms]) / sizes
        low = np.array([term.low for term in terms]) / sizes
        high = np.array([term.high for term in terms]) / sizes
        inside = np.minimum(_INSIDE, 0.25 * (high - low))
        at = np.clip(at, low + inside, high - inside)
        self._sizes = sizes
        self._known: dict[bytes, tuple[Floats, Floats]] = {}
        self._model = model
        residual = self._shooting.residual(model, self._starts)
        self._slopes = self._shooting.slopes_by_starts(model, residual, self._starts)
        found = least_squares(
            self._fun,
            at,
            jac=self._jac,
            bounds=(low, high),
            x_scale=1.0,
            xtol=1e-6,
            ftol=tolerance,
            gtol=1e-10,
            max_nfev=most_iterations,
            method="trf",
        )
        _, self._starts = self._known[found.x.tobytes()]
        return self._model_at(found.x)

    def _model_at(self, at: Floats) -> Model:
        model = self._model
        for term, value in zip(self._terms, at * self._sizes, strict=True):
            model = term.write(model, float(value))
        return model

    def _fun(self, at: Floats) -> Floats:
        """The residual at those terms, with the best start states: the ones of the newest derivatives, mended."""
        residual, starts = self._shooting.mended(self._model_at(at), self._starts, self._slopes)
        self._known[at.tobytes()] = (residual, starts)
        return residual.ravel()

    def _jac(self, at: Floats) -> Floats:
        self._on_iteration()
        residual, self._starts = self._known[at.tobytes()]
        model = self._model_at(at)
        self._slopes = self._shooting.slopes_by_starts(model, residual, self._starts)
        return self._projected(self._columns(model, residual), self._slopes)

    def _columns(self, model: Model, residual: Floats) -> Floats:
        """The residual's derivatives by the terms, in their sizes, the start states held; shape (2 entries, terms)."""
        tries, steps = [], []
        for term, size in zip(self._terms, self._sizes, strict=True):
            value = term.read(model)
            step = _STEP * size if value + _STEP * size < term.high else -_STEP * size
            tries.append((term.write(model, value + step), self._starts))
            steps.append(step / size)
        found = self._shooting.residuals(tries)
        return np.column_stack([((f - residual) / step).ravel() for f, step in zip(found, steps, strict=True)])

    def _projected(self, columns: Floats, slopes: list[Floats]) -> Floats:
        """What of the columns no change of the start states could do as well."""
        found = columns.copy()
        for slope, part in zip(slopes, self._shooting.parts, strict=True):
            rows = slice(2 * part.start, 2 * part.stop)
            found[rows] -= slope @ step_back(slope, columns[rows])
        return found

    def _predictions(self, tries: Sequence[tuple[Model, Floats]]) -> list[Floats]:
        self.simulations += len(tries)
        if self._pool is None:
            return [np.concatenate(self._predictor.predict(model, starts)) for model, starts in tries]
        return list(self._pool.map(_predict, [m for m, _ in tries], [s for _, s in tries]))

    def _told(self, model: Model) -> Fitted:
        """Intervals by the residuals of whole windows (they hang together), never narrower than by single ones."""
        self._sizes = np.array([term.size(model) for term in self._terms])
        shooting = self._shooting
        slopes = shooting.slopes_by_starts(model, shooting.residual(model, self._starts), self._starts)
        residual, self._starts = shooting.mended(model, self._starts, slopes)
        jacobian = self._projected(self._columns(model, residual), slopes)
        residual = residual.ravel()
        count, size = jacobian.shape
        free = max(1, count - size - self._starts.size)
        normal = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-14)
        single = normal * float(residual @ residual) / free
        sums = np.array(
            [jacobian[2 * p.start : 2 * p.stop].T @ residual[2 * p.start : 2 * p.stop] for p in shooting.parts]
        )
        groups = len(shooting.parts)
        grouped = normal @ (sums.T @ sums) @ normal * (groups / max(1, groups - size))
        variance = np.maximum(np.diag(single), np.diag(grouped))
        reach = np.sqrt(variance) * self._sizes * float(student.ppf(_STANDARD_95, max(2, groups - 1)))
        estimates = []
        for term, width in zip(self._terms, reach, strict=True):
            value = term.read(model)
            estimates.append(
                Estimate(term=term, value=value, low=max(term.low, value - width), high=min(term.high, value + width))
            )
        spread = np.sqrt(np.maximum(np.diag(single), 1e-300))
        return Fitted(
            model=model,
            estimates=tuple(estimates),
            noise=(float(shooting.noise[0]), float(shooting.noise[1])),
            starts=self._starts,
            simulations=self.simulations,
            correlation=single / np.outer(spread, spread),
        )

    def close(self) -> None:
        """End the workers. May be called twice."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        else:
            self._predictor.close()

    def __enter__(self) -> Fit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _steps_of(progress: Progress | None, round_number: int, rounds: int, most_iterations: int) -> Callable[[], None]:
    """To be called at each iteration: tells the share of the work that is done at most."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress((round_number + min(1.0, done / most_iterations)) / (rounds + 1))

    return step


def _shortest(model: Model) -> CartParams:
    """A cart whose pole every longer one can be pretended from, a good deal shorter than the model's."""
    length = TERMS["pole_length"]
    return length.write(model, _SHORTEST * length.read(model)).cart
