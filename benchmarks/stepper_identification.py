"""Hidden carts with a stepper, recorded with their pole hanging: what `identify` finds, and how often it is right.

python -m benchmarks.stepper_identification [--carts 20] [--first 0] [--seed 2411] [--rig virtual] [--motion-s 12]
    [--steps-off 0.0] [--json]

Each cart is drawn from the ranges `diy_stepper`: the pole 0.7 to 1.3 times as long as in the file of `diy_stepper`, all
friction 0.5 to 1.5 times, the settling of motor and belt 0.5 to 2 times, a latency of 0 to 30 ms. On the virtual rig
driver and firmware know the file alone; on the rig sim the recording is of the drawn cart, and `identify` gets the
file. With `--steps-off`, a cart travels up to that share more or less in a step than the file says. Printed are, for
each parameter, the error against the truth and how many of the 95 % intervals hold it. Of the steps per metre an
interval that contains the file's value counts as its value. The seed 2411 was fixed before any of its carts was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.identify.identification import IdentifyRequest, identify
from cartpole_robot.open_loop.model import TERMS, Model, freed, model_of
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.hanging import HangingRequest, excite_hanging
from cartpole_robot.terminal.progress import progress_bar

CART = "diy_stepper"
SEED = 2411
REPORTED = ("delay", "settling", "pole_length", "pole_viscous", "pole_coulomb", "angle_zero", "steps_per_m")
UNITS = {"delay": (1e-3, "ms"), "settling": (1e-3, "ms"), "angle_zero": (1e-3, "mrad")}  # of the others: per cent


def hidden_cart(seed: int, number: int, steps_off: float) -> CartParams:
    """The cart of that seed and number."""
    rng = np.random.default_rng((seed, number))
    drawn = load_randomization(Path(CART), load_cart(CART)).draw(rng)
    if not steps_off:
        return drawn
    steps = TERMS["steps_per_m"]
    model = freed(model_of(drawn))
    cart = steps.write(model, steps.read(model) * (1.0 + steps_off * rng.uniform(-1.0, 1.0))).cart
    return dataclasses.replace(cart, limits=drawn.limits)


def rig_of(name: str, hidden: CartParams) -> VirtualRig | LockstepRig:
    """A rig with that cart. Raises `UsageError` for any rig but virtual and sim."""
    if name == "virtual":
        return VirtualRig(load_cart(CART), plant=hidden)
    if name != "sim":
        raise UsageError(f"rig {name!r}, expected virtual or sim")
    return simulated_rig(hidden)


def truths(hidden: CartParams, rig: str) -> dict[str, float]:
    """The true value of each term, the delay as the rig applies commands."""
    found = {name: TERMS[name].read(Model(cart=hidden, delay_s=0.0)) for name in REPORTED}
    arrival_s = hidden.delay.latency_s
    if rig == "virtual":
        arrival_s = math.ceil(arrival_s * 1000.0 - 1e-9) / 1000.0
    found["delay"] = hidden.delay.effect(arrival_s, hidden.timing.control_period_s)
    return found


def one(hidden: CartParams, rig: str, seed: int, motion_s: float, out: Path) -> Mapping[str, Any]:
    """What is found of one cart: value, interval and truth of each term, and the seconds that it took."""
    with contextlib.closing(rig_of(rig, hidden)) as opened:
        excited = excite_hanging(opened, HangingRequest(out=out, rig=rig, seed=seed, motion_s=motion_s))
    began_s = time.monotonic()
    found = identify([series_of(excited.recording)], load_cart(CART), IdentifyRequest())
    true = truths(hidden, rig)
    return {
        "took_s": time.monotonic() - began_s,
        "terms": {
            e.term.name: {"true": true[e.term.name], "value": e.value, "low": e.low, "high": e.high}
            for e in found.estimates
        },
        "ratios": {e.term.name: {"value": e.value, "low": e.low, "high": e.high} for e in found.ratios},
        "after_rad": found.after[0].angle_rad,
    }


def _print_table(results: list[Mapping[str, Any]]) -> None:
    print(f"  {'':<14} {'median error':>14} {'worst':>14} {'median half-width':>19}   intervals that hold the truth")
    for name in REPORTED:
        rows = [result["terms"][name] for result in results if name in result["terms"]]
        if not rows:
            print(f"  {name:<14} not searched for")
            continue
        errors, widths = [], []
        for row in rows:
            size, unit = UNITS.get(name, (0.01 * row["true"], "%"))
            errors.append(abs(row["value"] - row["true"]) / size)
            widths.append(0.5 * (row["high"] - row["low"]) / size)
        held = sum(row["low"] - 1e-9 <= row["true"] <= row["high"] + 1e-9 for row in rows)
        print(
            f"  {name:<14} {np.median(errors):>9.3f} {unit:<4} {max(errors):>9.3f} {unit:<4} "
            f"{np.median(widths):>14.3f} {unit:<4}   {held} of {len(rows)}"
        )
    took = [result["took_s"] for result in results]
    print(f"  identify took {np.median(took):.1f} s, {max(took):.1f} s at the most")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rig", default="virtual", choices=("virtual", "sim"))
    parser.add_argument("--motion-s", type=float, default=12.0)
    parser.add_argument("--steps-off", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results, failed = [], []
    with tempfile.TemporaryDirectory() as folder, progress_bar(arguments.carts, "carts", " runs") as bar:
        for number in range(arguments.first, arguments.first + arguments.carts):
            hidden = hidden_cart(arguments.seed, number, arguments.steps_off)
            out = Path(folder, f"{number}.parquet")
            try:
                results.append({"cart": number, **one(hidden, arguments.rig, number, arguments.motion_s, out)})
            except (RunError, UsageError) as error:
                failed.append(f"cart {number}: {error}")
            bar.update()
    if arguments.json:
        print(json.dumps({"results": results, "failed": failed}, indent=2))
        return
    print(f"rig {arguments.rig}: {len(results)} carts")
    if results:
        _print_table(results)
    for line in failed:
        print(f"  not among them: {line}")
    print(machine_line())


if __name__ == "__main__":
    main()
