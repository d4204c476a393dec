"""One question of `carts new`: what it asks, what it takes, and when it applies."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_SHOWN = 60
_NUMBER = re.compile(r"[-+.\deE]+", re.ASCII)
Answers = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question: `choices` are the words it takes, or `low` to `high` the numbers, in `unit`.

    It is asked where it `applies` to the answers so far; `default` is computed from them, None where there is none.
    An answer that is given without asking implies another one, where that was not given: `implied`, its name and value.
    `fault` finds what does not fit an answer before it.
    """

    name: str
    text: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    choices: tuple[str, ...] = ()
    default: Callable[[Answers], Any] = lambda _: None
    applies: Callable[[Answers], bool] = lambda _: True
    condition: str = ""
    implied: tuple[str, Any] | None = None
    fault: Callable[[Answers, Any], str | None] = lambda *_: None

    @property
    def is_yes_or_no(self) -> bool:
        """Whether the answer is a truth value."""
        return self.choices == ("yes", "no")

    def checked(self, answer: Any, before: Answers) -> Any:
        """`answer`, a text or a value of TOML, as the value it means. Raises ValueError with what was expected."""
        value = self._choice(answer) if self.choices else self._number(answer)
        fault = self.fault(before, value)
        if fault is not None:
            raise ValueError(fault)
        return value

    def _choice(self, answer: Any) -> Any:
        word = {True: "yes", False: "no"}.get(answer, answer) if isinstance(answer, bool) else answer
        if word not in self.choices:
            raise ValueError(f"{self.name} = {_shown(answer)}, expected one of {', '.join(self.choices)}")
        return word == "yes" if self.is_yes_or_no else word

    def _number(self, answer: Any) -> float | int:
        try:
            number = math.nan if isinstance(answer, bool) else float(answer)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        expected = f"{self.low:g} to {self.high:g}{' ' * bool(self.unit)}{self.unit}"
        if not self.low <= number <= self.high:
            hint = "; is it in another unit?" if self.unit and math.isfinite(number) else ""
            raise ValueError(f"{self.name} = {_shown(answer)}, expected {expected}{hint}")
        if self.is_whole and not number.is_integer():
            raise ValueError(f"{self.name} = {_shown(answer)}, expected a whole number, {expected}")
        return int(number) if self.is_whole else number


def _shown(answer: Any) -> str:
    """An answer in one line: a number as it was entered, anything else quoted and cut."""
    text = str(answer) if isinstance(answer, str) and _NUMBER.fullmatch(answer) else repr(answer)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def given(name: str, *values: Any) -> Callable[[Answers], bool]:
    """Whether the answer to `name` is one of `values`, for `Question.applies`."""
    return lambda answers: answers.get(name) in values


def fixed(value: Any) -> Callable[[Answers], Any]:
    """The same default whatever the answers are, for `Question.default`."""
    return lambda _: value
