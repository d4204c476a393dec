"""What an episode on the cart is made of: its steps, somebody who may stop it, no pause for garbage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot.terminal.interrupts import StopWish
from cartpole_robot.training.callbacks import Stopped
from cartpole_robot.training.cart_progress import CartProgress


class Transition(NamedTuple):
    """One step as the replay memory takes it."""

    observation: NDArray[np.float32]
    following: NDArray[np.float32]
    action: int
    reward: float
    has_fallen: bool


class StopBetweenSteps(StopWish):
    """Being stopped, looked at each step."""

    def check(self) -> None:
        """Nothing, or `Stopped` where a person asked for it."""
        if self.was_asked:
            raise Stopped


class Watched:
    """A policy and a step that remember the observations, and look whether a person wants to stop."""

    def __init__(
        self,
        act: Callable[[NDArray[Any]], int],
        env: gymnasium.Env[Any, Any],
        progress: CartProgress,
        stop: StopBetweenSteps,
    ) -> None:
        self._act = act
        self._env = env
        self._visited = progress.visited
        self._stop = stop

    def act(self, observation: NDArray[np.float32]) -> int:
        """The policy's action."""
        self._visited.append(observation)
        return self._act(observation)

    def step(self, action: int) -> Any:
        """The environment's step. Raises `Stopped`."""
        self._stop.check()
        return self._env.step(action)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """With PyTorch loaded a collection takes a tenth of a second: not while the cart is armed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
