"""Lines for the operator on stderr, above any progress bar; a deployment prints them, and runs without tqdm."""

from __future__ import annotations

import sys

from cartpole_robot.terminal.printable import printable_lines


def say(text: str, about: str = "cartpole-robot") -> None:
    """Print a line on stderr that begins with `about`, above any progress bar."""
    line = f"{about}: {printable_lines(text)}"
    bars = sys.modules.get("tqdm")  # not imported: then there is no bar either
    if bars is None:
        print(line, file=sys.stderr, flush=True)
    else:
        bars.tqdm.write(line, file=sys.stderr)
