"""Rewards of which C knows as much as Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium


class StepPrice(NamedTuple):
    """A reward of -scale c / (1 + c), c being a step's cost: the weights of `PrecisionReward`."""

    position: float
    angle: float
    duty: float
    reversal: float
    scale: float


class PricedSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper that rewards a step that ends no episode by its `price`.

    Each class with a `step` of its own has a `price` of its own; where it has none, Python rewards every step.
    """

    _side = 0.0

    @property
    def side(self) -> float:
        """The newest duty of the episode that was not 0, or 0."""
        return self._side

    @side.setter
    def side(self, duty: float) -> None:
        self._side = duty

    def price(self) -> StepPrice | float:
        """The reward itself where all steps have the same, or the weights of the next steps."""
        raise NotImplementedError
