from __future__ import annotations

import importlib
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartpole_robot.terminal import interrupts
from cartpole_robot.terminal.interrupts import StopWish, Terminated, signals_held, sigterm_stops, stopped_by_signals


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Those of a new Python: tests that a shell starts in the background ignore SIGINT."""
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT), signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupts._last_sigterm_s = -math.inf
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_held_signal_takes_effect_at_the_end(number: signal.Signals) -> None:
    done: list[str] = []
    before = signal.signal(number, lambda *_: done.append("signal"))
    try:
        with signals_held():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append("inside")
        assert done == ["inside", "signal"]
        with signals_held():
            pass
        assert done == ["inside", "signal"]
    finally:
        signal.signal(number, before)


def test_ignored_sighup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals(), signals_held():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_that_comes_twice_at_once_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `timeout` sends it; a second one by hand stops what the first one did not, and Ctrl-C does at any time."""
    with sigterm_stops(), stopped_by_signals():
        with pytest.raises(KeyboardInterrupt), stopped_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(interrupts, "_last_sigterm_s", time.monotonic() - 2.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_echo_of_a_sigterm_does_not_stop_what_is_saved_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with sigterm_stops():
        with pytest.raises(KeyboardInterrupt), stopped_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(interrupts, "_last_sigterm_s", time.monotonic() - 2.0)
        with pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)


def test_wish_to_stop_takes_a_second_sigterm_at_once_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopWish() as wish:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert wish.was_asked
        monkeypatch.setattr(interrupts, "_last_sigterm_s", time.monotonic() - 2.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_second_ctrl_c_stops_at_once() -> None:
    with StopWish() as wish:
        os.kill(os.getpid(), signal.SIGINT)
        assert wish.was_asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


DROPS_IT = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.{name})
    time.sleep(5.0)
except BaseException:
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_that_an_import_drops_comes_again(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled modules do so: a SIGTERM that met one stopped nothing, and no further one did."""
    name = f"drops_{number.name.lower()}"
    (tmp_path / f"{name}.py").write_text(DROPS_IT.format(name=number.name), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    began_s = time.monotonic()

    def work() -> None:
        importlib.import_module(name)
        time.sleep(5.0)

    with pytest.raises(KeyboardInterrupt), sigterm_stops():
        work()
    assert time.monotonic() - began_s < 4.5


def test_signal_that_is_handled_after_an_import_does_not_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stopped_module.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5.0)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), sigterm_stops():
        importlib.import_module("stopped_module")
    time.sleep(0.8)  # a second SIGTERM would end the tests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_that_meets_a_finalizer_comes_again(number: signal.Signals) -> None:
    """Python drops an exception that is raised in a finalizer."""

    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0.01)  # the handler runs here

    def drop() -> None:
        Finalized()
        time.sleep(5.0)

    with pytest.raises(KeyboardInterrupt), sigterm_stops():
        drop()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
