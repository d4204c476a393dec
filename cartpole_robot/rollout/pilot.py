"""Who drives a rollout: one controller alone, or one of the pilots of `deployment.pilots`."""

from __future__ import annotations

import math
from typing import Any, Protocol

from numpy.typing import NDArray

from cartpole_robot.policy.controllers import Controller


class Pilot(Protocol):
    """Decides each duty, with what a recording keeps about the newest one."""

    flags: int
    shadow_duty: float
    handovers: int  # between a policy and a regulator, so far

    def reset(self) -> None:
        """Forget the previous episode."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), float32, SI units, which the next step overwrites."""


class SinglePilot:
    """One controller drives alone; implements `Pilot`."""

    flags = handovers = 0
    shadow_duty = math.nan

    def __init__(self, controller: Controller) -> None:
        self.duty = controller.duty
        self.reset = controller.reset
