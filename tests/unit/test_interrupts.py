from __future__ import annotations

import os
import signal

import pytest

from cartpole_robot.terminal.interrupts import signals_held


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
