"""A training that stops before its end."""

from __future__ import annotations

from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.training.callbacks import Stopped


class StopAt(BaseCallback):
    """Stops the training as Ctrl-C does, at the first block of steps from `step` on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps >= self._step:
            raise Stopped

    def rollout_due_in(self) -> int:
        return max(0, self._step - self.model.num_timesteps)

    def _on_step(self) -> bool:
        return True
