"""The reader of recordings, finished or not.

A finished recording is a Parquet file. While it is being written, and where pyarrow is missing, it is a journal in the
same folder. Both hold the same, and this reader opens either.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from cartpole_robot.errors import UsageError
from cartpole_robot.files.regular_file import open_regular
from cartpole_robot.recording.format import MOST_ROWS, Recording
from cartpole_robot.recording.journal import JOURNAL_SUFFIX, LARGEST_JOURNAL_BYTES, MAGIC, journal_of, parse_journal
from cartpole_robot.recording.parquet import has_pyarrow, read_parquet, write_parquet


def read_recording(path: str | Path) -> Recording:
    """The recording in that file or in its journal; a journal without a writer is converted to Parquet where possible.

    Raises `UsageError` for a file that is missing, not a recording, damaged at its beginning or of another format.
    """
    path = Path(path)
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
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{path}: {error}, expected a recording; check the path") from None


def seal_journal(path: Path) -> None:
    """Convert the journal of the recording `path` to Parquet, where pyarrow is installed and the disk allows it."""
    if has_pyarrow():
        with contextlib.suppress(OSError):  # the journal serves as well, and another reader may have been faster
            _read_left_journal(path)


def _read_left_journal(target: Path) -> Recording | None:
    """The recording in the journal of `target`, converted to Parquet where possible; None where there is no journal.

    The journal is locked first and read from the locked file, so that no other process writes or converts it meanwhile.
    """
    can_seal = has_pyarrow()  # before the journal is read: an import takes time, in which rows would arrive
    journal = journal_of(target)
    try:
        file = open_regular(journal)
    except FileNotFoundError:
        return None
    with file:
        is_ours = _is_locked(file)
        if os.fstat(file.fileno()).st_nlink == 0:  # another process has just converted it
            return None
        recording = parse_journal(_bounded(file, journal), journal, is_being_written=not is_ours)
        if not (is_ours and can_seal):
            return recording
        try:
            write_parquet(recording, target)
        except OSError:
            return recording
        journal.unlink()
    return dataclasses.replace(recording, path=target)


def _bounded(file: BinaryIO, path: Path) -> bytes:
    """The content of a journal. Raises `UsageError` for one that is larger than any recording: it may be all holes."""
    if os.fstat(file.fileno()).st_size > LARGEST_JOURNAL_BYTES:
        raise UsageError(
            f"{path}: is larger than {LARGEST_JOURNAL_BYTES} bytes, expected at most {MOST_ROWS} rows; check the path"
        )
    return file.read()


def _is_locked(file: BinaryIO) -> bool:
    """Whether this process got the writer's lock; True on a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _read_finished(path: Path) -> Recording:
    """A recording under its own name: Parquet, or a journal that was renamed."""
    with open_regular(path) as file:
        begin = file.read(len(MAGIC))
        if begin == MAGIC:
            file.seek(0)
            return parse_journal(_bounded(file, path), path)
    if begin[:4] != b"PAR1":
        raise UsageError(f"{path}: is not a recording (neither Parquet nor a journal); check the path")
    return read_parquet(path)
