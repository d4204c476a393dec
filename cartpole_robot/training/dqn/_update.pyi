"""One update of a DQN in C (native/update.h)."""

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.simulation._native import NativeCart
from cartpole_robot.training.priced_steps import StepPrice

_Floats = NDArray[np.float32]
_Lesson = tuple[int, int, tuple[int, float, bool, float], tuple[bool, float, float, float, float, float]]
_Tensors = tuple[_Floats, ...]

class Update:
    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        capacity: int,
        parameters: _Tensors,
        targets: _Tensors,
        first: _Tensors,
        second: _Tensors,
        steps: _Tensors,
        gain: _Floats,
        memory: tuple[NDArray[np.float32] | NDArray[np.int64], ...],
        symmetry: int = 0,
    ) -> None: ...
    def learn(self, lesson: _Lesson, random: np.random.BitGenerator, stored: int, at: int, /) -> tuple[float, ...]: ...
    def follow(self, tau: float, /) -> None: ...
    def act(self, observation: _Floats, /) -> int: ...

class Collector:
    """Steps of an epsilon-greedy learner; `requested` are the duties of its actions, `sent` those at the bridge.

    Raises ValueError, also from `take` for a network of other inputs or actions.
    """

    def __init__(
        self,
        cart: NativeCart,
        requested: tuple[float, ...],
        sent: tuple[float, ...],
        limits: tuple[float, float],
        history_length: int,
    ) -> None: ...
    def take(
        self,
        update: Update,
        observation: _Floats,
        epsilons: tuple[float, ...],
        memory: tuple[int, int],
        reward: StepPrice | float,
        side: float,
        whether: np.random.BitGenerator,
        which: np.random.BitGenerator,
        target: tuple[int, int, float],
        plan: tuple[int, int, _Lesson, tuple[float, ...]] | None,
        /,
    ) -> tuple[int, int, float, int, tuple[float, ...]]:
        """Take a step for each epsilon and store it; `memory` is where, and how many steps are stored.

        `target` is the number of steps so far, after how many the target network follows, and by which share. `plan`
        has after how many steps the learner updates, and then after how many each, with the learning rate of each time;
        not after the last step. Returns how many steps, an action or -1, the newest side, how often it updated, and the
        newest losses. Fewer steps mean that the next ends the episode: the cart has taken it with that action.
        """

def drawn(bit_generator: np.random.BitGenerator, count: int, /) -> int:
    """Draw an action, 0 to `count` - 1, as the collector does."""
