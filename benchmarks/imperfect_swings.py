"""Swing-ups with the imperfections of a workbench: how many start in the first attempt, and what ends the others.

    python -m benchmarks.imperfect_swings [--cart diy_arduino] [--starts 100] [--json]

With every imperfection of the profile workbench alone, with all of them, and with both FTDI profiles. Each virtual cart
homes once and swings its pole up ten times; after each start its motor is switched off, and the pole falls. The supply
is what the firmware reads, the clamp's energy that of the simulated diode.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

import numpy as np

from benchmarks.imperfect_episodes import WORKBENCH, only
from benchmarks.imperfect_starts import PER_CART, Starts, started
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.simulation.imperfections.profile import IDEAL, fitting, load_profile
from cartpole_robot.simulation.workers import WorkerPool

FIRST_SEED = 5_000_000


def main() -> None:
    """Print one line for each profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--starts", type=int, default=100, help=f"of each profile, a multiple of {PER_CART}")
    parser.add_argument("--profile", action="append", help="a profile by its name in the table, such as workbench")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cart = load_cart(arguments.cart)
    design = design_swing_up(cart)
    profiles = {"nothing": IDEAL}
    profiles |= {f"{name} alone": only(name) for name in WORKBENCH.sections}
    profiles |= {name: load_profile(name) for name in ("workbench", "ftdi", "ftdi_slow")}
    seeds = range(FIRST_SEED, FIRST_SEED + 100 * math.ceil(arguments.starts / PER_CART), 100)
    rows: list[dict[str, Any]] = []
    print(f"  {'':<16}first attempt   started  median s   supply V  clamp J a swing-up", file=sys.stderr)
    with WorkerPool(1) as pool:
        chosen = [(name, fitting(each, cart.motor)[0]) for name, each in profiles.items()]
        chosen = [(name, each) for name, each in chosen if name in (arguments.profile or [name])]
        begun = {name: [pool.submit(started, cart, design, each, seed) for seed in seeds] for name, each in chosen}
        for name, futures in begun.items():
            total = Starts()
            for future in futures:
                total.add(future.result())
            count = len(seeds) * PER_CART
            row = {
                "profile": name,
                "first_attempts": total.first_attempts,
                "started": len(total.swing_up_s),
                "starts": count,
                "median_s": float(np.median(total.swing_up_s)) if total.swing_up_s else math.nan,
                "supply_v": total.supply_v,
                "clamp_j_a_swing_up": total.clamped_j / max(1, len(total.swing_up_s)),
                "faults": dict(total.faults),
            }
            rows.append(row)
            faults = ", ".join(f"{number} {fault}" for fault, number in total.faults.most_common())
            print(
                f"  {name:<16}{row['first_attempts']:>6} of {count:<5}{row['started']:>7}{row['median_s']:>10.2f}"
                f"{row['supply_v']:>11.1f}{row['clamp_j_a_swing_up']:>10.3f}  {faults}",
                file=sys.stderr,
                flush=True,
            )
    print(json.dumps(rows) if arguments.json else machine_line())


if __name__ == "__main__":
    main()
