"""The loop's side of a live view: starts its server, writes snapshots, and passes on the e-stop."""

from __future__ import annotations

import errno
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Self

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.page.drawing import drawing_of
from cartpole_robot.page.html import Page, page
from cartpole_robot.page.live.browser import has_display
from cartpole_robot.page.live.ring import Ring
from cartpole_robot.page.live.server import HOST, Served, address_of, serve
from cartpole_robot.simulation.workers import MainlessProcess
from firmware_bridge.faults import FAULTS
from firmware_bridge.protocol import read_protocol

_END_S = 2.0
SENT_STOP = (
    "a browser sent the emergency stop, so there is no button to release; when the cart is safe, start the next run, "
    "which clears the stop"
)
"""The remedy of ESTOP, where a browser sent it."""


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a live view says about the cart: its title, one sentence, and who may drive it, by `Snapshot.driver`."""

    cart: CartParams
    title: str
    lead: str
    drivers: Sequence[str]
    has_lateness: bool


class BrowserView:
    """A context manager: inside, a process of its own shows `ring`'s snapshots on loopback at `address`.

    What the loop calls takes some microseconds and never waits. If the server ends early, `warn` gets one line, from
    another thread, and nothing else changes.
    """

    def __init__(self, shown: Shown, *, port: int = 0, warn: Callable[[str], object] = _print_line) -> None:
        """Take the port on loopback, 0 for a free one. Raises `UsageError` if another program has it."""
        self.ring = Ring()
        self._shown, self.warn = shown, warn
        self._token = secrets.token_urlsafe(24)
        self._listening = _listening_socket(port)
        self.address = address_of(self._listening.getsockname()[1], self._token)
        self._process: MainlessProcess | None = None
        self._is_over = threading.Event()

    @property
    def server_pid(self) -> int | None:
        """The process of the server, None while it does not run."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        made = live_page(self._shown)
        served = Served(
            page=made.text.encode(),
            security=made.security,
            token=self._token,
            ticket=secrets.token_urlsafe(24),
            ring=self.ring,
            opens_browser=has_display(),
        )
        self._process = MainlessProcess(target=serve, args=(self._listening, served), daemon=True)
        try:
            self._process.start()
        finally:
            self._listening.close()
        threading.Thread(target=self._watch, name="browser-view", daemon=True).start()
        return self

    def _watch(self) -> None:
        process = self._process
        assert process is not None
        wait([process.sentinel])
        if not self._is_over.is_set():
            self.warn("the browser's view has ended by itself; the run continues without it")

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.ring.end()
        if self._process is not None:
            self._process.join(_END_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()


def live_page(shown: Shown) -> Page:
    """The page of a live view."""
    protocol = read_protocol()
    contents: dict[str, Any] = {
        "cart": drawing_of(shown.cart),
        "states": {int(state): state.name for state in protocol.enums["cart_state"]},
        "fault_names": {int(fault): fault.name for fault in protocol.enums["fault"]},
        "faults": FAULTS,
        "sent_stop": SENT_STOP,
        "drivers": list(shown.drivers),
        "hasLateness": shown.has_lateness,
    }
    texts = {"title": f"{shown.title}: live view", "heading": shown.title, "lead": shown.lead}
    return page("live.html", "live.js", contents, texts, connects="'self'")


def _listening_socket(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(16)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"--browser-port {port}: another program uses this port; choose another, or leave it out for a free one"
            ) from None
        reason = error.strerror or error
        raise UsageError(f"--browser-port {port}: cannot be used ({reason}); leave it out for a free one") from None
    return listening
