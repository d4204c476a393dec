"""The first layer of a network that takes observations in SI units."""

from __future__ import annotations

import gymnasium
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class ScaledObservation(BaseFeaturesExtractor):
    """Observations times a fixed gain, (batch, inputs) to the same shape."""

    gain: torch.Tensor

    def __init__(self, observation_space: gymnasium.spaces.Box, gain: tuple[float, ...]) -> None:
        """`gain` has one factor for each number of an observation."""
        super().__init__(observation_space, features_dim=len(gain))
        self.register_buffer("gain", torch.tensor(gain, dtype=torch.float32))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """The scaled observations."""
        return observations * self.gain
