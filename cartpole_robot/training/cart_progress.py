"""Progress of learning on the real cart: episodes used, faults, and evaluations."""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VISITED_STATES = 10_000
_RECORD, _VISITED = "on_cart.json", "visited.npy"


@dataclass(frozen=True, kw_only=True)
class CartEvaluation:
    """A greedy evaluation on the cart; the first fall or fault ends it. `steps` is the length of each episode."""

    step: int
    steps: tuple[int, ...]
    survived: int
    planned: int
    rms_position_m: float

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
        np.save(folder / _VISITED, self.observations())

    @staticmethod
    def load(folder: Path) -> CartProgress | None:
        """What `save` wrote; None for a checkpoint of training in simulation.

        Raises OSError, ValueError, KeyError or TypeError for a damaged checkpoint.
        """
        path = folder / _RECORD
        if not path.exists():
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        for name in ("initial", "best"):
            if record[name] is not None:
                record[name] = CartEvaluation(**{**record[name], "steps": tuple(record[name]["steps"])})
        progress = CartProgress(**record)
        progress.visited.extend(np.load(folder / _VISITED))
        return progress
