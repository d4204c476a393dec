"""A controller on a cart that is pushed once: what it survives, and the largest push of which it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.experiments.score.disturbed_cart import Disturbance, DisturbedCart, Push
from cartpole_robot.policy.controllers import Controller, choose_controller
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.signals import State
from cartpole_robot.task import is_terminated, start_state

WIDTH_S, STEP_S = 0.02, 0.002
EARLIEST_S, LATEST_S, AFTER_S = 2.0, 3.0, 5.0
ENOUGH, PRECISION = 0.95, 0.02
FIRST_N_S, MOST_N_S = 0.1, 100.0
SEED = 5_000_000
PLACES = ("cart, left", "cart, right", "pole, left", "pole, right")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A controller by name: a policy's file, or without one the regulator designed for `designed_for`."""

    name: str
    policy: Path | None
    designed_for: CartParams

    def controller(self) -> Controller:
        """Raises `UsageError` for a policy that does not fit the cart of the file."""
        if self.policy is None:
            return regulator_of(self.designed_for)
        return choose_controller(self.policy, self.designed_for, "c").controller


@dataclass(frozen=True, kw_only=True)
class Run:
    """A start, and when the push comes."""

    start: State
    at_s: float
    seed: int


def runs_of(cart: CartParams, count: int) -> list[Run]:
    """The runs, the same for every controller."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(SEED + number)
        start = start_state(cart.start, rng)
        found.append(Run(start=start, at_s=float(rng.uniform(EARLIEST_S, LATEST_S)), seed=SEED + number))
    return found


def pushes(cart: CartParams, place: str, impulse_n_s: float, at_s: float) -> tuple[Push, ...]:
    """The push of that impulse: on the pole a force that also acts on the cart, and its torque about the hinge."""
    side = -1.0 if place.endswith("left") else 1.0
    force_n = side * impulse_n_s / (WIDTH_S * math.sqrt(2.0 * math.pi))
    on_cart = Push(at_s=at_s, width_s=WIDTH_S, height=force_n, is_on_pole=False)
    if place.startswith("cart"):
        return (on_cart,)
    torque_n_m = force_n * cart.pole_cart.pole_half_length_m
    return (on_cart, Push(at_s=at_s, width_s=WIDTH_S, height=torque_n_m, is_on_pole=True))


def survives(controller: Controller, plant: CartParams, run: Run, place: str, impulse_n_s: float) -> bool:
    """Whether the cart stays within its limits until `AFTER_S` after the push."""
    disturbance = Disturbance(pushes=pushes(plant, place, impulse_n_s, run.at_s))
    disturbed = DisturbedCart(plant, disturbance, step_s=STEP_S, seed=run.seed)
    controller.reset()
    observation = disturbed.place(run.start)
    try:
        for _ in range(math.ceil((run.at_s + AFTER_S) / plant.timing.control_period_s)):
            observation = disturbed.step(controller.duty(observation))
            if is_terminated(disturbed.measurement, plant.limits):
                return False
    except ArithmeticError:  # the physics diverges: a push beyond all measure
        return False
    return True


def has_enough(outcomes: Iterator[bool], count: int) -> bool:
    """Whether a share of at least `ENOUGH` of `count` outcomes is true; asks for no more than that takes."""
    may_fail = count - math.ceil(ENOUGH * count - 1e-9)
    for survived in outcomes:
        may_fail -= not survived
        if may_fail < 0:
            return False
    return True


def largest(holds: Callable[[float], bool], *, first: float, most: float, precision: float) -> float:
    """The largest number up to `most` that `holds`, to `precision` of itself; 0 if not even a thousandth of `first`.

    What is returned holds, and that number times 1 + `precision` does not (`most` is returned as it is).
    """
    low, high = 0.0, first
    while holds(high):
        if high >= most:
            return most
        low, high = high, min(most, 2.0 * high)
    while low == 0.0:
        if high < 1e-3 * first:
            return 0.0
        if holds(0.5 * high):
            low = 0.5 * high
        else:
            high *= 0.5
    while high > (1.0 + precision) * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def limit(contender: Contender, plant: CartParams, place: str, count: int) -> float:
    """The largest impulse in N s at that place that enough of the runs survive; 0 where enough fall without a push."""
    controller, runs = contender.controller(), runs_of(plant, count)

    def holds(impulse_n_s: float) -> bool:
        return has_enough((survives(controller, plant, run, place, impulse_n_s) for run in runs), count)

    return largest(holds, first=FIRST_N_S, most=MOST_N_S, precision=PRECISION) if holds(0.0) else 0.0
