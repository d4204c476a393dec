"""Run a score: every cell once, then its findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.experiments.cells.folder import CellFolder
from cartpole_robot.experiments.cells.processes import ProcessCrew
from cartpole_robot.experiments.cells.work import finish_cells, run_tasks
from cartpole_robot.experiments.score.cell import run_cell
from cartpole_robot.experiments.score.score import Score, task_of
from cartpole_robot.start import swing_up_driver


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """A score as far as it is finished. `failures` describes cells that this run could not finish."""

    score: Score
    folder: Path
    records: Mapping[str, Mapping[str, Any]]
    failures: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """Cells without a result."""
        return len(set(self.score.keys) - self.records.keys())


def default_folder(score: Score) -> Path:
    """Where the cells of that cart are kept, those of every policy."""
    return Path("runs", f"score-{score.cart.name}")


def run_score(score: Score, path: Path, say: Callable[[str], object], *, jobs: int | None = None) -> ScoreResult:
    """Run unfinished cells in that folder; `say` receives notes, crashes and failures.

    Ctrl-C raises KeyboardInterrupt; finished cells are kept. Raises `UsageError`, also for a cart that cannot swing up
    its pole, with the reason.
    """
    if not path.exists():
        swing_up_driver(score.cart)
    with CellFolder.opened(path, score) as folder:
        for contender in score.contenders:
            if contender.note is not None:
                say(f"{contender.label}: {contender.note}")
        records, failures = finish_cells(
            folder,
            score.cells,
            lambda cell: task_of(score, cell, __version__),
            lambda count: ProcessCrew(min(count, jobs or os.cpu_count() or 1), run_cell),
            say,
        )
    return ScoreResult(score=score, folder=path, records=records, failures=tuple(failures))


def run_in_memory(score: Score, say: Callable[[str], object], *, jobs: int | None = None) -> dict[str, dict[str, Any]]:
    """The record of every cell by key; nothing is written."""
    records: dict[str, dict[str, Any]] = {}
    cells = score.cells
    crew = ProcessCrew(min(len(cells), jobs or os.cpu_count() or 1), run_cell)
    try:
        run_tasks(
            (task_of(score, cell, __version__) for cell in cells),
            crew,
            lambda record: records.update({record["key"]: record}),
            say,
        )
    finally:
        crew.close()
    return records
