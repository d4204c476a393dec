"""What the verbs print: a result as text or JSON, and how to continue a stopped run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence

DONE, FAILED, USAGE = 0, 1, 2  # the exit codes


def print_result(arguments: argparse.Namespace, record: object, text: str) -> None:
    """Print the record with `--json`, else the text."""
    print(json.dumps(record, indent=2) if arguments.json else text)


def rows_text(rows: Mapping[str, object], width: int = 14) -> str:
    """Names and values in two columns."""
    return "\n".join(f"  {name:<{width}} {value}" for name, value in rows.items())


def command_text(words: Sequence[object], arguments: argparse.Namespace, names: Sequence[str]) -> str:
    """A command for the shell: `words`, and the options called `names` that have a value."""
    found = ["cartpole-robot", *words]
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
    print(f"stopped; {kept}\ncontinue with: {command}", file=sys.stderr)
    return FAILED


def report_unfinished(cells: int, command: str) -> None:
    """Print how many cells failed and the command that tries them again."""
    print(f"cartpole-robot: {cells} cells are not finished; try them again with: {command}", file=sys.stderr)
