"""Run folders: what was requested, by which versions, and the result."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.formats import check_format
from cartpole_robot.files.new_file import not_written
from cartpole_robot.files.plain_data import parse_json, read_bounded

RUN_FORMAT = 2
LOCK_FILE = "lock"
RUN_FILE = "run.json"
SUMMARY_FILE = "summary.json"
NO_POLICY_FILE = "no_policy.json"  # instead of the summary, where no network was good enough to export


def new_run_folder(path: Path, record: Mapping[str, Any]) -> Path:
    """Make the folder and write `run.json` into it. Raises `UsageError` when it exists."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"{path}: exists already; choose another --out, or continue with --resume {shlex.quote(str(path))}"
        ) from None
    except OSError as error:
        raise UsageError(not_written(path, error)) from None
    write_json(path / RUN_FILE, {"format": RUN_FORMAT, **record})
    return path


def unused_folder(name: str) -> Path:
    """The first of `runs/NAME-1`, `runs/NAME-2`, ... that does not exist."""
    return next(path for n in itertools.count(1) if not (path := Path("runs", f"{name}-{n}")).exists())


def read_run(path: Path) -> dict[str, Any]:
    """The record in a run folder's `run.json`. Raises `UsageError`."""
    record = read_json(path / RUN_FILE, f"{path}: is not a run folder (it has no readable {RUN_FILE}); check the path")
    check_format(path / RUN_FILE, "run", record, expected=RUN_FORMAT, remedy="train into a new folder")
    del record["format"]
    return record


def read_json(path: Path, message: str) -> dict[str, Any]:
    """A JSON object from a file; raises `UsageError(message)` when it is not one."""
    try:
        found = parse_json(read_bounded(path))
    except (OSError, ValueError):
        raise UsageError(message) from None
    if not isinstance(found, dict):
        raise UsageError(message)
    return found


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    with atomic_file(path, may_replace=True) as file:
        file.write(f"{json.dumps(record, indent=2)}\n".encode())


def locked_run(folder: Path) -> AbstractContextManager[None]:
    """Hold a run folder against other trainings until the end of the block. Raises `UsageError` if one holds it."""
    return locked_folder(
        folder,
        busy="another training works in it; wait for its end, or stop it",
        unwritable="check its permissions",
    )


@contextlib.contextmanager
def locked_folder(folder: Path, *, busy: str, unwritable: str) -> Iterator[None]:
    """Hold a folder against other processes until the end of the block.

    Raises `UsageError`, with `busy` if another process holds it, with the remedy `unwritable` if it cannot be locked.
    """
    try:
        # Not what a link points to, and not a pipe, which would wait for a reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.fdopen(os.open(folder / LOCK_FILE, flags, 0o666), "wb")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}); {unwritable}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it with the process
        except OSError:
            raise UsageError(f"{folder}: {busy}") from None
        yield
