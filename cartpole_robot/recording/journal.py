"""The journal of a recording: what the recorder writes while a rollout runs, and how it is read back.

It holds a header with the metadata, rows of fixed size, each with a checksum, and the outcome of a rollout that ended
normally.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.files.plain_data import parse_json
from cartpole_robot.files.records import record_from_table
from cartpole_robot.recording.format import (
    COLUMNS,
    MOST_ROWS,
    RECORDING_FORMAT,
    ROW_DTYPE,
    Recording,
    check_rewards,
    other_format,
)
from cartpole_robot.recording.metadata import Outcome, RecordingMetadata, check_plain_metadata, plain_metadata

JOURNAL_SUFFIX = ".journal"
CHECKSUM = struct.Struct("<I")
ROW = struct.Struct("<" + "".join(code for _, code, _ in COLUMNS))
ROW_BYTES = ROW.size + CHECKSUM.size  # CRC-32 of the row
_STORED = np.dtype([*ROW_DTYPE.descr, ("checksum", "<u4")])

MAGIC = b"cartpole-robot journal "
_BLOCK = struct.Struct("<II")  # length and CRC-32 of a JSON text
_OUTCOME_MARK = b"\nend\n"
_LARGEST_BLOCK = 1 << 24


LARGEST_JOURNAL_BYTES = MOST_ROWS * ROW_BYTES + 2 * _LARGEST_BLOCK


def journal_of(path: Path) -> Path:
    """The path of the journal of the recording `path`."""
    return path.with_name(path.name + JOURNAL_SUFFIX)


def journal_header(metadata: RecordingMetadata) -> bytes:
    """The beginning of a journal."""
    return MAGIC + b"%d\n" % RECORDING_FORMAT + _json_block(plain_metadata(metadata))


def journal_outcome(outcome: Outcome) -> bytes:
    """The end of a journal."""
    block = _json_block(dataclasses.asdict(outcome))
    return block[_BLOCK.size :] + block[: _BLOCK.size] + _OUTCOME_MARK


def whole_journal(recording: Recording) -> bytes:
    """The whole journal of a finished recording."""
    stored = np.zeros(len(recording.rows), _STORED)
    for name, _, _ in COLUMNS:
        stored[name] = recording.rows[name]
    stored["checksum"] = _checksums(memoryview(stored.tobytes()))
    end = b"" if recording.outcome is None else journal_outcome(recording.outcome)
    return journal_header(recording.metadata) + stored.tobytes() + end


def parse_journal(content: bytes, path: Path, *, is_being_written: bool = False) -> Recording:
    """The recording in a journal's `content`; `path` names it in errors. Raises `UsageError`."""
    line, newline, rest = content.partition(b"\n")
    if not line.startswith(MAGIC) or not newline:
        raise UsageError(f"{path}: is not the journal of a recording; check the path")
    number = line.removeprefix(MAGIC)
    if number != b"%d" % RECORDING_FORMAT:
        header: dict[str, Any] = {}
        with contextlib.suppress(ValueError, struct.error):
            header = _json_of(rest[: _BLOCK.size + _BLOCK.unpack_from(rest)[0]])
        raise other_format(path, number.decode("ascii", "backslashreplace"), header)
    if len(rest) < _BLOCK.size or len(rest) < _BLOCK.size + _BLOCK.unpack_from(rest)[0]:
        raise UsageError(f"{path}: ends within its header, before the first row; nothing was recorded in it")
    length, _ = _BLOCK.unpack_from(rest)
    try:
        header = _json_of(rest[: _BLOCK.size + length])
    except (ValueError, struct.error):
        raise UsageError(
            f"{path}: its header was altered (checksum); restore it from a copy, or keep it: its rows may be intact"
        ) from None
    where = f"{path}: was altered: [recording.metadata]"
    check_plain_metadata(header, where)
    metadata = record_from_table(RecordingMetadata, header, where=where)
    body = memoryview(rest)[_BLOCK.size + length :]
    end, body = _split_outcome(body)
    outcome = (
        None if end is None else record_from_table(Outcome, end, where=f"{path}: was altered: [recording.outcome]")
    )
    whole = len(body) // ROW_BYTES
    stored = np.frombuffer(body[: whole * ROW_BYTES], _STORED)
    is_good = stored["checksum"] == _checksums(body[: whole * ROW_BYTES])
    good = stored[is_good]
    rows = np.zeros(len(good), ROW_DTYPE)
    for name, _, _ in COLUMNS:
        rows[name] = good[name]
    try:
        check_rewards(rows)
    except ValueError as error:
        raise UsageError(f"{path}: was altered ({error}); restore it from a copy") from None
    return Recording(
        path=path,
        metadata=metadata,
        rows=rows,
        outcome=outcome,
        rows_damaged=int(whole - is_good.sum()) + (len(body) % ROW_BYTES > 0),
        is_being_written=is_being_written,
    )


def _split_outcome(body: memoryview) -> tuple[Mapping[str, Any] | None, memoryview]:
    """The outcome at the end of a journal, None without one, and the rows before it."""
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


def _checksums(rows: memoryview) -> NDArray[np.uint32]:
    """The checksum of each stored row."""
    begins = range(0, len(rows), ROW_BYTES)
    return np.array([zlib.crc32(rows[begin : begin + ROW.size]) for begin in begins], np.uint32)


def _json_block(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value).encode()
    return _BLOCK.pack(len(text), zlib.crc32(text)) + text


def _json_of(block: bytes) -> dict[str, Any]:
    """The JSON object in a block; raises ValueError for one that is cut off or altered."""
    length, checksum = _BLOCK.unpack_from(block)
    text = block[_BLOCK.size :]
    if length > _LARGEST_BLOCK or len(text) != length or zlib.crc32(text) != checksum:
        raise ValueError("cut off or altered")
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
