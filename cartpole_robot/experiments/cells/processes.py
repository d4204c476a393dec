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
        self._pools: list[WorkerPool] = []  # all: a Ctrl-C in the middle of a submit leaves one neither idle nor busy
        self._idle: list[WorkerPool] = []
        self._busy: dict[Future[Result], tuple[AnyTask, WorkerPool]] = {}

    def submit(self, task: AnyTask) -> None:
        while True:
            if not self._idle:
                self._pools.append(WorkerPool(1))
                self._idle.append(self._pools[-1])
            pool = self._idle.pop()
            try:
                self._busy[pool.submit(self._function, task)] = task, pool
            except BrokenProcessPool:  # it died while idle
                self._end(pool)
                continue
            return

    def results(self) -> list[tuple[AnyTask, Result]]:
        done, _ = wait(self._busy, return_when=FIRST_COMPLETED)
        return [self._ended(future) for future in done]

    def _ended(self, future: Future[Result]) -> tuple[AnyTask, Result]:
        task, pool = self._busy.pop(future)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            (code,) = self._end(pool)
            end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return task, Crashed(why=f"its process {end}")
        self._idle.append(pool)
        return task, future.result() if error is None else Failed(why=f"{type(error).__name__}: {error}")

    def _end(self, pool: WorkerPool) -> list[int]:
        self._pools.remove(pool)
        return pool.end()

    def close(self) -> None:
        for pool in self._pools:
            pool.end()
        self._pools.clear()
        self._idle.clear()
        self._busy.clear()
