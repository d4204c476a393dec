"""Files that a command writes for its user, never over an existing one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file


@contextlib.contextmanager
def new_file(path: Path, *, option: str = "--out") -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block, and is removed where the block fails.

    Raises `UsageError` where `path` exists, before the block or after it, or cannot be created; `option` is the flag
    that chooses another path.
    """
    check_is_new(path, option=option)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path.parent}: this folder cannot be created ({error.strerror}); choose another {option}"
        ) from None
    try:
        with atomic_file(path) as file:
            yield Path(file.name)
    except FileExistsError:
        check_is_new(path, option=option)
        raise


def check_is_new(path: Path, *, option: str = "--out") -> None:
    """Raises `UsageError` where `path` exists."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: exists already, and nothing is overwritten; choose another {option}")
