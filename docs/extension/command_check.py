"""Whether a command that a page shows is one that its program takes, without running it."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import re
from pathlib import Path

from cartpole_robot.commands.cli import command_line_parser
from docs.extension.command_line import verbs_of
from docs.extension.shell import words

ROOT = Path(__file__).parent.parent.parent
_TARGETS = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)


@functools.cache
def _parser() -> argparse.ArgumentParser:
    return command_line_parser()


def fault_of(command: str) -> str | None:
    """What is wrong with a command's verb, options, module or target; None where nothing is, or it is another's."""
    if "|" in command or command.startswith("sudo"):
        return None
    program, *arguments = words(command)
    if program == "cartpole-robot":
        return _of_verb(arguments)
    if program == "python" and arguments[:1] == ["-m"] and arguments[1].startswith("benchmarks."):
        return _of_benchmark(arguments[1], arguments[2:])
    if program == "make":
        targets = _TARGETS.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
        unknown = [word for word in arguments if "=" not in word and word not in targets]
        return f"make has no target {unknown[0]}" if unknown else None
    return None


def _of_verb(arguments: list[str]) -> str | None:
    """What argparse says of the arguments; the checks that it makes of values are part of it."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            _parser().parse_args(arguments)
    except SystemExit as end:
        return None if not end.code else errors.getvalue().strip().splitlines()[-1]
    return None


def _of_benchmark(module: str, arguments: list[str]) -> str | None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    if not path.exists():
        return f"there is no {path.name} in benchmarks/"
    text = path.read_text(encoding="utf-8")
    for each in re.findall(r"from (benchmarks\.\w+) import", text):
        text += (ROOT / f"{each.replace('.', '/')}.py").read_text(encoding="utf-8")
    unknown = [word for word in arguments if word.startswith("--") and f'"{word.partition("=")[0]}"' not in text]
    return f"{module} has no option {unknown[0]}" if unknown else None


def every_verb() -> list[str]:
    """The words that select each verb and each verb below one: "carts show"."""

    def below(parser: argparse.ArgumentParser, before: str) -> list[str]:
        found = []
        for name, verb in verbs_of(parser).items():
            found += [f"{before}{name}", *below(verb, f"{before}{name} ")]
        return found

    return below(command_line_parser(), "")
