"""Stops a run: Ctrl-C, SIGTERM and a closed terminal alike, even if a shell started it with Ctrl-C switched off."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

_AGAIN_S = 0.05
_AFTER_IMPORT_S = 0.5
_TWICE_S = 1.0  # a supervisor such as timeout sends SIGTERM to the process and to its group
_last_sigterm_s = -math.inf


class StopWish:
    """SIGINT (Ctrl-C) and SIGTERM, as a request that the caller checks when it suits.

    The second one, or one while nothing can be lost (`at_once`), raises KeyboardInterrupt; a SIGTERM that comes twice
    at once counts as one. A context manager: the handlers are installed only inside it, and only in the main thread.
    """

    def __init__(self) -> None:
        self.was_asked = False
        self.at_once = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and _came_just_now():
            return
        if self.was_asked or self.at_once:
            raise KeyboardInterrupt
        self.was_asked = True


@contextmanager
def signals_held() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP wait: the first of them takes effect at the end.

    Nothing changes in other threads, and an ignored SIGHUP (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    try:
        with _handled(lambda number, _: held.append(number)):
            yield
    finally:
        if held:
            signal.raise_signal(held[0])


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP (the terminal is closed) raise KeyboardInterrupt in the main thread.

    Elsewhere nothing changes, and an ignored SIGHUP (`nohup`) stays ignored. A SIGTERM that comes twice at once counts
    as one, so that what is saved after a stop is saved whole.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if number != signal.SIGTERM or not _came_just_now():
            raise KeyboardInterrupt

    with _handled(stop):
        yield


def _came_just_now() -> bool:
    """Whether this SIGTERM follows within a second one that counted."""
    global _last_sigterm_s
    now_s = time.monotonic()
    if now_s - _last_sigterm_s < _TWICE_S:
        return True
    _last_sigterm_s = now_s
    return False


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Inside, `handler` takes SIGINT, SIGTERM, and SIGHUP unless that is ignored; only in the main thread."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C has come.

    A class of its own: after a plain KeyboardInterrupt that came while Python ran the text of a module's `exec`, as
    every dataclass has it, an interpreter ends with SIGINT, even if the exception was caught.
    """


class Terminated(Interrupted):
    """SIGTERM has come."""


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Inside, the first SIGTERM raises `Terminated` in the main thread, and further ones do nothing.

    So files and processes are cleaned up, even where a supervisor sends the signal to the process and to its group. A
    Ctrl-C raises `Interrupted`. A caller's own handler, or its wish to ignore a signal, is left alone. Python drops an
    exception that is raised in a finalizer, as garbage collection runs them at any time, and compiled modules drop one
    while they are imported: a SIGTERM or Ctrl-C that met either is sent again. One inside another changes nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    is_inner = getattr(sys.unraisablehook, "__module__", None) == __name__
    if is_inner or not is_main:
        yield
        return
    takes_sigterm = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    takes_sigint = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    has_come, is_active, count = False, True, 0
    importing: list[weakref.ref[Interrupted]] = []  # exceptions raised during an import, which may drop them

    def stop(_: int, frame: FrameType | None) -> None:
        nonlocal has_come
        if not has_come and not _came_just_now():
            has_come = True
            interrupted(Terminated(), frame)

    def interrupt(_: int, frame: FrameType | None) -> None:
        interrupted(Interrupted(), frame)

    def interrupted(exception: Interrupted, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if _is_importing(frame):  # once nothing refers to it, it was dropped, or handled, and all is about to end
            kind, number = type(exception), count
            importing.append(weakref.ref(exception, lambda _: send_later(kind, number, _AFTER_IMPORT_S)))
        try:
            raise exception
        finally:
            del exception  # otherwise its traceback refers to it, and it outlives those who drop it

    def send_later(kind: type[BaseException], number: int, after_s: float) -> None:
        again = threading.Timer(after_s, send_again, (kind, number))
        again.daemon = True
        again.start()

    def send_again(kind: type[BaseException], number: int) -> None:
        """Send the signal of the exception `number` again, unless another has been raised or it has stopped all."""
        global _last_sigterm_s
        nonlocal has_come
        if is_active and number == count:
            _last_sigterm_s = -math.inf  # this one counts
            has_come = has_come and not issubclass(kind, Terminated)
            os.kill(os.getpid(), signal.SIGTERM if issubclass(kind, Terminated) else signal.SIGINT)

    def dropped(by_finalizer: sys.UnraisableHookArgs) -> None:
        if isinstance(by_finalizer.exc_value, KeyboardInterrupt):
            send_later(type(by_finalizer.exc_value), count, _AGAIN_S)
        else:
            before(by_finalizer)

    before = sys.unraisablehook
    if takes_sigterm:
        signal.signal(signal.SIGTERM, stop)
    if takes_sigint:
        signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        is_active = False
        sys.unraisablehook = before
        if takes_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if takes_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the code of `frame` runs for an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
