"""The progress bar of everything that takes longer than two seconds, and lines above it."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def say(text: str) -> None:
    """A line on stderr, above whatever bar is there."""
    tqdm.write(f"cartpole-robot: {text}", file=sys.stderr)


def progress_bar(total: int, description: str, unit: str, *, initial: int = 0, quiet: bool = False) -> tqdm[Any]:
    """A bar on stderr: lively on a terminal, a line every five seconds in a log, or with `quiet` none there.

    A `quiet` one also waits two seconds before it shows: what is done by then needs no bar.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if sys.stderr.isatty() else 5.0,
        delay=2.0 if quiet else 0.0,
        disable=None if quiet else False,
        leave=not quiet,
        dynamic_ncols=True,
    )
