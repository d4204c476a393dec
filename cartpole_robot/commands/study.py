"""The verb `cartpole-robot study`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import count
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, report_stop, report_unfinished
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.experiments.study.run import StudyResult

_SHOW = "show"


def add_study(study: Parser) -> None:
    """Declare the arguments of `study`."""
    details(study, "Runs on all cores; the same command continues a stopped study.")
    examples(study, "replay-memory", "my_study.toml --workers 4 --out runs/mine", "show runs/mine")
    study.set_defaults(run=_study, extra="sweep")
    study.add_argument(
        "study",
        metavar="NAME|FILE.toml|show",
        help="study to run: replay-memory, epsilon, gamma, or a study file; show prints what is finished in FOLDER",
    )
    study.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with show: a study's folder")
    options.out(study, "FOLDER", "folder of a new study, or of this study to continue", default="runs/study-NAME")
    study.add_argument(
        "--seeds",
        type=count,
        metavar="N",
        help="seeds per value (default: the study's number); missing ones are added to the folder",
    )
    options.engine(study, what="the carts", otherwise="native, checked against pybullet on each cart")
    options.workers(study)
    study.add_argument(
        "--ray", metavar="ADDRESS", help="use the Ray cluster whose head is at HOST:PORT, or local to start one here"
    )
    options.json(study)


def _study(arguments: argparse.Namespace) -> int:
    if arguments.study == _SHOW:
        return _show(arguments)
    if arguments.folder is not None:
        raise UsageError(f"{arguments.folder}: a folder stands only after show; name a new one with --out")
    from cartpole_robot.experiments.study.study_file import load_study

    study = load_study(arguments.study, seeds=arguments.seeds, engine=arguments.engine and Engine(arguments.engine))
    folder = arguments.out or Path("runs", f"study-{study.name}")
    from cartpole_robot.experiments.study.run import StudyRequest, run_study
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.lines import say

    request = StudyRequest(study=study, folder=folder, workers=arguments.workers, ray=arguments.ray)
    again = command_text(["study", arguments.study, "--out", folder], arguments, ["seeds", "engine", "workers", "ray"])
    try:
        with stopped_by_signals():
            result = run_study(request, say)
    except KeyboardInterrupt:
        return report_stop(f"finished cells are kept in {folder}", again)
    _print(arguments, result)
    if not result.failures:
        return DONE
    report_unfinished(len({cell.key for cell in study.cells} - result.records.keys()), again)
    return FAILED


def _show(arguments: argparse.Namespace) -> int:
    if arguments.folder is None:
        raise UsageError("study show: no folder given; name one, such as runs/study-replay-memory")
    given = [name for name in ("out", "seeds", "engine", "workers", "ray") if getattr(arguments, name) is not None]
    if given:
        raise UsageError(f"study show only reads; leave out --{given[0]}")
    from cartpole_robot.experiments.study.run import shown_study

    _print(arguments, shown_study(arguments.folder))
    return DONE


def _print(arguments: argparse.Namespace, result: StudyResult) -> None:
    from cartpole_robot.experiments.cells.tables import RESULTS_FILE
    from cartpole_robot.experiments.study.figure import FIGURE_FILE
    from cartpole_robot.experiments.study.findings import finding, study_text
    from cartpole_robot.experiments.study.tables import CURVES_FILE

    groups = result.groups
    files = [result.folder / name for name in (RESULTS_FILE, CURVES_FILE, FIGURE_FILE)]
    there = [str(path) for path in files if path.exists()]
    record = {
        "study": result.study.name,
        "title": result.study.title,
        "engines": result.study.record.get("engines"),
        "folder": str(result.folder),
        "is_whole": result.is_whole,
        "groups": [group.as_dict() for group in groups],
        "finding": finding(result.study, groups),
        "failures": list(result.failures),
        "files": there,
    }
    print_result(arguments, record, "\n".join([study_text(result.study, groups), *(f"  {path}" for path in there)]))
