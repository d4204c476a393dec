"""Files that a command writes for its user, and that take the place of nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file


@contextlib.contextmanager
def new_file(path: Path, *, option: str = "--out") -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block, and is removed where the block fails.

    Raises `UsageError` where something is at `path`, before the block or after it, or where nothing can be; `option` is
    what chooses another.
    """
    check_is_new(path, option=option)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path.parent}: no folder can be made here ({error.strerror}); choose another {option}"
        ) from None
    try:
        with atomic_file(path) as file:
            yield Path(file.name)
    except FileExistsError:
        check_is_new(path, option=option)
        raise


def check_is_new(path: Path, *, option: str = "--out") -> None:
    """Nothing where there is nothing at `path`, else `UsageError`."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: exists already, and nothing is overwritten; choose another {option}")
