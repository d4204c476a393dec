"""How far a learning on the cart itself has come: what it has cost the cart, and what it found."""

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
    """A greedy evaluation on the cart, which its first fall or fault ends: the steps of each episode of it."""

    step: int
    steps: tuple[int, ...]
    survived: int
    planned: int
    rms_position_m: float

    @property
    def mean_steps(self) -> float:
        """Mean steps of the episodes there were."""
        return float(np.mean(self.steps)) if self.steps else 0.0

    @property
    def is_flawless(self) -> bool:
        """Whether every episode that was planned survived."""
        return self.survived == self.planned

    def rank(self) -> tuple[float, float, float]:
        """Larger is better: episodes survived before the first fall, then steps, then straying less."""
        return (self.survived, self.mean_steps, -self.rms_position_m)


@dataclass
class CartProgress:
    """Everything beside the learner itself that such a learning must not forget.

    `visited` are the newest inputs of the policy, learning and evaluation alike: they scale its int16 form.
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
        """Write it into a checkpoint."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "visited"}
        for name in ("initial", "best"):
            record[name] = record[name] and dataclasses.asdict(record[name])
        (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        np.save(folder / _VISITED, self.observations())

    @staticmethod
    def load(folder: Path) -> CartProgress | None:
        """What `save` wrote; None for the checkpoint of another training. Raises ValueError and what it reads with."""
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
