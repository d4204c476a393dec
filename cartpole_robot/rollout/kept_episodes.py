"""The finished episodes of an evaluation in a file, with which the same command continues."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import record_from_table, require, require_not_negative
from cartpole_robot.files.run_folder import read_json, write_json
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived

KEPT_FORMAT = 1
_ANOTHER = "choose another file for --keep"


@dataclass(frozen=True, kw_only=True)
class KeptEpisode:
    """An episode, as in `Survived`, with its own sums; `power_w` is None where it is unknown."""

    steps: int
    is_terminated: bool
    fault: str | None
    square_m2: float
    square_rad2: float
    power_w: float | None
    reversals: int
    swing_up: SwingUpRecord | None = None

    def __post_init__(self) -> None:
        require_not_negative(self, "steps", "square_m2", "square_rad2", "reversals")
        for each in (None if self.swing_up is None else self.swing_up.swing_up_s, self.power_w):
            require(each is None or math.isfinite(each), f"{each} is no finite number")

    def survived(self, before: EpisodeSums) -> Survived:
        """The episode, its sums added to those `before` it."""
        sums = EpisodeSums(
            before.square_m2 + self.square_m2,
            before.square_rad2 + self.square_rad2,
            before.power_w + (math.nan if self.power_w is None else self.power_w),
            before.reversals + self.reversals,
        )
        return Survived(self.steps, self.is_terminated, self.fault, sums)


class KeptEpisodes:
    """The episodes in a file, in the order of their seeds, `kept` of them when it was opened."""

    def __init__(self, path: Path, evaluation: Mapping[str, Any]) -> None:
        """Read the file at `path`, or begin it. `evaluation` says what is evaluated, for JSON.

        Raises `UsageError` for a file of something else, and `OSError` for a place where none can be written.
        """
        self._path, self._evaluation = path, dict(evaluation)
        self.episodes: list[KeptEpisode] = []
        if path.exists():
            self._read()
        elif not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder for --keep; make it, or choose another")
        else:
            self._write()
        self.kept = len(self.episodes)

    def _read(self) -> None:
        path = self._path
        message = f"{path}: holds no episodes of an evaluation; {_ANOTHER}"
        found = read_json(path, message)
        if found.get("format") != KEPT_FORMAT or not isinstance(found.get("episodes"), list):
            raise UsageError(message)
        for name, value in self._evaluation.items():
            if found.get(name) != value:
                raise UsageError(
                    f"{path}: {name} = {found.get(name)!r}, this evaluation has {value!r}; continue with the same, or "
                    "choose another file for --keep"
                )
        self.episodes = [
            record_from_table(KeptEpisode, each, where=f"{path}: episode {number}")
            for number, each in enumerate(found["episodes"])
        ]
        for number, each in enumerate(self.episodes):
            most = self._evaluation["steps"]
            if each.steps > most:
                raise UsageError(f"{path}: episode {number} has {each.steps} steps, more than {most}; {_ANOTHER}")

    def keep(self, survived: Survived, before: EpisodeSums, swing_up: SwingUpRecord | None) -> None:
        """Add an episode to the file, whose sums were `before` when it began."""
        square_m2, square_rad2, power_w, reversals = (a - b for a, b in zip(survived.sums, before, strict=True))
        self.episodes.append(
            KeptEpisode(
                steps=survived.steps,
                is_terminated=survived.is_terminated,
                fault=survived.fault,
                square_m2=square_m2,
                square_rad2=square_rad2,
                power_w=None if math.isnan(power_w) else power_w,
                reversals=int(reversals),
                swing_up=swing_up,
            )
        )
        self._write()

    def _write(self) -> None:
        episodes = [dataclasses.asdict(each) for each in self.episodes]
        write_json(self._path, {"format": KEPT_FORMAT, **self._evaluation, "episodes": episodes})
