"""Whether the page keeps up: frames per second in headless Chromium while the firmware ticks a thousand times a second.

python -m benchmarks.page_speed [POLICY] [--cart diy_stepper] [--duration-s 20]

Writes a page of POLICY (default: LQR on `diy_arduino` or `--cart`), opens it, and lets it run. Chromium draws in
software, without a graphics processor. The table has the frames per second, the firmware's ticks per second of real
time, percentiles of the time from frame to frame, and the script's own work for each frame in ms: ticks, and drawing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.machine_load import machine_line
from cartpole_robot.page.offline import write_offline_page
from cartpole_robot.policy.backend import LQR

MUST_FRAMES_PER_S, MUST_TICKS_PER_S = 59.0, 990.0
_MEASURE = """async (seconds) => {
  const page = cartPolePage;
  const found = { frames: [], ticks: [], drawing: [] };
  const { advance } = page.simulation;
  let ticks_ms = 0;
  page.simulation.advance = function (ms) {
    const begun = performance.now();
    const done = advance.call(this, ms);
    ticks_ms = performance.now() - begun;
    return done;
  };
  const { draw } = page;
  page.draw = function () {
    const begun = performance.now();
    draw.call(this);
    found.frames.push(begun);
    found.ticks.push(ticks_ms);
    found.drawing.push(performance.now() - begun);
  };
  const [begun, begun_s] = [performance.now(), page.simulation.snapshot().time_s];
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  found.passed_s = (performance.now() - begun) / 1000;
  found.simulated_s = page.simulation.snapshot().time_s - begun_s;
  delete page.draw;
  delete page.simulation.advance;
  return found;
}"""


def measure(path: Path, duration_s: float, width: int, height: int) -> dict[str, Any]:
    """Frames and ticks per second of the page at that size, and percentiles in ms."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-state=ARMED]", state="attached")
        page.wait_for_timeout(1000.0)
        found = page.evaluate(_MEASURE, duration_s)
        browser.close()

    def percentiles(values: list[float]) -> dict[str, float]:
        return {f"p{p:g}": float(np.percentile(values, p)) for p in (50.0, 99.0)}

    return {
        "frames_per_s": len(found["frames"]) / found["passed_s"],
        "ticks_per_s": 1000.0 * found["simulated_s"] / found["passed_s"],
        "between_frames_ms": percentiles(np.diff(found["frames"]).tolist()),
        "ticks_ms": percentiles(found["ticks"]),
        "drawing_ms": percentiles(found["drawing"]),
    }


def main() -> int:
    """Print the table; returns 1 where the page does not keep up on a screen of 1400 by 900."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path, nargs="?", default=Path(LQR))
    parser.add_argument("--cart", help="default: the policy's; of LQR diy_arduino")
    parser.add_argument("--duration-s", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cart = arguments.cart or ("diy_arduino" if str(arguments.policy) == LQR else None)
    found = {}
    with tempfile.TemporaryDirectory(prefix="page-speed-") as folder:
        made = write_offline_page([arguments.policy], Path(folder) / "page.html", cart)
        print(f"  {made.size / 1000:.0f} kB, {', '.join(made.controllers)}")
        for name, size in {"1400 x 900": (1400, 900), "420 x 900": (420, 900)}.items():
            found[name] = one = measure(made.path, arguments.duration_s, *size)
            print(
                f"  {name:<12}{one['frames_per_s']:6.1f} frames/s {one['ticks_per_s']:8.1f} ticks/s   "
                f"frame to frame {one['between_frames_ms']['p50']:.1f} ms, p99 {one['between_frames_ms']['p99']:.1f}   "
                f"ticks {one['ticks_ms']['p50']:.2f} ms, p99 {one['ticks_ms']['p99']:.2f}   "
                f"drawing {one['drawing_ms']['p50']:.2f} ms, p99 {one['drawing_ms']['p99']:.2f}"
            )
    wide = found["1400 x 900"]
    holds = wide["frames_per_s"] >= MUST_FRAMES_PER_S and wide["ticks_per_s"] >= MUST_TICKS_PER_S
    print(
        f"  {'ok  ' if holds else 'FAIL'} {MUST_FRAMES_PER_S:g} frames/s and {MUST_TICKS_PER_S:g} ticks/s at 1400 x 900"
    )
    if arguments.json:
        print(json.dumps(found, indent=2))
    print(machine_line())
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
