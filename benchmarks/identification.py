"""Carts with hidden parameters, recorded by `excite`: what `identify` finds of them, and how often it is right.

python -m benchmarks.identification [--carts 20] [--duration-s 30] [--first 0] [--json]

Each cart is `diy_arduino` with motor gain, damping, Coulomb friction and pole length drawn anew (each by up to 30 %
either way), a dead zone of 0.01 to 0.06 and commands that work 5 to 30 ms after their measurement. `excite` records it
on the virtual rig with its own regulator; `identify` gets the recording, in whole counts, and the file of the cart as
it was. Told are, for each term, the errors of all carts and how many of the 95 % intervals hold the truth.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.command_line import command
from cartpole_robot.cart_files import load_cart
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.identify.model import TERMS, Model, freed, identified_delay, model_of
from cartpole_robot.progress import progress_bar

DRAWN = ("motor_gain", "damping", "coulomb", "pole_length")
TOLD = ("delay", *DRAWN, "dead_zone")


def hidden_model(number: int) -> Model:
    """The cart of that number."""
    rng = np.random.default_rng(number)
    model = freed(model_of(load_cart("diy_arduino")))
    for name in DRAWN:
        model = TERMS[name].write(model, TERMS[name].read(model) * rng.uniform(0.7, 1.3))
    model = TERMS["dead_zone"].write(model, rng.uniform(0.01, 0.06))
    return dataclasses.replace(model, delay_s=rng.uniform(0.005, 0.03))


def one(number: int, duration_s: float, folder: Path) -> dict[str, object]:
    """What came of it for one cart."""
    model, nominal = hidden_model(number), load_cart("diy_arduino")
    cart = dataclasses.replace(
        model.cart, limits=nominal.limits, action_duties=(-0.35, 0.35), delay=identified_delay(model)
    )
    hidden, recording = folder / f"hidden{number}.toml", folder / f"{number}.parquet"
    write_cart(hidden, cart)
    told = command(
        *("excite", "--cart", hidden, "--rig", "virtual", "--seed", number),
        *("--duration-s", duration_s, "--out", recording),
    )
    began_s = time.monotonic()
    found = command("identify", recording, "--cart", "diy_arduino", "--out", folder / f"found{number}.toml")
    estimates = {e["term"]: e for e in found["estimates"]}
    return {
        "cart": number,
        "turns": told.get("turns"),
        "took_s": time.monotonic() - began_s,
        "terms": {
            name: {"true": TERMS[name].read(model), **{k: estimates[name][k] for k in ("value", "low_95", "high_95")}}
            for name in TOLD
        },
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=20)
    parser.add_argument("--duration-s", type=float, default=30.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, progress_bar(arguments.carts, "carts", " carts") as bar:
        for number in range(arguments.first, arguments.first + arguments.carts):
            results.append(one(number, arguments.duration_s, Path(folder)))
            bar.update()
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(f"  {'':<14} {'median error':>13} {'worst':>10}   intervals that hold the truth")
    for name in TOLD:
        rows = [result["terms"][name] for result in results]  # type: ignore[index]
        off = [abs(row["value"] - row["true"]) / (0.001 if name == "delay" else 0.01 * row["true"]) for row in rows]
        unit = "ms" if name == "delay" else "%"
        held = sum(row["low_95"] <= row["true"] <= row["high_95"] for row in rows)
        print(f"  {name:<14} {np.median(off):>10.2f} {unit:<2} {max(off):>7.2f} {unit:<2}   {held} of {len(rows)}")
    took = [float(str(result["took_s"])) for result in results]
    print(f"  identify took {np.median(took):.0f} s, {max(took):.0f} s at the most; load {os.getloadavg()[0]:.1f}")
    print(f"  {platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
