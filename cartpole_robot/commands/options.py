"""The verbs of the command line: their help has a summary and an example, and numbers are looked at one way."""

from __future__ import annotations

import argparse
import math
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_LONGEST_S = 3.2e7  # a year


def add_verb(verbs: Verbs, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    """The parser of a new verb called `name`, to which its arguments are added."""
    return verbs.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=f"example: {example}"
    )


def positive(text: str) -> float:
    """A number above 0, of seconds a year at most, for `type=` of an argument."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"expected a number greater than 0 and at most {_LONGEST_S:g}, got {text!r}")
    return number


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas between, got {text!r}") from None


def count(text: str) -> int:
    """A whole number from 1."""
    number = count_from_zero(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected a whole number of at least 1, got 0")
    return number


def count_from_zero(text: str) -> int:
    """A whole number from 0."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return number
