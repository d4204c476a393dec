"""What a training leaves behind about its course: one row an episode, one row a greedy evaluation."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cartpole_robot.errors import UsageError

Row = TypeVar("Row", bound="EpisodeRow | EvaluationRow")


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One training episode: the step it ended at, the turns it survived, epsilon at its end."""

    step: int
    turns: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One greedy evaluation on the selection seeds, after `step` training steps."""

    step: int
    mean_turns: float
    rms_position_m: float


@dataclass
class LearningLog:
    """The course of one training so far."""

    episodes: list[EpisodeRow] = field(default_factory=list)
    evaluations: list[EvaluationRow] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `episodes.csv` and `evaluations.csv`."""
        _write(folder / "episodes.csv", EpisodeRow, self.episodes)
        _write(folder / "evaluations.csv", EvaluationRow, self.evaluations)

    @staticmethod
    def load(folder: Path) -> LearningLog:
        """Read what `save` wrote. Raises `UsageError` naming file and row."""
        return LearningLog(_read(folder / "episodes.csv", EpisodeRow), _read(folder / "evaluations.csv", EvaluationRow))


def _write(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([f.name for f in dataclasses.fields(kind)])
        writer.writerows(dataclasses.astuple(row) for row in rows)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    fields = dataclasses.fields(kind)
    converters: list[Any] = [int if f.type == "int" else float for f in fields]
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            if next(reader, None) != [f.name for f in fields]:
                raise UsageError(f"{path}: its first line is not {','.join(f.name for f in fields)}; train again")
            for words in reader:
                values = [convert(word) for convert, word in zip(converters, words, strict=True)]
                rows.append(kind(*values))
    except FileNotFoundError:
        raise UsageError(f"{path}: is missing; resume an earlier checkpoint or train again") from None
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}: row {len(rows) + 2} is damaged ({error}); train again") from None
    return rows
