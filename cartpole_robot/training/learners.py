"""Names of the learner classes. It imports no library, so that the command line starts fast."""

from __future__ import annotations

import enum


class Learner(enum.StrEnum):
    """The package's lean subclass of Stable-Baselines3's DQN, or the stock class."""

    LEAN = "lean"
    STOCK = "stock"
