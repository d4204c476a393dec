"""The choice of drives for a swing-up: many short motions are predicted, and the best one begins.

A receding horizon of about half a swing. Candidates are the best plans of the previous step, each changed in
windows of time and by smooth curves, and fresh bang-bang sequences; nothing is random at run time. A plan costs what
its motion leaves undone: the energy missing at its end (K. J. Astrom and K. Furuta, Swinging up a pendulum by energy
control, Automatica 36, 2000, pump by its sign alone), the regulator's cost where the pole comes near upright, and
whatever brings the cart so fast so far out that it could not stop before the end of its track.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.swing_model import Array, SwingModel
from cartpole_robot.policy.track import LATE_S, Track
from cartpole_robot.signals import State

_KNOTS, _SMOOTH_EVERY = 6, 3
HORIZON = 3.4  # over the hanging pole's angular frequency: half of its small swing and a little more


@dataclass(frozen=True, kw_only=True)
class PlanWeights:
    """What a plan's shortcomings cost, each measured as 0 at the goal and about 1 far from it."""

    energy_at_end: float = 3.0
    energy: float = 2.0
    upright_at_end: float = 3.0
    upright: float = 1.5
    centre: float = 0.3
    track: float = 3e3
    duty: float = 0.02


class SwingPlanner:
    """Keeps the best plans from step to step; `reset` it before each swing-up."""

    _KEPT, _CHANGED, _FRESH, _VARIANTS = 8, 40, 12, 1024

    def __init__(
        self, model: SwingModel, track: Track, catch_cost: Array, *, step_s: float, weights: PlanWeights | None = None
    ) -> None:
        """`catch_cost` (4, 4) is 1 at the edge of the region in which the regulator takes over."""
        self._model, self._track, self._step_s, self._weights = model, track, step_s, weights or PlanWeights()
        self._catch_cost = catch_cost
        self.steps = int(min(60, max(16, round(HORIZON / model.rate_hanging_rad_s / step_s))))
        self._changes, self._bangs = _variants(self._VARIANTS, self.steps)
        self._parents = np.arange(self._CHANGED) % self._KEPT
        self.reset()

    def reset(self) -> None:
        """Forget all plans."""
        self._plans = np.zeros((self.steps, self._KEPT))
        self._next = 0

    def numbers(self) -> dict[str, float]:
        """What the twin in C (`page/native/swing_plan.c`) takes besides `plan_variants`."""
        return {
            "plan_steps": self.steps,
            "plan_step_s": self._step_s,
            "track_position_m": self._track.position_m,
            "track_stop_m": self._track.stop_m,
            "track_brake_m_s2": self._track.brake_m_s2,
            "track_late_s": LATE_S,
            **dataclasses.asdict(self._weights),
        }

    def variants(self) -> PlanVariants:
        """What its plans are varied by."""
        return plan_variants(self._VARIANTS, self.steps)

    def drive(self, state: State, most: tuple[float, float]) -> float:
        """The drive to hold for the step that begins at `state`, at least -most[0] and at most most[1]."""
        drives = np.clip(self._candidates(), -most[0], most[1])
        costs = self.costs(state, drives)
        best = np.argpartition(costs, self._KEPT)[: self._KEPT]
        best = best[np.argsort(costs[best])]
        self._plans = drives[:, best]
        return float(self._plans[0, 0])

    def _candidates(self) -> Array:
        shifted = np.concatenate((self._plans[1:], self._plans[-1:]))
        begin = self._next
        self._next = (begin + self._CHANGED) % (self._VARIANTS - self._CHANGED)
        changed = shifted[:, self._parents] + self._changes[:, begin : begin + self._CHANGED]
        best = shifted[:, :1]
        late, early = np.concatenate((best[:1], best[:-1])), np.concatenate((best[1:], best[-1:]))
        fresh = self._bangs[:, begin : begin + self._FRESH]
        return np.concatenate((shifted, changed, late, early, fresh, np.zeros((self.steps, 1))), axis=1)

    def costs(self, state: State, drives: Array) -> Array:
        """What each column of drives (steps, many) costs from `state`, shape (many,)."""
        weights, track = self._weights, self._track
        x, v, angle, rate = self._model.rollouts(state, drives, self._step_s)
        energy = np.abs(0.5 * np.cos(angle) - 0.5 + (0.25 / self._model.rate_hanging_rad_s**2) * rate * rate)
        cost = weights.energy_at_end * energy[-1] + weights.energy * energy.mean(axis=0)
        # Where the cart would come to rest if it braked now
        stop = np.abs(x + v * (LATE_S + np.abs(v) * (0.5 / track.brake_m_s2)))
        past = np.maximum(stop - track.stop_m, 0.0)
        past += np.maximum(np.abs(x) - track.position_m, 0.0)
        cost += weights.track / track.position_m * past.sum(axis=0) * self._step_s
        cost += weights.centre * (stop[-1] / track.position_m) ** 2
        rows = slice(self.steps - 1, None, -4)
        angle = angle[rows]
        angle = angle - 2.0 * math.pi * np.round(angle * (0.5 / math.pi))
        z = np.stack((x[rows], v[rows], angle, rate[rows]))
        left = np.einsum("irk,irk->rk", np.tensordot(self._catch_cost, z, 1), z)
        left /= left + 1.0
        cost += weights.upright_at_end * left[0] + weights.upright * left.mean(axis=0)
        cost += weights.duty * np.square(drives).mean(axis=0)
        return np.asarray(cost)


