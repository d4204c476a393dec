"""Files that a command writes for its user, never over an existing one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.atomic_file import atomic_file

_LONGEST_NAME = 255  # bytes, on every common file system


@contextlib.contextmanager
def new_file(path: Path, *, option: str = "--out") -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block, and is removed where the block fails.

    Its folder is created where it is missing. Raises `UsageError` as `check_is_new` does, before the block, and where
    something is at `path` after it; `RunError` where the disk fails. `option` is the flag that chooses another path.
    """
    check_is_new(path, option=option)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            yield Path(file.name)
    except FileExistsError:
        check_is_new(path, option=option)
        raise
    except OSError as error:
        raise RunError(not_written(path, error, option=option)) from None


def check_is_new(path: Path, *, option: str = "--out") -> None:
    """Raises `UsageError` where `path` exists, and where no file can be made there: to call before long work."""
    try:
        if os.path.lexists(path):
            raise UsageError(f"{path}: exists already, and nothing is overwritten; choose another {option}")
        check_can_be_made(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(not_written(path, error, option=option)) from None


def check_can_be_made(path: Path) -> None:
    """Raises OSError unless this process may make `path`, with the folders in which it lies."""
    if not path.name:
        raise OSError(errno.EINVAL, "no name of a file")
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    folder = path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        raise OSError(errno.EACCES, os.strerror(errno.EROFS if is_read_only else errno.EACCES))


def not_written(path: Path, error: OSError | ValueError, *, option: str = "--out") -> str:
    """The one line for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return f"{path}: cannot be written ({reason}); choose another {option}"
