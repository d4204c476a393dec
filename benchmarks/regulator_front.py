"""How good a regulator (LQR) can be with other weights, and where policies lie against the best of them.

    python -m benchmarks.regulator_front --policies runs/precise --keep front.jsonl --out docs/regulator_front.png

For each cart `--designs` sets of weights are drawn around today's, each weight by a factor of 0.1 to 10; then rounds of
small changes to those that are not dominated. Every design meets the 100 starts of the verdict on the rig sim; one that
does not survive them all is left out. The front holds the designs of which none is better in RMS position and in motor
power. A policy beyond it needs less power than the front at the same RMS position, interpolated between designs; one
on it does not, but no design is better in both; behind it some design is. With --keep a finished design does not run
again.
"""

from __future__ import annotations

import argparse
import operator
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.against_regulator import Figures, judged, policies_in, policy_on
from benchmarks.command_line import run_benchmark
from benchmarks.front import Point, dominates, second_at
from benchmarks.front_figure import Panel, draw_fronts
from benchmarks.kept_records import KeptRecords, code_digest, json_text
from benchmarks.machine_load import machine_line
from benchmarks.regulator_designs import EPISODES, NAMES, Designs, drawn, point_of, searched
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.controllers import own_cart
from cartpole_robot.simulation.workers import WorkerPool
from cartpole_robot.training.precision import FIGURES

TODAY_ROW, MEDIAN_ROW = "today's LQR", "policies, median of each figure"
CARTS = ("diy_arduino", "quanser_ip02", "sensorsini")


def located(figures: Figures, designs: Sequence[Figures], front: Sequence[Point]) -> dict[str, Any]:
    """Where a policy lies against the front: see the head of this file; "factor" is the front's power by its own."""
    point = point_of(figures)
    better = sum(dominates(point_of(each), point) for each in designs)
    own = tuple(figures[name] for name in FIGURES)
    all_four = (tuple(each[name] for name in FIGURES) for each in designs)
    factor = second_at(point[0], front) / point[1]
    return {
        "place": "fell" if figures["survived"] < figures["episodes"] else _place(better, factor),
        "factor": factor,
        "better_in_both": better,
        "better_in_all": sum(each != own and all(map(operator.le, each, own)) for each in all_four),
        **figures,
    }


def _place(better: int, factor: float) -> str:
    if better:
        return "behind"
    return "beyond" if factor > 1.0 else "on"


def _row(name: str, found: dict[str, Any]) -> str:
    return (
        f"  {name:<34}{1000.0 * found['rms_position_m']:>9.2f}{1000.0 * found['rms_angle_rad']:>9.2f}"
        f"{found['mean_power_w']:>9.3f}{found['reversals_per_s']:>9.1f}   {found['place']:<7}"
        f"{found['factor']:>6.2f}{found['better_in_both']:>9}{found['better_in_all']:>9}"
    )


def _compared(found: Designs, policies: dict[str, Figures]) -> dict[str, Any]:
    """Today's regulator, each policy and their medians against the front."""
    designs = list(found.tried.values())
    front = [point_of(found.tried[weights]) for weights in found.front]
    today = found.tried.get(drawn(0)[0])
    if today is None:
        raise UsageError(f"cart {found.cart.name!r}: its regulator does not survive every episode; leave it out")
    rows = {TODAY_ROW: today, **policies}
    if len(policies) > 1:
        values = list(policies.values())
        rows[MEDIAN_ROW] = {
            name: float(np.median([each[name] for each in values])) for name in values[0] if name != "faults"
        }
    return {
        "designs": len(designs),
        "lost": found.lost,
        "front": [{**dict(zip(NAMES, weights, strict=True)), **found.tried[weights]} for weights in found.front],
        "compared": {name: located(figures, designs, front) for name, figures in rows.items()},
    }


