"""The firmware's C, built for this machine: what the extension offers."""

from typing import Any

from numpy.typing import NDArray

class FloatPolicy:
    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        input_gain: NDArray[Any],
        hidden_weight: NDArray[Any],
        hidden_bias: NDArray[Any],
        output_weight: NDArray[Any],
        output_bias: NDArray[Any],
    ) -> None: ...
    def act(self, observation: NDArray[Any], /) -> int: ...
    def values(self, observation: NDArray[Any], /) -> tuple[float, ...]: ...

class Int16Policy:
    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        hidden_shift: int,
        input_gain: NDArray[Any],
        hidden_weight: NDArray[Any],
        hidden_bias: NDArray[Any],
        output_weight: NDArray[Any],
        output_bias: NDArray[Any],
    ) -> None: ...
    def act(self, observation: NDArray[Any], /) -> int: ...
    def values(self, observation: NDArray[Any], /) -> tuple[int, ...]: ...
    def quantize(self, observation: NDArray[Any], /) -> tuple[int, ...]: ...

class CartEstimator:
    def __init__(self) -> None: ...
    def reset(self, cart_counts: int, pole_counts: int, /) -> None: ...
    def update(self, cart_counts: int, pole_counts: int, /) -> None: ...
    def speeds(self) -> tuple[int, int]: ...
