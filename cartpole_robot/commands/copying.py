"""Copies of the package's example files, for `carts copy`, `train --copy-preset` and `import --copy-map`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cartpole_robot.commands.output import DONE, print_result
from cartpole_robot.errors import UsageError
from cartpole_robot.files.packaged import Packaged


def copy_packaged(arguments: argparse.Namespace, packaged: Packaged, name: str, path: Path, *, option: str) -> int:
    """The exit code; copies the packaged file `name` to `path`, which `option` named. Raises as `Packaged.copy`."""
    packaged.copy(name, path, option=option)
    record = {"file": str(path), "copy_of": name}
    print_result(arguments, record, f"{path} is written, a copy of the {packaged.kind} {name}")
    return DONE


def check_only_copies(arguments: argparse.Namespace, option: str, others: dict[str, str]) -> None:
    """Raise `UsageError` if `arguments` has one of `others`, attributes with what the user wrote, next to `option`."""
    given = [text for name, text in others.items() if getattr(arguments, name) not in (None, False)]
    if given:
        raise UsageError(f"{option} only copies a file; leave out {given[0]}, or leave out {option}")
