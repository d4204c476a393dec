"""Run one command, whose output is shown at once, with others beside it, whose output follows when all have ended.

    python -m tests.side_by_side "pytest -m 'not realtime'" --beside "pytest -m realtime" --beside "make check"

Exit code 1 if any fails; it names them. Ctrl-C reaches all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
import tempfile
from typing import IO


def run(shown: str, beside: list[str]) -> list[str]:
    """The commands that failed."""
    started: list[tuple[str, subprocess.Popen[bytes], IO[bytes] | None]] = []
    try:
        for command in beside:
            log = tempfile.TemporaryFile()
            started.append((command, subprocess.Popen(shlex.split(command), stdout=log, stderr=log), log))
        started.append((shown, subprocess.Popen(shlex.split(shown)), None))
        for _, process, _ in started:
            process.wait()
    finally:
        for _, process, _ in started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for command, process, log in started:
            process.wait()
            if log is not None:
                log.seek(0)
                print(f"\n$ {command}", flush=True)
                with contextlib.suppress(BrokenPipeError):
                    sys.stdout.buffer.write(log.read())
                    sys.stdout.flush()
    return [command for command, process, _ in started if process.returncode]


def main() -> int:
    """Run the commands of the command line; returns 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shown", help="the command whose output is shown at once")
    parser.add_argument("--beside", action="append", default=[], help="a command whose output follows at the end")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = run(arguments.shown, arguments.beside)
    for command in failed:
        print(f"failed: {command}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
