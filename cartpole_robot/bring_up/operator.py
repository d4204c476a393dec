"""Who does by hand what a check needs: a person at the terminal, or a simulated one."""

from __future__ import annotations

import os
import select
import sys
from typing import Protocol

from cartpole_robot.simulation.hand import BuildersHand, Deed


class Operator(Protocol):
    """Does deeds at the cart, one at a time."""

    def ask(self, deed: Deed, text: str) -> None:
        """Ask for a deed; returns at once."""

    def answer(self) -> str | None:
        """What the operator says about it; None until then, empty for "it is done"."""


class TerminalOperator:
    """A person who reads what to do on stderr, and answers on stdin; implements `Operator`."""

    def __init__(self) -> None:
        self._typed = b""

    def ask(self, deed: Deed, text: str) -> None:
        self._typed = b""
        while self._read():  # what was typed before the question is no answer to it
            self._typed = b""
        print(f"        {text}", file=sys.stderr, flush=True)

    def answer(self) -> str | None:
        while b"\n" not in self._typed:
            if not self._read():
                return None
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _read(self) -> bool:
        file = sys.stdin.fileno()
        if not select.select([file], [], [], 0.0)[0]:
            return False
        data = os.read(file, 1024)
        self._typed += data or b"\n"  # at the end of the input nobody answers: every deed is done
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
