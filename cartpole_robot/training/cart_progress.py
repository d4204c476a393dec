"""Progress of learning on the real cart: episodes used, faults, and evaluations."""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.files.plain_data import parse_json, read_bounded
from cartpole_robot.files.records import record_from_table, require

VISITED_STATES = 10_000
_RECORD, _VISITED = "on_cart.json", "visited.npz"
_LARGEST_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class CartEvaluation:
    """A greedy evaluation on the cart; the first fall or fault ends it.

    `steps` is the length of each episode, `fault` what ended the last one in place of a fall.
    """

    step: int
    steps: tuple[int, ...]
    survived: int
    planned: int
    rms_position_m: float
    fault: str | None = None

    @property
    def mean_steps(self) -> float:
        return float(np.mean(self.steps)) if self.steps else 0.0

    @property
    def is_flawless(self) -> bool:
        """Whether the policy survived every planned episode."""
        return self.survived == self.planned

    def rank(self) -> tuple[float, float, float]:
        """Larger is better: episodes survived before the first fall, then mean steps, then less RMS position."""
        return (self.survived, self.mean_steps, -self.rms_position_m)


@dataclass
class CartProgress:
    """What a checkpoint of learning on the cart stores besides the learner.

    `visited` holds the newest inputs of the policy from learning and evaluation; they scale its int16 form.
    """

    evaluation_episodes: int = 0
    updates: int = 0
    faults: list[str] = field(default_factory=list)
    initial: CartEvaluation | None = None
    best: CartEvaluation | None = None
    visited: deque[NDArray[np.float32]] = field(default_factory=lambda: deque(maxlen=VISITED_STATES))

    def observations(self) -> NDArray[np.float32]:
        """`visited` as an array (N, inputs)."""
        return np.stack(self.visited).astype(np.float32) if self.visited else np.zeros((0, 4), np.float32)

    def save(self, folder: Path) -> None:
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "visited"}
        for name in ("initial", "best"):
            record[name] = record[name] and dataclasses.asdict(record[name])
        (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        np.savez(folder / _VISITED, allow_pickle=False, visited=self.observations())

    @staticmethod
    def load(folder: Path) -> CartProgress | None:
        """What `save` wrote; None for a checkpoint of training in simulation. Raises `UsageError` for a damaged one."""
        path = folder / _RECORD
        if not path.exists():
            return None
        try:
            record = parse_json(read_bounded(path))
            visited = read_arrays(folder / _VISITED, ["visited"], most_bytes=_LARGEST_BYTES)["visited"]
            require(visited.ndim == 2 and visited.dtype == np.float32, "visited is no table of float32")
            require(bool(np.isfinite(visited).all()), "visited has a number that is not finite")
            visited_states = deque(visited, maxlen=VISITED_STATES)
            return record_from_table(CartProgress, {**record, "visited": visited_states}, where=_RECORD)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: is damaged ({error}); resume an earlier checkpoint or train again") from None
