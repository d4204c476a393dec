"""Cells in processes of this machine: long-lived, one thread each, replaced when one dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic

from cartpole_robot.experiments.cells.crew import AnyTask, Crashed, Failed, Result
from cartpole_robot.simulation.workers import WorkerPool


class ProcessCrew(Generic[AnyTask]):
    """`slots` processes that do `function`, each started when it is first needed; each imports what it needs once.

    Each is a pool of its own: in a common one the death of one process would take the others' cells with it.
    """

    def __init__(self, slots: int, function: Callable[[AnyTask], Result]) -> None:
        self.slots = slots
        self._function = function
        self._idle: list[WorkerPool] = []
        self._busy: dict[Future[Result], tuple[AnyTask, WorkerPool]] = {}

    def submit(self, task: AnyTask) -> None:
        """Hand the cell to an idle process, or to a new one."""
        while True:
            pool = self._idle.pop() if self._idle else WorkerPool(1)
            try:
                self._busy[pool.submit(self._function, task)] = task, pool
            except BrokenProcessPool:  # it died while it had nothing to do
                pool.end()
                continue
            return

    def results(self) -> list[tuple[AnyTask, Result]]:
        """Wait until a process is done, or dead."""
        done, _ = wait(self._busy, return_when=FIRST_COMPLETED)
        return [self._ended(future) for future in done]

    def _ended(self, future: Future[Result]) -> tuple[AnyTask, Result]:
        task, pool = self._busy.pop(future)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            (code,) = pool.end()
            told = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return task, Crashed(why=f"its process {told}")
        self._idle.append(pool)
        return task, future.result() if error is None else Failed(why=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """End every process at once."""
        for pool in [*self._idle, *(pool for _, pool in self._busy.values())]:
            pool.end()
        self._idle.clear()
        self._busy.clear()
