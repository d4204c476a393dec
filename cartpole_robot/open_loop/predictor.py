"""What runs models through windows, on the chosen engine."""

from __future__ import annotations

from collections.abc import Sequence

from cartpole_robot.cart.params import CartParams
from cartpole_robot.open_loop.native_runs import NativePredictor
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import Predictor, Window
from cartpole_robot.simulation.engine import Engine


def predictor_on(
    engine: Engine, all_series: Sequence[Series], windows: Sequence[Window], cart: CartParams, workers: int = 1
) -> Predictor:
    """A predictor for models of `cart`, of its physics step.

    `workers` are processes with a PyBullet each; with one or none, and on the native engine, this one runs.
    """
    if engine is Engine.NATIVE:
        return NativePredictor(all_series, windows)
    from cartpole_robot.open_loop.plant_pool import PlantPool
    from cartpole_robot.open_loop.plant_runs import PlantPredictor

    if workers > 1:
        return PlantPool(all_series, windows, cart, workers)
    return PlantPredictor(all_series, windows, cart)
