"""A finished recording as a Parquet file; the only module of this package that imports pyarrow."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.records import record_from_table
from cartpole_robot.recording.format import COLUMNS, COUNT_COLUMNS, RECORDING_FORMAT, ROW_DTYPE, Recording, other_format
from cartpole_robot.recording.metadata import Outcome, RecordingMetadata
from cartpole_robot.signals import NO_COUNT

if TYPE_CHECKING:
    import pyarrow

METADATA_KEY = b"cartpole_robot"


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What the file holds in addition to its columns, as JSON."""

    format: int
    metadata: RecordingMetadata
    outcome: Outcome | None
    rows_damaged: int


def has_pyarrow() -> bool:
    """Whether pyarrow can be imported."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:  # missing, or broken
        return False
    return True


def write_parquet(recording: Recording, target: Path) -> None:
    """Write `recording` to `target`, whole or not at all. Raises `FileExistsError`, or `OSError` from the disk."""
    import pyarrow.parquet

    with atomic_file(target) as file:
        pyarrow.parquet.write_table(_table(recording), file, compression="zstd")


def _table(recording: Recording) -> pyarrow.Table:
    import pyarrow

    columns = {}
    for name, _, _ in COLUMNS:
        column = np.ascontiguousarray(recording.rows[name])
        columns[name] = pyarrow.array(column, mask=column == NO_COUNT if name in COUNT_COLUMNS else None)
    stored = _Stored(
        format=RECORDING_FORMAT,
        metadata=recording.metadata,
        outcome=recording.outcome,
        rows_damaged=recording.rows_damaged,
    )
    return pyarrow.table(columns).replace_schema_metadata(
        {METADATA_KEY: json.dumps(dataclasses.asdict(stored)).encode()}
    )


def read_parquet(path: Path) -> Recording:
    """The recording in a Parquet file. Raises `UsageError`."""
    if not has_pyarrow():
        raise UsageError(f"{path}: is Parquet, and pyarrow cannot be imported; pip install 'cartpole-robot[report]'")
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path}: is damaged ({str(error).splitlines()[0]}); restore it from a copy") from None
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise UsageError(f"{path}: is Parquet without this package's metadata, not a recording; check the path")
    try:
        header = json.loads(text)
        if header.get("format") != RECORDING_FORMAT:
            raise other_format(path, header.get("format"), header)
        stored = record_from_table(_Stored, header, where=f"{path}: was altered: [recording]")
        rows = _rows_of(table)
    except UsageError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path}: was altered ({error}); restore it from a copy") from None
    return Recording(
        path=path, metadata=stored.metadata, rows=rows, outcome=stored.outcome, rows_damaged=stored.rows_damaged
    )


def _rows_of(table: pyarrow.Table) -> NDArray[np.void]:
    rows = np.zeros(table.num_rows, ROW_DTYPE)
    for name, _, _ in COLUMNS:
        column = table.column(name)
        rows[name] = column.fill_null(NO_COUNT).to_numpy() if name in COUNT_COLUMNS else column.to_numpy()
    return rows
