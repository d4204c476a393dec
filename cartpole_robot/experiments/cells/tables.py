"""The results of cells as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from cartpole_robot.files.atomic_file import atomic_file

RESULTS_FILE = "results.parquet"


def write_rows(rows: list[dict[str, Any]] | dict[str, list[Any]], path: Path) -> None:
    """Write rows or columns to a Parquet file, atomically."""
    table = pyarrow.Table.from_pylist(rows) if isinstance(rows, list) else pyarrow.table(rows)
    with atomic_file(path, may_replace=True) as file:
        pyarrow.parquet.write_table(table, file)
