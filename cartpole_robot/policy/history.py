"""What a policy with history sees: this step's observation, and the duties and observations of the steps before.

A command takes a control period or longer to work, so one observation does not show where a delayed cart is heading.
A policy of history length H takes 5 H - 1 numbers, the newest first: this step's observation (4, SI units), then for
each of the H - 1 steps before, going back, the duty that was requested in that step (1, in [-1, 1]) and that step's
observation (4). At the start of an episode the earlier observations are the first one and the earlier duties 0.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.task import OBSERVATION_LAYOUT

MAX_HISTORY_LENGTH = 6
_SIGNALS = len(OBSERVATION_LAYOUT)
_STEP = _SIGNALS + 1  # numbers in a step


def check_history_length(history_length: int) -> None:
    """Raise ValueError, naming the limits, for a history length that no policy may have."""
    if not 1 <= history_length <= MAX_HISTORY_LENGTH:
        raise ValueError(f"history_length = {history_length}, expected 1 to {MAX_HISTORY_LENGTH}; correct it")


def input_layout(history_length: int, observation: tuple[str, ...] = OBSERVATION_LAYOUT) -> tuple[str, ...]:
    """What each input is: "pole_angle_rad" of this step, "duty[t-1]" and "pole_angle_rad[t-1]" of the one before."""
    earlier = [f"{name}[t-{back}]" for back in range(1, history_length) for name in ("duty", *observation)]
    return (*observation, *earlier)


def input_gain(
    cart: CartParams, history_length: int, *, scale_observations: bool = True, gain: float = 1.0
) -> NDArray[np.float32]:
    """What a network multiplies its inputs by, shape (5 H - 1,): a duty by 1 / the largest |duty| of the action table.

    An observation's numbers by `gain` / the cart's observation scale, or by 1 without `scale_observations`.
    """
    scale = (1.0,) * _SIGNALS
    if scale_observations:
        scale = tuple(size / gain for size in cart.observation_scale.as_tuple())
    largest_duty = max(abs(duty) for duty in cart.action_duties)
    sizes = (*scale, *(largest_duty, *scale) * (history_length - 1))
    return np.array([1.0 / size for size in sizes], np.float32)


class History:
    """The inputs of one policy, step after step: `observe`, then `duty` set to what was requested in that step.

    `inputs` is one array, float32 of shape (5 H - 1,), overwritten by each `observe`; nothing is allocated in a step.
    """

    __slots__ = ("_is_new", "_newer", "_now", "_numbers", "_older", "_steps", "duty", "inputs")

    def __init__(self, history_length: int) -> None:
        """Raises ValueError for a length that no policy has."""
        check_history_length(history_length)
        numbers = array("f", bytes(4 * _STEP * history_length))
        self._steps = np.frombuffer(numbers, np.float32).reshape(history_length, _STEP)
        self.inputs: NDArray[np.float32] = self._steps.reshape(-1)[:-1]  # the last is a duty before the oldest step
        view: Any = memoryview(numbers)  # its slices are copied in half the time that NumPy's take
        self._numbers, self._now = view, view[:_SIGNALS]
        self._newer, self._older = view[:-_STEP], view[_STEP:]
        self.reset()

    def reset(self) -> None:
        """Start an episode: the next observation is the first."""
        self.duty = 0.0
        self._is_new = True

    def observe(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """The inputs at `observation` (4,), SI units; float32 and contiguous is fastest. Raises ValueError."""
        if self._is_new:
            self._begin(observation)
        else:
            self._older[:] = self._newer  # memmove
            self._numbers[_SIGNALS] = self.duty
            try:
                self._now[:] = observation
            except (ValueError, TypeError, NotImplementedError):  # other numbers than float32, or not contiguous
                self._now[:] = _converted(observation)
        return self.inputs

    def _begin(self, observation: NDArray[Any]) -> None:
        self._steps[:, :_SIGNALS] = _converted(observation)
        self._steps[:, _SIGNALS] = 0.0
        self.duty = 0.0
        self._is_new = False


def _converted(observation: NDArray[Any]) -> NDArray[np.float32]:
    if np.shape(observation) != (_SIGNALS,):
        raise ValueError(f"expected an observation of {_SIGNALS} numbers, got shape {np.shape(observation)}")
    return np.ascontiguousarray(observation, np.float32)
