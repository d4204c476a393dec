"""The server of a live view, in its own process: whom it answers, what it sends, and what its end does to the loop."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.page.live import browser
from cartpole_robot.page.live.ring import Snapshot
from cartpole_robot.page.live.view import BrowserView, Shown

SHOWN = Shown(
    cart=load_cart("diy_arduino"),
    title="<b>cart</b>",
    lead="</script><script>alert(1)</script>",
    drivers=("policy", "</script>"),
    has_lateness=True,
)


class Client:
    """Requests to a view, with the right token, Host and Origin unless others are given."""

    def __init__(self, view: BrowserView) -> None:
        where = urlsplit(view.address)
        self.host, self.token = where.netloc, where.query.removeprefix("token=")

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        host: str | None = None,
        origin: str | None = "own",
        more: dict[str, str] | None = None,
    ) -> tuple[int, str, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.host, timeout=10.0)
        headers = {"Host": self.host if host is None else host, **(more or {})}
        if origin is not None:
            headers["Origin"] = f"http://{self.host}" if origin == "own" else origin
        connection.request(method, f"{path}?token={self.token if token is None else token}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def view(warnings: list[str]) -> Iterator[BrowserView]:
    with BrowserView(SHOWN, warn=warnings.append) as view:
        yield view


@pytest.fixture
def client(view: BrowserView) -> Client:
    return Client(view)


@pytest.fixture(scope="module")
def shared() -> Iterator[BrowserView]:
    """A view for all tests that only refuse something."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            patch.delenv(name, raising=False)
        with BrowserView(SHOWN) as view:
            yield view


def put(view: BrowserView, first: int, many: int = 1) -> None:
    for k in range(first, first + many):
        view.ring.put(Snapshot(k / 100.0 + 0.005, 0.1, 0.0, 0.0, 0.0, 0.5, 0.5, 12.0, 80.0, 4, 0, 0))


def frames(view: BrowserView, many: int) -> list[list[float]]:
    """The first rows that a browser gets."""
    where = urlsplit(view.address)
    connection = http.client.HTTPConnection(where.netloc, timeout=10.0)
    connection.request("GET", f"/events?{where.query}")
    answer, found = connection.getresponse(), []
    assert answer.headers["Content-Type"] == "text/event-stream"
    deadline_s = time.monotonic() + 10.0
    while len(found) < many:
        assert time.monotonic() < deadline_s, f"{len(found)} rows of {many}"
        line = answer.readline().decode()
        assert line, "the stream ended"
        if line.startswith("data: "):
            found += json.loads(line.removeprefix("data: "))["rows"]
    connection.close()
    return found


def test_page_is_served_with_its_policy_and_nothing_hostile(client: Client) -> None:
    status, text, answer = client.ask("GET", "/", origin=None)
    assert status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "connect-src 'self'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "alert(1)</script>" not in text
    assert "<b>cart" not in text
    assert "does not replace the wired emergency" in text
    assert client.token not in text


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/events"), ("POST", "/estop"), ("GET", "/no")])
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"token": "wrong"}, "wrong token: open the address that cartpole-robot has printed, token included\n"),
        ({"token": ""}, "wrong token: open the address that cartpole-robot has printed, token included\n"),
        ({"host": "localhost"}, "wrong Host: this view is at http://{host} only\n"),
        ({"host": "rebound.example:80"}, "wrong Host: this view is at http://{host} only\n"),
        ({"origin": "http://example.com"}, "wrong Origin: only this view's own page may ask for this\n"),
        ({"origin": "null"}, "wrong Origin: only this view's own page may ask for this\n"),
    ],
)
def test_strangers_are_refused_with_one_line(
    shared: BrowserView, method: str, path: str, wrong: dict[str, str], expected: str
) -> None:
    status, text, _ = Client(shared).ask(method, path, **wrong)  # type: ignore[arg-type]
    assert (status, text) == (403, expected.format(host=Client(shared).host))
    assert not shared.ring.is_stop_asked()


def test_stop_without_an_origin_is_refused(shared: BrowserView) -> None:
    assert Client(shared).ask("POST", "/estop", origin=None)[0] == 403
    assert not shared.ring.is_stop_asked()


def test_two_tokens_are_refused(shared: BrowserView) -> None:
    assert Client(shared).ask("GET", "/", more={"X-Token": Client(shared).token})[0] == 403


@pytest.mark.parametrize(("method", "path"), [("GET", "/estop"), ("POST", "/"), ("GET", "/../etc/passwd")])
def test_other_addresses_have_nothing(shared: BrowserView, method: str, path: str) -> None:
    assert Client(shared).ask(method, path)[0] == 404


def test_browser_gets_the_last_snapshots_and_what_follows(view: BrowserView) -> None:
    put(view, 0, 300)
    assert [row[0] for row in frames(view, 299)] == [pytest.approx(k / 100.0 + 0.005) for k in range(299)]


