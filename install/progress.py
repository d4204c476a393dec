"""What an installation is doing: a line before and after each stage, and in between what pip has reached."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

TERMINAL_EVERY_S, FILE_EVERY_S = 1.0, 30.0  # between two reports
_LONGEST_LINE = 78
_POLL_S = 0.1


@contextlib.contextmanager
def stage(name: str, what: str) -> Iterator[None]:
    """Print what is about to be done; after the block, unless it raises, how many seconds it took."""
    print(f"{name}: {what}", file=sys.stderr, flush=True)
    begun = time.monotonic()
    yield
    print(f"{name}: done in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


class StageError(Exception):
    """A stage has failed, and its reason is printed."""


class PipOutput:
    """How far pip is, from the lines that it prints and the packages in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = "starting"
        self._found = 0
        self._to_install = 0
        self._begun = time.time()  # as the file system's clock

    def read(self, line: str) -> None:
        """Take one line of pip's."""
        if match := re.match(r"\s*Downloading (\S+)(?:\.metadata)?( \([\d.]+ [kMG]?B\))?", line):
            name = match.group(1).rpartition("/")[2]
            self._last = f"downloading {name}{match.group(2) or ''}"
        elif match := re.match(r"\s*(?:Collecting|Requirement already satisfied:) (\S+)", line):
            self._found += 1
            self._last = f"{self._found} requirements read, now {match.group(1)}"
        elif match := re.match(r"Installing collected packages: (.+)", line):
            self._to_install = len(match.group(1).split(","))
        elif match := re.match(r"\s*(Building \S+ for \S+)", line):
            self._last = match.group(1)

    def text(self) -> str:
        """What pip is doing, in a few words."""
        if not self._to_install:
            return self._last
        done = min(self._new_packages(), self._to_install)
        return f"{done} of {self._to_install} packages installed"

    def _new_packages(self) -> int:
        number = 0
        for record in self._folder.glob("*.dist-info"):
            with contextlib.suppress(FileNotFoundError):  # pip has just removed an older version
                number += record.stat().st_mtime >= self._begun
        return number


def run_pip(words: Sequence[str], folder: Path, name: str) -> tuple[int, str]:
    """The exit code and stderr of the command `words`, a pip that installs into `folder`, for the stage `name`.

    On a terminal one line shows how far it is, every second; otherwise there is a line every 30 seconds.
    """
    is_terminal = sys.stderr.isatty()
    output, begun = PipOutput(folder), time.monotonic()
    next_s = begun + (0.0 if is_terminal else FILE_EVERY_S)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(list(words), stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace")
        assert process.stdout is not None
        reader = threading.Thread(target=_read_all, args=(process.stdout, output), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if time.monotonic() >= next_s:
                    next_s = time.monotonic() + (TERMINAL_EVERY_S if is_terminal else FILE_EVERY_S)
                    _show(f"{name}: {time.monotonic() - begun:.0f} s, {output.text()}", is_terminal=is_terminal)
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
            reader.join(timeout=1.0)
            if is_terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        errors.seek(0)
        return process.returncode, errors.read().decode(errors="replace")


def _read_all(lines: IO[str], output: PipOutput) -> None:
    with lines:
        for line in lines:
            output.read(line)


def _show(text: str, *, is_terminal: bool) -> None:
    shown = text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 3]}..."
    print(f"\r\x1b[K{shown}" if is_terminal else text, end="" if is_terminal else "\n", file=sys.stderr, flush=True)
