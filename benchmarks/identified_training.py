"""A policy for an unmeasured cart: trained on the file of its hardware, and on what `identify` makes of it.

    python -m benchmarks.identified_training [--carts 3] [--json]

Each hidden cart is `diy_arduino` with random friction, motor force, pole length and latency (seeds 0, 1, 2, ...), far
enough off that a policy trained on the unchanged file hardly balances it. It is behind the virtual rig
(`virtual:CART`), so driver and firmware know only the file they are given. The benchmark does what an owner would do,
by the command line alone: `excite` with the unchanged file, `identify` from those recordings, however soon the pole
fell, `excite` with the identified file, `identify` from all recordings, `train` on the result. Both policies are then
evaluated on the hidden cart. An action table belongs to a policy's interface, not to a cart: each policy keeps its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from benchmarks.learning_on_cart import changed_cart
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.open_loop.model import TERMS, model_of
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.terminal.progress import progress_bar

CART = "diy_arduino"
EPISODES, STEPS = 20, 500
FIRST_RECORDINGS = 3  # with a regulator that may not hold the cart
STAGES = 5  # of each cart, which the progress bar counts


def hidden_cart(seed: int) -> tuple[CartParams, dict[str, float]]:
    """The cart of that seed, and its changes."""
    rng = np.random.default_rng(seed)
    changes = {
        "friction": rng.uniform(1.5, 2.5),
        "force": rng.uniform(2.0, 5.0),
        "pole length": rng.uniform(0.8, 1.2),
        "latency_s": rng.uniform(0.002, 0.018),
    }
    model = model_of(changed_cart(load_cart(CART), changes["friction"], changes["force"]))
    length = TERMS["pole_length"]
    cart = length.write(model, length.read(model) * changes["pole length"]).cart
    return dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=changes["latency_s"])), changes


def evaluated(policy: Path, cart: object, rig: str) -> dict[str, Any]:
    """The evaluation of the policy there."""
    return command(
        *("evaluate", policy, "--cart", cart, "--rig", rig, "--episodes", EPISODES, "--steps", STEPS),
    )


def excited(cart: object, rig: str, seed: int, out: Path) -> int:
    """The steps driven in a recording made with the regulator of `cart`, even where a fault ended it."""
    try:
        command("excite", "--upright", "--cart", cart, "--rig", rig, "--seed", seed, "--out", out)
    except RuntimeError:
        if not out.exists():
            raise
    flags = read_recording(out).column("flags")
    return int(np.sum((flags & Flag.MOTOR_OFF) == 0))


def one(seed: int, nominal: Path, folder: Path, on_stage: Any) -> dict[str, Any]:
    """The result for one cart."""
    cart, changes = hidden_cart(seed)
    file = folder / f"hidden{seed}.toml"
    write_cart(file, cart)
    rig = f"virtual:{file}"
    result: dict[str, Any] = {"cart": seed, **changes, "nominal": evaluated(nominal, CART, rig)["episodes_survived"]}
    on_stage()
    first = [folder / f"first{seed}_{k}.parquet" for k in range(FIRST_RECORDINGS)]
    result["first_steps"] = [excited(CART, rig, k, out) for k, out in enumerate(first)]
    rough, second = folder / f"rough{seed}.toml", folder / f"second{seed}.parquet"
    command("identify", *first, "--cart", CART, "--out", rough)
    on_stage()
    result["second_steps"] = excited(rough, rig, FIRST_RECORDINGS, second)
    identified, policy = folder / f"identified{seed}.toml", folder / f"policy{seed}"
    began_s = time.monotonic()
    command("identify", *first, second, "--cart", rough, "--out", identified)
    result["identify_s"] = time.monotonic() - began_s
    on_stage()
    command("train", "--cart", identified, "--seed", 0, "--out", policy)
    on_stage()
    result["identified"] = evaluated(policy, identified, rig)["episodes_survived"]
    on_stage()
    return result


def main() -> None:
    """Print one row per cart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=3, help="seeds 0 to N-1 (default: 3)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    if not arguments.json:
        print(f"survived {STEPS} steps, of {EPISODES} episodes")
        print("cart   friction x   force x   pole x   latency   steps recorded: first, second   nominal   identified")
    with (
        tempfile.TemporaryDirectory() as name,
        progress_bar(STAGES * arguments.carts, "identified training", " stages", quiet=True) as bar,
    ):
        folder = Path(name)
        nominal = folder / "nominal"
        command("train", "--cart", CART, "--seed", 0, "--out", nominal)
        for seed in range(arguments.carts):
            try:
                results.append(one(seed, nominal, folder, bar.update))
            except RuntimeError as error:
                failed.append(f"cart {seed}: {error}")
                continue
            if not arguments.json:
                print(row_text(results[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"results": results, "failed": failed}, indent=2))
        return
    if failed:
        print("failed:", *failed, sep="\n  ")
    passed = sum(row["identified"] == EPISODES > row["nominal"] for row in results)
    print(f"the identified policy {EPISODES} of {EPISODES}, the nominal one fewer: {passed} of {arguments.carts} carts")
    print(machine_line())


def row_text(row: dict[str, Any]) -> str:
    """A cart's row of the table."""
    recorded = f"{'+'.join(map(str, row['first_steps']))}, {row['second_steps']}"
    return (
        f"{row['cart']:>4}{row['friction']:>13.2f}{row['force']:>10.2f}{row['pole length']:>9.2f}"
        f"{1000.0 * row['latency_s']:>7.1f} ms{recorded:>33}{row['nominal']:>10}{row['identified']:>13}"
    )


if __name__ == "__main__":
    main()