def test_stop_reaches_the_loop_and_is_confirmed(client: Client, view: BrowserView) -> None:
    import threading

    def loop() -> None:
        while not view.ring.is_stop_asked():
            time.sleep(0.001)
        view.ring.confirm_stop()

    thread = threading.Thread(target=loop)
    thread.start()
    assert client.ask("POST", "/estop")[:2] == (200, "The emergency stop was sent to the cart.\n")
    thread.join()


def test_loop_that_does_not_take_the_stop_is_reported(client: Client) -> None:
    status, text, _ = client.ask("POST", "/estop")
    assert (status, text) == (504, "It was not sent within a second. Use the wired emergency stop.\n")


def test_loop_never_waits_for_an_abandoned_browser(view: BrowserView) -> None:
    where = urlsplit(view.address)
    with socket.socket() as abandoned:
        abandoned.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        abandoned.connect((where.hostname, where.port))
        abandoned.sendall(f"GET /events?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
        longest_s = 0.0
        begun_s = time.monotonic()
        k = 0
        while time.monotonic() < begun_s + 2.0:
            before_s = time.thread_time()
            put(view, k, 100)
            longest_s = max(longest_s, time.thread_time() - before_s)
            k += 100
        newest = k - 1
        # Another browser meanwhile gets the newest.
        assert frames(view, 10)[0][0] > (newest - 10_000) / 100.0
    assert longest_s < 0.05


def test_server_that_is_killed_warns_once_and_the_loop_continues(view: BrowserView, warnings: list[str]) -> None:
    assert view.server_pid is not None
    frames_pid = view.server_pid
    put(view, 0, 10)
    frames(view, 5)
    os.kill(frames_pid, signal.SIGKILL)
    deadline_s = time.monotonic() + 5.0
    while not warnings and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert warnings == ["the browser's view has ended by itself; the run continues without it"]
    put(view, 10, 10_000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_leave_the_server(view: BrowserView, client: Client, number: int) -> None:
    client.ask("GET", "/")
    assert view.server_pid is not None
    os.kill(view.server_pid, number)
    assert client.ask("GET", "/")[0] == 200


def test_end_of_the_run_is_reported_and_frees_the_port() -> None:
    warnings: list[str] = []
    with BrowserView(SHOWN, warn=warnings.append) as view:
        where = urlsplit(view.address)
        put(view, 0, 3)
        connection = http.client.HTTPConnection(where.netloc, timeout=10.0)
        connection.request("GET", f"/events?{where.query}")
        answer = connection.getresponse()
        answer.readline()
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 4.0
    assert b"event: end" in answer.read()
    assert warnings == []
    with BrowserView(SHOWN, port=where.port or 0) as again:
        assert Client(again).token != where.query


def test_port_in_use_is_one_plain_line(view: BrowserView) -> None:
    port = urlsplit(view.address).port
    assert port is not None
    with pytest.raises(UsageError, match=rf"^--browser-port {port}: another program uses this port; choose another"):
        BrowserView(SHOWN, port=port)


def test_view_listens_on_loopback_only(view: BrowserView) -> None:
    port = urlsplit(view.address).port
    with socket.socket() as other:
        other.bind(("127.0.0.2", port or 0))  # free: the view is not on every address


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "wayland-0"}, True)]
)
def test_browser_opens_only_where_there_is_a_display(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert browser.has_display() is expected


def test_browser_that_does_not_exist_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import webbrowser

    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    monkeypatch.setenv("BROWSER", "no-such-browser")
    monkeypatch.setenv("PATH", "")
    browser.open_browser("http://127.0.0.1:1/?token=x")
    assert capsys.readouterr().err == (
        "the browser 'no-such-browser' (BROWSER) does not open; open the address yourself\n"
    )


def test_browser_of_the_terminal_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import webbrowser

    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))
    browser.open_browser("http://127.0.0.1:1/?token=x")
    assert capsys.readouterr().err == "no browser was found to open; open the address yourself\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 4096 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /estop?token=%00%ff%C3 HTTP/1.1\r\nHost: \xff\r\nContent-Length: 99999999\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET http://[::1/?token=x HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_server_survives_requests_that_make_no_sense(shared: BrowserView, data: bytes) -> None:
    where = urlsplit(shared.address)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=5.0) as stranger:
        stranger.sendall(data)
        assert Client(shared).token.encode() not in stranger.recv(65536)
    assert Client(shared).ask("GET", "/")[0] == 200
    assert not shared.ring.is_stop_asked()


def test_idle_connections_do_not_fill_the_server_for_ever(view: BrowserView, client: Client) -> None:
    where = urlsplit(view.address)
    idle = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(40)]
    for each in idle:
        each.close()
    deadline_s = time.monotonic() + 5.0
    while time.monotonic() < deadline_s:
        try:
            assert client.ask("GET", "/")[0] == 200
            return
        except (http.client.HTTPException, OSError):  # it is still full
            time.sleep(0.05)
    raise AssertionError("the server stays full")
