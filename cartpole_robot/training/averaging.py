"""The running mean of a network over the newest steps of its training."""

from __future__ import annotations

import dataclasses

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.errors import UsageError
from cartpole_robot.policy.network import Network
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.dqn.learner import network_of

_EVERY_STEPS = 500
_ARRAYS = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")


class Averaging(BaseCallback):
    """Keeps the running mean of the network over `averaged_steps`: a newest network fluctuates.

    From the first steps on it is their plain mean, so that nothing of the untrained network stays.
    """

    def __init__(self, state: TrainingState, averaged_steps: int) -> None:
        """Raises `UsageError` for a resumed training that has lost its mean."""
        super().__init__()
        steps = state.model.num_timesteps
        if state.averaged is None and steps >= _EVERY_STEPS:
            raise UsageError(
                f"the checkpoint of step {steps} is damaged: averaged.npz is missing; delete it and resume from "
                "the one before"
            )
        self._state, self._steps = state, averaged_steps

    def _on_step(self) -> bool:
        if self.num_timesteps % _EVERY_STEPS == 0:
            newest = network_of(self._state.model)
            mean = self._state.averaged
            share = _EVERY_STEPS / min(self._steps, self.num_timesteps)
            self._state.averaged = newest if mean is None else _between(mean, newest, min(1.0, share))
        return True


def _between(mean: Network, newest: Network, share: float) -> Network:
    arrays = {name: getattr(mean, name) for name in _ARRAYS}
    moved = {name: old + np.float32(share) * (getattr(newest, name) - old) for name, old in arrays.items()}
    return dataclasses.replace(mean, **moved)
