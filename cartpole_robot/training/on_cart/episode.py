"""Parts of an episode on the cart: transitions, stopping on a signal, no garbage collection."""

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
    """One step as the replay memory stores it."""

    observation: NDArray[np.float32]
    following: NDArray[np.float32]
    action: int
    reward: float
    has_fallen: bool


class StopBetweenSteps(StopWish):
    """Stops between two steps after SIGINT (Ctrl-C) or SIGTERM."""

    def check(self) -> None:
        """Raise `Stopped` if a signal asked for it."""
        if self.was_asked:
            raise Stopped


class ObservedEpisodes:
    """A policy that records the observations it meets, and a step that can be stopped by a signal."""

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
        self._visited.append(observation)
        return self._act(observation)

    def step(self, action: int) -> Any:
        """Step the environment. Raises `Stopped`."""
        self._stop.check()
        return self._env.step(action)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A context without garbage collection, which takes 0.1 s with PyTorch loaded: too long for a step."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
