"""Opens files from others: a pipe or a device under a file's name would keep the reader for ever, or fill memory."""

from __future__ import annotations

import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """The file at `path`, open for reading.

    Raises `ValueError` for a pipe, a device or a socket, before it is opened, and for a null byte in the name, and
    `OSError`.
    """
    if "\0" in str(path):
        raise ValueError("has a null byte in its name")
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # `open` refuses a folder
        raise ValueError("is a pipe or a device, not a file")
    return path.open("rb")
