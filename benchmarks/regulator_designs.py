"""The regulators of a cart that other weights give, evaluated over the starts of the verdict."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from typing import Any

import numpy as np

from benchmarks.against_regulator import Figures, judged
from benchmarks.front import Point, front_of
from benchmarks.kept_records import KeptRecords
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr_design import LqrWeights, regulator_of
from cartpole_robot.simulation.workers import WorkerPool

EPISODES = 100
SEED = 7
ROUNDS, SPREAD = 4, 0.3  # of the refinements; the spread is that of a weight's logarithm, halved in each round
TODAY = LqrWeights()
NAMES = tuple(field.name for field in dataclasses.fields(LqrWeights))

Weights = tuple[float, ...]  # in the order of NAMES


def drawn(count: int) -> list[Weights]:
    """Today's weights, then that many sets with factors of 0.1 to 10, evenly distributed on a logarithmic scale."""
    factors = 10.0 ** np.random.default_rng(SEED).uniform(-1.0, 1.0, (count, len(NAMES)))
    today = np.array(dataclasses.astuple(TODAY))
    return [_rounded(today), *(_rounded(today * row) for row in factors)]


def refined(parents: Sequence[Weights], count: int, number: int) -> list[Weights]:
    """That many sets of weights near the `parents`, for round `number`."""
    rng = np.random.default_rng([SEED, number])
    order = rng.permutation(len(parents)).tolist()
    steps = SPREAD * 0.5**number * rng.standard_normal((count, len(NAMES)))
    return [
        _rounded(np.array(parents[parent]) * np.exp(row))
        for parent, row in zip(itertools.cycle(order), steps, strict=False)
    ]


def _rounded(weights: Any) -> Weights:
    return tuple(float(f"{weight:.6g}") for weight in weights)


def evaluated(cart: CartParams, weights: Weights) -> Figures | None:
    """The figures of a regulator over the starts of the verdict; None where none exists for those weights."""
    try:
        controller = regulator_of(cart, LqrWeights(**dict(zip(NAMES, weights, strict=True))))
    except UsageError:
        return None
    return judged(controller, cart, "sim", episodes=EPISODES)


def point_of(figures: Figures) -> Point:
    """RMS position and motor power."""
    return figures["rms_position_m"], figures["mean_power_w"]


class Designs:
    """The regulators of one cart that were tried."""

    def __init__(self, cart: CartParams, kept: KeptRecords, pool: WorkerPool) -> None:
        self.cart, self._kept, self._pool = cart, kept, pool
        self.tried: dict[Weights, Figures] = {}
        self.lost = 0

    def evaluate(self, all_weights: Sequence[Weights]) -> None:
        """Evaluate what is not kept yet; those that survive every episode are then in `tried`."""
        keys = {weights: f"{self.cart.fingerprint()[:12]}/{','.join(map(repr, weights))}" for weights in all_weights}
        missing = {
            self._pool.submit(evaluated, self.cart, weights): key
            for weights, key in keys.items()
            if self._kept.get(key) is None
        }
        for number, future in enumerate(as_completed(missing), 1):
            self._kept.add(missing[future], {"figures": future.result()})
            if number % 20 == 0 or number == len(missing):
                print(f"{self.cart.name}: {number} of {len(missing)} designs", file=sys.stderr)
        for weights, key in keys.items():
            record = self._kept.get(key)
            assert record is not None
            figures: Figures | None = record["figures"]
            if figures is None or figures["survived"] < figures["episodes"]:
                self.lost += 1
            else:
                self.tried[weights] = figures

    @property
    def front(self) -> list[Weights]:
        """The weights of the designs that none dominates, by RMS position."""
        weights = list(self.tried)
        return [weights[index] for index in front_of([point_of(self.tried[each]) for each in weights])]


def searched(cart: CartParams, kept: KeptRecords, pool: WorkerPool, designs: int, refinements: int) -> Designs:
    """The drawn designs, then those near the front, in rounds."""
    found = Designs(cart, kept, pool)
    found.evaluate(drawn(designs))
    if not found.tried:
        raise UsageError(f"cart {cart.name!r}: no design survives every episode; leave it out")
    for number in range(ROUNDS):
        found.evaluate(refined(found.front, refinements // ROUNDS, number))
    return found
