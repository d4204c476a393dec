"""Parallel simulations: processes that start without the caller's script, and a pool of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from types import TracebackType
from typing import Any

from cartpole_robot.terminal.interrupts import signals_held

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_starting = threading.Lock()


class MainlessProcess(SpawnProcess):
    """A spawned process that does not import the caller's `__main__`: a script needs no main guard.

    What it runs must therefore come from a module. Numerical libraries use one thread in it. A signal that comes while
    it is started takes effect afterwards: a process that got half of its work would print a traceback.
    """

    def start(self) -> None:
        with signals_held():
            super().start()

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - the standard library's name
        with _starting, _one_thread(), _without_main():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    """Starts `MainlessProcess`es and keeps them."""

    def __init__(self) -> None:
        self.started: list[MainlessProcess] = []

    def Process(self, *args: Any, **options: Any) -> MainlessProcess:  # type: ignore[override]  # noqa: N802
        self.started.append(MainlessProcess(*args, **options))
        return self.started[-1]


class WorkerPool(ProcessPoolExecutor):
    """An executor of `MainlessProcess`es; a context manager that kills them if its block raises.

    `initializer` is called in each with `initargs` when it starts. They ignore Ctrl-C, and end if the caller is
    killed. One that dies breaks the whole pool, as in every `ProcessPoolExecutor`.
    """

    def __init__(self, workers: int, initializer: Callable[..., object] | None = None, *initargs: Any) -> None:
        self._context = _Context()
        super().__init__(workers, mp_context=self._context, initializer=_begin_worker, initargs=(initializer, initargs))

    def end(self) -> list[int]:
        """Kill every worker; returns their exit codes, negative for signals."""
        for item in list(self._pending_work_items.values()):
            if item.future.cancelled():  # the executor fails it with the others, which no cancelled future allows
                item.future = Future()
        for process in self._context.started:
            if process.is_alive():
                process.kill()
        for process in self._context.started:
            if process.pid is not None:
                process.join()
        # A killed worker may leave half a result. Without a writer, the executor does not wait for the other half.
        results: Any = self._result_queue
        if results is not None:
            results._writer.close()
        self.shutdown(cancel_futures=True)
        return [process.exitcode or 0 for process in self._context.started]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.end()


def _begin_worker(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_caller() -> None:
    """End this worker when the caller is killed: nothing would take its results."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, a new process has libraries with one thread; they read the environment before our first line runs."""
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


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Inside, `multiprocessing` cannot tell a new process where `__main__` comes from."""
    main = vars(sys.modules["__main__"])
    before: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(before)
