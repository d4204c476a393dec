"""A file that is there whole, or not at all, and takes the place of nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cartpole_robot.errors import UsageError


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
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        check_is_new(path, option=option)
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_is_new(path: Path, *, option: str = "--out") -> None:
    """Nothing where there is nothing at `path`, else `UsageError`."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: exists already, and nothing is overwritten; choose another {option}")
