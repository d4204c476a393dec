"""Processes with a PyBullet each, which share the tries of a search on the reference engine."""

from __future__ import annotations

from collections.abc import Sequence

from cartpole_robot.cart.params import CartParams
from cartpole_robot.open_loop.plant_runs import PlantPredictor
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import Runs, Try, Window
from cartpole_robot.simulation.workers import WorkerPool

_predictor: PlantPredictor | None = None  # of a worker process


def _begin_worker(all_series: Sequence[Series], windows: Sequence[Window], cart: CartParams) -> None:
    global _predictor
    _predictor = PlantPredictor(all_series, windows, cart)


def _run(one: Try) -> Runs:
    assert _predictor is not None
    return _predictor.run([one])[0]


class PlantPool:
    """Runs models through windows on PyBullet, in `workers` processes; implements `windows.Predictor`."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], cart: CartParams, workers: int) -> None:
        """`cart` has the physics step of every model that will run."""
        self._pool = WorkerPool(workers, _begin_worker, list(all_series), list(windows), cart)

    def run(self, tries: Sequence[Try]) -> list[Runs]:
        """As `windows.Predictor.run`."""
        return list(self._pool.map(_run, tries))

    def close(self) -> None:
        """End the processes. May be called twice."""
        self._pool.end()
