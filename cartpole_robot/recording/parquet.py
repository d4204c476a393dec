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
from cartpole_robot.files.plain_data import parse_json
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.recording.format import (
    COLUMNS,
    COUNT_COLUMNS,
    RECORDING_FORMAT,
    ROW_DTYPE,
    Recording,
    check_rewards,
    check_rows,
    other_format,
)
from cartpole_robot.recording.metadata import Outcome, RecordingMetadata, check_plain_metadata, plain_metadata
from cartpole_robot.signals import NO_COUNT

if TYPE_CHECKING:
    import pyarrow

METADATA_KEY = b"cartpole_robot"
_TYPES = {"<u4": "uint32", "<i4": "int32", "<f8": "double", "<f4": "float"}
_BATCH_ROWS = 1 << 16


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
    plain = {**dataclasses.asdict(stored), "metadata": plain_metadata(recording.metadata)}
    return pyarrow.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(plain).encode()})


def read_parquet(path: Path) -> Recording:
    """The recording in a Parquet file. Raises `UsageError`."""
    if not has_pyarrow():
        raise UsageError(f"{path}: is Parquet, and pyarrow cannot be imported; pip install 'cartpole-robot[report]'")
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            text = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
            if text is None:
                raise UsageError(f"{path}: is Parquet without this package's metadata, not a recording; check the path")
            stored = _stored(text, path)
            try:
                rows = _rows_of(file)
                check_rewards(rows)
            except ValueError as error:
                raise UsageError(f"{path}: was altered ({error}); restore it from a copy") from None
    except UsageError:
        raise
    except (pyarrow.ArrowException, OSError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path}: is damaged ({reason}); restore it from a copy") from None
    return Recording(
        path=path, metadata=stored.metadata, rows=rows, outcome=stored.outcome, rows_damaged=stored.rows_damaged
    )


def _stored(text: bytes, path: Path) -> _Stored:
    try:
        header = parse_json(text)
        require(isinstance(header, dict), "its metadata is no table")
        if header.get("format") != RECORDING_FORMAT:
            raise other_format(path, header.get("format"), header)
        check_plain_metadata(header.get("metadata"), f"{path}: was altered: [recording.metadata]")
        return record_from_table(_Stored, header, where=f"{path}: was altered: [recording]")
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{path}: was altered ({error}); restore it from a copy") from None


def _rows_of(file: pyarrow.parquet.ParquetFile) -> NDArray[np.void]:
    """The rows, read a block at a time. Raises ValueError for other columns or more rows than a recording can have.

    A run of equal values takes no space in Parquet, so a small file may claim any number of rows.
    """
    count = file.metadata.num_rows
    check_rows(count)
    schema = file.schema_arrow
    for name, _, kind in COLUMNS:
        places = schema.get_all_field_indices(name)
        require(len(places) == 1, f"it has {len(places)} columns {name}, expected 1")
        found, expected = schema.field(places[0]).type, _TYPES[kind]
        require(str(found) == expected, f"its column {name} is {str(found)[:40]}, expected {expected}")
    rows = np.zeros(count, ROW_DTYPE)
    at = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[name for name, _, _ in COLUMNS]):
        part = rows[at : at + len(batch)]
        require(len(part) == len(batch), f"it has more than the {count} rows that it claims")
        for name, _, _ in COLUMNS:
            column = batch.column(name)
            if column.null_count:
                require(name in COUNT_COLUMNS, f"its column {name} has empty cells")
                column = column.fill_null(NO_COUNT)
            part[name] = column.to_numpy(zero_copy_only=False)
        at += len(batch)
    require(at == count, f"it has {at} rows and claims {count}")
    return rows
