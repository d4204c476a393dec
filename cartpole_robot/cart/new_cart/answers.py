"""A builder's answers: what was entered, and the defaults for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartpole_robot.cart.new_cart.question import Question
from cartpole_robot.cart.new_cart.questions import questions
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import check_keys, read_toml

ANSWERS_FORMAT = 1


@dataclass
class Interview:
    """Questions one after the other: `answers` so far, and the names of those that somebody `entered`."""

    answers: dict[str, Any] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)

    def next_question(self) -> Question | None:
        """The first question that applies and has no answer; None when there is none left."""
        return next((q for q in questions() if q.name not in self.answers and q.applies(self.answers)), None)

    def enter(self, question: Question, answer: Any) -> None:
        """Take an answer. Raises ValueError with what was expected."""
        self.answers[question.name] = question.checked(answer, self.answers)
        self.entered.add(question.name)

    def origin(self, name: str) -> str:
        """Where an answer comes from, as the source of a number."""
        return "entered" if name in self.entered else "assumed: the default of carts new"

    def take_default(self, question: Question) -> None:
        """Answer with the default. Raises ValueError where there is none, and for one that does not fit."""
        default = question.default(self.answers)
        if default is None:
            unit = f" in {question.unit}" if question.unit else ""
            raise ValueError(f"{question.name} is missing: {question.text}{unit}; add it")
        self.answers[question.name] = question.checked(default, self.answers)


def answered(given: Mapping[str, Any], *, where: str) -> Interview:
    """All questions answered with what was `given` and the defaults. Raises `UsageError` beginning with `where`."""
    check_keys(given, [question.name for question in questions()], where=where)
    wanted = dict(given)
    for question in questions():
        if question.name in given and question.implied is not None:
            wanted.setdefault(*question.implied)
    interview = Interview()
    while (asked := interview.next_question()) is not None:
        try:
            if asked.name in wanted:
                interview.enter(asked, wanted[asked.name])
            else:
                interview.take_default(asked)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
    for question in questions():
        if question.name in wanted and question.name not in interview.answers:
            raise UsageError(f"{where}: {question.name} counts only where {question.condition}; leave it out")
    return interview


def read_answers(path: Path) -> dict[str, Any]:
    """The answers in a TOML file: `format = 1`, then a line for each question that is answered."""
    return read_toml(path, purpose="file of answers", expected_format=ANSWERS_FORMAT)
