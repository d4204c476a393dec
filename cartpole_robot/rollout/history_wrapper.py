"""An environment as a policy with history sees it."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.history import History


class HistoryObservation(gymnasium.Wrapper[NDArray[np.float32], Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Observations (4,) become inputs (5 H - 1,), float32, as `policy.history` lays them out; actions stay."""

    def __init__(self, env: gymnasium.Env[Any, Any], history_length: int, action_duties: tuple[float, ...]) -> None:
        """`env` observes a cart-pole; `action_duties` is the duty in [-1, 1] of each of its actions."""
        gymnasium.utils.RecordConstructorArgs.__init__(self, history_length=history_length, action_duties=action_duties)
        gymnasium.Wrapper.__init__(self, env)
        self.history_length = history_length
        self.action_duties = action_duties
        self._history = History(history_length)
        observed = env.observation_space
        assert isinstance(observed, gymnasium.spaces.Box)
        duty = np.ones(1, np.float32)
        self.observation_space = gymnasium.spaces.Box(
            np.concatenate([observed.low, *(-duty, observed.low) * (history_length - 1)]).astype(np.float32),
            np.concatenate([observed.high, *(duty, observed.high) * (history_length - 1)]).astype(np.float32),
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The first inputs of an episode: the first observation in every place, every duty 0."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._history.reset()
        return self._history.observe(observation).copy(), info

    def continue_from(self, inputs: NDArray[np.float32]) -> None:
        """Continue an episode whose newest steps were taken past this wrapper; `inputs` are those after them."""
        self._history.inputs[:] = inputs

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """The step, its observation extended by the history; a new array each step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._history.duty = self.action_duties[action]
        return self._history.observe(observation).copy(), reward, terminated, truncated, info


def with_history(
    env: gymnasium.Env[Any, Any], history_length: int, action_duties: tuple[float, ...]
) -> gymnasium.Env[Any, Any]:
    """`env` itself for a history length of 1, else with `HistoryObservation` around it."""
    return env if history_length == 1 else HistoryObservation(env, history_length, action_duties)
