"""Recorded rollouts: what is in a file, and the one reader.

One rollout, one file, one row a control tick. Row k tells what was measured at tick k, the duty that was then
requested, the duty that had been in force until then and the reward for having got there; the last row requests
nothing (NaN). A finished recording is Parquet. While it is being written, and where pyarrow is missing, it is a
*journal* beside the place of the Parquet file: a header with the metadata, rows of fixed size, each with a checksum,
and at the end, when the rollout ended in order, its outcome. Both hold the same, and this reader opens either.
`host_time_s` is the host's monotonic clock, the same for every process on it; `signals.Measurement` explains the rest.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.params import CartParams, cart_from_dict
from cartpole_robot.signals import NO_COUNT

if TYPE_CHECKING:
    import pyarrow

RECORDING_FORMAT = 1
JOURNAL_SUFFIX = ".journal"
METADATA_KEY = b"cartpole_robot"

# Name, code of `struct`, dtype; SI units, little-endian, packed.
COLUMNS = (
    ("tick", "I", "<u4"),
    ("mcu_time_us", "I", "<u4"),
    ("host_time_s", "d", "<f8"),
    ("cart_counts", "i", "<i4"),
    ("pole_counts", "i", "<i4"),
    ("cart_position_m", "d", "<f8"),
    ("cart_speed_m_s", "d", "<f8"),
    ("pole_angle_rad", "d", "<f8"),
    ("pole_speed_rad_s", "d", "<f8"),
    ("requested_duty", "d", "<f8"),
    ("applied_duty", "d", "<f8"),
    ("motor_power_w", "f", "<f4"),
    ("reward", "f", "<f4"),
    ("lateness_s", "f", "<f4"),
    ("command_age_s", "f", "<f4"),
    ("flags", "I", "<u4"),
)
COUNT_COLUMNS = ("cart_counts", "pole_counts")
CHECKSUM = struct.Struct("<I")
ROW = struct.Struct("<" + "".join(code for _, code, _ in COLUMNS))
ROW_BYTES = ROW.size + CHECKSUM.size  # CRC-32 of the row
_DTYPE = np.dtype([(name, kind) for name, _, kind in COLUMNS])
_STORED = np.dtype([*_DTYPE.descr, ("checksum", "<u4")])

_MAGIC = b"cartpole-robot journal "
_BLOCK = struct.Struct("<II")  # length and CRC-32 of a JSON text
_OUTCOME_MARK = b"\nend\n"
_LARGEST_BLOCK = 1 << 24


class Flag(enum.IntFlag):
    """What a row says of its tick beside the numbers."""

    TERMINATED = 1  # past the cart's limits
    TRUNCATED = 2  # the rollout was as long as it was to be


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded rollout.

    `rows` is a structured array with the fields of `COLUMNS`; counts are `NO_COUNT` where no encoder counts. `metadata`
    holds "cart", "rig", "controller", "seed", "versions", "commit" and more, as plain JSON values. `outcome` says how
    the rollout ended; it is None where the writer was cut off. `rows_damaged` were left out.
    """

    path: Path
    metadata: Mapping[str, Any]
    rows: NDArray[np.void]
    outcome: Mapping[str, Any] | None
    rows_damaged: int = 0

    @property
    def cart(self) -> CartParams:
        """The cart that was driven. Raises `UsageError`."""
        return cart_from_dict(self.metadata.get("cart", {}), where=f"{self.path}: cart")

    def column(self, name: str) -> NDArray[Any]:
        """One column, shape (rows,)."""
        column: NDArray[Any] = self.rows[name]
        return column


def journal_of(path: Path) -> Path:
    """Where the journal of the recording `path` is."""
    return path.with_name(path.name + JOURNAL_SUFFIX)


def journal_header(metadata: Mapping[str, Any]) -> bytes:
    """The beginning of a journal."""
    return _MAGIC + b"%d\n" % RECORDING_FORMAT + _json_block(metadata)


def journal_outcome(outcome: Mapping[str, Any]) -> bytes:
    """The end of a journal."""
    block = _json_block(outcome)
    return block[_BLOCK.size :] + block[: _BLOCK.size] + _OUTCOME_MARK


def read_recording(path: Path) -> Recording:
    """The recording in that file, or in its journal; a journal that nobody writes any more becomes Parquet, if it can.

    Raises `UsageError` for a file that is missing, no recording, damaged at its beginning or of another format.
    """
    is_journal = path.name.endswith(JOURNAL_SUFFIX)
    target = path.with_name(path.name.removesuffix(JOURNAL_SUFFIX)) if is_journal else path
    try:
        if target.exists():
            return _read_parquet(target)
        journal = journal_of(target)
        if not journal.exists():
            raise UsageError(f"{path}: no such recording; check the path")
        recording = _read_journal(journal)
        if _seal(recording, target):
            return _read_parquet(target)
        return recording
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a recording; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: this recording cannot be read ({error.strerror or error})") from None


def seal_journal(path: Path) -> bool:
    """Turn the journal of the recording `path` into Parquet; False where pyarrow is missing or the disk refuses."""
    return _seal(_read_journal(journal_of(path)), path)


