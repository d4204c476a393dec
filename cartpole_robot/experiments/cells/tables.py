"""The results of cells as a Parquet file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

RESULTS_FILE = "results.parquet"


def write_rows(rows: list[dict[str, Any]] | dict[str, list[Any]], path: Path) -> None:
    """A Parquet file of rows, or of columns, whole or not at all."""
    table = pyarrow.Table.from_pylist(rows) if isinstance(rows, list) else pyarrow.table(rows)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    pyarrow.parquet.write_table(table, partial)
    partial.replace(path)
