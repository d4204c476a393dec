"""The command line as a benchmark uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def command(*words: object) -> dict[str, Any]:
    """What `cartpole-robot` prints as JSON for those words. Raises RuntimeError with its last word where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "cartpole_robot", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise RuntimeError(f"cartpole-robot {' '.join(map(str, words))} failed: {told}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
