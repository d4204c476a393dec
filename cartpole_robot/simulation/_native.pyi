"""The simulated cart in C: what the extension offers."""

from collections import deque

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import Measurement, State
from firmware_bridge._host import Firmware, FloatPolicy, Int16Policy

_Sums = tuple[float, float, float, int]

class NativeCart:
    """One cart; each reading is written into `measurement`, which every method that measures returns.

    Raises ValueError for a cart that this engine cannot represent.
    """

    def __init__(self, cart: CartParams, measurement: Measurement) -> None: ...
    def change(self, cart: CartParams) -> None: ...
    def place(self, state: State, random: np.random.BitGenerator, /) -> Measurement: ...
    def step(self, duty: float, /) -> Measurement: ...
    def episode(
        self,
        policy: FloatPolicy | Int16Policy,
        duties: tuple[float, ...],
        history_length: int,
        limits: tuple[float, float],
        most_steps: int,
        sums: _Sums,
        /,
    ) -> tuple[int, bool, str | None, _Sums]: ...
    def state(self) -> tuple[float, float, float, float]: ...

class BoardCart:
    """One cart in front of a board; ValueError as `NativeCart`, OverflowError when the physics has no finite answer."""

    @property
    def time_ms(self) -> int: ...
    @property
    def drive(self) -> float | None: ...
    def __init__(self, cart: CartParams, pulse_period: int) -> None: ...
    def change(self, cart: CartParams) -> None: ...
    def place(self, state: State) -> tuple[int, int]: ...
    def counts(self) -> tuple[int, int]: ...
    def state(self) -> tuple[float, float, float, float]: ...
    def step(self, drive: float | None) -> tuple[int, int]: ...
    def run(
        self,
        board: Firmware,
        waiting: deque[tuple[int, bytes]],
        most_ms: int,
        time_ms: int,
        drive: float | None,
        surroundings: tuple[int, int, int, int, int, int, int, int],
    ) -> None: ...
