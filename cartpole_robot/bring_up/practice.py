"""The hands at a virtual cart in another process: what is typed there is done."""

from __future__ import annotations

import os
import select
import sys

from cartpole_robot.simulation.hand import BuildersHand, Deed
from cartpole_robot.simulation.virtual_cart import VirtualCart

_LOOK_EVERY_MS = 20


class TypedDeeds:
    """Reads deeds from stdin, a line each, and does them at `cart`; to be called after each millisecond."""

    def __init__(self, cart: VirtualCart) -> None:
        self._hand = BuildersHand(cart)
        self._typed = b""
        self._is_open = True
        print(f"deeds: {', '.join(Deed)}", flush=True)

    def __call__(self, cart: VirtualCart) -> None:
        self._hand.act()
        if self._is_open and cart.time_ms % _LOOK_EVERY_MS == 0:
            self._look()

    def _look(self) -> None:
        file = sys.stdin.fileno()
        if not select.select([file], [], [], 0.0)[0]:
            return
        if sys.stdin.isatty() and os.tcgetpgrp(file) != os.getpgrp():
            return  # in the background: what is typed is another program's
        data = os.read(file, 1024)
        self._is_open = bool(data)
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._do(line.decode(errors="replace").strip())

    def _do(self, words: str) -> None:
        try:
            shown = self._hand.do(Deed(words))
        except ValueError:
            shown = f"expected one of: {', '.join(Deed)}"
        if shown:
            print(shown, flush=True)
