"""Which class learns, by name. It imports nothing: the command line offers the names at once."""

from __future__ import annotations

import enum


class Learner(enum.StrEnum):
    """The package's leaner subclass of Stable-Baselines3's DQN, or Stable-Baselines3's own."""

    LEAN = "lean"
    STOCK = "stock"
