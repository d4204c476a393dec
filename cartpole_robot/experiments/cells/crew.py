"""Who works on cells, on this machine or on a cluster: what they are handed, and what they hand back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Task(Protocol):
    """All a cell needs, as plain values that travel to another process or machine."""

    @property
    def key(self) -> str:
        """A hash of all that the cell's result depends on but the code."""

    @property
    def label(self) -> str:
        """The cell in words."""

    @property
    def package_version(self) -> str:
        """That of the driver."""


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The cell's record, to be kept."""

    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The cell failed in a way that trying again does not mend."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """The process that worked on the cell is gone."""

    why: str


Result = Finished | Failed | Crashed


class Crew(Protocol[AnyTask]):
    """Works on up to `slots` cells at a time."""

    slots: int

    def submit(self, task: AnyTask) -> None:
        """Begin with a cell; at most `slots` may be under way."""

    def results(self) -> list[tuple[AnyTask, Result]]:
        """Wait for at least one cell under way to end, and tell how each that did ended."""

    def close(self) -> None:
        """Drop what is under way and end. May be called twice."""
