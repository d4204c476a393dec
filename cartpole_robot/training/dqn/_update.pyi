"""One update of a DQN in C (native/update.h)."""

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]
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
    def step(
        self,
        steps: NDArray[np.int64],
        newest: int,
        loss: tuple[int, float, bool, float],
        optimizer: tuple[bool, float, float, float, float, float],
        /,
    ) -> float: ...
    def follow(self, tau: float, /) -> None: ...
    def act(self, observation: _Floats, /) -> int: ...
