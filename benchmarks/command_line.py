"""Runs the command line for a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def command(*words: object) -> dict[str, Any]:
    """What `cartpole-robot` prints as JSON. Raises RuntimeError with its last line on stderr where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cartpole_robot", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RuntimeError(f"cartpole-robot {' '.join(map(str, words))} failed: {reason}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
