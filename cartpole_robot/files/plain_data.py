"""Text files from others as plain values, bounded in size, depth and number before anything uses them.

A parsed value that passed `check_plain` can be printed, compared, copied and converted without overflow, without a
recursion error and as valid Unicode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartpole_robot.files.regular_file import open_regular

LARGEST_TEXT_BYTES = 1 << 25  # a study of 100,000 cells takes 20 MB
_MOST_VALUES = 2_000_000
_MOST_DEPTH = 32
_MOST_BITS = 13_000  # of an integer: Python shows no more than 4300 digits


def read_bounded(path: Path, most_bytes: int = LARGEST_TEXT_BYTES) -> bytes:
    """The content of a file. Raises `ValueError` if it is none or larger than `most_bytes`, and `OSError`."""
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"is larger than {most_bytes} bytes")
    return content


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. Raises `ValueError` for text that is not JSON, or beyond the limits of this module."""
    if len(text) > LARGEST_TEXT_BYTES:
        raise ValueError(f"is larger than {LARGEST_TEXT_BYTES} bytes")
    if sum(map(text.count, (b"[", b"{", b","))) > _MOST_VALUES:
        raise ValueError(f"holds more than {_MOST_VALUES} values")
    try:
        value = json.loads(text.decode("utf-8-sig"))  # editors on Windows begin a file with a mark
    except (RecursionError, MemoryError):
        raise ValueError("nests too deep") from None
    check_plain(value)
    if b"\\ud" in text.lower():
        _check_unicode(value)
    return value


def check_plain(value: Any) -> None:
    """Raise `ValueError`, naming the key, where tables and lists nest too deep or an integer is too large."""
    level: list[tuple[str, Any]] = [("", value)]
    for _ in range(_MOST_DEPTH):
        below: list[tuple[str, Any]] = []
        for name, each in level:
            if isinstance(each, Mapping):
                below += each.items()
            elif isinstance(each, list):
                below += [(name, item) for item in each]
            elif isinstance(each, int) and each.bit_length() > _MOST_BITS:
                raise ValueError(f"{name or 'the value'} is an integer of thousands of digits")
        if not below:
            return
        level = below
    raise ValueError(f"nests deeper than {_MOST_DEPTH} levels")


def _check_unicode(value: Any) -> None:
    """Raise `ValueError` for half of a surrogate pair, which no text can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is no character") from None
