"""Runs the command line for a benchmark, and a benchmark from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from cartpole_robot.errors import RunError, UsageError


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


def run_benchmark(main: Callable[[], None]) -> None:
    """Run it; an error of its user ends it with one sentence and exit code 2, a failed run or Ctrl-C with 1."""
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; with --keep the same command continues", file=sys.stderr)
        sys.exit(1)
