"""The log of a training: rows for episodes, greedy evaluations and guard events, as CSV files."""

from __future__ import annotations

import csv
import dataclasses
import enum
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.plain_data import read_bounded
from cartpole_robot.files.records import require

_LARGEST_BYTES = 1 << 28  # ten million episodes

Row = TypeVar("Row", bound="EpisodeRow | EvaluationRow | GuardRow")


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One training episode: the training step at its end, its length in steps, epsilon at its end."""

    step: int
    length: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One greedy evaluation on the selection seeds, after `step` training steps.

    `trials` counts the `Trials` survived before the first fall, 0 if they were not run. `against_regulator` is the
    score of `training.precision.RegulatorReference`, and the ratios are those of `training.precision.Against`. They are
    None where the training does not select by them, or a figure is unknown.
    """

    step: int
    mean_steps: float
    rms_position_m: float
    trials: int = 0
    against_regulator: float | None = None
    position_ratio: float | None = None
    angle_ratio: float | None = None
    power_ratio: float | None = None
    reversals_ratio: float | None = None


class GuardEvent(enum.StrEnum):
    """An event that the collapse guard reports."""

    NO_FALLS = "no_falls"  # the replay memory no longer has a fall; measured: 0
    SETTLED = "settled"  # and the cart keeps to the middle in it; measured: RMS position in it, m
    FALLS_AGAIN = "falls_again"  # the memory has falls again; measured: their number
    DRIFT = "drift"  # the mean greedy value lies outside the range of returns; measured: that mean


@dataclass(frozen=True, slots=True)
class GuardRow:
    """One event of the collapse guard, after `step` training steps."""

    step: int
    event: GuardEvent
    measured: float


def _finite_or_none(word: str) -> float | None:
    if not word:
        return None
    number = float(word)
    require(math.isfinite(number), f"{word} is not finite")
    return number


_CONVERTERS: dict[str, Any] = {
    "int": int,
    "float": float,
    "float | None": _finite_or_none,
    "GuardEvent": GuardEvent,
}


@dataclass
class LearningLog:
    """The rows of one training so far."""

    episodes: list[EpisodeRow] = field(default_factory=list)
    evaluations: list[EvaluationRow] = field(default_factory=list)
    guard: list[GuardRow] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `episodes.csv`, `evaluations.csv` and `guard.csv`."""
        _write(folder / "episodes.csv", EpisodeRow, self.episodes)
        _write(folder / "evaluations.csv", EvaluationRow, self.evaluations)
        _write(folder / "guard.csv", GuardRow, self.guard)

    @staticmethod
    def load(folder: Path) -> LearningLog:
        """Read what `save` wrote. Raises `UsageError` naming file and row."""
        guard = folder / "guard.csv"
        return LearningLog(
            _read(folder / "episodes.csv", EpisodeRow),
            _read(folder / "evaluations.csv", EvaluationRow),
            _read(guard, GuardRow) if guard.exists() else [],  # an older folder has none
        )


def _write(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    with (
        atomic_file(path, may_replace=True) as file,
        Path(file.name).open("w", newline="", encoding="utf-8") as text,
    ):
        writer = csv.writer(text)
        writer.writerow([f.name for f in dataclasses.fields(kind)])
        writer.writerows(dataclasses.astuple(row) for row in rows)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    fields = dataclasses.fields(kind)
    names = [f.name for f in fields]
    converters = [_CONVERTERS[str(f.type)] for f in fields]
    needed = sum(f.default is dataclasses.MISSING for f in fields)
    rows: list[Row] = []
    try:
        content = read_bounded(path, _LARGEST_BYTES)
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), newline="", encoding="utf-8"))
        head = next(reader, [])
        if len(head) < needed or head != names[: len(head)]:  # an older file lacks the newest columns
            raise UsageError(f"{path}: its first line is not {','.join(names)}; train again")
        for words in reader:
            values = [convert(word) for convert, word in zip(converters[: len(head)], words, strict=True)]
            rows.append(kind(*values))
    except FileNotFoundError:
        raise UsageError(f"{path}: is missing; resume an earlier checkpoint or train again") from None
    except (ValueError, csv.Error) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}: row {len(rows) + 2} is damaged ({error}); train again") from None
    return rows
