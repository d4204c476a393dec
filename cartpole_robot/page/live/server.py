"""The server of a live view, a process of its own: the page, its frames, and the e-stop on its way to the loop.

It answers on loopback only, and only requests that know the token. Browsers send `Origin` with what other pages cause,
and `Host` shows a name that a foreign page made point here; both are checked, too.
"""

from __future__ import annotations

import contextlib
import hmac
import multiprocessing
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cartpole_robot.page.live.browser import open_browser
from cartpole_robot.page.live.frames import Rows, event
from cartpole_robot.page.live.ring import Ring

HOST = "127.0.0.1"
_FRAME_S = 1.0 / 30.0
_FIRST_ROWS = 6000  # snapshots that a browser gets when it connects, so that its curves are not empty
_MOST_PER_FRAME = 2000
_MOST_CONNECTIONS = 24
_MOST_STREAMS = 4  # a browser has six connections to a server, and the e-stop needs one
_ROOM_S = 0.5  # for a connection that is dropped to end
_TIMEOUT_S = 10.0  # for a request to come, and for a browser that takes nothing
_SEND_BYTES = 1 << 16  # that may wait for a slow browser: about a second of frames
_KEEP_ALIVE_S = 2.0
_STOP_S = 1.0
_END_S = 0.5
_NICE = 10


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the server needs: the page, its policy for browsers, the token, and the memory shared with the loop.

    `ticket` opens the page once. The browser is started with it, because every user can list a program's arguments.
    """

    page: bytes
    security: str
    token: str
    ticket: str
    ring: Ring
    opens_browser: bool


def address_of(port: int, token: str) -> str:
    """The address to open in a browser."""
    return f"http://{HOST}:{port}/?token={token}"


def _address_to_open(port: int, ticket: str) -> str:
    return f"http://{HOST}:{port}/?ticket={ticket}"


def serve(listening: socket.socket, served: Served) -> None:
    """Run in a process of its own until the loop's process ends the ring, or dies."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the loop, whose end ends this
        signal.signal(number, lambda *_: None)  # not ignored: a browser would inherit that
    threading.Thread(target=_end_with_loop, daemon=True).start()
    server = _Server(listening, served)
    if served.opens_browser:  # it may take seconds, and does not give way
        threading.Thread(target=open_browser, args=(_address_to_open(server.port, served.ticket),), daemon=True).start()
    _give_way()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    while not served.ring.has_ended:
        time.sleep(_FRAME_S)
    deadline_s = time.monotonic() + _END_S
    while server.streams and time.monotonic() < deadline_s:
        time.sleep(0.01)
    os._exit(0)  # a thread may still wait for a browser that takes nothing


def _end_with_loop() -> None:
    loop = multiprocessing.parent_process()
    assert loop is not None
    loop.join()
    os._exit(1)


