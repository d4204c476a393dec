"""Workers for cells, on this machine or a cluster: their tasks and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Task(Protocol):
    """Everything a cell needs, as plain values that can be sent to another process or machine."""

    @property
    def key(self) -> str:
        """A hash of everything that the cell's result depends on, except the code."""

    @property
    def label(self) -> str:
        """A short description for a person."""

    @property
    def package_version(self) -> str:
        """The version of the package in the driver."""


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The record of a finished cell."""

    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The cell failed and would fail again."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """The process of the cell died."""

    why: str


Result = Finished | Failed | Crashed


class Crew(Protocol[AnyTask]):
    """Works on up to `slots` cells at a time."""

    slots: int

    def submit(self, task: AnyTask) -> None:
        """Start a cell; at most `slots` may run at a time."""

    def results(self) -> list[tuple[AnyTask, Result]]:
        """Wait until at least one running cell ends; returns the results of those that ended."""

    def close(self) -> None:
        """Cancel running cells and end the workers. May be called twice."""
