"""Format numbers of the files that this package writes and reads again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.errors import UsageError


def check_format(path: Path, kind: str, header: Mapping[str, Any], *, expected: int, remedy: str) -> None:
    """Raise `UsageError` unless `header` has the format number `expected`; without a number it has format 1."""
    found = header.get("format", 1)
    if found != expected or isinstance(found, bool):
        raise other_format(path, kind, found, header, expected=expected, remedy=remedy)


def other_format(
    path: Path, kind: str, found: object, header: Mapping[str, Any], *, expected: int, remedy: str
) -> UsageError:
    """The error for a file of another format; its `header`, which may hold anything, says who wrote it."""
    versions, commit = header.get("versions"), header.get("commit")
    version = versions.get("cartpole-robot") if isinstance(versions, Mapping) else None
    if version == __version__:  # another commit of it: the number would name what is installed
        writer = f"the commit {commit} of cartpole-robot" if commit else "the commit of cartpole-robot that wrote it"
    else:
        writer = f"cartpole-robot {version}" if version else "the version of cartpole-robot that wrote it"
        writer += f" (commit {commit})" if commit else ""
    number = _printable(found)
    return UsageError(
        f"{path}: has {kind} format {number}, this version reads {expected}; {remedy}, or open it with "
        f"{_printable(writer)}"
    )


def _printable(value: object) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(value)[:100])