def _print(cart: str, found: dict[str, Any]) -> None:
    print(f"{cart}: {found['designs']} designs that survive every episode, {found['lost']} others left out")
    print(f"  {'front, by weights':<46}RMS x mm  mrad   power W   reversals/s")
    for each in found["front"]:
        weights = " ".join(f"{each[name]:.3g}" for name in NAMES)
        print(
            f"  {weights:<44}{1000.0 * each['rms_position_m']:>9.2f}{1000.0 * each['rms_angle_rad']:>8.2f}"
            f"{each['mean_power_w']:>9.3f}{each['reversals_per_s']:>9.1f}"
        )
    print(f"  {'':<68}{'front':>5}{'':>8}designs better")
    print(
        f"  {'':<34}{'RMS x mm':>9}{'mrad':>9}{'power W':>9}{'rev./s':>9}   {'place':<7}{'factor':>6}{'in both':>9}"
        f"{'in all 4':>9}"
    )
    for name, each in found["compared"].items():
        print(_row(name, each))
    places = Counter(each["place"] for name, each in found["compared"].items() if name not in (TODAY_ROW, MEDIAN_ROW))
    if places:
        print(f"  policies: {', '.join(f'{places[place]} {place}' for place in ('beyond', 'on', 'behind', 'fell'))}")


def _policies(folder: Path | None, carts: Sequence[CartParams]) -> dict[str, dict[str, Figures]]:
    """By cart, the figures of each policy in the folder; those of other carts are left out."""
    found: dict[str, dict[str, Figures]] = {cart.name: {} for cart in carts}
    for path in [] if folder is None else policies_in(folder):
        own = own_cart(load_policy(path), path)
        for cart in carts:
            if own is not None and own.name == cart.name:
                controller, used, _ = policy_on(path, cart)
                name = path.parent.name if path.name == "policy.npz" else path.stem
                found[cart.name][name] = judged(controller, used, "sim", episodes=EPISODES)
    return found


def main() -> None:
    """Print the fronts and what lies where, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", nargs="+", default=CARTS, metavar="CART", help=f"(default: {' '.join(CARTS)})")
    parser.add_argument("--designs", type=int, default=120, help="drawn sets of weights (default: 120)")
    parser.add_argument("--refinements", type=int, default=80, help="designs near the front (default: 80)")
    parser.add_argument("--policies", type=Path, metavar="FOLDER", help="that --policies of precise_seeds filled")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="finished designs; the same command continues")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="draw the fronts into this PNG")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if min(arguments.designs, arguments.workers) < 1:
        parser.error("--designs and --workers: expected at least 1")
    carts = [load_cart(name) for name in arguments.carts]
    kept = KeptRecords(arguments.keep, {"benchmark": "regulator_front", "code": code_digest(), "episodes": EPISODES})
    policies = _policies(arguments.policies, carts)
    results, panels = {}, []
    with WorkerPool(arguments.workers) as pool:
        for cart in carts:
            found = searched(cart, kept, pool, arguments.designs, arguments.refinements)
            results[cart.name] = _compared(found, policies[cart.name])
            panels.append(_panel(cart.name, found, results[cart.name], policies[cart.name]))
            if not arguments.json:
                _print(cart.name, results[cart.name])
    if arguments.out is not None:
        title = f"Regulators and policies, each over {EPISODES} episodes on the rig sim: lower left is better"
        draw_fronts(panels, arguments.out, title=title)
    print(json_text(results) if arguments.json else machine_line())


def _panel(cart: str, found: Designs, result: dict[str, Any], policies: dict[str, Figures]) -> Panel:
    compared = result["compared"]
    return Panel(
        cart=cart,
        designs=[point_of(each) for each in found.tried.values()],
        today=point_of(compared[TODAY_ROW]),
        policies=[point_of(each) for each in policies.values()],
        median=point_of(compared[MEDIAN_ROW]) if len(policies) > 1 else None,
    )


if __name__ == "__main__":
    run_benchmark(main)
