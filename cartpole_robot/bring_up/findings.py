"""What a step of `check-rig` found."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Verdict(enum.StrEnum):
    """The result of a step; only FINE is a good one."""

    FINE = "ok"
    WRONG = "NO"
    UNKNOWN = "unknown"  # what was found is not in the guide: the remedy says what to measure
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A step's verdict, what was found, and what to do about it.

    `mistake` names what is wrong for programs. `measured` has the numbers that the cart file could take over, by
    "section.key".
    """

    verdict: Verdict
    message: str
    remedy: str = ""
    mistake: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepResult(Finding):
    """A finding with the step's name, and what the step looks at."""

    name: str
    title: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return dataclasses.asdict(self) | {"verdict": self.verdict.value, "measured": dict(self.measured)}


def fine(message: str, measured: Mapping[str, float] | None = None) -> Finding:
    """What was found is right."""
    return Finding(verdict=Verdict.FINE, message=message, measured=measured or {})


def wrong(mistake: str, message: str, remedy: str, measured: Mapping[str, float] | None = None) -> Finding:
    """Something is wrong, and the operator can do something about it."""
    return Finding(verdict=Verdict.WRONG, message=message, remedy=remedy, mistake=mistake, measured=measured or {})


def unknown(message: str, remedy: str) -> Finding:
    """Nothing is known about what was found; the remedy is what to measure."""
    return Finding(verdict=Verdict.UNKNOWN, message=message, remedy=remedy)


def skipped(why: str) -> Finding:
    """The step was not done."""
    return Finding(verdict=Verdict.SKIPPED, message=f"not checked: {why}")


def result_text(result: StepResult) -> str:
    """Lines for a terminal: verdict, name, what was found, and behind an arrow what to do."""
    sign = {Verdict.FINE: "ok", Verdict.WRONG: "NO", Verdict.UNKNOWN: "?", Verdict.SKIPPED: "-"}[result.verdict]
    line = f"  {sign:<4}{result.name:<15} {result.message}"
    return f"{line}\n{'':<22}-> {result.remedy}" if result.remedy else line
