"""The largest push from outside that a balancing controller survives.

    python -m benchmarks.push_limits --cart diy_arduino --policy precise=runs/precise/diy_arduino-seed0/policy.npz
    python -m benchmarks.push_limits --cart diy_arduino --policy robust=runs/robust --true-cart drawn:3

A push is a force, a Gaussian in time of 20 ms (standard deviation), to the left or to the right, on the cart or at the
pole's centre of mass. There it acts on the cart too, and with its distance from the hinge as a torque. It comes 2 to
3 s after a random start within the cart's start spread. A run survives that stays within the cart's limits until 5 s
after it. The table has the largest impulse (N s) that at least 95 of 100 runs survive, by bisection to 2 %. All
controllers have the same starts and moments. The cart is that of the rig sim on the native engine, without a firmware.

With --true-cart another cart than the file's is pushed: that of a name or a file, or drawn:SEED from the ranges around
the cart. The regulator (LQR) designed for the file and the one designed for the true cart are then both rows.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from benchmarks.command_line import run_benchmark
from benchmarks.kept_records import KeptRecords, code_digest, json_text
from benchmarks.machine_load import machine_line
from benchmarks.push_runs import ENOUGH, PLACES, Contender, limit
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import choose_controller, open_policy
from cartpole_robot.simulation.workers import WorkerPool

DRAWN = "drawn:"
FULL = (-1.0, 1.0)


def true_cart(named: str | None, cart: CartParams, ranges: str | None) -> CartParams:
    """The cart that is pushed: that name or file, or a draw. Raises `UsageError`."""
    if named is None:
        return cart
    if not named.startswith(DRAWN):
        return load_cart(named)
    seed = named.removeprefix(DRAWN)
    if not seed.isdecimal():
        raise UsageError(f"--true-cart {named}: expected a seed after {DRAWN}, such as {DRAWN}3")
    driven = with_actions(cart, FULL, given="full duty")  # else the weakest motor of the ranges is refused
    return load_randomization(Path(ranges or cart.name), driven).draw(np.random.default_rng(int(seed)))


def contenders(cart: CartParams, plant: CartParams, policies: Sequence[str]) -> list[Contender]:
    """The policies, then the regulators. Raises `UsageError` for one that does not fit, or a name given twice."""
    found = []
    for given in policies:
        name, equals, path = given.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--policy {given}: expected NAME=PATH, such as precise=runs/precise")
        found.append(Contender(name=name, policy=Path(path), designed_for=_with_its_table(cart, Path(path))))
    if plant.fingerprint() == cart.fingerprint():
        found.append(Contender(name="LQR", policy=None, designed_for=cart))
    else:
        found.append(Contender(name="LQR of the cart's file", policy=None, designed_for=cart))
        found.append(Contender(name="LQR of the true cart", policy=None, designed_for=plant))
    names = [each.name for each in found]
    if len({*names}) < len(names):
        raise UsageError(f"--policy: {', '.join(names)} are not all different; give each another NAME")
    for each in found:
        each.controller()
    return found


def _with_its_table(cart: CartParams, policy: Path) -> CartParams:
    """`cart` with the action table of a policy that was trained with another than the cart's two."""
    duties = open_policy(policy)[0].interface.action_duties
    if duties in (cart.action_duties, cart.precise_table):
        return cart
    return with_actions(cart, duties, given=f"--policy {policy}")


def measured_limits(
    found: Sequence[Contender], plant: CartParams, kept: KeptRecords, count: int, workers: int
) -> dict[str, dict[str, float]]:
    """The largest impulse by name and place; a line on stderr as each is found."""
    limits: dict[str, dict[str, float]] = {each.name: {} for each in found}
    running: dict[Future[float], str] = {}
    with WorkerPool(workers) as pool:
        waiting = []
        for each in found:
            for place in PLACES:
                key = f"{_identity(each)}/{place}"
                record = kept.get(key)
                if record is not None:
                    limits[each.name][place] = record["impulse_n_s"]
                    continue
                future = pool.submit(limit, each, plant, place, count)
                running[future] = key
                waiting.append((each, place, future))
        for each, place, future in waiting:
            impulse_n_s = kept.add(running[future], {"impulse_n_s": future.result()})["impulse_n_s"]
            limits[each.name][place] = impulse_n_s
            print(f"{each.name}, {place}: {impulse_n_s:.3f} N s", file=sys.stderr)
    return limits


def _identity(contender: Contender) -> str:
    """What a kept limit belongs to: the policy's hash, or the cart the regulator was designed for."""
    if contender.policy is None:
        return f"lqr-{contender.designed_for.fingerprint()}"
    return str(choose_controller(contender.policy, contender.designed_for, "c").record["policy_hash"])


def table(limits: Mapping[str, Mapping[str, float]]) -> str:
    """A row per controller, with its impulses and their smallest ratio to those of the first regulator."""
    reference = limits[next(name for name in limits if name.startswith("LQR"))]
    lines = [f"{'largest impulse, N s':<28}{''.join(f'{place:>14}' for place in PLACES)}{'least / LQR':>14}"]
    for name, of in limits.items():
        ratio = min((of[place] / reference[place] if reference[place] else math.inf) for place in PLACES)
        lines.append(f"{name:<28}{''.join(f'{of[place]:>14.3f}' for place in PLACES)}{ratio:>14.2f}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino", metavar="CART", help="(default: diy_arduino)")
    parser.add_argument(
        "--policy", nargs="+", action="extend", default=[], metavar="NAME=PATH", help="policies or run folders"
    )
    parser.add_argument("--runs", type=int, default=100, help="of each push (default: 100)")
    parser.add_argument("--true-cart", metavar="CART|drawn:SEED", help="the cart that is pushed, if another")
    parser.add_argument("--ranges", metavar="NAME|FILE", help="for drawn:SEED (default: those of the cart's name)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="finished limits; the same command continues")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.workers) < 1:
        parser.error("--runs and --workers: expected at least 1")
    cart = load_cart(arguments.cart)
    plant = true_cart(arguments.true_cart, cart, arguments.ranges)
    found = contenders(cart, plant, arguments.policy)
    measured = {
        "benchmark": "push_limits",
        "code": code_digest(),
        "runs": arguments.runs,
        "plant": plant.fingerprint(),
        "cart": cart.fingerprint(),
    }
    kept = KeptRecords(arguments.keep, measured)
    limits = measured_limits(found, plant, kept, arguments.runs, arguments.workers)
    if arguments.json:
        print(json_text({"cart": cart.name, "true_cart": arguments.true_cart, "impulses_n_s": limits}))
        return
    pushed = "" if arguments.true_cart is None else f", the cart that is pushed: {arguments.true_cart}"
    print(f"{cart.name}{pushed}; survived by {ENOUGH:.0%} of {arguments.runs} runs")
    print(table(limits))
    print(machine_line())


if __name__ == "__main__":
    run_benchmark(main)
