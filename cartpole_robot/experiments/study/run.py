"""Run a study: every unfinished cell, saved on completion, then tables and figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.experiments.cells.crew import Crew
from cartpole_robot.experiments.cells.folder import CellFolder, folder_record
from cartpole_robot.experiments.cells.processes import ProcessCrew
from cartpole_robot.experiments.cells.ray_cluster import RayCrew, check_answers
from cartpole_robot.experiments.cells.work import finish_cells
from cartpole_robot.experiments.study.cell import run_cell
from cartpole_robot.experiments.study.figure import FIGURE_FILE, draw_study
from cartpole_robot.experiments.study.findings import Group, groups_of
from cartpole_robot.experiments.study.study import STUDY, CellTask, Study, study_of_record, task_of
from cartpole_robot.experiments.study.tables import write_tables


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """A study, its folder, and its workers: `workers` processes, or the Ray cluster at the address `ray`."""

    study: Study
    folder: Path
    workers: int | None = None
    ray: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A study as far as it is finished. `failures` describes cells that this run could not finish."""

    study: Study
    folder: Path
    records: Mapping[str, Mapping[str, Any]]
    failures: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return all(cell.key in self.records for cell in self.study.cells)

    @property
    def groups(self) -> list[Group]:
        return groups_of(self.study, self.records)


def run_study(request: StudyRequest, say: Callable[[str], object]) -> StudyResult:
    """Run unfinished cells, then write tables and figure if all are finished; `say` receives crashes and failures.

    Ctrl-C raises KeyboardInterrupt; finished cells are kept. Raises `UsageError`.
    """
    if request.ray is not None:
        check_answers(request.ray)
    with CellFolder.opened(request.folder, request.study) as folder:
        for note in request.study.engine_notes:
            say(note)
        records, failures = finish_cells(
            folder,
            request.study.cells,
            lambda cell: task_of(request.study, cell, __version__),
            lambda count: _crew(request, count),
            say,
        )
        result = StudyResult(study=request.study, folder=request.folder, records=records, failures=tuple(failures))
        if result.is_whole:
            write_tables(request.study, records, request.folder)
            draw_study(request.study, result.groups, records, request.folder / FIGURE_FILE)
        return result


def shown_study(path: Path) -> StudyResult:
    """The finished part of a study's folder, even while another process runs it. Raises `UsageError`."""
    where, found = folder_record(path, STUDY)
    study = study_of_record(str(found.get("name")), found.get("of", {}), where=str(where))
    return StudyResult(study=study, folder=path, records=CellFolder(path, study).finished())


def _crew(request: StudyRequest, cells: int) -> Crew[CellTask]:
    if request.ray is not None:
        return RayCrew(request.ray, request.workers, run_cell)
    return ProcessCrew(min(cells, request.workers or os.cpu_count() or 1), run_cell)
