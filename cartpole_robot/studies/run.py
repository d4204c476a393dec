"""A study run: every cell that is not finished, each kept as soon as it is, then tables and figure."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.progress import progress_bar
from cartpole_robot.provenance import commit
from cartpole_robot.studies.cell import Crashed, Failed, Result
from cartpole_robot.studies.cluster import RayCrew, check_answers
from cartpole_robot.studies.crew import Crew
from cartpole_robot.studies.figure import FIGURE_FILE, draw_study
from cartpole_robot.studies.findings import Group, groups_of
from cartpole_robot.studies.folder import StudyFolder
from cartpole_robot.studies.processes import ProcessCrew
from cartpole_robot.studies.study import Cell, CellTask, Study, task_of
from cartpole_robot.studies.tables import write_tables

RETRIES = 2


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """What to run, where to keep it and who works: `workers` processes, or the Ray cluster at an address."""

    study: Study
    folder: Path
    workers: int | None = None
    ray: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A study as far as it is finished. `failures` tell of cells that this run could not finish."""

    study: Study
    folder: Path
    records: Mapping[str, Mapping[str, Any]]
    failures: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every cell is finished."""
        return all(cell.key in self.records for cell in self.study.cells)

    @property
    def groups(self) -> list[Group]:
        """A row a grid point."""
        return groups_of(self.study, self.records)


def run_study(request: StudyRequest, say: Callable[[str], object]) -> StudyResult:
    """Run what is not finished, and once all is, write tables and figure; `say` is told of what goes wrong on the way.

    Ctrl-C is a KeyboardInterrupt here, with every finished cell kept. Raises `UsageError`.
    """
    if request.ray is not None:
        check_answers(request.ray)
    with StudyFolder.opened(request.folder, request.study) as folder:
        records = folder.finished()
        missing = {cell.key: cell for cell in request.study.cells if cell.key not in records}
        failures: list[str] = []
        if missing:
            total = len(records) + len(missing)
            crew = _crew(request, len(missing))
            with closing(crew), progress_bar(total, request.study.name, " cells", initial=len(records)) as bar:
                bar.refresh()
                here = commit()

                def keep(record: dict[str, Any]) -> None:
                    records[record["key"]] = folder.keep(record, here)
                    bar.update()

                failures = _run_cells(request.study, missing, crew, keep, say)
        result = StudyResult(study=request.study, folder=request.folder, records=records, failures=tuple(failures))
        if result.is_whole:
            write_tables(request.study, records, request.folder)
            draw_study(request.study, result.groups, records, request.folder / FIGURE_FILE)
        return result


def shown_study(path: Path) -> StudyResult:
    """What is finished in a study's folder, also while another process works in it. Raises `UsageError`."""
    folder = StudyFolder.existing(path)
    return StudyResult(study=folder.study, folder=path, records=folder.finished())


def _crew(request: StudyRequest, cells: int) -> Crew:
    if request.ray is not None:
        return RayCrew(request.ray, request.workers)
    return ProcessCrew(min(cells, request.workers or os.cpu_count() or 1))


def _run_cells(
    study: Study,
    missing: Mapping[str, Cell],
    crew: Crew,
    keep: Callable[[dict[str, Any]], object],
    say: Callable[[str], object],
) -> list[str]:
    """Hand out every cell, again where its process died, `RETRIES` times at most; returns what could not be done."""
    waiting = collections.deque(missing.values())
    crashes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    under_way = 0
    while waiting or under_way:
        while waiting and under_way < crew.slots:
            crew.submit(task_of(study, waiting.popleft(), __version__))
            under_way += 1
        for task, result in crew.results():
            under_way -= 1
            why = _what_failed(task, result, crashes, say)
            if why is None and isinstance(result, Crashed):
                waiting.append(missing[task.key])
            elif why is not None:
                failures.append(why)
                say(why)
            elif not isinstance(result, Crashed | Failed):
                keep(result.record)
    return failures


def _what_failed(
    task: CellTask, result: Result, crashes: collections.Counter[str], say: Callable[[str], object]
) -> str | None:
    """Why a cell is given up, None where it is not."""
    if isinstance(result, Failed):
        return f"{task.label}: {result.why}"
    if isinstance(result, Crashed):
        crashes[task.key] += 1
        if crashes[task.key] > RETRIES:
            return f"{task.label}: {result.why}, {RETRIES + 1} times; it is left out"
        say(f"{task.label}: {result.why}; it is tried again ({crashes[task.key]} of {RETRIES})")
    return None
