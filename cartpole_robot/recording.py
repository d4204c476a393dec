"""Recorded rollouts: what is in a file, and the one reader.

One rollout, one file, one row a control tick. Row k tells what was measured at tick k, the duty that was then
requested, the duty that had been in force until then and the reward for having got there; the last row requests
nothing (NaN). `shadow_duty` is what a policy that only watched would have requested. A finished recording is Parquet.
While it is being written, and where pyarrow is missing, it is a *journal* beside the place of the Parquet file: a
header with the metadata, rows of fixed size, each with a checksum, and at the end, when the rollout ended in order, its
outcome. Both hold the same, and this reader opens either.
`host_time_s` is the host's monotonic clock, the same for every process on it; `signals.Measurement` explains the rest.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import struct
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams, cart_from_dict
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import NO_COUNT

if TYPE_CHECKING:
    import pyarrow

RECORDING_FORMAT = 2
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
    ("shadow_duty", "f", "<f4"),
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
    FALLBACK = 4  # the regulator drove, having caught the cart from the policy
    ON_BOARD = 8  # the policy in the firmware drove
    MOTOR_OFF = 16  # nobody drove: after the end, with the bridge open


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded rollout.

    `rows` is a structured array with the fields of `COLUMNS`; counts are `NO_COUNT` where no encoder counts. `metadata`
    holds "cart", "rig", "controller", "seed", "versions", "commit" and more, as plain JSON values. `outcome` says how
    the rollout ended; it is None where the writer was cut off, or `is_being_written`. `rows_damaged` were left out.
    """

    path: Path
    metadata: Mapping[str, Any]
    rows: NDArray[np.void]
    outcome: Mapping[str, Any] | None
    rows_damaged: int = 0
    is_being_written: bool = False

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
    name = path.name.removesuffix(JOURNAL_SUFFIX)
    target = path.with_name(name) if name else path
    try:
        if not target.exists():
            recording = _read_left_journal(target)
            if recording is not None:
                return recording
        if not target.exists():
            raise UsageError(f"{path}: no such recording; check the path")
        return _read_finished(target)
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a recording; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: this recording cannot be read ({error.strerror or error})") from None


def seal_journal(path: Path) -> None:
    """Turn the journal of the recording `path` into Parquet, where pyarrow is there and the disk allows it."""
    with contextlib.suppress(OSError):  # the journal is as good, and another reader may have been faster
        _read_left_journal(path)


def _read_left_journal(target: Path) -> Recording | None:
    """What is in the journal of `target`, made into Parquet on the way if that can be; None where there is none.

    Nobody else may write or seal it meanwhile: it is locked first, and read from the locked file.
    """
    has_pyarrow = _has_pyarrow()  # before the journal is read: an import takes time, in which rows would arrive
    journal = journal_of(target)
    try:
        file = journal.open("rb")
    except FileNotFoundError:
        return None
    with file:
        is_ours = _is_locked(file)
        if os.fstat(file.fileno()).st_nlink == 0:  # somebody has just made Parquet of it
            return None
        recording = _parse_journal(file.read(), journal, is_being_written=not is_ours)
        if not (is_ours and has_pyarrow and _write_parquet(recording, target)):
            return recording
        journal.unlink()
    return _read_finished(target)


def _is_locked(file: BinaryIO) -> bool:
    """Whether this process holds the lock that a writer holds; some file systems know none, and none is needed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _has_pyarrow() -> bool:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:  # missing, or broken
        return False
    return True


def _write_parquet(recording: Recording, target: Path) -> bool:
    """Write `recording` to `target`, whole, unless something is there; False where the disk refuses."""
    import pyarrow.parquet

    partial = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        pyarrow.parquet.write_table(_table(recording), partial, compression="zstd")
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        _rename_to_new(partial, target)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return True


def _rename_to_new(source: Path, target: Path) -> None:
    """Give `source` the name `target`. Raises FileExistsError instead of replacing anything."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as an SD card's
        if target.exists():
            raise FileExistsError(str(target)) from None
        source.replace(target)


def _table(recording: Recording) -> pyarrow.Table:
    import pyarrow

    columns = {}
    for name, _, _ in COLUMNS:
        column = np.ascontiguousarray(recording.rows[name])
        columns[name] = pyarrow.array(column, mask=column == NO_COUNT if name in COUNT_COLUMNS else None)
    told = {**recording.metadata, "outcome": recording.outcome, "rows_damaged": recording.rows_damaged}
    return pyarrow.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(told).encode()})


def _read_finished(path: Path) -> Recording:
    """A recording under its own name: Parquet, or a journal that was renamed."""
    with path.open("rb") as file:
        begin = file.read(len(_MAGIC))
        if begin == _MAGIC:
            return _parse_journal(begin + file.read(), path)
    if begin[:4] != b"PAR1":
        raise UsageError(f"{path}: is no recording (neither Parquet nor a journal); check the path")
    if not _has_pyarrow():
        raise UsageError(f"{path}: is Parquet, and pyarrow cannot be imported; pip install 'cartpole-robot[report]'")
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path}: is damaged ({str(error).splitlines()[0]}); restore it from a copy") from None
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise UsageError(f"{path}: is Parquet without this package's metadata, no recording of it; check the path")
    try:
        metadata = json.loads(text)
        _check_format(str(metadata.get("format")), path)
        rows = _rows_of(table)
    except UsageError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path}: was altered ({error}); restore it from a copy") from None
    outcome, damaged = metadata.pop("outcome", None), metadata.pop("rows_damaged", 0)
    return Recording(path=path, metadata=metadata, rows=rows, outcome=outcome, rows_damaged=damaged)


def _rows_of(table: pyarrow.Table) -> NDArray[np.void]:
    rows = np.zeros(table.num_rows, _DTYPE)
    for name, _, _ in COLUMNS:
        column = table.column(name)
        rows[name] = column.fill_null(NO_COUNT).to_numpy() if name in COUNT_COLUMNS else column.to_numpy()
    return rows


def _parse_journal(content: bytes, path: Path, *, is_being_written: bool = False) -> Recording:
    line, newline, rest = content.partition(b"\n")
    if not line.startswith(_MAGIC) or not newline:
        raise UsageError(f"{path}: is no journal of a recording; check the path")
    _check_format(line.removeprefix(_MAGIC).decode(errors="replace"), path)
    if len(rest) < _BLOCK.size or len(rest) < _BLOCK.size + _BLOCK.unpack_from(rest)[0]:
        raise UsageError(f"{path}: ends within its header, before the first row; nothing was recorded in it")
    length, _ = _BLOCK.unpack_from(rest)
    try:
        metadata = _json_of(rest[: _BLOCK.size + length])
    except ValueError:
        raise UsageError(
            f"{path}: its header was altered (checksum); restore it from a copy, or keep it: its rows may be whole"
        ) from None
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
    return Recording(
        path=path,
        metadata=metadata,
        rows=rows,
        outcome=outcome,
        rows_damaged=int(whole - is_good.sum()) + (len(body) % ROW_BYTES > 0),
        is_being_written=is_being_written,
    )


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


def _check_format(found: str, path: Path) -> None:
    if found != str(RECORDING_FORMAT):
        raise UsageError(
            f"{path}: has recording format {found}, this version reads {RECORDING_FORMAT}; "
            "open it with the version of cartpole-robot that wrote it"
        )
