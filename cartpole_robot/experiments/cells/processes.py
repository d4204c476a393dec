"""Cells in processes of this machine: long-lived, one thread each, replaced when one dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic

from cartpole_robot.experiments.cells.crew import AnyTask, Crashed, Failed, Result
from cartpole_robot.simulation.workers import WorkerPool


class ProcessCrew(Generic[AnyTask]):
    """Runs `function` in up to `slots` processes, each started when first needed.

    Each process is a pool of its own: in a shared pool the death of one process would end the other cells, too.
    """

    def __init__(self, slots: int, function: Callable[[AnyTask], Result]) -> None:
        self.slots = slots
        self._function = function
        self._idle: list[WorkerPool] = []
        self._busy: dict[Future[Result], tuple[AnyTask, WorkerPool]] = {}

    def submit(self, task: AnyTask) -> None:
        while True:
            pool = self._idle.pop() if self._idle else WorkerPool(1)
            try:
                self._busy[pool.submit(self._function, task)] = task, pool
            except BrokenProcessPool:  # it died while idle
                pool.end()
                continue
            return

    def results(self) -> list[tuple[AnyTask, Result]]:
        done, _ = wait(self._busy, return_when=FIRST_COMPLETED)
        return [self._ended(future) for future in done]

    def _ended(self, future: Future[Result]) -> tuple[AnyTask, Result]:
        task, pool = self._busy.pop(future)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            (code,) = pool.end()
            end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return task, Crashed(why=f"its process {end}")
        self._idle.append(pool)
        return task, future.result() if error is None else Failed(why=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        for pool in [*self._idle, *(pool for _, pool in self._busy.values())]:
            pool.end()
        self._idle.clear()
        self._busy.clear()