def _seal(recording: Recording, target: Path) -> bool:
    """Write `recording`, read from a journal, as Parquet to `target` and remove the journal; False where that fails."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        return False
    partial = target.with_name(f".{target.name}.partial")
    try:
        with recording.path.open("rb") as journal:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while somebody writes it
            pyarrow.parquet.write_table(_table(recording), partial, compression="zstd")
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(target)
            recording.path.unlink()
    except OSError:  # a full disk, a folder one may only read: the journal is as good
        partial.unlink(missing_ok=True)
        return False
    return True


def _table(recording: Recording) -> pyarrow.Table:
    import pyarrow

    columns = {}
    for name, _, _ in COLUMNS:
        column = np.ascontiguousarray(recording.rows[name])
        columns[name] = pyarrow.array(column, mask=column == NO_COUNT if name in COUNT_COLUMNS else None)
    told = {**recording.metadata, "outcome": recording.outcome, "rows_damaged": recording.rows_damaged}
    return pyarrow.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(told).encode()})


def _read_parquet(path: Path) -> Recording:
    with path.open("rb") as file:
        begin = file.read(max(4, len(_MAGIC)))
    if begin.startswith(_MAGIC):
        return _read_journal(path)
    if begin[:4] != b"PAR1":
        raise UsageError(f"{path}: is no recording (neither Parquet nor a journal); check the path")
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise UsageError(
            f"{path}: is Parquet, and pyarrow is not installed; pip install 'cartpole-robot[report]'"
        ) from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path}: is damaged ({str(error).splitlines()[0]}); restore it from a copy") from None
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise UsageError(f"{path}: is Parquet without this package's metadata, no recording of it; check the path")
    metadata = _checked(json.loads(text), path)
    rows = np.zeros(table.num_rows, _DTYPE)
    for name, _, _ in COLUMNS:
        if name not in table.column_names:
            raise UsageError(f"{path}: the column {name} is missing; it was altered, restore it from a copy")
        column = table.column(name)
        rows[name] = column.fill_null(NO_COUNT).to_numpy() if name in COUNT_COLUMNS else column.to_numpy()
    outcome, damaged = metadata.pop("outcome", None), metadata.pop("rows_damaged", 0)
    return Recording(path=path, metadata=metadata, rows=rows, outcome=outcome, rows_damaged=damaged)


def _read_journal(path: Path) -> Recording:
    content = path.read_bytes()
    line, newline, rest = content.partition(b"\n")
    if not line.startswith(_MAGIC) or not newline:
        raise UsageError(f"{path}: is no journal of a recording; check the path")
    _check_format(line.removeprefix(_MAGIC).decode(errors="replace"), path)
    try:
        length, _ = _BLOCK.unpack_from(rest)
        metadata = _checked(_json_of(rest[: _BLOCK.size + length]), path)
    except (struct.error, ValueError):
        raise UsageError(f"{path}: was cut off in its header, before the first row; nothing is left of it") from None
    body = memoryview(rest)[_BLOCK.size + length :]
    outcome, body = _split_outcome(body)
    whole = len(body) // ROW_BYTES
    stored = np.frombuffer(body[: whole * ROW_BYTES], _STORED)
    sums = [zlib.crc32(body[k * ROW_BYTES : k * ROW_BYTES + ROW.size]) for k in range(whole)]
    is_good = stored["checksum"] == np.array(sums, np.uint32)
    good = stored[is_good]
    rows = np.zeros(len(good), _DTYPE)
    for name, _, _ in COLUMNS:
        rows[name] = good[name]
    damaged = int(whole - is_good.sum()) + (len(body) % ROW_BYTES > 0)
    return Recording(path=path, metadata=metadata, rows=rows, outcome=outcome, rows_damaged=damaged)


def _split_outcome(body: memoryview) -> tuple[Mapping[str, Any] | None, memoryview]:
    """The outcome at the end of a journal, where there is one, and the rows before it."""
    mark = len(_OUTCOME_MARK)
    if len(body) < mark + _BLOCK.size or bytes(body[-mark:]) != _OUTCOME_MARK:
        return None, body
    block = bytes(body[-mark - _BLOCK.size : -mark])
    length, _ = _BLOCK.unpack(block)
    end = len(body) - mark - _BLOCK.size
    try:
        return _json_of(block + bytes(body[max(0, end - length) : end])), body[: end - length]
    except ValueError:
        return None, body


def _json_block(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value).encode()
    return _BLOCK.pack(len(text), zlib.crc32(text)) + text


def _json_of(block: bytes) -> dict[str, Any]:
    """The JSON object in a block; raises ValueError for one that is cut off or altered."""
    length, checksum = _BLOCK.unpack_from(block)
    text = block[_BLOCK.size :]
    if length > _LARGEST_BLOCK or len(text) != length or zlib.crc32(text) != checksum:
        raise ValueError("not whole")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _checked(metadata: dict[str, Any], path: Path) -> dict[str, Any]:
    _check_format(str(metadata.get("format")), path)
    return metadata


def _check_format(found: str, path: Path) -> None:
    if found != str(RECORDING_FORMAT):
        raise UsageError(
            f"{path}: has recording format {found}, this version reads {RECORDING_FORMAT}; "
            "open it with the version of cartpole-robot that wrote it"
        )
