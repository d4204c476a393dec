"""The writer of finished recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.new_file import check_is_new, not_written
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.journal import JOURNAL_SUFFIX, journal_of, whole_journal
from cartpole_robot.recording.parquet import has_pyarrow, write_parquet


def write_recording(recording: Recording) -> Recording:
    """Write `recording` to its path as Parquet, or as a journal where pyarrow is missing; returns it with that path.

    Raises `UsageError` where the file exists, and `RunError` where writing fails; then nothing is left behind.
    """
    check_is_free(recording.path)
    path = recording.path if has_pyarrow() else journal_of(recording.path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path == recording.path:
            write_parquet(recording, path)
        else:
            with atomic_file(path) as file:
                file.write(whole_journal(recording))
    except FileExistsError:
        check_is_new(path)
        raise
    except OSError as error:
        raise RunError(not_written(path, error)) from None
    return dataclasses.replace(recording, path=path)


def check_is_free(path: Path, *, option: str = "--out") -> None:
    """Raises `UsageError` unless a recording can be written to `path` without overwriting anything."""
    if not path.name or path.name.endswith(JOURNAL_SUFFIX):
        raise UsageError(
            f"{path}: is not a name for a recording (journals end in {JOURNAL_SUFFIX}); choose another file"
        )
    for found in (path, journal_of(path)):
        check_is_new(found, option=option)
