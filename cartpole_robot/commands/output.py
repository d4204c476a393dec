"""What the verbs print: a result as text or JSON, and how to continue a stopped run.

A reader that is gone, as with `| head -1`, wants no more: the verb goes on, and its exit code stays true.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from cartpole_robot.terminal.printable import printable, printable_lines

PROGRAM = "cartpole-robot"
DONE, FAILED, USAGE = 0, 1, 2  # the exit codes
_READER_IS_GONE = (errno.EPIPE, errno.EIO)  # of a pipe, and of a terminal


def print_result(arguments: argparse.Namespace, record: object, text: str) -> None:
    """Print the record with `--json`, else the text."""
    if arguments.json:
        _print(json.dumps(record, indent=2), sys.stdout)
    else:
        print_text(text)


def print_text(text: str) -> None:
    """Print lines on stdout; what a file or a device put into them cannot control the terminal."""
    _print(printable_lines(text), sys.stdout)


def print_error(message: str) -> None:
    """Print one line on stderr, in the same way."""
    _print(f"{PROGRAM}: {printable(message)}", sys.stderr)


def _print(text: str, stream: TextIO | None) -> None:
    """Print lines at once; where the reader of `stream` is gone, what comes later is dropped, too."""
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        if error.errno not in _READER_IS_GONE:
            raise
        if stream is not None:
            _drop(stream)


def drop_unread_output() -> None:
    """Flush stdout and stderr; drop output without a reader, which would change the exit code when Python exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError as error:
            if error.errno in _READER_IS_GONE:
                _drop(stream)


def _drop(stream: TextIO) -> None:
    """Send to nowhere what `stream` still holds and what comes later."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def rows_text(rows: Mapping[str, object], width: int = 14) -> str:
    """Names and values in two columns."""
    return "\n".join(f"  {name:<{width}} {printable(str(value))}" for name, value in rows.items())


def command_line(*words: object) -> str:
    """A command of this program for the shell: every word quoted where it must be."""
    return shlex.join([PROGRAM, *map(str, words)])


def command_text(words: Sequence[object], arguments: argparse.Namespace, names: Sequence[str]) -> str:
    """A command for the shell: `words`, and the options called `names` that have a value."""
    found = [PROGRAM, *words]
    for name in names:
        value = getattr(arguments, name)
        if value is None or value is False or value == []:
            continue
        found.append(f"--{name.replace('_', '-')}")
        if value is not True:
            found += value if isinstance(value, list) else [value]
    return shlex.join(map(str, found))


def report_stop(kept: str, command: str) -> int:
    """The exit code of a run that was stopped; prints what is kept and the command that continues it."""
    _print(printable_lines(f"stopped; {kept}\ncontinue with: {command}"), sys.stderr)
    return FAILED


def report_unfinished(cells: int, command: str) -> None:
    """Print how many cells failed and the command that tries them again."""
    print_error(f"{cells} cells are not finished; try them again with: {command}")
