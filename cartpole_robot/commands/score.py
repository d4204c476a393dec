"""The verb `cartpole-robot score`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import count
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, report_stop, report_unfinished
from cartpole_robot.commands.verbs import Parser, details, examples

if TYPE_CHECKING:
    from cartpole_robot.experiments.score.run import ScoreResult


def add_score(verb: Parser) -> None:
    """Declare the arguments of `score`."""
    details(
        verb,
        "In simulation, the pole starts hanging and must be swung up and held. A policy that only balances takes over "
        "from the swing-up controller. For reference, LQR after a swing-up and the swing-up controller itself are "
        "scored too. The same command continues a stopped score.",
    )
    examples(verb, "runs/diy --cart diy_arduino", "lqr --cart diy_arduino --plot score.png")
    verb.set_defaults(run=_score, extra="sim,report")
    options.policy(verb)
    options.cart(verb, otherwise=options.POLICYS_CART)
    options.out(verb, "FOLDER", "folder of finished runs, new or of this cart", default="runs/score-CART")
    verb.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="picture of the share of successes at each value; must not exist yet",
    )
    options.episodes(verb, what="number of swing-ups and of minutes under pushes", otherwise="10 swing-ups, 50 minutes")
    verb.add_argument(
        "--jobs", "--workers", dest="jobs", type=count, metavar="N", help="processes to use (default: one per core)"
    )
    options.json(verb)


def _score(arguments: argparse.Namespace) -> int:
    from cartpole_robot.experiments.score.run import default_folder, run_score
    from cartpole_robot.experiments.score.score import planned_score
    from cartpole_robot.files.new_file import check_is_new
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.lines import say

    if arguments.plot is not None:
        check_is_new(arguments.plot, option="--plot")
    score = planned_score(arguments.policy, arguments.cart, runs=arguments.episodes)
    folder = arguments.out or default_folder(score)
    again = command_text(
        ["score", arguments.policy, "--out", folder], arguments, ["cart", "plot", "episodes", "jobs", "json"]
    )
    try:
        with stopped_by_signals():
            result = run_score(score, folder, say, jobs=arguments.jobs)
    except KeyboardInterrupt:
        return report_stop(f"finished cells are kept in {folder}", again)
    if result.missing:
        report_unfinished(result.missing, again)
        return FAILED
    _print(arguments, result)
    return DONE


def _print(arguments: argparse.Namespace, result: ScoreResult) -> None:
    from cartpole_robot.experiments.score.findings import findings_of, score_text

    score = result.score
    findings = findings_of(score, result.records)
    text = [score_text(score, findings), f"  finished runs: {result.folder}"]
    if arguments.plot is not None:
        from cartpole_robot.experiments.score.figure import draw_score

        draw_score(score, findings, arguments.plot, option="--plot")
        text.append(f"  {arguments.plot}")
    record = {
        "cart": score.cart.name,
        "rig": "sim",
        "engine": "native",
        "seed": score.seed,
        "ranges": score.ranges.as_dict(),
        "contenders": [finding.as_dict() for finding in findings],
        "rows": {row.name: {"unit": row.unit, "values": list(row.values), "own": row.own} for row in score.rows},
        "folder": str(result.folder),
        "plot": None if arguments.plot is None else str(arguments.plot),
    }
    print_result(arguments, record, "\n".join(text))
