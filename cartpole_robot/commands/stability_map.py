"""The verb `cartpole-robot stability-map`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, report_stop, report_unfinished
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.rigs.open_rig import PLANT_RIGS
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.experiments.stability.run import MapResult


def add_stability_map(verb: Parser) -> None:
    """Declare the arguments of `stability-map`."""
    details(
        verb,
        "Policies run unchanged on carts other than the one they were trained for. The same command continues a "
        "stopped map.",
    )
    examples(verb, "runs/diy lqr --cart diy_arduino", "runs/diy --grid my_grid.toml --episodes 20 --out runs/map")
    verb.set_defaults(run=_stability_map, extra="sim,report")
    verb.add_argument(
        "policies",
        nargs="+",
        metavar="POLICY",
        help="a policy.npz, its run folder, lqr (the cart's regulator), or lqr-true (a regulator designed for each "
        "point's own cart, as a yardstick)",
    )
    options.cart(
        verb,
        what="the cart that policies and firmware assume",
        otherwise="the one the first policy was trained on",
    )
    options.out(verb, "FOLDER", "folder of a new map, or of this map to continue", default="runs/stability-CART")
    verb.add_argument(
        "--grid",
        type=Path,
        metavar="FILE.toml",
        help="maps of your own (default: delay and motor gain, friction and pole length)",
    )
    options.episodes(verb, default=10, what="episodes per point")
    options.steps(verb)
    options.first_seed(verb)
    options.rig(
        verb,
        default="virtual",
        names=PLANT_RIGS,
        more="; virtual includes the firmware, which may refuse a cart or stop it",
    )
    options.engine(
        verb, what="the carts of either rig", otherwise="native, checked against pybullet on the map's own cart"
    )
    options.backend(verb)
    options.workers(verb)
    options.json(verb)


def _stability_map(arguments: argparse.Namespace) -> int:
    from cartpole_robot.experiments.stability.run import MapRequest, plan, run_map
    from cartpole_robot.experiments.stability.stability_map import Conditions
    from cartpole_robot.rollout.evaluation import VERDICT_SEED
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.lines import say

    whole, folder = plan(
        MapRequest(
            policies=arguments.policies,
            cart=arguments.cart,
            grid=arguments.grid,
            folder=arguments.out,
            conditions=Conditions(
                rig=arguments.rig,
                episodes=arguments.episodes,
                max_steps=arguments.steps,
                first_seed=VERDICT_SEED if arguments.first_seed is None else arguments.first_seed,
                backend=arguments.backend,
                engine=arguments.engine and Engine(arguments.engine),
            ),
        )
    )
    again = command_text(
        ["stability-map", *arguments.policies, "--out", folder],
        arguments,
        ["cart", "grid", "episodes", "steps", "first_seed", "rig", "engine", "backend", "workers"],
    )
    try:
        with stopped_by_signals():
            result = run_map(whole, folder, say, workers=arguments.workers)
    except KeyboardInterrupt:
        return report_stop(f"finished cells are kept in {folder}", again)
    _print(arguments, result)
    if not result.failures:
        return DONE
    report_unfinished(len(set(whole.keys) - result.records.keys()), again)
    return FAILED


def _print(arguments: argparse.Namespace, result: MapResult) -> None:
    from cartpole_robot.experiments.stability.findings import map_text

    whole, findings = result.whole, result.findings
    files = [str(path) for path in result.files]
    record = {
        "cart": whole.cart.name,
        **{name: whole.record[name] for name in ("rig", "engine", "episodes", "steps", "first_seed", "backend")},
        "folder": str(result.folder),
        "is_whole": result.is_whole,
        "findings": [finding.as_dict() for finding in findings],
        "failures": list(result.failures),
        "files": files,
    }
    text = map_text(whole, findings, result.records)
    print_result(arguments, record, "\n".join([text, *(f"  {path}" for path in files)]))
