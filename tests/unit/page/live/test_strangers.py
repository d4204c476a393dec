"""A live view among strangers: slow and senseless connections, and programs that list a browser's arguments."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cartpole_robot.page.live.view import BrowserView
from tests.unit.page.live.test_view import SHOWN, Client, put


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> Iterator[BrowserView]:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with BrowserView(SHOWN) as view:
        yield view


def test_connections_that_send_slowly_do_not_keep_the_stop_out(view: BrowserView) -> None:
    client = Client(view)
    client.ask("GET", "/")
    where = urlsplit(view.address)
    slow = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(30)]
    for _ in range(3):
        for each in slow:
            with contextlib.suppress(OSError):  # it was dropped
                each.sendall(b"G")
        assert client.ask("POST", "/estop")[0] == 504  # no loop takes it in this test
    assert view.ring.is_stop_asked()
    for each in slow:
        each.close()


def test_streams_are_not_dropped_for_strangers(view: BrowserView) -> None:
    where = urlsplit(view.address)
    connection = http.client.HTTPConnection(where.netloc, timeout=10.0)
    connection.request("GET", f"/events?{where.query}")
    answer = connection.getresponse()
    strangers = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(60)]
    time.sleep(0.5)
    put(view, 0, 2)
    assert b"event: frame" in answer.readline()
    for each in strangers:
        each.close()


@pytest.mark.parametrize(
    ("request_line", "status", "line"),
    [
        ("BREW /<script> HTTP/1.1", 501, "Not Implemented: Unsupported method ('BREW')"),
        ("HEAD / HTTP/1.1", 501, "Not Implemented: Unsupported method ('HEAD')"),
        ("GET / HTTP/1.1\r\nA: " + 70_000 * "a", 431, "Request Header Fields Too Large: Line too long"),
        ("GET http://[::1/?token=x HTTP/1.1", 400, "this is not an address"),
    ],
)
def test_what_is_no_request_is_refused_in_one_plain_line(
    view: BrowserView, request_line: str, status: int, line: str
) -> None:
    where = urlsplit(view.address)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=5.0) as stranger:
        stranger.sendall(f"{request_line}\r\nHost: {where.netloc}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(stranger)
        answer.begin()
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert (answer.status, answer.read().decode()) == (status, f"{line}\n")


def test_browser_is_started_with_an_address_that_works_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tmp_path / "opened"
    program = tmp_path / "some-browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    program.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("BROWSER", str(program))
    with BrowserView(SHOWN) as view:
        deadline_s = time.monotonic() + 10.0
        while not opened.exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        address = urlsplit(opened.read_text().strip())
        assert Client(view).token not in address.query
        answers = []
        for _ in range(2):
            connection = http.client.HTTPConnection(address.netloc, timeout=10.0)
            connection.request("GET", f"/?{address.query}")
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers["Location"]))
        assert answers == [(303, view.address), (403, None)]
        connection = http.client.HTTPConnection(address.netloc, timeout=10.0)
        connection.request("POST", f"/estop?{address.query}", headers={"Origin": f"http://{address.netloc}"})
        assert connection.getresponse().status == 403
        assert not view.ring.is_stop_asked()
