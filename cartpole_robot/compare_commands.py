"""The verb `cartpole-robot compare`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cartpole_robot.verbs import Verbs, add_verb, positive


def add_compare_verb(verbs: Verbs) -> None:
    """Add `compare`."""
    compare = add_verb(
        verbs,
        "compare",
        "how far the simulation is from a recorded cart, why, and what to change",
        "cartpole-robot compare rollouts/sim.parquet rollouts/cart.parquet --out report.html",
    )
    compare.add_argument(
        "simulated", metavar="SIM", help="a recording of the simulation, or a cart (name or file): then open loop alone"
    )
    compare.add_argument("recorded", type=Path, metavar="REAL", help="a recording of the cart")
    compare.add_argument("--out", type=Path, metavar="FILE.html", help="report to write, a new file that opens offline")
    compare.add_argument("--png", type=Path, metavar="FILE.png", help="the report's picture, a new file")
    compare.add_argument(
        "--cart", metavar="NAME|FILE", help="the simulation that the commands are replayed in (default: SIM's)"
    )
    compare.add_argument(
        "--policy",
        type=Path,
        metavar="POLICY",
        help="the policy to ask once more about both rollouts (default: the recordings', where it still is)",
    )
    compare.add_argument(
        "--tube-mm", type=positive, default=10.0, metavar="MM", help="fidelity: position within this (default: 10)"
    )
    compare.add_argument(
        "--tube-rad", type=positive, default=0.05, metavar="RAD", help="and angle within this (default: 0.05)"
    )
    compare.add_argument(
        "--no-attribution", action="store_true", help="leave out which term is to blame (the longest part)"
    )
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")
    compare.set_defaults(run=_compare, extra="report")


def _compare(arguments: argparse.Namespace) -> int:
    from cartpole_robot.compare.comparison import CompareRequest, compare
    from cartpole_robot.compare.open_loop import Tube
    from cartpole_robot.compare.words import report_text
    from cartpole_robot.datasets.new_file import check_is_new
    from cartpole_robot.progress import progress_bar

    for path in (arguments.out, arguments.png):
        if path is not None:
            check_is_new(path)
    request = CompareRequest(
        simulated=arguments.simulated,
        recorded=arguments.recorded,
        cart=arguments.cart,
        policy=arguments.policy,
        tube=Tube(position_m=1e-3 * arguments.tube_mm, angle_rad=arguments.tube_rad),
        attributes=not arguments.no_attribution,
    )
    with progress_bar(100, "comparing", "%", quiet=arguments.json) as bar:
        found = compare(request, progress=lambda share: bar.update(round(100 * share) - bar.n))
    print(json.dumps(found.as_dict(), indent=2) if arguments.json else report_text(found))
    return 0
