"""Run a stability map: from policies and a cart to its table and figure, each cell once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.cart.params import CartParams
from cartpole_robot.experiments.cells.folder import CellFolder
from cartpole_robot.experiments.cells.processes import ProcessCrew
from cartpole_robot.experiments.cells.tables import RESULTS_FILE, write_rows
from cartpole_robot.experiments.cells.work import finish_cells
from cartpole_robot.experiments.stability.cell import run_cell
from cartpole_robot.experiments.stability.figure import FIGURE_FILE, draw_map
from cartpole_robot.experiments.stability.findings import Finding, findings_of, rows_of
from cartpole_robot.experiments.stability.grid import load_grids
from cartpole_robot.experiments.stability.stability_map import Conditions, StabilityMap, entered, planned_map, task_of
from cartpole_robot.rigs.engine_choice import chosen_engine


@dataclass(frozen=True, kw_only=True)
class MapRequest:
    """Which policies (bundle, run folder, "lqr", "lqr-true"), around which cart, on which grid, and where it is kept.

    `cart` None is the one that the first bundle was trained on; `grid` None is the package's own; `folder` None is
    `runs/stability-CART`.
    """

    policies: Sequence[str | Path]
    cart: str | CartParams | None = None
    grid: Path | None = None
    folder: Path | None = None
    conditions: Conditions = field(default_factory=Conditions)
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """A map as far as it is finished. `failures` describes cells that this run could not finish."""

    whole: StabilityMap
    folder: Path
    records: Mapping[str, Mapping[str, Any]]
    failures: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return all(key in self.records for key in self.whole.keys)

    @property
    def findings(self) -> list[Finding]:
        return findings_of(self.whole, self.records)

    @property
    def files(self) -> list[Path]:
        """Paths of table and figure, if they exist."""
        return [path for name in (RESULTS_FILE, FIGURE_FILE) if (path := self.folder / name).exists()]


def plan(request: MapRequest) -> tuple[StabilityMap, Path]:
    """The requested map and its folder; runs and writes nothing. Raises `UsageError`."""
    cart, entrants = entered(list(map(str, request.policies)), request.cart, request.conditions)
    grids = load_grids(request.grid, cart)
    engine, note = chosen_engine(cart, request.conditions.engine)
    whole = planned_map(cart, entrants, grids, dataclasses.replace(request.conditions, engine=engine))
    return dataclasses.replace(whole, engine_note=note), request.folder or Path("runs", f"stability-{cart.name}")


def stability_map(request: MapRequest, say: Callable[[str], object] = print) -> MapResult:
    """Run unfinished cells, then write table and figure if all are finished; `say` receives crashes and failures.

    Ctrl-C raises KeyboardInterrupt; finished cells are kept. Raises `UsageError`.
    """
    whole, path = plan(request)
    return run_map(whole, path, say, workers=request.workers)


def run_map(whole: StabilityMap, path: Path, say: Callable[[str], object], *, workers: int | None = None) -> MapResult:
    """As `stability_map`, for a map that `plan` has made."""
    with CellFolder.opened(path, whole) as folder:
        if whole.engine_note is not None:
            say(whole.engine_note)
        for entrant in whole.entrants:
            if entrant.note is not None:
                say(f"{entrant.policy}: {entrant.note}")
        records, failures = finish_cells(
            folder,
            whole.cells,
            lambda cell: task_of(whole, cell, __version__),
            lambda count: ProcessCrew(min(count, workers or os.cpu_count() or 1), run_cell),
            say,
        )
        result = MapResult(whole=whole, folder=path, records=records, failures=tuple(failures))
        if result.is_whole:
            write_rows(rows_of(whole, records), path / RESULTS_FILE)
            draw_map(whole, result.findings, path / FIGURE_FILE)
        return result
