"""A finished study as two Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartpole_robot.experiments.cells.tables import RESULTS_FILE, write_rows
from cartpole_robot.experiments.study.findings import cell_row
from cartpole_robot.experiments.study.study import Study

CURVES_FILE = "curves.parquet"


def write_tables(study: Study, records: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write `results.parquet`, a row per cell, and `curves.parquet`, each atomically.

    A row of the curves is an `episode` of the training or a greedy `evaluation`: the training step at its end, its
    number, and its steps (for an evaluation the mean).
    """
    cells = [cell for cell in study.cells if cell.key in records]
    write_rows([cell_row(cell, records[cell.key]) for cell in cells], folder / RESULTS_FILE)
    curves: dict[str, list[Any]] = {name: [] for name in ("key", "kind", "number", "step", "steps")}
    for key in dict.fromkeys(cell.key for cell in cells):
        step = 0
        for number, steps in enumerate(records[key].get("episode_steps", ()), 1):
            step += steps
            _add(curves, key, "episode", number, step, float(steps))
        for number, (at_step, mean_steps, _) in enumerate(records[key].get("evaluations", ()), 1):
            _add(curves, key, "evaluation", number, at_step, float(mean_steps))
    write_rows(curves, folder / CURVES_FILE)


def _add(curves: dict[str, list[Any]], *values: Any) -> None:
    for column, value in zip(curves.values(), values, strict=True):
        column.append(value)
