"""Nonlinear least squares over the terms and the windows' start states: Levenberg-Marquardt with multistart.

The method is that of Nocedal and Wright, Numerical Optimization, chapter 10, with Marquardt's scaling (SIAM J. Appl.
Math. 11, 1963) and a box as trust region. The start states are no parameters of the cart, and there are many: they are
eliminated window by window (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973). Dry friction makes
the cost jump wherever a cart sticks that did not, so that a search converges to a local minimum. Multistart therefore
continues from points around it, several searches at a time, and keeps the best.

`scipy.optimize.least_squares` (method trf) in place of `Search.minimize`, start states eliminated in the same way,
is less exact on `benchmarks.identification`, 14 carts: the motor's gain is 0.09 % off in the median and 1.33 % at worst
instead of 0.04 and 0.16 %, in almost twice the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.model import Model, Term
from cartpole_robot.open_loop.shooting import START_REACH, START_STEPS, Shooting
from cartpole_robot.open_loop.windows import START_SIGNALS

Floats = NDArray[np.float64]

_DIFFERENCE_STEP = 2e-3  # of a term's size: for the finite differences of the Jacobian
WIDE_DIFFERENCE_STEP = 3e-2  # of it: so wide that the exact moment at which a cart sticks does not matter
_PRIOR_WIDTH = 0.1  # of a term's size: how far the multistart looks where the cost says nothing
_OFFSETS = tuple(np.linspace(-2.1, 2.1, 7).tolist())  # of the multistart's points, in standard errors
_TRUST_RADIUS = 0.3  # of a term's size: the farthest that one step goes
_HUBER_THRESHOLD = 4.0  # times a window's noise, squared: above it the window counts less
_INITIAL_DAMPING = 1e-2  # Marquardt's lambda
_HALVINGS = 6
_DAMPING_FACTORS = (0.03, 1.0, 30.0)  # times the newest lambda: the steps that an iteration tries
_DAMPING_AFTER_FAILURE = 100.0  # times the newest lambda
_LEAST_DAMPING = 1e-7
_SEARCHES = 3  # of a multistart, from its best points
_CORRECTION_LENGTHS = (1.0, 0.5)  # of start states at each trial: shares of the Gauss-Newton step
_COST_TOLERANCE = 1e-5  # of the cost: a smaller decrease is a stall
_MOST_RESIDUALS = 8_000_000  # held at a time: 64 MB of them, and some copies
_MOST_STALLS = 2  # stalls in a row: converged


@dataclass(frozen=True, kw_only=True)
class Iterate:
    """A point of a search: terms, start states (windows, 4), and their residuals (entries, 2) in units of the noise.

    `cost` is the sum of squares, with Huber's loss for each window: see `Search.cost`.
    """

    model: Model
    starts: Floats
    residuals: Floats
    cost: float
    damping: float = _INITIAL_DAMPING
    stalls: int = 0

    @property
    def has_converged(self) -> bool:
        """Whether the last steps no longer decreased the cost."""
        return self.stalls >= _MOST_STALLS


@dataclass(frozen=True, kw_only=True)
class Jacobian:
    """The residuals and their derivatives window by window, padded with zeros.

    Shapes: by start states (windows, rows, 4) in units of their reach, by terms (windows, rows, terms) in units of
    their sizes, residuals (windows, rows).
    """

    by_starts: Floats
    by_terms: Floats
    residuals: Floats

    def projected(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The derivatives by terms and the residuals with the start states eliminated, and the start states' steps.

        Shapes: (windows, rows, terms), (windows, rows), (windows, 4, terms) for each term and (windows, 4).
        """
        transposed = self.by_starts.transpose(0, 2, 1)
        hessian = transposed @ self.by_starts + np.eye(START_SIGNALS)
        steps_by_terms = _solved(hessian, transposed @ self.by_terms)
        steps = _solved(hessian, transposed @ self.residuals[..., None])[..., 0]
        by_terms = self.by_terms - self.by_starts @ steps_by_terms
        residuals = self.residuals - (self.by_starts @ steps[..., None])[..., 0]
        return by_terms, residuals, steps_by_terms, steps

    def starts_pseudoinverse(self) -> Floats:
        """Shape (windows, 4, rows): from residuals to the start states' Gauss-Newton step, regularised by their reach.

        The step is to be subtracted.
        """
        transposed = self.by_starts.transpose(0, 2, 1)
        return _solved(transposed @ self.by_starts + np.eye(START_SIGNALS), transposed)


def _solved(matrix: Floats, right: Floats) -> Floats:
    found: Floats = np.linalg.solve(matrix, right).astype(float)
    return found


