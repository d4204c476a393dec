"""The help of a verb, and the overview of all verbs in groups."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Parser = argparse.ArgumentParser


class Verb(NamedTuple):
    """One verb: its line in the overview, and the function that declares its arguments."""

    name: str
    summary: str
    add_arguments: Callable[[Parser], None]


def add_verbs(parser: Parser, groups: Mapping[str, Sequence[Verb]]) -> None:
    """Add the verbs to `parser`, and to its description their overview, one title per group."""
    verbs = [verb for group in groups.values() for verb in group]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = parser.usage or f"{parser.prog} [-h] VERB ..."
    subparsers = parser.add_subparsers(metavar="VERB", required=True, prog=parser.prog, help=argparse.SUPPRESS)
    for verb in verbs:
        added = subparsers.add_parser(verb.name, formatter_class=argparse.RawDescriptionHelpFormatter)
        details(added, f"{verb.summary[0].upper()}{verb.summary[1:]}.")
        verb.add_arguments(added)
    width = max(len(verb.name) for verb in verbs)
    for title, group in groups.items():
        lines = [f"{title}:", *(f"  {verb.name:<{width}}  {verb.summary}" for verb in group)]
        parser.description = "\n".join([f"{parser.description}\n", *lines])


def details(verb: Parser, text: str) -> None:
    """Add sentences to the description of a verb."""
    verb.description = textwrap.fill(" ".join(f"{verb.description or ''} {text}".split()), _width())


def examples(verb: Parser, *arguments: str) -> None:
    """End the help of a verb with commands for the shell, each given as the words after the verb's name."""
    indent = " " * len("example: ")
    lines = [
        " \\\n".join(
            textwrap.wrap(
                f"{indent}{verb.prog} {words}",
                _width() - 2,
                subsequent_indent=2 * indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
        for words in arguments
    ]
    verb.epilog = "\n".join(lines).replace(indent, "example: ", 1)


def _width() -> int:
    """Columns of help, as argparse counts them."""
    return max(shutil.get_terminal_size().columns - 2, 40)
