"""The verb `cartpole-robot compare`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import positive
from cartpole_robot.commands.output import DONE, print_result, print_text
from cartpole_robot.commands.verbs import Parser, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.compare.comparison import Comparison


def add_compare(compare: Parser) -> None:
    """Declare the arguments of `compare`."""
    examples(compare, "rollouts/sim.parquet rollouts/cart.parquet --out report.html")
    compare.set_defaults(run=_compare, extra="sim,report")
    compare.add_argument(
        "simulated",
        metavar="SIM",
        help="a recording of the simulation, or a cart (name or file) to compare only in open loop",
    )
    compare.add_argument("recorded", type=Path, metavar="REAL", help="a recording of the cart")
    options.out(compare, "FILE.html", "report to write, a new file that opens offline", default="no report")
    compare.add_argument("--png", type=Path, metavar="FILE.png", help="the report's picture, a new file")
    options.cart(compare, what="the cart of the simulation that replays the commands", otherwise="SIM's cart")
    options.policy_option(
        compare, "the policy to replay on both rollouts (default: the recordings' policy, if it still exists)"
    )
    compare.add_argument(
        "--tube-mm",
        type=positive,
        default=10.0,
        metavar="MM",
        help="largest position error that still counts as faithful (default: 10)",
    )
    compare.add_argument(
        "--tube-rad",
        type=positive,
        default=0.05,
        metavar="RAD",
        help="largest angle error that still counts as faithful (default: 0.05)",
    )
    compare.add_argument(
        "--no-attribution",
        action="store_true",
        help="skip the search for the model term that explains the difference (the slowest part)",
    )
    options.engine(compare, what="the replay")
    options.json(compare)


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
        engine=arguments.engine and Engine(arguments.engine),
    )
    with progress_bar(100, "comparing", "%", quiet=arguments.json) as bar:
        found = compare(request, progress=lambda share: bar.update(round(100 * share) - bar.n))
    if not arguments.json:
        print_text(report_text(found))  # first, in case a file cannot be written
    for write, path in writers:
        write(found, path)
    files = {
        key: None if path is None else str(path)
        for key, path in (("report", arguments.out), ("picture", arguments.png))
    }
    if arguments.json or writers:
        written = "\n" + "\n".join(f"  written: {path}" for _, path in writers)
        print_result(arguments, {**found.as_dict(), **files}, written)
    return DONE


def _writers(arguments: argparse.Namespace) -> list[tuple[Callable[[Comparison, Path], None], Path]]:
    """The function that writes each requested file; missing packages are reported before the work."""
    writers: list[tuple[Callable[[Comparison, Path], None], Path]] = []
    if arguments.out is not None:
        from cartpole_robot.compare.html_report import write_report

        writers.append((write_report, arguments.out))
    if arguments.png is not None:
        from cartpole_robot.compare.picture import draw_comparison

        writers.append((draw_comparison, arguments.png))
    return writers