class Search:
    """Minimises the residuals of `shooting` over `terms`, which are scaled by their sizes at `begin`."""

    def __init__(self, shooting: Shooting, terms: Sequence[Term], begin: Model) -> None:
        self._shooting = shooting
        self._terms = list(terms)
        self.sizes = np.array([term.size(begin) for term in terms])
        self._low = np.array([term.low for term in terms]) / self.sizes
        self._high = np.array([term.high for term in terms]) / self.sizes
        self._lengths = np.array([part.stop - part.start for part in shooting.parts])
        self._huber_thresholds = _HUBER_THRESHOLD * 2.0 * self._lengths
        self._begins = np.array([part.start for part in shooting.parts])
        longest = max(self._lengths)
        self._padded = (len(shooting.parts), 2 * longest)
        self._places = np.concatenate([k * longest + np.arange(length) for k, length in enumerate(self._lengths)])

    def values(self, model: Model) -> Floats:
        """The model's terms, each divided by its size."""
        values: Floats = np.array([term.read(model) for term in self._terms]) / self.sizes
        return values

    def model_at(self, model: Model, values: Floats) -> Model:
        """`model` with those scaled terms, inside their bounds. Raises ValueError where no cart can have them."""
        for number, value in enumerate(values.tolist()):
            model = self._with_term(model, number, value)
        return model

    def _with_term(self, model: Model, number: int, value: float) -> Model:
        """`model` with one scaled term."""
        term = self._terms[number]
        return term.write(model, min(max(value * float(self.sizes[number]), term.low), term.high))

    def value_changes(self, model: Model) -> Floats:
        """The derivative of each term's value (row) by each step of the search (column), all scaled.

        Not the identity: a step of the dead zone or of the saturation also changes the stall force.
        """
        values = self.values(model)
        columns = []
        for number, value in enumerate(values.tolist()):
            step = _DIFFERENCE_STEP if value + _DIFFERENCE_STEP < self._high[number] else -_DIFFERENCE_STEP
            columns.append((self.values(self._with_term(model, number, value + step)) - values) / step)
        return np.stack(columns, axis=1)

    def iterate(self, model: Model, starts: Floats) -> Iterate:
        residuals = self._shooting.residual(model, starts)
        return Iterate(model=model, starts=starts, residuals=residuals, cost=self.cost(residuals))

    def with_residuals(self, at: Iterate, residuals: Floats) -> Iterate:
        """The same point with the residuals of another simulation."""
        return dataclasses.replace(at, residuals=residuals, cost=self.cost(residuals))

    def jacobians(self, points: Sequence[Iterate], difference_step: float = _DIFFERENCE_STEP) -> list[Jacobian]:
        """The Jacobian at each of `points` by finite differences; `difference_step` is that of the terms."""
        tries: list[tuple[Model, Floats]] = []
        steps = []
        for at in points:
            for k in range(START_SIGNALS):
                moved = at.starts.copy()
                moved[:, k] += START_STEPS[k]
                tries.append((at.model, moved))
            values = self.values(at.model)
            for k in range(len(self._terms)):
                step = difference_step if values[k] + difference_step < self._high[k] else -difference_step
                steps.append(step)
                tries.append((self._with_term(at.model, k, float(values[k]) + step), at.starts))
        found = self._shooting.residuals(tries)
        size = START_SIGNALS + len(self._terms)
        jacobians = []
        for number, at in enumerate(points):
            mine = found[number * size : (number + 1) * size]
            mine_steps = steps[number * len(self._terms) : (number + 1) * len(self._terms)]
            by_starts = [
                self._by_window(f - at.residuals) * (reach / step)
                for f, reach, step in zip(mine[:START_SIGNALS], START_REACH, START_STEPS, strict=True)
            ]
            by_terms = [
                self._by_window(f - at.residuals) / step
                for f, step in zip(mine[START_SIGNALS:], mine_steps, strict=True)
            ]
            jacobians.append(
                Jacobian(
                    by_starts=np.stack(by_starts, axis=2),
                    by_terms=np.stack(by_terms, axis=2),
                    residuals=self._by_window(at.residuals),
                )
            )
        return jacobians

    def _by_window(self, residuals: Floats) -> Floats:
        """Shape (windows, rows), zeros after a window's last entry."""
        padded = np.zeros((self._padded[0] * self._padded[1] // 2, 2))
        padded[self._places] = residuals
        return padded.reshape(self._padded)

    def window_costs(self, residuals: Floats) -> Floats:
        squares = np.einsum("ij,ij->i", residuals, residuals)
        costs: Floats = np.add.reduceat(squares, self._begins)
        return costs

    def cost(self, residuals: Floats) -> float:
        """Huber's loss over the windows: a window above its threshold counts in proportion to its root only.

        Otherwise one pole that falls to the wrong side would outweigh everything else.
        """
        costs, most = self.window_costs(residuals), self._huber_thresholds
        return float(np.sum(np.where(costs <= most, costs, 2.0 * np.sqrt(most * costs) - most)))

    def _normal_equations(self, by_terms: Floats, residuals: Floats, window_costs: Floats) -> tuple[Floats, Floats]:
        """The Hessian approximation J^T W J and the gradient J^T W r of half the cost; W has Huber's weights."""
        weights = np.minimum(1.0, np.sqrt(self._huber_thresholds / np.maximum(window_costs, 1e-12)))
        jacobian = by_terms.reshape(-1, len(self._terms))
        weighted = (by_terms * weights[:, None, None]).reshape(-1, len(self._terms))
        return weighted.T @ jacobian, weighted.T @ residuals.ravel()

    def step(self, points: Sequence[Iterate]) -> list[Iterate]:
        """Each of `points` after one iteration; one whose cost no step decreases stays, with more damping."""
        size = max(1, _MOST_RESIDUALS // (2 * int(self._lengths.sum()) * (START_SIGNALS + len(self._terms))))
        return [at for begin in range(0, len(points), size) for at in self._step(points[begin : begin + size])]

    def _step(self, points: Sequence[Iterate]) -> list[Iterate]:
        trials: list[Iterate] = []
        pseudoinverses = []
        for at, jacobian in zip(points, self.jacobians(points), strict=True):
            by_terms, residuals, *eliminated = jacobian.projected()
            hessian, gradient = self._normal_equations(by_terms, residuals, self.window_costs(at.residuals))
            values = self.values(at.model)
            pseudoinverse = jacobian.starts_pseudoinverse()
            for factor in _DAMPING_FACTORS:
                damping = max(_LEAST_DAMPING, factor * at.damping)
                step = self._trust_region_step(hessian, gradient, values, damping)
                trials += self._trials(dataclasses.replace(at, damping=damping), step, *eliminated)
                pseudoinverses.append(pseudoinverse)
        best = self._corrected(trials, pseudoinverses)
        size = len(_DAMPING_FACTORS)
        return [self._accepted(at, best[k * size : (k + 1) * size]) for k, at in enumerate(points)]

    def _trials(
        self, at: Iterate, step: Floats, start_steps_by_terms: Floats, start_steps: Floats
    ) -> tuple[Iterate, Iterate]:
        """`at` with its terms moved by `step`: with the start states that belong to them, and with those it has.

        A step to terms that no cart can have, such as more friction than force, is shortened until one can.
        """
        moved, step = self._moved(at, step)
        change = np.clip(start_steps + start_steps_by_terms @ step, -1.0, 1.0)
        return dataclasses.replace(moved, starts=at.starts - START_REACH * change), moved

    def _moved(self, at: Iterate, step: Floats) -> tuple[Iterate, Floats]:
        """`at` moved by `step`, or by the first of its halves, quarters and so on that is possible, and that step."""
        for _ in range(_HALVINGS):
            try:
                return dataclasses.replace(at, model=self.model_at(at.model, self.values(at.model) + step)), step
            except ValueError:
                step = 0.5 * step
        return at, np.zeros_like(step)

    def _corrected(self, trials: Sequence[Iterate], pseudoinverses: Sequence[Floats]) -> list[Iterate]:
        """Of each pair of `trials`, which differ in their start states, one, its start states corrected."""
        found = self._shooting.residuals([(t.model, t.starts) for t in trials])
        best = [
            self._better_by_window(t, u, f, g)
            for t, u, f, g in zip(trials[::2], trials[1::2], found[::2], found[1::2], strict=True)
        ]
        for length in _CORRECTION_LENGTHS:
            corrected = [
                t.starts
                - length * START_REACH * np.clip((p @ self._by_window(t.residuals)[..., None])[..., 0], -1.0, 1.0)
                for t, p in zip(best, pseudoinverses, strict=True)
            ]
            found = self._shooting.residuals([(t.model, c) for t, c in zip(best, corrected, strict=True)])
            best = [
                self._better_by_window(dataclasses.replace(t, starts=c), t, f, t.residuals)
                for t, c, f in zip(best, corrected, found, strict=True)
            ]
        return best

    def _multistart_points(self, at: Iterate) -> list[Iterate]:
        """`at`, and points on the line along which the cost, by wide differences, changes least."""
        (jacobian,) = self.jacobians([at], WIDE_DIFFERENCE_STEP)
        by_terms, residuals, *eliminated = jacobian.projected()
        hessian, gradient = self._normal_equations(by_terms, residuals, self.window_costs(at.residuals))
        hessian += np.diag(np.full(len(hessian), _PRIOR_WIDTH**-2))
        variances, directions = np.linalg.eigh(np.linalg.inv(hessian))
        line = directions[:, -1] * variances[-1] ** 0.5
        gauss_newton_step = np.linalg.solve(hessian, -gradient)
        begin = dataclasses.replace(at, damping=_INITIAL_DAMPING)
        trials: list[Iterate] = []
        for middle in (np.zeros(len(line)), gauss_newton_step):
            for offset in _OFFSETS:
                step = np.clip(middle + offset * line, -_TRUST_RADIUS, _TRUST_RADIUS)
                trials += self._trials(begin, step, *eliminated)
        corrected = self._corrected(trials, [jacobian.starts_pseudoinverse()] * (len(trials) // 2))
        return [dataclasses.replace(point, stalls=0) for point in (at, *corrected)]

    def _better_by_window(
        self, one: Iterate, other: Iterate, one_residuals: Floats, other_residuals: Floats
    ) -> Iterate:
        """`one` with each window's start state from that of the two whose cost is less there."""
        is_better = self.window_costs(one_residuals) < self.window_costs(other_residuals)
        residuals = np.where(np.repeat(is_better, self._lengths)[:, None], one_residuals, other_residuals)
        starts = np.where(is_better[:, None], one.starts, other.starts)
        return dataclasses.replace(one, starts=starts, residuals=residuals, cost=self.cost(residuals))

    def _trust_region_step(self, hessian: Floats, gradient: Floats, values: Floats, damping: float) -> Floats:
        """The damped Gauss-Newton step inside the box of the terms' bounds and the trust radius, by active sets.

        A term that hardly shows takes a long step: its bound must not shorten the other terms' steps.
        """
        damped = hessian + damping * np.diag(np.maximum(np.diag(hessian), 1e-12))
        least = np.maximum(self._low - values, -_TRUST_RADIUS)
        most = np.minimum(self._high - values, _TRUST_RADIUS)
        free = np.ones(len(values), bool)
        step = np.zeros(len(values))
        while free.any():
            rest = -gradient - damped @ np.where(free, 0.0, step)
            step[free] = np.linalg.lstsq(damped[np.ix_(free, free)], rest[free], rcond=None)[0]
            inside = np.clip(step, least, most)
            is_out = inside != step
            if not is_out.any():
                break
            step = inside
            free &= ~is_out
        return step

    def _accepted(self, at: Iterate, trials: Sequence[Iterate]) -> Iterate:
        """The best of `trials`, or `at` with more damping where none decreases the cost."""
        best = min(trials, key=lambda trial: trial.cost)
        if best.cost >= at.cost:
            return dataclasses.replace(at, damping=_DAMPING_AFTER_FAILURE * at.damping, stalls=at.stalls + 1)
        is_stalled = at.cost - best.cost < _COST_TOLERANCE * at.cost
        return dataclasses.replace(best, stalls=at.stalls + 1 if is_stalled else 0)

    def multistart(self, at: Iterate, most_steps: int, on_step: Callable[[], object]) -> Iterate:
        """The best of `at`, which has converged, and of what searches from points around it converge to."""
        points = self.step(self._multistart_points(at))
        best = sorted(points, key=lambda point: point.cost)[:_SEARCHES]
        return min([at, *self.minimize(best, most_steps, on_step)], key=lambda point: point.cost)

    def minimize(self, points: Sequence[Iterate], most_steps: int, on_step: Callable[[], object]) -> list[Iterate]:
        """Each of `points` after at most `most_steps` iterations, fewer where it converges."""
        points = list(points)
        for _ in range(most_steps):
            moving = [k for k, at in enumerate(points) if not at.has_converged]
            if not moving:
                break
            for k, at in zip(moving, self.step([points[k] for k in moving]), strict=True):
                points[k] = at
            on_step()
        return points

    def noise(self, residuals: Floats) -> Floats:
        """The root mean square of each signal in the median window, so that no outlier among them matters."""
        sums = np.add.reduceat(residuals**2, self._begins, axis=0)
        noise: Floats = np.maximum(np.sqrt(np.median(sums / self._lengths[:, None], axis=0)), 1e-9)
        return noise
