"""A policy that fails on a changed cart keeps learning on that cart, for at most 100 episodes, all of them counted.

    python -m benchmarks.learning_on_cart --seeds 5

Friction and motor gain of `diy_arduino` are raised in increments until the exported policy survives 500 steps in few of
20 episodes, while the regulator designed for the changed cart survives all. Then `cartpole-robot train --init` learns
on the virtual rig, seed after seed, and each exported policy is evaluated on 20 starts that neither its training nor
its selection used.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.command_line import command
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.policy.backend import LQR
from cartpole_robot.rollout.judging import JudgingRequest, judge

CART, RIG = "diy_arduino", "virtual"
EPISODES, STEPS = 20, 500
FAILS_AT_MOST, PASSES_AT_LEAST = 4, 18
MOST_INCREMENTS = 12


def changed_cart(cart: CartParams, friction: float, gain: float) -> CartParams:
    """`cart` with the cart's friction, dry and viscous, multiplied by `friction` and the motor's force by `gain`."""
    factors = {
        name: getattr(cart.friction, name) * friction
        for name in ("cart_coulomb_n", "cart_static_n", "cart_viscous_n_s_m")
    }
    return dataclasses.replace(
        cart,
        friction=dataclasses.replace(cart.friction, **factors),
        motor=dataclasses.replace(cart.motor, stall_force_n=cart.motor.stall_force_n * gain),
    )


def write_cart(cart: CartParams, path: Path, source: str) -> None:
    """Write `cart` as a cart file whose numbers all have that `source`."""
    lines = ["format = 1", f"description = {json.dumps(cart.description)}", f"source = {json.dumps(source)}"]
    tables: dict[str, dict[str, Any]] = {"actions": {"duty": list(cart.action_duties)}}
    for name in SECTIONS:
        part = getattr(cart, name)
        if part is not None:
            tables[name] = {key: value for key, value in dataclasses.asdict(part).items() if value is not None}
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def judged(policy: Path | str, cart: Path, rig: str) -> dict[str, Any]:
    """The evaluation of the policy on that cart file, over fresh starts."""
    return judge(
        JudgingRequest(
            policy=Path(policy),
            env_id=None,
            rig=rig,
            cart=str(cart),
            backend="c",
            episodes=EPISODES,
            max_steps=STEPS,
            first_seed=None,
        )
    )


def spoiled_cart(policy: Path, folder: Path, friction_step: float, gain_step: float, beyond: int) -> Path:
    """The file of the first changed cart that the policy fails on, or `beyond` increments after it; prints the search.

    Ends the benchmark where the regulator fails as well.
    """
    failed = 0
    base = load_cart(CART)
    print("friction x   gain x   exported policy: survived, mean steps   faults   LQR: survived")
    for k in range(MOST_INCREMENTS):
        friction, gain = 1.0 + k * friction_step, 1.0 + k * gain_step
        path = folder / f"friction_x{friction:g}_gain_x{gain:g}.toml"
        write_cart(changed_cart(base, friction, gain), path, f"{CART}, friction x {friction:g}, gain x {gain:g}")
        try:
            found, regulated = judged(policy, path, RIG), judged(LQR, path, RIG)
        except RigError as error:
            sys.exit(f"{friction:>10.2f}{gain:>9.2f}   the cart cannot be started: {error}")
        print(
            f"{friction:>10.2f}{gain:>9.2f}{found['episodes_survived']:>21} of {EPISODES}{found['mean_steps']:>11.1f}"
            f"{len(found['faults']):>11}{regulated['episodes_survived']:>12} of {EPISODES}",
            flush=True,
        )
        if regulated["episodes_survived"] < EPISODES:
            sys.exit("the regulator fails as well: no cart to learn on was found")
        failed += found["episodes_survived"] <= FAILS_AT_MOST
        if failed > beyond:
            return path
    sys.exit(f"the policy survives every changed cart, up to {MOST_INCREMENTS} increments")


def main() -> None:
    """Print the search for the cart, one row per seed, and the number of successes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, help=f"the policy (default: trains recommended for {CART}, seed 0)")
    parser.add_argument("--cart", type=Path, help="a changed cart's file (default: searches for one)")
    parser.add_argument(
        "--friction-step", type=float, default=0.25, metavar="X", help="search increment (default: 0.25)"
    )
    parser.add_argument("--gain-step", type=float, default=1.0, metavar="X", help="search increment (default: 1)")
    parser.add_argument(
        "--beyond", type=int, default=0, metavar="N", help="increments beyond the first failure (default: 0)"
    )
    parser.add_argument("--rig", default=RIG, help=f"virtual or avr (default: {RIG})")
    parser.add_argument("--preset", default="on_cart", help="how to learn (default: on_cart)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default: 5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = arguments.policy
        if policy is None:
            policy = folder / "exported"
            command("train", "--cart", CART, "--seed", 0, "--out", policy)
        cart = arguments.cart or spoiled_cart(
            policy, folder, arguments.friction_step, arguments.gain_step, arguments.beyond
        )
        before = judged(policy, cart, arguments.rig)
        print(f"\n{arguments.preset} on {cart.stem}, rig {arguments.rig}, at most 100 episodes, evaluation included")
        print(f"before: {before['episodes_survived']} of {EPISODES}, {before['mean_steps']:.1f} mean steps")
        print(
            "seed   episodes = learning + evaluation   steps   updates   survived after   mean steps   faults   wall s"
        )
        passed = []
        for seed in range(arguments.seeds):
            begin = time.monotonic()
            run = folder / f"seed{seed}"
            options = ("--init", policy, "--cart", cart, "--rig", arguments.rig, "--preset", arguments.preset)
            try:
                summary = command("train", *options, "--episodes", 100, "--seed", seed, "--out", run)
            except RuntimeError as error:
                print(f"{seed:>4}   {error}", flush=True)
                passed.append(False)
                continue
            wall_s = time.monotonic() - begin
            after = judged(run, cart, arguments.rig)
            passed.append(after["episodes_survived"] >= PASSES_AT_LEAST and summary["episodes"] <= 100)
            print(
                f"{seed:>4}{summary['episodes']:>11}{summary['learning_episodes']:>11}{summary['evaluation_episodes']:>13}"
                f"{summary['steps']:>8}{summary['updates']:>10}{after['episodes_survived']:>13} of {EPISODES}"
                f"{after['mean_steps']:>12.1f}{len(summary['faults']):>9}{wall_s:>9.1f}",
                flush=True,
            )
        print(f"{PASSES_AT_LEAST} of {EPISODES} or more: {sum(passed)} of {len(passed)} seeds")
        print(machine_line())


if __name__ == "__main__":
    main()
