"""Numbers on the command line: checked while the arguments are parsed, as `type=` of an option."""

from __future__ import annotations

import argparse
import math

_LONGEST_S = 3.2e7  # a year


def positive(text: str) -> float:
    """A number above 0; of seconds, at most a year."""
    number = _number(text)
    if not 0.0 < number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"expected a number greater than 0 and at most {_LONGEST_S:g}, got {text!r}")
    return number


def not_negative(text: str) -> float:
    """A number from 0; of seconds, at most a year."""
    return 0.0 if _number(text) == 0.0 else positive(text)


def share(text: str) -> float:
    """A share from 0 to 0.9."""
    number = _number(text)
    if not 0.0 <= number <= 0.9:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 0.9, got {text!r}")
    return number


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
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


def port_number(text: str) -> int:
    """The number of a port that a program without privileges can serve."""
    number = count_from_zero(text)
    if not 1024 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1024 to 65535, got {text!r}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
