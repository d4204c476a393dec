"""Who does by hand what a check needs: a person at the terminal, or a simulated one."""

from __future__ import annotations

import os
import select
import sys
from typing import Protocol

from cartpole_robot.simulation.hand import BuildersHand, Deed


class NobodyAnswersError(RuntimeError):
    """The operator was asked, and did not answer: nothing is known, and nothing may move."""


class Operator(Protocol):
    """Does deeds at the cart, one at a time."""

    def ask(self, deed: Deed, text: str) -> None:
        """Ask for a deed; returns at once."""

    def answer(self) -> str | None:
        """What the operator says about it; None until then, empty for "it is done". Raises `NobodyAnswersError`."""


class TerminalOperator:
    """A person who reads what to do on stderr, and answers on stdin; implements `Operator`."""

    def __init__(self) -> None:
        self._typed = b""
        self._is_at_end = False

    def ask(self, deed: Deed, text: str) -> None:
        while self._read():  # what was typed before the question is no answer to it
            pass
        self._typed, self._is_at_end = b"", False
        print(f"        {text}", file=sys.stderr, flush=True)

    def answer(self) -> str | None:
        while b"\n" not in self._typed:
            if not self._read():
                if self._is_at_end:  # Ctrl-D
                    raise NobodyAnswersError("the answer was the end of the input")
                return None
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _read(self) -> bool:
        file = sys.stdin.fileno()
        if not select.select([file], [], [], 0.0)[0]:
            return False
        data = os.read(file, 1024)
        self._typed += data
        self._is_at_end = not data
        return bool(data)


class SimulatedOperator:
    """The hand of a virtual cart in the same process; implements `Operator`."""

    def __init__(self, hand: BuildersHand) -> None:
        self._hand = hand
        self._reading = ""

    def ask(self, deed: Deed, text: str) -> None:
        self._reading = self._hand.do(deed)

    def answer(self) -> str | None:
        self._hand.act()
        return self._reading if self._hand.is_done else None
