"""Real-time settings for this thread: applies what the system permits, reports each, restores all afterwards."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PRIORITY = 20  # of SCHED_FIFO, which has 1 to 99; the kernel's interrupt threads have 50
_FIRST_OF_ORDINARY = -20  # niceness
_SWITCH_S = 20e-6  # how long another Python thread may keep running when this one wants to run
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30


@dataclass(frozen=True)
class Setting:
    """One real-time setting: whether it is on, and if not, why."""

    name: str
    is_on: bool
    why_not: str = ""


@contextmanager
def punctual(cpu: int | None = None) -> Iterator[list[Setting]]:
    """Make this thread as punctual as the system permits; yields which settings are on, and why others are not.

    It runs on the processor `cpu`, by default the last one: the first ones handle the most interrupts.

    Garbage collection is off and existing objects are frozen, other Python threads give way within 20 us, memory stays
    in RAM, timers are exact, processors do not sleep deeply, bytes of serial ports do not wait for ordinary threads,
    and this thread runs before all ordinary ones.
    """
    settings: list[Setting] = []
    with ExitStack() as stack:
        for name, enter in (
            ("garbage collection paused", _freeze_garbage),
            ("quick thread switches", _switch_quickly),
            ("memory locked", _lock_memory),
            ("timer slack 1 ns", _sharpen_timers),
            ("processors kept awake", _stay_awake),
            ("priority for serial ports", _hurry_serial_bytes),
            ("SCHED_FIFO", _run_first),
            ("reserved processor", lambda: _pin(cpu)),
        ):
            try:
                stack.callback(enter())
                settings.append(Setting(name, True))
            except (OSError, AttributeError, ValueError) as error:
                settings.append(Setting(name, False, getattr(error, "strerror", None) or str(error)))
        yield settings


def _freeze_garbage() -> Callable[[], object]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()

    def restore() -> None:
        gc.unfreeze()
        if was_enabled:
            gc.enable()

    return restore


def _switch_quickly() -> Callable[[], object]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    return lambda: sys.setswitchinterval(before)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _lock_memory() -> Callable[[], object]:
    # Pages stay in RAM once touched; pages never touched take no memory.
    libc = _libc()
    _check(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT))
    return lambda: libc.munlockall()


def _sharpen_timers() -> Callable[[], object]:
    libc = _libc()
    before = libc.prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    _check(before)
    _check(libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0))
    return lambda: libc.prctl(_PR_SET_TIMERSLACK, before, 0, 0, 0)


def _stay_awake() -> Callable[[], object]:
    # While this file is open, the kernel keeps processors out of deep sleep.
    file = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    try:
        os.write(file, bytes(4))  # at most 0 us
    except OSError:
        os.close(file)
        raise
    return lambda: os.close(file)


def _hurry_serial_bytes() -> Callable[[], object]:
    # Linux hands a port's bytes over in kernel threads that share the processors with all programs: a busy browser
    # made them a millisecond late. Workers that the kernel adds later are ordinary again; it keeps the ones it has.
    workers = _unbound_workers()
    if not workers:
        raise OSError(0, "the kernel's threads are not to be seen from here")
    ordinary: dict[int, int] = {}
    for worker in workers:
        with suppress(ProcessLookupError):
            niceness = os.getpriority(os.PRIO_PROCESS, worker)
            if niceness > _FIRST_OF_ORDINARY:
                ordinary[worker] = niceness

    def restore() -> None:
        for worker in ordinary.keys() & set(_unbound_workers()):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, worker, ordinary[worker])

    try:
        for worker in ordinary:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, worker, _FIRST_OF_ORDINARY)
    except OSError:
        restore()
        raise
    return restore


def _unbound_workers() -> list[int]:
    """The process numbers of the kernel's workers that no processor owns."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if process.name.isdigit() and (process / "comm").read_text().startswith("kworker/u"):
                found.append(int(process.name))
    return found


def _run_first() -> Callable[[], object]:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    # Threads started meanwhile are ordinary ones: they run while this one waits, on its processor or another.
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    return lambda: os.sched_setscheduler(0, policy, parameters)


def _pin(cpu: int | None) -> Callable[[], object]:
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise OSError(0, "there is only one processor")
    os.sched_setaffinity(0, {max(before) if cpu is None else cpu})
    return lambda: os.sched_setaffinity(0, before)
