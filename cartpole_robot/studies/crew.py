"""Who runs the cells: what the driver asks of processes on this machine and of a cluster alike."""

from __future__ import annotations

from typing import Protocol

from cartpole_robot.studies.cell import Result
from cartpole_robot.studies.study import CellTask


class Crew(Protocol):
    """Works on up to `slots` cells at a time."""

    slots: int

    def submit(self, task: CellTask) -> None:
        """Begin with a cell; at most `slots` may be under way."""

    def results(self) -> list[tuple[CellTask, Result]]:
        """Wait for at least one cell under way to end, and tell how each that did ended."""

    def close(self) -> None:
        """Drop what is under way and end. May be called twice."""
