"""What the live view in a browser costs the control loop: its lateness with the view and without, alternating.

python -m benchmarks.browser_view [--rates-hz 50 500] [--duration-s 30] [--rounds 5]

The regulator drives a virtual cart behind a pseudo-terminal, `diy_arduino` at each control rate, by `cartpole-robot
deploy` in a process of its own. Each round has a run without a view, one with the page open in headless Chromium, and
one with an abandoned browser, which connects and never reads. The table has percentiles of the lateness in us. The
view passes where the median over the rounds of its p99.9 is not above the largest p99.9 of a run without it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from benchmarks.deployment_loop import cart_file
from benchmarks.machine_load import machine_line

KINDS = ("without", "in Chromium", "abandoned")
PERCENTILES = ("p50", "p99", "p99.9", "max")
_STARTS_S, _HOMES_S = 20.0, 60.0


@contextlib.contextmanager
def attached(kind: str, address: str, browser: Browser) -> Iterator[None]:
    """A browser of that kind at `address`."""
    if kind == "in Chromium":
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        yield
        page.close()
        return
    where = urlsplit(address)
    with socket.socket() as abandoned:
        abandoned.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        abandoned.connect((where.hostname, where.port))
        request = f"GET /events?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n"
        abandoned.sendall(request.encode())
        yield


def deployed(kind: str, cart: Path, duration_s: float, folder: Path, browser: Browser) -> dict[str, Any]:
    """The latencies of one deployment in us, as `deploy --json` prints them."""
    record = Path(tempfile.mkdtemp(dir=folder)) / "run.parquet"
    words = ["deploy", "lqr", "--cart", cart, "--duration-s", duration_s, "--record", record, "--profile", "ideal"]
    words += ["--json"] if kind == "without" else ["--json", "--browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        if kind != "without":
            first = process.stderr.readline()
            if "http://" not in first:
                raise RuntimeError(f"deploy printed no address: {first}{process.stderr.read()}")
            stack.enter_context(attached(kind, first.split()[-1], browser))
        out, errors = process.communicate(timeout=_STARTS_S + _HOMES_S + duration_s)
    if process.returncode:
        raise RuntimeError(f"deploy ended with {process.returncode}: {errors}")
    found: dict[str, Any] = json.loads(out)["latency_us"]
    return found


def measure(rate_hz: int, arguments: argparse.Namespace, folder: Path, browser: Browser) -> dict[str, Any]:
    """Run every kind in each round; returns their lateness and whether the view passes."""
    cart = cart_file(folder, rate_hz)
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for number in range(arguments.rounds):
        for kind in KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]:
            found = deployed(kind, cart, arguments.duration_s, folder, browser)
            late = found["figures"]["loop_lateness"]
            runs[kind].append({**late, "missed": found["missed"]})
            cells = "".join(f"{late[name]:>9.0f}" for name in PERCENTILES)
            print(f"  {rate_hz:>4} Hz  round {number + 1}  {kind:<14}{cells}{found['missed']:>8}", flush=True)
    without = [run["p99.9"] for run in runs["without"]]
    medians = {
        kind: {name: statistics.median(run[name] for run in runs[kind]) for name in PERCENTILES} for kind in KINDS
    }
    return {
        "runs": runs,
        "medians": medians,
        "p99.9 without": [min(without), max(without)],
        "passes": {kind: medians[kind]["p99.9"] <= max(without) for kind in KINDS[1:]},
    }


def main() -> int:
    """Print the tables; returns 1 where the view makes the loop later."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates-hz", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--duration-s", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print(f"  {'lateness, us':<32}" + "".join(f"{name:>9}" for name in PERCENTILES) + f"{'missed':>8}")
    with tempfile.TemporaryDirectory(prefix="browser-view-") as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        found = {rate_hz: measure(rate_hz, arguments, Path(name), browser) for rate_hz in arguments.rates_hz}
        browser.close()
    for rate_hz, result in found.items():
        for kind, median in result["medians"].items():
            cells = "".join(f"{median[name]:>9.0f}" for name in PERCENTILES)
            print(f"  {rate_hz:>4} Hz  median   {kind:<14}{cells}")
        low, high = result["p99.9 without"]
        for kind, passes in result["passes"].items():
            print(
                f"  {'ok  ' if passes else 'FAIL'} {rate_hz} Hz, {kind}: median p99.9 of "
                f"{result['medians'][kind]['p99.9']:.0f} us; {low:.0f} to {high:.0f} us without a view"
            )
    if arguments.json:
        print(json.dumps(found, indent=2))
    print(machine_line())
    return 0 if all(all(result["passes"].values()) for result in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
