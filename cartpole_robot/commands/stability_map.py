"""The verb `cartpole-robot stability-map`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.commands.options import (
    Verbs,
    add_verb,
    count,
    count_from_zero,
)

if TYPE_CHECKING:
    from cartpole_robot.experiments.stability.run import MapResult

_BACKENDS = ("c", "int16", "numpy")


def add_stability_verb(verbs: Verbs) -> None:
    """Add `stability-map`."""
    verb = add_verb(
        verbs,
        "stability-map",
        "put policies without any change on carts that differ from theirs, and map where they fall; goes on where it "
        "was stopped",
        "cartpole-robot stability-map runs/diy lqr --cart diy_arduino; "
        "cartpole-robot stability-map runs/diy --grid my_grid.toml --episodes 20 --out runs/map",
    )
    verb.add_argument(
        "policies",
        nargs="+",
        metavar="POLICY",
        help="a policy.npz, the run folder it is in, lqr (the regulator of the cart), or lqr-told (a regulator "
        "designed for each point's own cart: the yardstick)",
    )
    verb.add_argument(
        "--cart",
        metavar="NAME|FILE",
        help="the cart that policies and firmware are told of (default: the one that the first was trained on)",
    )
    verb.add_argument(
        "--out", type=Path, metavar="FOLDER", help="new, or of this map to go on with (default: runs/stability-CART)"
    )
    verb.add_argument(
        "--grid",
        type=Path,
        metavar="FILE.toml",
        help="maps of your own (default: delay and motor gain, friction and pole length)",
    )
    verb.add_argument("--episodes", type=count, default=10, metavar="N", help="episodes a point (default: 10)")
    verb.add_argument("--turns", type=count, default=500, metavar="N", help="longest episode (default: 500)")
    verb.add_argument("--first-seed", type=count_from_zero, metavar="N", help="seed of the first episode")
    verb.add_argument(
        "--rig",
        default="virtual",
        choices=["virtual", "sim"],
        help="virtual: behind the firmware, which may refuse a cart or stop it (default); sim: without it",
    )
    verb.add_argument("--backend", default="c", choices=_BACKENDS, help="who computes the action (default: c)")
    verb.add_argument("--workers", type=count, metavar="N", help="cells at a time (default: all cores)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.set_defaults(run=_stability_map, extra="sim,report")


def _stability_map(arguments: argparse.Namespace) -> int:
    from cartpole_robot.experiments.stability.run import MapRequest, plan, run_map
    from cartpole_robot.experiments.stability.stability_map import Conditions
    from cartpole_robot.rollout.evaluation import VERDICT_SEED
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.progress import say

    whole, folder = plan(
        MapRequest(
            policies=arguments.policies,
            cart=arguments.cart,
            grid=arguments.grid,
            folder=arguments.out,
            conditions=Conditions(
                rig=arguments.rig,
                episodes=arguments.episodes,
                max_turns=arguments.turns,
                first_seed=VERDICT_SEED if arguments.first_seed is None else arguments.first_seed,
                backend=arguments.backend,
            ),
        )
    )
    again = _again(arguments, folder)
    try:
        with stopped_by_signals():
            result = run_map(whole, folder, say, workers=arguments.workers)
    except KeyboardInterrupt:
        print(f"stopped; finished cells are kept in {folder}\ngo on with: {again}", file=sys.stderr)
        return 1
    _print(result, as_json=arguments.json)
    if result.failures:
        missing = len(set(whole.keys) - result.records.keys())
        print(f"cartpole-robot: {missing} cells are not finished; try them again with: {again}", file=sys.stderr)
    return 1 if result.failures else 0


def _again(arguments: argparse.Namespace, folder: Path) -> str:
    """The command that goes on."""
    words: list[Any] = ["cartpole-robot", "stability-map", *arguments.policies]
    for name in ("cart", "grid", "episodes", "turns", "first_seed", "rig", "backend", "workers"):
        if getattr(arguments, name) is not None:
            words += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
    return shlex.join(map(str, [*words, "--out", folder]))


def _print(result: MapResult, *, as_json: bool) -> None:
    from cartpole_robot.experiments.stability.findings import map_text

    whole, findings = result.whole, result.findings
    if as_json:
        record = {
            "cart": whole.cart.name,
            **{name: whole.record[name] for name in ("rig", "episodes", "turns", "first_seed", "backend")},
            "folder": str(result.folder),
            "is_whole": result.is_whole,
            "findings": [finding.as_dict() for finding in findings],
            "failures": list(result.failures),
            "files": [str(path) for path in result.files],
        }
        print(json.dumps(record, indent=2))
        return
    print(map_text(whole, findings, result.records))
    for path in result.files:
        print(f"  {path}")