@dataclass(frozen=True, kw_only=True)
class PlanVariants:
    """What plans are varied by, always the same for the same number of steps, in the few numbers that it is drawn from.

    A window of `window_steps` steps from step `window_begin` on changes a plan by `window_size`, (many,) each; every
    third variant is a smooth curve instead, through equidistant `knots` (a third of many, 6). A bang-bang plan begins
    with `sign`, (many,), and changes it at each of its `switches`, (3, many).
    """

    window_begin: NDArray[np.int64]
    window_steps: NDArray[np.int64]
    window_size: Array
    knots: Array
    switches: NDArray[np.int64]
    sign: Array


def plan_variants(many: int, steps: int) -> PlanVariants:
    """The variants of a plan with that number of steps."""
    rng = np.random.default_rng(1)
    begin = rng.integers(-2, steps, many)
    duration = rng.integers(1, steps // 2, many)
    size = np.where(rng.random(many) < 0.5, 2.0, rng.exponential(0.3, many)) * rng.choice((-1.0, 1.0), many)
    knots = np.array([rng.normal(0.0, rng.choice((0.05, 0.2, 0.5)), _KNOTS) for _ in range(0, many, _SMOOTH_EVERY)])
    return PlanVariants(
        window_begin=begin,
        window_steps=duration,
        window_size=size,
        knots=knots,
        switches=rng.integers(1, 2 * steps, (3, many)),
        sign=rng.choice((-1.0, 1.0), many),
    )


def _variants(many: int, steps: int) -> tuple[Array, Array]:
    """Changes to add to a plan, and plans of full drives to either side; both (steps, many), always the same."""
    drawn = plan_variants(many, steps)
    times = np.arange(steps)[:, None]
    changes, bangs = np.zeros((steps, many)), np.ones((steps, many))
    inside = (times >= drawn.window_begin) & (times < drawn.window_begin + drawn.window_steps)
    changes += inside * drawn.window_size
    places = np.linspace(0, steps - 1, _KNOTS)
    for k, knots in enumerate(drawn.knots):
        changes[:, _SMOOTH_EVERY * k] = np.interp(times[:, 0], places, knots)
    for switch in drawn.switches:
        bangs *= np.where(times >= switch, -1.0, 1.0)
    return changes, bangs * drawn.sign
