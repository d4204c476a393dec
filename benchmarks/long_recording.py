"""An imported hour-long log at 50, 100 and 500 Hz: the time and the peak memory of each verb that reads it.

    python -m benchmarks.long_recording [--rates 50 100 500] [--hours 1] [--json]

The log is a cart that is driven back and forth under a hanging pole, written as CSV with four columns. Each verb
runs in a process of its own, as on the command line; the memory is the largest that its process had.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart

CART = "sensorsini"
STEP_S = 0.002  # of the motion, whatever the rate of the log
MAP = f"""\
format = 1
cart = "{CART}"
[time]
device = "t_us"
unit = "us"
[position]
column = "x_m"
unit = "m"
[angle]
column = "theta_rad"
unit = "rad"
zero = "upright"
sign = 1
[duty]
column = "u"
sign = 1
"""
# Arguments of each verb, on the files of one log; a verb may read what an earlier one wrote.
VERBS = {
    "import": ("import", "log.csv", "--map", "log.toml", "--out", "log.parquet"),
    "show": ("show", "log.parquet", "--out", "log.png"),
    "compare": ("compare", CART, "log.parquet", "--out", "log.html"),
    "identify": ("identify", "log.parquet", "--out", "found.toml"),
}


class Cost(NamedTuple):
    """What one verb took on one log."""

    rate_hz: int
    rows: int
    verb: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    exit_code: int


def motion(rows: int, steps: int) -> Iterator[tuple[float, float, float]]:
    """Position, angle and duty of a driven cart-pole, `steps` steps apart."""
    cart = load_cart(CART)
    body, stall_n = cart.pole_cart, cart.motor.stall_force_n
    length_m = body.equal_pendulum_m
    position = speed = pole_speed = 0.0
    angle = math.pi - 0.4
    for row in range(rows):
        at_s = row * steps * STEP_S
        duty = 0.55 * math.sin(8.2 * at_s) + 0.35 * math.sin(19.5 * at_s + math.sin(0.37 * at_s)) - 2.0 * position
        duty = min(1.0, max(-1.0, duty))
        yield position, (angle + math.pi) % (2.0 * math.pi) - math.pi, duty
        for _ in range(steps):
            pull = (stall_n * duty - cart.friction.cart_viscous_n_s_m * speed) / body.mass_kg
            bend = (body.gravity_m_s2 * math.sin(angle) - pull * math.cos(angle)) / length_m - 0.05 * pole_speed
            speed += pull * STEP_S
            position += speed * STEP_S
            pole_speed += bend * STEP_S
            angle += pole_speed * STEP_S


def write_log(folder: Path, rate_hz: int, rows: int) -> None:
    """Write the log and its map."""
    period_us = 1_000_000 // rate_hz
    with (folder / "log.csv").open("w", encoding="utf-8") as file:
        file.write("t_us,x_m,theta_rad,u\n")
        for row, (position, angle, duty) in enumerate(motion(rows, round(1.0 / (rate_hz * STEP_S)))):
            file.write(f"{row * period_us},{position:.6f},{angle:.6f},{duty:.4f}\n")
    (folder / "log.toml").write_text(MAP, encoding="utf-8")


def run_verb(folder: Path, verb: str, rate_hz: int, rows: int) -> Cost:
    """Run a verb in a process of its own."""
    begun = time.perf_counter()
    words = [sys.executable, "-m", "cartpole_robot", *VERBS[verb]]
    with (folder / f"{verb}.txt").open("wb") as said:
        process = subprocess.Popen(words, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        rate_hz=rate_hz,
        rows=rows,
        verb=verb,
        seconds=time.perf_counter() - begun,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024.0,
        exit_code=process.returncode,
    )


def cost_line(cost: Cost) -> str:
    """The cost as a line of the table."""
    failed = "" if cost.exit_code == 0 else f"  exit code {cost.exit_code}"
    return (
        f"{cost.rate_hz:4d} Hz {cost.rows:8d} rows  {cost.verb:<9} {cost.seconds:7.1f} s, {cost.cpu_seconds:6.1f} s of "
        f"CPU, {cost.peak_mb:6.0f} MB{failed}"
    )


def main() -> int:
    """The exit code: 1 where a verb failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[50, 100, 500], metavar="HZ", choices=[50, 100, 250, 500]
    )
    parser.add_argument("--hours", type=float, default=1.0, help="length of the log (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    costs = []
    for rate_hz in arguments.rates:
        rows = round(arguments.hours * 3600.0 * rate_hz)
        with tempfile.TemporaryDirectory() as name:
            write_log(Path(name), rate_hz, rows)
            for verb in VERBS:
                cost = run_verb(Path(name), verb, rate_hz, rows)
                costs.append(cost)
                if not arguments.json:
                    print(cost_line(cost), flush=True)
                if cost.exit_code:
                    print((Path(name) / f"{verb}.txt").read_text()[-500:], file=sys.stderr)
    if arguments.json:
        print(json.dumps([cost._asdict() for cost in costs], indent=2))
    else:
        print(machine_line())
    return 1 if any(cost.exit_code for cost in costs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
