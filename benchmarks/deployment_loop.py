"""How punctual the deployment's loop is on a virtual cart behind a pseudo-terminal, compared with a plain loop.

python -m benchmarks.deployment_loop RUN [--duration-s 60] [--rates-hz 500 1000]

First the regulator runs at each rate, on `diy_arduino` with that control rate: on an idle machine, then with a busy
process on the loop's own processor. Then the policy of RUN runs at 50 Hz, once by `deploy` and once by a plain loop:
Stable-Baselines3's predict, then `time.sleep` for the rest of the period. The table has percentiles of lateness and of
the time from sensor to command, in us, and the number of control ticks that no command reached in time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.deployment.cart_process import cart_process
from cartpole_robot.deployment.latency_report import figures_of
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.deployment.run import DeployRequest, deploy
from cartpole_robot.policy.backend import LQR
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.history import History
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.simulation.imperfections.profile import IDEAL
from cartpole_robot.task import observation

MUST_P999_LATENESS_US = 300.0


def cart_file(folder: Path, rate_hz: int) -> Path:
    """`diy_arduino` at another control rate, homing quickly, as a file.

    At 500 Hz the regulator may reverse a resting motor more often than its gear bears, so the limit is at its ceiling.
    """
    text = resources.files("cartpole_robot.cart.known").joinpath("diy_arduino.toml").read_text(encoding="utf-8")
    for pattern, value in (
        (r"control_period_s = \S+", f"control_period_s = {1.0 / rate_hz:g}"),
        (r"homing_speed_m_s = [\d.]+", "homing_speed_m_s = 0.6"),
        (r"homing_duty = [\d.]+", "homing_duty = 0.5"),
        (r"reversals_per_s = \d+", "reversals_per_s = 500"),
    ):
        text, count = re.subn(pattern, value, text)
        if count != 1:
            raise ValueError(f"diy_arduino.toml: {pattern} found {count} times, expected once")
    path = folder / f"diy_{rate_hz}_hz.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _burn(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    while True:
        pass


@contextlib.contextmanager
def busy_processor(cpu: int) -> Iterator[None]:
    """An ordinary process keeps that processor busy inside the `with` block."""
    process = multiprocessing.get_context("spawn").Process(target=_burn, args=(cpu,), daemon=True)
    process.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        process.kill()
        process.join()


def deployed(policy: Path, cart: Path | None, duration_s: float, folder: Path, name: str) -> dict[str, Any]:
    """The latencies of one `deploy`."""
    with contextlib.redirect_stderr(io.StringIO()):
        done = deploy(
            DeployRequest(
                policy=policy,
                cart=None if cart is None else str(cart),
                duration_s=duration_s,
                record=folder / f"{name}.parquet",
                is_viewed=False,
                profile="ideal",  # it is the loop that is measured, and no USB chip, which 500 Hz would outrun
            )
        )
    return {
        "steps": done.rollout.steps,
        "end": done.rollout.end.value,
        "missed": done.report.missed,
        "skipped": done.report.skipped,
        **done.report.figures,
    }


def plainly(run: Path, duration_s: float) -> dict[str, Any]:
    """The latencies of the plain loop with the same policy."""
    from stable_baselines3 import DQN

    model = DQN.load(run / "model_selected.zip", device="cpu")
    history = History(load_policy(run / "policy.npz").interface.history_length)
    cart = quickly_homing(load_cart("diy_arduino"))
    period_s = cart.timing.control_period_s
    steps = round(duration_s / period_s)
    times = StepTimes(steps)
    with contextlib.redirect_stderr(io.StringIO()), cart_process("virtual", cart, profile=IDEAL) as port:
        rig = SerialRig(cart, port)
        late = rig.link.health().late_commands
        measured = start_rollout(rig, 0)
        for _ in range(steps):
            began_s = time.monotonic()
            action, _ = model.predict(history.observe(observation(measured)), deterministic=True)
            duty = history.duty = cart.action_duties[int(action)]
            decided_s = time.monotonic()
            rig.command(duty)
            sent_s = time.monotonic()
            times.append(rig.arrival_s(), began_s, decided_s, sent_s, measured.lateness_s, measured.command_age_s)
            time.sleep(max(0.0, period_s - (time.monotonic() - began_s)))
            measured = rig.measure()
            if not rig.is_running:
                break
        rig.disarm()
        missed = rig.link.health().late_commands - late
        rig.close()
    return {
        "steps": times.steps,
        "end": "duration" if times.steps == steps else "fall",
        "missed": missed,
        **figures_of(times),
    }


def bare_timer(rate_hz: int, duration_s: float) -> dict[str, float]:
    """How late a loop wakes that only sleeps until its next step, in us: the share of the machine itself."""
    late, next_s = [], time.monotonic()
    with punctual():
        for _ in range(round(rate_hz * duration_s)):
            next_s += 1.0 / rate_hz
            time.sleep(max(0.0, next_s - time.monotonic()))
            late.append(1e6 * (time.monotonic() - next_s))
    found = {f"p{p:g}": float(np.percentile(late, p)) for p in (50.0, 99.0, 99.9)}
    return {**found, "max": max(late)}


def row(name: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    cells = "".join(
        f"{found[kind][key]:>9.0f}"
        for kind in ("loop_lateness", "sensor_to_command")
        for key in ("p50", "p99", "p99.9", "max")
    )
    skipped = found.get("skipped", 0)
    return f"  {name:<34}{cells}{found['missed']:>8}  {found['steps']} steps, {skipped} skipped, {found['end']}"


def main() -> int:
    """Print the table; returns 1 where the loop misses its limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--rates-hz", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    print(
        f"  {'':<34}{'lateness, us':>36}{'sensor to command, us':>36}\n  {'':<34}"
        + f"{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}" * 2
        + f"{'missed':>8}"
    )

    def report(name: str, result: dict[str, Any]) -> None:
        found[name] = result
        print(row(name, result), flush=True)

    bare = bare_timer(arguments.rates_hz[0], min(20.0, arguments.duration_s))
    print(f"  {'nothing but a timer':<34}" + "".join(f"{value:>9.0f}" for value in bare.values()))
    with tempfile.TemporaryDirectory(prefix="deployment-loop-") as name:
        folder = Path(name)
        for rate_hz in arguments.rates_hz:
            cart = cart_file(folder, rate_hz)
            report(f"{rate_hz} Hz", deployed(Path(LQR), cart, arguments.duration_s, folder, f"{rate_hz}"))
            with busy_processor(max(os.sched_getaffinity(0))):
                loaded = deployed(Path(LQR), cart, arguments.duration_s, folder, f"{rate_hz}-loaded")
            report(f"{rate_hz} Hz, its processor busy", loaded)
        report("50 Hz, the policy", deployed(arguments.run, None, arguments.duration_s, folder, "50"))
        report("50 Hz, plain loop, SB3 predict", plainly(arguments.run, arguments.duration_s))
    first = found[f"{arguments.rates_hz[0]} Hz"]
    holds = {
        "no control tick without a command in time": first["missed"] == 0,
        f"p99.9 of lateness at most {MUST_P999_LATENESS_US:g} us": first["loop_lateness"]["p99.9"]
        <= MUST_P999_LATENESS_US,
        "under load it runs to the end": found[f"{arguments.rates_hz[0]} Hz, its processor busy"]["end"] == "duration",
    }
    if arguments.json:
        print(json.dumps({"timer": bare, "runs": found, "holds": holds, "load": machine_line()}, indent=2))
    for what, is_so in holds.items():
        print(f"  {'ok  ' if is_so else 'FAIL'} {arguments.rates_hz[0]} Hz: {what}")
    print(machine_line())
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
