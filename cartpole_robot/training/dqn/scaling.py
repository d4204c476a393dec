"""The first layer of a network that takes observations in SI units."""

from __future__ import annotations

import gymnasium
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class ScaledObservation(BaseFeaturesExtractor):
    """Multiplies observations (batch, inputs) by a fixed gain."""

    gain: torch.Tensor

    def __init__(self, observation_space: gymnasium.spaces.Box, gain: tuple[float, ...]) -> None:
        """`gain` has one factor per input."""
        super().__init__(observation_space, features_dim=len(gain))
        self.register_buffer("gain", torch.tensor(gain, dtype=torch.float32))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return observations * self.gain
