"""The verb `cartpole-robot compare`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands.options import Verbs, add_verb, positive
from cartpole_robot.errors import UsageError

if TYPE_CHECKING:
    from cartpole_robot.compare.comparison import Comparison


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
    from cartpole_robot.files.new_file import check_is_new
    from cartpole_robot.terminal.progress import progress_bar

    for path, option, suffix in ((arguments.out, "--out", ".html"), (arguments.png, "--png", ".png")):
        if path is not None:
            if path.suffix != suffix:
                raise UsageError(f"{option} {path}: expected a name that ends in {suffix}; write {path.stem}{suffix}")
            check_is_new(path, option=option)
    writers = _writers(arguments)
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
    if not arguments.json:
        print(report_text(found), flush=True)  # first: it is there, whatever becomes of the files
    for write, path in writers:
        write(found, path)
    if arguments.json:
        files = {
            key: None if path is None else str(path)
            for key, path in (("report", arguments.out), ("picture", arguments.png))
        }
        print(json.dumps({**found.as_dict(), **files}, indent=2))
    elif writers:
        print("\n" + "\n".join(f"  written: {path}" for _, path in writers))
    return 0


def _writers(arguments: argparse.Namespace) -> list[tuple[Callable[[Comparison, Path], None], Path]]:
    """What writes each file that is asked for; a package that is missing is missed before the work, not after it."""
    writers: list[tuple[Callable[[Comparison, Path], None], Path]] = []
    if arguments.out is not None:
        from cartpole_robot.compare.html_report import write_report

        writers.append((write_report, arguments.out))
    if arguments.png is not None:
        from cartpole_robot.compare.picture import draw_comparison

        writers.append((draw_comparison, arguments.png))
    return writers
