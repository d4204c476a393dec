"""Carts with hidden parameters, recorded by `excite`: what `identify` finds, and how often it is right.

python -m benchmarks.identification [--carts 20] [--duration-s 30] [--first 0] [--jitter-ms 0] [--difference 0.15]
    [--workers 1] [--json]

Each cart is `diy_arduino` with motor gain, damping, Coulomb friction, pole length and the pole's viscous friction drawn
at random (each up to 30 % off either way), a dead zone of 0.01 to 0.06 and commands that arrive 5 to 30 ms after their
measurement. To the right, gain and dead zone are each up to `--difference` more or less than to the left. `excite`
records it on the virtual rig with its own regulator, then its free swing; `identify` gets the recording and the
unchanged cart file. Noise: both encoders give whole counts, and one reading in ten is another count off, up or down;
`--jitter-ms` adds a random latency of up to that much to each command. The table has, for each term, the errors over
all carts and how many of the 95 % intervals hold the truth. The delay is when a command takes effect: the firmware
looks once a millisecond, so it is the latency rounded up. The latency is the new cart file's. The errors of both
asymmetries are in per cent of the gain and of the dead zone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, FirmwareSettings
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.open_loop.model import TERMS, Model, freed, identified_delay, model_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.signals import Measurement
from cartpole_robot.terminal.progress import progress_bar
from firmware_bridge.constants import TICK_S

DRAWN = ("motor_gain", "damping", "coulomb", "pole_length", "pole_viscous")
SIDES = {"gain_right": ("motor_gain", 1.0), "gain_left": ("motor_gain", -1.0)}  # stall forces, without an interval
REPORTED = (
    *("delay", "latency", "motor_gain", *SIDES, "gain_asymmetry", "damping", "coulomb", "dead_zone"),
    *("dead_zone_asymmetry", "pole_length", "pole_viscous"),
)
SHARE_OFF = 0.1  # of the readings: one count off


def hidden_model(number: int, difference: float) -> Model:
    """The cart of that number."""
    rng = np.random.default_rng(number)
    model = freed(model_of(load_cart("diy_arduino")))
    for name in DRAWN:
        model = TERMS[name].write(model, TERMS[name].read(model) * rng.uniform(0.7, 1.3))
    model = TERMS["dead_zone"].write(model, rng.uniform(0.01, 0.06))
    delay_s = rng.uniform(0.005, 0.03)
    gain, zone = ((ratio - 1.0) / (ratio + 1.0) for ratio in 1.0 + difference * rng.uniform(-1.0, 1.0, 2))
    model = TERMS["gain_asymmetry"].write(model, float(gain))
    model = TERMS["dead_zone_asymmetry"].write(model, float(zone) * TERMS["dead_zone"].read(model))
    return dataclasses.replace(model, delay_s=delay_s)


def homed_as_hard(cart: CartParams, nominal: CartParams) -> FirmwareSettings:
    """The firmware's settings, homing with at least the force of the nominal cart.

    A weak motor hardly swings the pole, and dry friction stops it before homing has counted its half periods: homing
    ends with POLE_PERIOD, and a user would raise `homing_duty`.
    """
    assert nominal.firmware is not None
    duty = nominal.firmware.homing_duty
    push_n = nominal.motor.level(duty) * nominal.motor.stall_force_n - nominal.friction.cart_coulomb_n
    level = (push_n + cart.friction.cart_coulomb_n) / cart.motor.stall_force_n
    needed = max(cart.motor.duty_for(level), -cart.motor.duty_for(-level))
    return dataclasses.replace(nominal.firmware, homing_duty=max(duty, round(needed, 3)))


def works_s(latency_s: float, jitter_s: float) -> float:
    """Mean time from a measurement until a command of that latency takes effect."""
    draws = latency_s + jitter_s * (np.arange(1000) + 0.5) / 1000.0
    return float(np.mean(np.ceil(draws / TICK_S - 1e-9)) * TICK_S)


def made_noisy(recording: Path, noisy: Path, seed: int) -> None:
    """Copy a recording, with some readings one count off."""
    read = read_recording(recording)
    encoders = read.cart.encoders
    assert encoders is not None
    rng = np.random.default_rng(seed)
    with Recorder(noisy, read.metadata) as recorder:
        for row in read.rows:
            cart, pole = rng.choice((-1, 0, 1), 2, p=(SHARE_OFF / 2, 1 - SHARE_OFF, SHARE_OFF / 2))
            measurement = Measurement(
                tick=int(row["tick"]),
                mcu_time_us=int(row["mcu_time_us"]),
                cart_counts=int(row["cart_counts"] + cart),
                pole_counts=int(row["pole_counts"] + pole),
                cart_position_m=float(row["cart_position_m"]) + cart / encoders.cart_counts_per_m,
                cart_speed_m_s=float(row["cart_speed_m_s"]),
                pole_angle_rad=float(row["pole_angle_rad"]) + pole / encoders.pole_counts_per_rad,
                pole_speed_rad_s=float(row["pole_speed_rad_s"]),
                applied_duty=float(row["applied_duty"]),
                command_age_s=float(row["command_age_s"]),
            )
            recorder.append(
                measurement,
                float(row["host_time_s"]),
                float(row["requested_duty"]),
                float(row["reward"]),
                int(row["flags"]),
            )


def one(number: int, duration_s: float, jitter_s: float, difference: float, folder: Path) -> dict[str, Any]:
    """The result for one cart."""
    model, nominal = hidden_model(number, difference), load_cart("diy_arduino")
    delay = dataclasses.replace(identified_delay(model), jitter_s=jitter_s)
    cart = dataclasses.replace(
        model.cart,
        limits=nominal.limits,
        action_duties=(-0.35, 0.35),
        delay=delay,
        firmware=homed_as_hard(model.cart, nominal),
    )
    hidden, recording, noisy = (
        folder / f"hidden{number}.toml",
        folder / f"{number}.parquet",
        folder / f"n{number}.parquet",
    )
    write_cart(hidden, cart)
    excited = command(  # raises where a fault ended it
        *("excite", "--upright", "--cart", hidden, "--rig", "virtual", "--seed", number),
        *("--duration-s", duration_s, "--out", recording),
    )
    made_noisy(recording, noisy, number)
    began_s, load = time.monotonic(), os.getloadavg()[0]
    file = folder / f"found{number}.toml"
    found = command("identify", noisy, "--cart", "diy_arduino", "--out", file)
    took_s = time.monotonic() - began_s
    terms = {
        e["term"]: {"value": e["value"], "low_95": e["low_95"], "high_95": e["high_95"]} for e in found["estimates"]
    }
    new = load_cart(str(file)).delay
    terms["latency"] = {  # where commands wait for the next tick, it cannot be known better
        "value": new.latency_s if new.apply is Apply.ON_ARRIVAL else terms["delay"]["value"] - 0.5 * TICK_S,
        "low_95": terms["delay"]["low_95"] - TICK_S - jitter_s,
        "high_95": terms["delay"]["high_95"],
    }
    for side, (name, sign) in SIDES.items():
        terms[side] = {"value": terms[name]["value"] * (1.0 + sign * terms["gain_asymmetry"]["value"])}
    truths = {name: TERMS[name].read(model) for name in REPORTED if name in TERMS}
    for side, (name, sign) in SIDES.items():
        truths[side] = truths[name] * (1.0 + sign * truths["gain_asymmetry"])
    truths["latency"] = model.delay_s + 0.5 * jitter_s
    truths["delay"] = works_s(model.delay_s, jitter_s)
    return {
        "cart": number,
        "steps": excited.get("steps"),
        "took_s": took_s,
        "load": load,
        "terms": {name: {"true": truths[name], **terms[name]} for name in REPORTED},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=20)
    parser.add_argument("--duration-s", type=float, default=30.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--difference", type=float, default=0.15, help="of right and left at most (default: 0.15)")
    parser.add_argument("--workers", type=int, default=1, help="carts at a time (default: 1)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    numbers = range(arguments.first, arguments.first + arguments.carts)
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar(arguments.carts, "carts", " carts") as bar,
        ThreadPoolExecutor(arguments.workers) as pool,
    ):
        settings = (arguments.duration_s, 1e-3 * arguments.jitter_ms, arguments.difference, Path(folder))
        for number, run in [(number, pool.submit(one, number, *settings)) for number in numbers]:
            try:
                results.append(run.result())
            except RuntimeError as error:
                failed.append(f"cart {number}: {error}")
            bar.update()
    if arguments.json:
        print(json.dumps({"results": results, "failed": failed}, indent=2))
        return
    if failed:
        print("  not among them:", *failed, sep="\n    ")
    if not results:
        return
    print(f"  {'':<20} {'median error':>13} {'worst':>10}   intervals that hold the truth")
    for name in REPORTED:
        rows = [result["terms"][name] for result in results]
        is_time = name in ("delay", "latency")
        sizes = [result["terms"]["dead_zone" if name == "dead_zone_asymmetry" else name]["true"] for result in results]
        units = [0.001 if is_time else 0.01 if name == "gain_asymmetry" else 0.01 * size for size in sizes]
        off = [abs(row["value"] - row["true"]) / unit for row, unit in zip(rows, units, strict=True)]
        unit = "ms" if is_time else "%"
        held = sum(row["low_95"] <= row["true"] <= row["high_95"] for row in rows if "low_95" in row)
        holds = f"{held} of {len(rows)}" if "low_95" in rows[0] else "-"
        print(f"  {name:<20} {np.median(off):>10.2f} {unit:<2} {max(off):>7.2f} {unit:<2}   {holds}")
    took = [result["took_s"] for result in results]
    loads = [result["load"] for result in results]
    print(f"  identify took {np.median(took):.0f} s, {max(took):.0f} s at the most")
    print(f"  load {min(loads):.1f} to {max(loads):.1f}")
    print(f"  {platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
