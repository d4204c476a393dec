"""Cells in processes of this machine: long-lived, one thread each, replaced when one dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Generic

from cartpole_robot.experiments.cells.crew import AnyTask, Crashed, Result

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_END_S = 5.0


@dataclass
class _Worker(Generic[AnyTask]):
    process: SpawnProcess
    connection: Connection
    task: AnyTask | None = None


class ProcessCrew(Generic[AnyTask]):
    """`slots` processes that do `function`, each started when it is first needed; each imports what it needs once."""

    def __init__(self, slots: int, function: Callable[[AnyTask], Result]) -> None:
        self.slots = slots
        self._function = function
        self._workers: list[_Worker[AnyTask]] = []

    def submit(self, task: AnyTask) -> None:
        """Hand the cell to an idle process, or to a new one."""
        while True:
            worker = next((one for one in self._workers if one.task is None), None) or self._hire()
            try:
                worker.connection.send(task)
            except OSError:  # it died while it had nothing to do
                self._dismiss(worker)
                continue
            worker.task = task
            return

    def results(self) -> list[tuple[AnyTask, Result]]:
        """Wait until a process is done, or dead."""
        busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
        found: list[tuple[AnyTask, Result]] = []
        for ready in multiprocessing.connection.wait(list(busy)):
            worker = busy[ready]  # type: ignore[index]
            assert worker.task is not None
            task, worker.task = worker.task, None
            try:
                found.append((task, worker.connection.recv()))
            except (EOFError, OSError):
                found.append((task, Crashed(why=self._dismiss(worker))))
        return found

    def close(self) -> None:
        """End every process at once."""
        for worker in list(self._workers):
            worker.process.terminate()
        for worker in list(self._workers):
            self._dismiss(worker)

    def _hire(self) -> _Worker[AnyTask]:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, self._function), name="cartpole-robot worker", daemon=True
        )
        with _one_thread():
            process.start()
        theirs.close()  # so that its death ends the pipe
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _dismiss(self, worker: _Worker[AnyTask]) -> str:
        """Forget a process that is to end, or has; tells how it ended."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(_END_S)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        code = worker.process.exitcode or 0
        return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, a process that starts has libraries of one thread: they look before the first line of ours runs."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, function: Callable[[AnyTask], Result]) -> None:
    """In the process: one cell after the other, until the driver ends. Ctrl-C is the driver's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(function(connection.recv()))


def _end_with_driver() -> None:
    """Nobody is left to take a result once the driver was killed: do not go on for nothing."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)
