"""One cell: a policy made for one cart, on another cart."""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.experiments.cells.cell import finished_cell
from cartpole_robot.experiments.cells.crew import Failed, Finished
from cartpole_robot.experiments.stability.stability_map import LQR_TRUE, Conditions, MapTask, controller_of
from cartpole_robot.files.records import record_from_table
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.engine_choice import is_represented
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.evaluation import Evaluation, evaluate_controller
from cartpole_robot.simulation.engine import Engine, check_is_installed


def run_cell(task: MapTask) -> Finished | Failed:
    """Judge a cell. If the rig refuses to begin an episode, `refused` gives the reason and no more episodes begin."""
    return finished_cell(task, _judged)


def _judged(task: MapTask) -> dict[str, Any]:
    cart = record_from_table(CartParams, task.cart, where=f"{task.label}: cart")
    plant = record_from_table(CartParams, task.plant, where=f"{task.label}: plant")
    conditions = task.conditions
    try:
        chosen = controller_of(task.policy, cart, conditions.backend, plant=plant)
    except UsageError as error:
        if task.policy != LQR_TRUE:
            raise
        return _record([], refused=f"NO_REGULATOR: {error}")
    if chosen.record["policy_hash"] != task.policy_hash:
        raise UsageError(f"{task.policy}: is another policy than when this map was begun; put the old one back")
    done: list[Evaluation] = []
    engine = _engine(conditions, plant)
    try:
        with closing(CartPoleEnv(_rig(conditions.rig, cart, plant, engine))) as env:
            for episode in range(conditions.episodes):
                found = evaluate_controller(
                    chosen.controller,
                    env,
                    episodes=1,
                    first_seed=conditions.first_seed + episode,
                    max_steps=conditions.max_steps,
                )
                done.append(found)
    except RigError as error:
        return _record(done, refused=str(error), engine=engine)
    return _record(done, refused=None, engine=engine)


def _engine(conditions: Conditions, plant: CartParams) -> Engine:
    """The map's engine, or PyBullet for a point's cart that the native one cannot represent. Raises `UsageError`."""
    if conditions.engine is Engine.NATIVE and is_represented(plant):
        return Engine.NATIVE
    check_is_installed(Engine.PYBULLET)
    return Engine.PYBULLET


def _rig(rig: str, cart: CartParams, plant: CartParams, engine: Engine) -> Rig:
    """The rig with the physics of `plant` and the limits, actions and encoders of `cart`."""
    if rig == "sim":
        return simulated_rig(plant, engine=engine)
    return VirtualRig(cart, plant=plant, engine=engine)


def _record(done: list[Evaluation], *, refused: str | None, engine: Engine | None = None) -> dict[str, Any]:
    steps = [one.steps[0] for one in done]
    total = max(1, sum(steps))

    def rms(values: list[float]) -> float:
        return math.sqrt(sum(value**2 * count for value, count in zip(values, steps, strict=True)) / total)

    return {
        "steps": steps,
        "rms_position_m": rms([one.rms_position_m for one in done]),
        "rms_angle_rad": rms([one.rms_angle_rad for one in done]),
        "faults": [fault.partition(": ")[2] for one in done for fault in one.faults],
        "refused": refused,
        "engine": engine,
    }
