"""Names of the learner classes. It imports no library, so that the command line starts fast."""

from __future__ import annotations

import enum


class Learner(enum.StrEnum):
    """The DQN class."""

    LEAN = "lean"  # the package's faster subclass of Stable-Baselines3's DQN
    STOCK = "stock"  # Stable-Baselines3's own class
