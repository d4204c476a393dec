"""The search for terms: Levenberg's and Marquardt's steps of terms and start states together, several searches abreast.

The start states are no parameters of the cart, and there are many: window by window they are eliminated from each step
and found along with it (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973). Dry friction makes the
sum of squares jump wherever a cart sticks that did not: a search comes to rest in a valley that is not the deepest. So
it goes on from beside the place it came to, on several ways at once, and the best one counts.
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

_TERM_STEP = 2e-3  # of a term's size: what a derivative is taken over
WIDE_STEP = 3e-2  # of it: over as much, that it does not matter where exactly a cart sticks
_WIDEST = 0.1  # of a term's size: how far to look for other valleys, where nothing else says
_BESIDE = tuple(np.linspace(-2.1, 2.1, 7).tolist())  # standard errors
_FARTHEST = 0.3  # of a term's size: how far one step goes
_ASTRAY = 4.0  # times its noise, squared: where a window begins to count less
_DAMPING = 1e-2  # Marquardt's, at the beginning
_DAMPINGS = (0.03, 1.0, 30.0)  # times the newest: what is tried
_WAYS = 3  # that a search goes on at once, the best of those looked at
_LEAST_DAMPING = 1e-7
_MENDINGS = (1.0, 0.5)  # of start states at each try: shares of the way
_STALLED = 1e-5  # of the sum of squares: a step that gains no more
_STALLS = 2  # such steps in a row end a search


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a search is: terms, start states (windows, 4), what they miss (entries, 2) in noises.

    `cost` is the sum of squares, of a window that goes far astray less: see `Search.costs`.
    """

    model: Model
    starts: Floats
    residual: Floats
    cost: float
    damping: float = _DAMPING
    stalls: int = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether no step gains anything."""
        return self.stalls >= _STALLS


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """Of the residual, window by window, padded with zeros: by start states (windows, rows, 4) in units of their reach,
    by terms (windows, rows, terms) in their sizes, and the residual itself (windows, rows)."""

    by_starts: Floats
    by_terms: Floats
    residual: Floats

    def projected(self) -> tuple[Floats, Floats, Floats, Floats]:
        """What of terms and residual no change of the start states can do as well: (windows, rows, terms) and
        (windows, rows); and those changes, (windows, 4, terms) and (windows, 4)."""
        turned = self.by_starts.transpose(0, 2, 1)
        square = turned @ self.by_starts + np.eye(START_SIGNALS)
        for_terms = _solved(square, turned @ self.by_terms)
        for_residual = _solved(square, turned @ self.residual[..., None])[..., 0]
        by_terms = self.by_terms - self.by_starts @ for_terms
        residual = self.residual - (self.by_starts @ for_residual[..., None])[..., 0]
        return by_terms, residual, for_terms, for_residual

    def way_back(self) -> Floats:
        """Shape (windows, 4, rows): from a residual to the change of start states that would have made it."""
        turned = self.by_starts.transpose(0, 2, 1)
        return _solved(turned @ self.by_starts + np.eye(START_SIGNALS), turned)


def _solved(square: Floats, right: Floats) -> Floats:
    found: Floats = np.linalg.solve(square, right).astype(float)
    return found


class Search:
    """Steps toward the least squares of `shooting` in `terms`, whose sizes are those of `begin`."""

    def __init__(self, shooting: Shooting, terms: Sequence[Term], begin: Model) -> None:
        self._shooting = shooting
        self._terms = list(terms)
        self.sizes = np.array([term.size(begin) for term in terms])
        self._low = np.array([term.low for term in terms]) / self.sizes
        self._high = np.array([term.high for term in terms]) / self.sizes
        rows = max(part.stop - part.start for part in shooting.parts)
        self._rows = 2 * rows
        self._lengths = np.array([part.stop - part.start for part in shooting.parts])
        self._most = _ASTRAY * 2.0 * self._lengths
        self._fill = np.full((len(shooting.parts), rows), -1)
        for row, part in zip(self._fill, shooting.parts, strict=True):
            row[: part.stop - part.start] = np.arange(part.start, part.stop)

    def values(self, model: Model) -> Floats:
        """Its terms, in their sizes."""
        values: Floats = np.array([term.read(model) for term in self._terms]) / self.sizes
        return values

    def model_at(self, model: Model, values: Floats) -> Model:
        """`model` with those terms. Raises ValueError where it is none."""
        for term, value in zip(self._terms, np.clip(values, self._low, self._high) * self.sizes, strict=True):
            model = term.write(model, float(min(max(value, term.low), term.high)))
        return model

    def place(self, model: Model, starts: Floats) -> Place:
        """There."""
        residual = self._shooting.residual(model, starts)
        return Place(model=model, starts=starts, residual=residual, cost=self.cost(residual))

    def place_with(self, at: Place, residual: Floats) -> Place:
        """The same place, with what somebody else found that it misses."""
        return dataclasses.replace(at, residual=residual, cost=self.cost(residual))

    def slopes(self, places: Sequence[Place], term_step: float = _TERM_STEP) -> list[Slopes]:
        """At each of `places`; by the terms over `term_step` of their sizes."""
        tries: list[tuple[Model, Floats]] = []
        steps = []
        for at in places:
            for k in range(START_SIGNALS):
                moved = at.starts.copy()
                moved[:, k] += START_STEPS[k]
                tries.append((at.model, moved))
            values = self.values(at.model)
            for k in range(len(self._terms)):
                moved = values.copy()
                moved[k] += term_step if values[k] + term_step < self._high[k] else -term_step
                steps.append(moved[k] - values[k])
                tries.append((self.model_at(at.model, moved), at.starts))
        found = self._shooting.residuals(tries)
        size = START_SIGNALS + len(self._terms)
        told = []
        for number, at in enumerate(places):
            mine = found[number * size : (number + 1) * size]
            mine_steps = steps[number * len(self._terms) : (number + 1) * len(self._terms)]
            by_starts = [
                self._windows(f - at.residual) * (reach / step)
                for f, reach, step in zip(mine[:START_SIGNALS], START_REACH, START_STEPS, strict=True)
            ]
            by_terms = [
                self._windows(f - at.residual) / step for f, step in zip(mine[START_SIGNALS:], mine_steps, strict=True)
            ]
            told.append(
                Slopes(
                    by_starts=np.stack(by_starts, axis=2),
                    by_terms=np.stack(by_terms, axis=2),
                    residual=self._windows(at.residual),
                )
            )
        return told

    def _windows(self, residual: Floats) -> Floats:
        """Shape (windows, rows), zeros behind a window's last entry."""
        padded = np.where(self._fill[..., None] >= 0, residual[self._fill], 0.0)
        return padded.reshape(len(self._fill), self._rows)

    def window_costs(self, residual: Floats) -> Floats:
        """The sum of squares of each window."""
        costs: Floats = np.sum(self._windows(residual) ** 2, axis=1)
        return costs

    def cost(self, residual: Floats) -> float:
        """Huber's: the sum of squares, of a window far beyond its noise only in proportion to its root.

        A pole that falls to the other side than it did would else outweigh everything.
        """
        costs, most = self.window_costs(residual), self._most
        return float(np.sum(np.where(costs <= most, costs, 2.0 * np.sqrt(most * costs) - most)))

    def _weighed(self, by_terms: Floats, residual: Floats, of_windows: Floats) -> tuple[Floats, Floats]:
        """The normal matrix and the gradient of `cost`."""
        weights = np.minimum(1.0, np.sqrt(self._most / np.maximum(of_windows, 1e-12)))
        columns = by_terms.reshape(-1, len(self._terms))
        heavy = (by_terms * weights[:, None, None]).reshape(-1, len(self._terms))
        return heavy.T @ columns, heavy.T @ residual.ravel()

    def step(self, places: Sequence[Place]) -> list[Place]:
        """Each of `places` one step on, or where it was."""
        tries: list[Place] = []
        ways = []
        for at, slopes in zip(places, self.slopes(places), strict=True):
            by_terms, residual, for_terms, for_residual = slopes.projected()
            normal, gradient = self._weighed(by_terms, residual, self.window_costs(at.residual))
            values = self.values(at.model)
            back = slopes.way_back()
            for factor in _DAMPINGS:
                damping = max(_LEAST_DAMPING, factor * at.damping)
                change = self._change(normal, gradient, values, damping)
                model = self.model_at(at.model, values + change)
                starts = at.starts - START_REACH * np.clip(for_residual + for_terms @ change, -1.0, 1.0)
                mine = dataclasses.replace(at, model=model, damping=damping)
                tries += [dataclasses.replace(mine, starts=starts), mine]
                ways.append(back)
        best = self._mended(tries, ways)
        size = len(_DAMPINGS)
        return [self._best(at, best[k * size : (k + 1) * size]) for k, at in enumerate(places)]

    def _mended(self, tries: Sequence[Place], ways: Sequence[Floats]) -> list[Place]:
        """Of each two of `tries`, which differ in their start states, one, with these mended by its way back."""
        found = self._shooting.residuals([(t.model, t.starts) for t in tries])
        best = [
            self._better(t, u, f, g)
            for t, u, f, g in zip(tries[::2], tries[1::2], found[::2], found[1::2], strict=True)
        ]
        for pace in _MENDINGS:
            mended = [
                t.starts - pace * START_REACH * np.clip((w @ self._windows(t.residual)[..., None])[..., 0], -1.0, 1.0)
                for t, w in zip(best, ways, strict=True)
            ]
            found = self._shooting.residuals([(t.model, m) for t, m in zip(best, mended, strict=True)])
            best = [
                self._better(dataclasses.replace(t, starts=m), t, f, t.residual)
                for t, m, f in zip(best, mended, found, strict=True)
            ]
        return best

    def beside(self, at: Place) -> list[Place]:
        """Places along the way on which the residual, seen from afar, changes least; `at` is one of them."""
        (slopes,) = self.slopes([at], WIDE_STEP)
        by_terms, residual, for_terms, for_residual = slopes.projected()
        normal, gradient = self._weighed(by_terms, residual, self.window_costs(at.residual))
        normal += np.diag(np.full(len(normal), _WIDEST**-2))
        widths, ways = np.linalg.eigh(np.linalg.inv(normal))
        least = ways[:, -1] * widths[-1] ** 0.5
        values = self.values(at.model)
        ahead = np.linalg.solve(normal, -gradient)
        tries: list[Place] = []
        for middle in (np.zeros(len(values)), ahead):
            for share in _BESIDE:
                change = np.clip(middle + share * least, -_FARTHEST, _FARTHEST)
                model = self.model_at(at.model, values + change)
                starts = at.starts - START_REACH * np.clip(for_residual + for_terms @ change, -1.0, 1.0)
                mine = dataclasses.replace(at, model=model, damping=_DAMPING)
                tries += [dataclasses.replace(mine, starts=starts), mine]
        mended = self._mended(tries, [slopes.way_back()] * (len(tries) // 2))
        return [dataclasses.replace(place, stalls=0) for place in (at, *mended)]

    def _better(self, one: Place, other: Place, one_residual: Floats, other_residual: Floats) -> Place:
        """Each window's start state of both that suits it better."""
        is_better = self.window_costs(one_residual) < self.window_costs(other_residual)
        residual = np.where(self._spread(is_better)[:, None], one_residual, other_residual)
        starts = np.where(is_better[:, None], one.starts, other.starts)
        return dataclasses.replace(one, starts=starts, residual=residual, cost=self.cost(residual))

    def _spread(self, of_windows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """To the windows' entries."""
        return np.repeat(of_windows, self._lengths)

    def _change(self, normal: Floats, gradient: Floats, values: Floats, damping: float) -> Floats:
        """Of the terms: each as far as it may go, and the others as suits them then.

        A term that hardly shows wants to go far: it must not make the others' steps short.
        """
        damped = normal + damping * np.diag(np.maximum(np.diag(normal), 1e-12))
        least = np.maximum(self._low - values, -_FARTHEST)
        most = np.minimum(self._high - values, _FARTHEST)
        free = np.ones(len(values), bool)
        change = np.zeros(len(values))
        while free.any():
            rest = -gradient - damped @ np.where(free, 0.0, change)
            change[free] = np.linalg.lstsq(damped[np.ix_(free, free)], rest[free], rcond=None)[0]
            inside = np.clip(change, least, most)
            is_out = inside != change
            if not is_out.any():
                break
            change = inside
            free &= ~is_out
        return change

    def _best(self, at: Place, tries: Sequence[Place]) -> Place:
        """The best of `tries`, or `at` with more damping."""
        best = min(tries, key=lambda place: place.cost)
        if best.cost >= at.cost:
            return dataclasses.replace(at, damping=100.0 * at.damping, stalls=at.stalls + 1)
        is_stalled = at.cost - best.cost < _STALLED * at.cost
        return dataclasses.replace(best, stalls=at.stalls + 1 if is_stalled else 0)

    def past_valleys(self, at: Place, most_steps: int, on_step: Callable[[], object]) -> Place:
        """The best place that searches from beside `at`, where one has come to rest, come to."""
        places = self.step(self.beside(at))
        best = sorted(places, key=lambda place: place.cost)[:_WAYS]
        return min([at, *self.to_rest(best, most_steps, on_step)], key=lambda place: place.cost)

    def noise(self, residual: Floats) -> Floats:
        """The root mean square of each signal, of the window in the middle: none that goes astray matters."""
        sums = np.add.reduceat(residual**2, np.concatenate([[0], np.cumsum(self._lengths)[:-1]]), axis=0)
        noise: Floats = np.maximum(np.sqrt(np.median(sums / self._lengths[:, None], axis=0)), 1e-9)
        return noise

    def to_rest(self, places: Sequence[Place], most_steps: int, on_step: Callable[[], object]) -> list[Place]:
        """Each of `places` after at most so many steps."""
        places = list(places)
        for _ in range(most_steps):
            moving = [k for k, at in enumerate(places) if not at.is_at_rest]
            if not moving:
                break
            for k, at in zip(moving, self.step([places[k] for k in moving]), strict=True):
                places[k] = at
            on_step()
        return places
