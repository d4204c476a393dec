"""The episode loop: one seeded episode of a Gymnasium environment, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot.signals import State


class Step(NamedTuple):
    """One step of an episode: its number, counted from 1, the observation before it, and the result of the action."""

    number: int
    observation: NDArray[np.float32]
    action: Any
    reward: SupportsFloat
    is_terminated: bool
    is_truncated: bool
    info: dict[str, Any]

    @property
    def state(self) -> State:
        """The observation as a state; the inputs of a policy with history begin with it."""
        return State(*self.observation[:4].tolist())

    @property
    def duty(self) -> float:
        """The requested duty; -1 or 1 for the actions 0 and 1 of an environment that reports no duty."""
        duty: float = self.info.get("requested_duty", 2 * self.action - 1)
        return duty


def episode(
    env: gymnasium.Env[Any, Any],
    act: Callable[[NDArray[np.float32]], Any],
    *,
    seed: int,
    max_steps: int,
    options: dict[str, Any] | None = None,
    take_step: Callable[[Any], Any] | None = None,
    on_reset: Callable[[], object] | None = None,
) -> Iterator[Step]:
    """The steps of the episode that `env.reset(seed=seed, options=options)` starts, `max_steps` at most.

    `act` chooses each action. `take_step` performs it where it is no action of `env.step`: `CartPoleEnv.step_duty`
    takes the duty of a regulator. `on_reset` is called before the first action, for an `act` that has a memory. `env`
    must return a new observation array from each step, as Gymnasium's own environments do.
    """
    observation, _ = env.reset(seed=seed, options=options)
    if on_reset is not None:
        on_reset()
    perform = take_step or env.step
    for number in range(1, max_steps + 1):
        action = act(observation)
        following, reward, is_terminated, is_truncated, info = perform(action)
        yield Step(number, observation, action, reward, is_terminated, is_truncated, info)
        if is_terminated or is_truncated:
            return
        observation = following
