"""The verb `cartpole-robot study`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.commands.options import Verbs, add_verb, count
from cartpole_robot.errors import UsageError

if TYPE_CHECKING:
    from cartpole_robot.experiments.study.run import StudyResult

_SHOW = "show"


def add_study_verb(verbs: Verbs) -> None:
    """Add `study`."""
    study = add_verb(
        verbs,
        "study",
        "vary a training's field over many seeds, on all cores, and draw what it does; goes on where it was stopped",
        "cartpole-robot study replay-memory; cartpole-robot study my_study.toml --workers 4 --out runs/mine; "
        "cartpole-robot study show runs/mine",
    )
    study.add_argument(
        "study",
        metavar="NAME|FILE.toml|show",
        help="replay-memory, epsilon, gamma, or a study file; show tells what is finished in FOLDER",
    )
    study.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with show: a study's folder")
    study.add_argument(
        "--out", type=Path, metavar="FOLDER", help="new, or of this study to go on with (default: runs/study-NAME)"
    )
    study.add_argument(
        "--seeds",
        type=count,
        metavar="N",
        help="seeds a value (default: the study's); more than a folder has are added to it",
    )
    study.add_argument("--workers", type=count, metavar="N", help="trainings at a time (default: all cores)")
    study.add_argument(
        "--ray", metavar="ADDRESS", help="on the Ray cluster whose head is at HOST:PORT, or local to start one here"
    )
    study.add_argument("--json", action="store_true", help="print the table as JSON")
    study.set_defaults(run=_study, extra="sweep")


def _study(arguments: argparse.Namespace) -> int:
    if arguments.study == _SHOW:
        return _show(arguments)
    if arguments.folder is not None:
        raise UsageError(f"{arguments.folder}: a folder stands only after show; name a new one with --out")
    from cartpole_robot.experiments.study.study_file import load_study

    study = load_study(arguments.study, seeds=arguments.seeds)
    folder = arguments.out or Path("runs", f"study-{study.name}")
    from cartpole_robot.experiments.study.run import StudyRequest, run_study
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.progress import say

    request = StudyRequest(study=study, folder=folder, workers=arguments.workers, ray=arguments.ray)
    try:
        with stopped_by_signals():
            result = run_study(request, say)
    except KeyboardInterrupt:
        print(f"stopped; finished cells are kept in {folder}\ngo on with: {_again(arguments, folder)}", file=sys.stderr)
        return 1
    _print(result, as_json=arguments.json)
    if result.failures:
        missing = len({cell.key for cell in study.cells} - result.records.keys())
        print(
            f"cartpole-robot: {missing} cells are not finished; try them again with: {_again(arguments, folder)}",
            file=sys.stderr,
        )
    return 1 if result.failures else 0


def _show(arguments: argparse.Namespace) -> int:
    if arguments.folder is None:
        raise UsageError("study show: which? name the study's folder after it")
    given = [name for name in ("out", "seeds", "workers", "ray") if getattr(arguments, name) is not None]
    if given:
        raise UsageError(f"study show only reads; leave out --{given[0]}")
    from cartpole_robot.experiments.study.run import shown_study

    _print(shown_study(arguments.folder), as_json=arguments.json)
    return 0


def _again(arguments: argparse.Namespace, folder: Path) -> str:
    """The command that goes on."""
    words: list[Any] = ["cartpole-robot", "study", arguments.study]
    for name in ("seeds", "workers", "ray"):
        if getattr(arguments, name) is not None:
            words += [f"--{name}", getattr(arguments, name)]
    return shlex.join(map(str, [*words, "--out", folder]))


def _print(result: StudyResult, *, as_json: bool) -> None:
    from cartpole_robot.experiments.cells.tables import RESULTS_FILE
    from cartpole_robot.experiments.study.figure import FIGURE_FILE
    from cartpole_robot.experiments.study.findings import finding, study_text
    from cartpole_robot.experiments.study.tables import CURVES_FILE

    groups = result.groups
    files = [result.folder / name for name in (RESULTS_FILE, CURVES_FILE, FIGURE_FILE)]
    there = [str(path) for path in files if path.exists()]
    if as_json:
        record = {
            "study": result.study.name,
            "title": result.study.title,
            "folder": str(result.folder),
            "is_whole": result.is_whole,
            "groups": [group.as_dict() for group in groups],
            "finding": finding(result.study, groups),
            "failures": list(result.failures),
            "files": there,
        }
        print(json.dumps(record, indent=2))
        return
    print(study_text(result.study, groups))
    for path in there:
        print(f"  {path}")
