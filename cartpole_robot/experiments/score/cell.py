"""One cell: a contender at one value of a row, in as many runs as the row repeats."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.cell import finished_cell
from cartpole_robot.experiments.cells.crew import Failed, Finished
from cartpole_robot.experiments.score.drivers import Driver, HandOver, SwingUpControllerDriver, SwingUpPolicyDriver
from cartpole_robot.experiments.score.parts import rows_of, trial
from cartpole_robot.experiments.score.score import SWING_UP, ScoreTask
from cartpole_robot.experiments.score.scored_run import scored_run
from cartpole_robot.files.records import record_from_table
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task


def run_cell(task: ScoreTask) -> Finished | Failed:
    """The figures of each run of a cell."""
    return finished_cell(task, _figures)


def _figures(task: ScoreTask) -> dict[str, Any]:
    cart = record_from_table(CartParams, task.cart, where=f"{task.label}: cart")
    driver = driver_of(task.source, task.policy_hash, cart)
    row = next(row for row in rows_of(cart, task.ranges) if row.name == task.row)
    runs = [
        scored_run(driver, cart, trial(cart, task.ranges, row, task.index, repeat, task.seed), task.ranges)
        for repeat in range(row.repeats)
    ]
    return {
        "up_shares": [run.up_share for run in runs],
        "up_s": [run.up_s if math.isfinite(run.up_s) else -1.0 for run in runs],
        "longest_s": [run.longest_s for run in runs],
        "at_goal": [run.is_at_goal for run in runs],
        "stops": [stop for run in runs for stop in run.stops],
        "engine": Engine.NATIVE,
    }


def driver_of(source: str, policy_hash: str | None, cart: CartParams) -> Driver:
    """The driver of a contender on `cart`. Raises `UsageError` where the policy is no longer the one of that hash."""
    return _driver(source, policy_hash, _Keyed(cart))


class _Keyed:
    """A cart in the key of a cache, by its fingerprint: the same cart means the same controller."""

    def __init__(self, cart: CartParams) -> None:
        self.cart, self._fingerprint = cart, cart.fingerprint()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and other._fingerprint == self._fingerprint

    def __hash__(self) -> int:
        return hash(self._fingerprint)


@functools.lru_cache(maxsize=8)
def _driver(source: str, policy_hash: str | None, keyed: _Keyed) -> Driver:
    cart = keyed.cart
    if source == SWING_UP:
        return SwingUpControllerDriver(cart, _design(keyed))
    chosen = choose_controller(Path(source), cart, "c")
    if chosen.record["policy_hash"] != policy_hash:
        raise UsageError(f"{source}: is another policy than when this score was begun; put the old one back")
    if chosen.task is Task.SWING_UP:
        return SwingUpPolicyDriver(chosen.controller)
    return HandOver(cart, _design(keyed), chosen.controller)


@functools.lru_cache(maxsize=8)
def _design(keyed: _Keyed) -> SwingUpDesign:
    return design_swing_up(keyed.cart)