def _give_way() -> None:
    """From now on this thread and those it starts run last, and not on the last processor, which the loop prefers."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError, AttributeError):
        processors = os.sched_getaffinity(0)
        if len(processors) > 1:
            os.sched_setaffinity(0, processors - {max(processors)})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, served: Served) -> None:
        super().__init__((HOST, 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.port: int = listening.getsockname()[1]
        self.server_address = (HOST, self.port)
        self.served = served
        self.stopping = threading.Lock()
        self._tickets = [served.ticket.encode()]
        self.streams: list[object] = []  # the newest last
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._strangers: dict[socket.socket, None] = {}  # who has not shown the token yet, the oldest first

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self._drop_a_stranger()
            if not self._free.acquire(timeout=_ROOM_S):
                self.shutdown_request(request)
                return
        self._strangers[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.admit(request)
            self._free.release()

    def takes(self, ticket: str) -> bool:
        """Whether this is the ticket, for the first time."""
        given = ticket.encode("utf-8", "replace")
        with self.stopping:
            is_right = any(hmac.compare_digest(given, each) for each in self._tickets)
            if is_right:
                self._tickets.clear()
        return is_right

    def admit(self, request: Any) -> None:
        """From now on this connection keeps its place."""
        self._strangers.pop(request, None)

    def _drop_a_stranger(self) -> None:
        """Make room: connections that send their requests slowly, or none, must not keep the e-stop out."""
        for request in list(self._strangers)[:1]:
            self.admit(request)
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_S
    server_version, sys_version = "cartpole-robot", ""

    def setup(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        super().setup()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the standard library's name
        """Nothing: the terminal belongs to the loop."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request to this view, in one plain line."""
        status = HTTPStatus(code)
        self._refuse(status, f"{status.phrase}: {message}" if message else status.phrase)

    def do_GET(self) -> None:
        if not self._may_pass(is_change=False):
            return
        match urlsplit(self.path).path:
            case "/":
                self._answer(HTTPStatus.OK, self.server.served.page, "text/html; charset=utf-8")
            case "/events":
                self._stream()
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def do_POST(self) -> None:
        if not self._may_pass(is_change=True):
            return
        if urlsplit(self.path).path != "/estop":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing at this address")
            return
        ring = self.server.served.ring
        with self.server.stopping:
            number = ring.ask_stop()
        deadline_s = time.monotonic() + _STOP_S
        while ring.stops_sent < number and time.monotonic() < deadline_s:
            time.sleep(0.002)
        if ring.stops_sent >= number:
            self._answer(HTTPStatus.OK, b"The emergency stop was sent to the cart.\n")
        else:
            self._refuse(
                HTTPStatus.GATEWAY_TIMEOUT,
                "It was not sent within a second. Use the wired emergency stop.",
            )

    def _may_pass(self, *, is_change: bool) -> bool:
        """Whether the request knows the token and comes from this view's own page; it is refused otherwise."""
        own = f"{HOST}:{self.server.port}"
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if hosts != [own]:
            return self._refuse(HTTPStatus.FORBIDDEN, f"wrong Host: this view is at http://{own} only")
        if origins != [f"http://{own}"] and (origins or is_change):
            return self._refuse(HTTPStatus.FORBIDDEN, "wrong Origin: only this view's own page may ask for this")
        try:
            query = parse_qs(urlsplit(self.path).query)
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST, "this is not an address")
        tickets = query.get("ticket", [])
        if tickets and not is_change:
            return self._exchange(tickets[0])
        tokens = [*query.get("token", []), *self.headers.get_all("X-Token", [])]
        expected = self.server.served.token.encode()
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0].encode("utf-8", "replace"), expected):
            return self._refuse(
                HTTPStatus.FORBIDDEN, "wrong token: open the address that cartpole-robot has printed, token included"
            )
        self.server.admit(self.request)
        return True

    def _exchange(self, ticket: str) -> bool:
        """Send a browser that brings the ticket on to the address with the token; False: this answers the request."""
        if not self.server.takes(ticket):
            return self._refuse(
                HTTPStatus.FORBIDDEN,
                "this address has been opened before; open the one that cartpole-robot has printed, token included",
            )
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", address_of(self.server.port, self.server.served.token))
        self._send_headers("text/plain; charset=utf-8")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _refuse(self, status: HTTPStatus, line: str) -> bool:
        self._answer(status, f"{line}\n".encode())
        return False

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self._send_headers(kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_headers(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", f"{self.server.served.security}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")

    def _stream(self) -> None:
        """Frames until the browser goes away or the run ends; a slow browser misses what is overwritten meanwhile."""
        ring = self.server.served.ring
        self.send_response(HTTPStatus.OK)
        self._send_headers("text/event-stream")
        self.end_headers()
        stream, streams = object(), self.server.streams
        streams.append(stream)
        try:
            rows, sent_s = Rows(), time.monotonic()
            at, most = 0, _FIRST_ROWS
            while True:
                is_last = ring.has_ended
                at, snapshots = ring.read(at, most)
                most = _MOST_PER_FRAME
                found = rows.add(snapshots)
                if is_last or not snapshots:
                    found += rows.rest()
                now_s = time.monotonic()
                if found or now_s - sent_s > _KEEP_ALIVE_S:
                    self.wfile.write(event("frame", {"rows": found, "stops": ring.stops_sent}))
                    sent_s = now_s
                if is_last:
                    self.wfile.write(event("end", {}))
                    return
                if stream not in streams[-_MOST_STREAMS:]:
                    self.wfile.write(event("replaced", {}))
                    return
                time.sleep(_FRAME_S)
        except OSError:
            return  # the browser is gone, or takes nothing
        finally:
            streams.remove(stream)
