"""`deploy --browser` and `virtual-cart --browser`: what the page shows, its e-stop, and a server that dies."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cartpole_robot.deployment.black_box import load_black_box
from cartpole_robot.deployment.replay import replay
from tests.chromium import Noted, chromium
from tests.conftest import Completed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.realtime
ROOT = Path(__file__).parent.parent.parent
WARNING = "the browser's view has ended by itself; the run continues without it"


class Command:
    """A command that runs, and the address of its view."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.wait_for("live view: ")
        self.address = next(line.split()[-1] for line in self.lines if "live view: " in line)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def wait_for(self, text: str, timeout_s: float = 40.0) -> None:
        """Wait until a line on stderr has that text."""
        deadline_s = time.monotonic() + timeout_s
        while not any(text in line for line in self.lines):
            assert time.monotonic() < deadline_s, f"no {text!r} in {self.lines}"
            assert self.process.poll() is None, f"ended: {self.lines}"
            time.sleep(0.02)

    def stop_through_http(self) -> str:
        """The server's answer to the e-stop button."""
        where = urlsplit(self.address)
        connection = http.client.HTTPConnection(where.netloc, timeout=10.0)
        connection.request("POST", f"/estop?{where.query}", headers={"Origin": f"http://{where.netloc}"})
        return connection.getresponse().read().decode()

    def server_pid(self) -> int:
        """The process that serves the view: the only child that listens."""
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if any("socket:" in str(file.readlink()) for file in Path(f"/proc/{child}/fd").iterdir()):
                return int(child)
        raise AssertionError("no server")

    def end(self, timeout_s: float = 40.0) -> tuple[int, str]:
        """The exit code, and what was printed on stdout."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.wait(timeout_s)
        self._thread.join(5.0)
        return self.process.returncode, out


@contextmanager
def running(*words: object) -> Iterator[Command]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Command(process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def words(quick_cart_file: Path, port: str, tmp_path: Path) -> tuple[object, ...]:
    rig = ("--rig", f"serial:{port}", "--arm")
    return ("deploy", "lqr", "--cart", quick_cart_file, *rig, "--record", tmp_path / "r.parquet", "--browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_stop_in_the_browser_ends_the_run_and_its_black_box_replays(words: tuple[object, ...], tmp_path: Path) -> None:
    with running(*words, "--duration-s", 60) as command:
        command.wait_for("let go")
        time.sleep(1.0)
        assert command.stop_through_http() == "The emergency stop was sent to the cart.\n"
        status, _ = command.end()
    assert status == 1
    assert "the run ended: the emergency stop was pressed in the browser; saved to" in command.lines[-1]
    again = replay(load_black_box(tmp_path / "r.blackbox.npz"), "virtual")
    assert (again.kept_fault, again.fault, again.fault_ms) == ("ESTOP", "ESTOP", again.kept_ms)


def test_stop_before_the_pole_is_raised_ends_the_run(quick_cart_file: Path, tmp_path: Path) -> None:
    record = ("--record", tmp_path / "r.parquet")
    with running("deploy", "lqr", "--cart", quick_cart_file, *record, "--browser", "--profile", "ideal") as command:
        command.wait_for("homing")
        time.sleep(0.5)
        command.stop_through_http()
        status, _ = command.end()
    assert status == 1
    assert command.lines[-1] == "cartpole-robot: the emergency stop was pressed in the browser"


@pytest.mark.long
def test_stop_during_a_swing_up_ends_the_run(quick_cart_file: Path, tmp_path: Path, browser: Browser) -> None:
    words = ("--record", tmp_path / "r.parquet", "--start", "swing-up", "--profile", "ideal")
    with running("deploy", "lqr", "--cart", quick_cart_file, *words, "--browser", "--duration-s", 60) as command:
        context = browser.new_context()
        noted = Noted(context)
        noted.page.goto(command.address)
        noted.wait_for_state("ARMED")
        assert noted.page.inner_text("[data-view=controller]") == "the swing-up controller"
        noted.page.click("#estop")
        noted.wait_for_state("FAULT", timeout_s=5.0)
        assert noted.page.inner_text("[data-view=fault]") == "ESTOP"
        context.close()
        assert command.end()[0] == 1
    assert command.lines[-1] == "cartpole-robot: the emergency stop was pressed in the browser"
    assert "swinging up, attempt 1 of 3 ..." in command.lines
    assert any(line.startswith("homing the virtual cart") for line in command.lines)
    assert noted.wrong == []


def test_server_that_is_killed_leaves_the_loop_running(words: tuple[object, ...]) -> None:
    with running(*words, "--duration-s", 3, "--json") as command:
        command.wait_for("let go")
        os.kill(command.server_pid(), signal.SIGKILL)
        status, out = command.end()
    assert status == 0, command.lines
    done = json.loads(out)
    assert (done["end"], done["steps"]) == ("duration", 150)
    assert [line for line in command.lines if "browser" in line] == [WARNING]


def test_page_shows_the_run_and_its_end(words: tuple[object, ...], browser: Browser) -> None:
    with running(*words, "--duration-s", 4) as command:
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        noted = Noted(context)
        noted.page.goto(command.address)
        noted.wait_for_state("ARMED")
        noted.page.wait_for_timeout(1000.0)
        assert noted.page.inner_text("[data-view=controller]") == "LQR, the regulator"
        assert re.fullmatch(r"\d+ µs", noted.page.inner_text("[data-view=lateness]"))
        assert "does not replace the wired emergency stop" in noted.page.inner_text("#estop-note")
        assert noted.page.inner_text("#connection") == "Live"
        noted.page.wait_for_selector("#estop:disabled")
        assert noted.page.inner_text("#connection") == "The run is over"
        assert noted.page.get_attribute("#connection", "data-colour") == "faint"
        noted.wait_for_state("READY")
        assert noted.page.inner_text("[data-view=duty]") == "+0.00"
        context.close()
        assert command.end()[0] == 0
    assert noted.wrong == []
    assert {urlsplit(url).netloc for url in noted.requests} <= {urlsplit(command.address).netloc, ""}


def test_escape_key_sends_the_stop(words: tuple[object, ...], browser: Browser) -> None:
    with running(*words, "--duration-s", 60) as command:
        context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
        noted = Noted(context)
        noted.page.goto(command.address)
        noted.wait_for_state("ARMED")
        noted.page.keyboard.press("Escape")
        noted.wait_for_state("FAULT", timeout_s=5.0)
        assert noted.page.inner_text("[data-view=fault]") == "ESTOP"
        remedy = noted.page.inner_text("[data-view=remedy]")
        assert remedy.startswith("A browser sent the emergency stop, so there is no button to release;")
        context.close()
        assert command.end()[0] == 1
    assert noted.wrong == []


@pytest.mark.long
def test_virtual_cart_has_a_view_whose_stop_reaches_the_firmware(
    quick_cart_file: Path, tmp_path: Path, browser: Browser, new_interpreter: Callable[..., Completed]
) -> None:
    link = tmp_path / "cart"
    with running("virtual-cart", "--cart", quick_cart_file, "--link", link, "--browser", "--profile", "ideal") as cart:
        context = browser.new_context()
        noted = Noted(context)
        noted.page.goto(cart.address)
        noted.page.wait_for_selector("[data-view=angle]:text('180.0°')")
        done: list[Completed] = []
        drive = ("record", "lqr", "--cart", quick_cart_file, "--rig", f"serial:{link}", "--arm")
        host = threading.Thread(target=lambda: done.append(new_interpreter(*drive, "--out", tmp_path / "r.parquet")))
        host.start()
        noted.wait_for_state("ARMED")
        noted.page.click("#estop")
        noted.wait_for_state("FAULT", timeout_s=5.0)
        assert noted.page.inner_text("[data-view=fault]") == "ESTOP"
        host.join()
        assert "ESTOP" in done[0].stderr
        assert not noted.page.is_visible("#lateness-row")
        context.close()
        cart.process.send_signal(signal.SIGTERM)
        assert cart.end()[0] == 0
    assert noted.wrong == []


@pytest.mark.parametrize("verb", ["deploy", "virtual-cart"])
def test_port_in_use_is_one_line_before_anything_moves(
    verb: str, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        words = ("lqr", "--record", tmp_path / "r.parquet") if verb == "deploy" else ()
        done = new_interpreter(verb, *words, "--cart", "diy_arduino", "--browser", "--browser-port", number)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"cartpole-robot: --browser-port {number}: another program uses this port; choose another, or leave it out for "
        "a free one"
    ]
    assert list(tmp_path.iterdir()) == []


def test_port_without_a_view_is_refused(new_interpreter: Callable[..., Completed]) -> None:
    done = new_interpreter("deploy", "lqr", "--cart", "diy_arduino", "--browser-port", 8765)
    assert (done.returncode, done.stderr) == (
        2,
        "cartpole-robot: --browser-port 8765 without a view; add --browser\n",
    )
