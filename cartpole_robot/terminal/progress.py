"""The progress bar of everything that takes longer than two seconds."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from cartpole_robot.terminal.printable import printable


def progress_bar(total: int, description: str, unit: str, *, initial: int = 0, quiet: bool = False) -> tqdm[Any]:
    """A bar on stderr: lively on a terminal, in a log a line every five seconds, or none with `quiet`.

    A `quiet` bar also appears only after two seconds: shorter work needs none.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=printable(description, longest=80),
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if sys.stderr.isatty() else 5.0,
        delay=2.0 if quiet else 0.0,
        disable=None if quiet else False,
        leave=not quiet,
        dynamic_ncols=True,
    )
