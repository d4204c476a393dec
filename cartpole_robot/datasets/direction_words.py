"""Words for the two directions of a motor, as logs of motor drivers have them."""

from __future__ import annotations

import math

_PAIRS = (
    ("right", "left"),
    ("forward", "backward"),
    ("forwards", "backwards"),
    ("forward", "reverse"),
    ("fwd", "rev"),
    ("fwd", "bwd"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("+", "-"),
    ("true", "false"),
    ("high", "low"),
)
_NUMBERS = {word: number for pair in _PAIRS for word, number in zip(pair, (1.0, 0.0), strict=True)}
ACCEPTED = "right or left, forward or backward (reverse), positive or negative, high or low, true or false"


def direction_number(text: str) -> float:
    """1 for a word such as "right" or "forward", 0 for its opposite, in any case; NaN for another text."""
    return _NUMBERS.get(text.strip().casefold(), math.nan)
