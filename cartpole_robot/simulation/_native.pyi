"""The simulated cart in C: what the extension offers."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import Measurement, State
from firmware_bridge._host import ChipMailbox, Firmware, FloatPolicy, HostPolicy, Int16Policy
from firmware_bridge._stepper import Firmware as StepperFirmware

_Sums = tuple[float, float, float, int]

Floats = NDArray[np.float64]

class NativeCart:
    """One cart; each reading is written into `measurement`, which every method that measures returns.

    Raises ValueError for a cart that this engine cannot represent.
    """

    def __init__(self, cart: CartParams, measurement: Measurement) -> None: ...
    def change(self, cart: CartParams) -> None: ...
    def place(self, state: State, random: np.random.BitGenerator, /) -> Measurement: ...
    def step(self, duty: float, /) -> Measurement: ...
    def restart(self) -> Measurement:
        """The newest measurement again, at tick 0."""

    def episode(
        self,
        policy: FloatPolicy | Int16Policy | HostPolicy,
        duties: tuple[float, ...],
        history_length: int,
        limits: tuple[float, float],
        most_steps: int,
        sums: _Sums,
        /,
    ) -> tuple[int, bool, str | None, _Sums]: ...
    def push(self, force_n: float, torque_n_m: float, /) -> None:
        """From now on a force on the cart and a torque about the hinge act from outside, until `place`."""

    def state(self) -> tuple[float, float, float, float]: ...

class Fleet:
    """Carts that take their control periods together, each moving bit for bit as a `NativeCart`.

    `duties` are those of the actions, `limits` the position in m and the angle in rad at which an episode terminates;
    it is truncated after `most_steps`. Arrays are C-contiguous with one entry a cart in the last axis, observations of
    shape (count, 4) float32. Raises ValueError as `NativeCart`, and for arrays of another type or size.
    """

    def __init__(
        self, cart: CartParams, count: int, duties: NDArray[np.float64], limits: tuple[float, float], most_steps: int
    ) -> None: ...
    def change(self, number: int, cart: CartParams, /) -> None: ...
    def place(
        self,
        numbers: NDArray[np.int64],
        states: NDArray[np.float64],
        bit_generators: Sequence[np.random.BitGenerator],
        observations: NDArray[np.float32],
        /,
    ) -> None:
        """Begin episodes of `numbers`, shape (n,), at `states`, shape (n, 4); write their rows of `observations`.

        ArithmeticError at a state that has no finite measurement: that cart and those after it are not placed.
        """

    def draw(
        self,
        numbers: NDArray[np.int64],
        spread: NDArray[np.float64],
        bit_generators: Sequence[np.random.BitGenerator],
        observations: NDArray[np.float32],
        /,
    ) -> None:
        """As `place`, with each start drawn uniformly within plus or minus `spread`, shape (4,), by its generator."""

    def step(
        self,
        actions: NDArray[np.int64],
        resting: NDArray[np.bool_],
        observations: NDArray[np.float32],
        flags: NDArray[np.bool_],
        figures: NDArray[np.float64],
        /,
    ) -> int:
        """One control period of the carts that do not rest; how many had no finite answer.

        Writes observations; flags: terminated, truncated, faulty; figures: reward, requested and applied duty, motor
        power in W. A resting cart keeps its observation, all else is 0. ValueError for an action that is not in the
        table, and then nothing has moved.
        """

    def step_duties(
        self,
        duties: NDArray[np.float64],
        resting: NDArray[np.bool_],
        observations: NDArray[np.float32],
        flags: NDArray[np.bool_],
        figures: NDArray[np.float64],
        /,
    ) -> int:
        """As `step`, with the duty at each cart's bridge, beyond ±1 as ±1; ValueError for one that is not finite."""

    def state(self, number: int, /) -> tuple[float, float, float, float]: ...
    def measured(self, number: int, /) -> tuple[float, float, float, float]: ...

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
    def turn(self, angle_rad: float, rate_rad_s: float, /) -> tuple[int, int]: ...
    def step(self, drive: float | None) -> tuple[int, int]: ...
    def run(
        self,
        board: Firmware | StepperFirmware | ChipMailbox,
        waiting: deque[tuple[int, bytes]],
        most_ms: int,
        time_ms: int,
        drive: float | None,
        surroundings: tuple[int, int, int, int, int, int, int, int],
    ) -> None: ...

class StepperDrive:
    """The stepper of a cart, with its pulses; Python simulates the rigid body. ValueError without a stepper."""

    def __init__(self, cart: CartParams) -> None: ...
    def place(self, position_m: float, speed_m_s: float, /) -> int:
        """The motor holds the cart there, moving at that speed; the steps at which the count stands then."""

    def tick(self, duty: float, position_m: float, speed_m_s: float, /) -> tuple[float, float, int]:
        """One physics step of a cart that is there.

        The speed in m/s to which its joint is to be brought, by at most how many N, and the steps at the step's end.
        """

    def follow(
        self, mean_steps: float, is_enabled: bool, position_m: float, speed_m_s: float, /
    ) -> tuple[float, float, int]:
        """As `tick`, under a board's pulses: the mean of its count of steps over the physics step."""

    def trail(self, position_m: float, speed_m_s: float, duty: float, /) -> tuple[float, float]:
        """The position and speed of a cart whose pulses stand there, move so and have long been accelerated so."""

    def glide(self, duty: float, position_m: float, speed_m_s: float, /) -> tuple[float, float, float, float]:
        """As `tick`, with pulses divided at will, after `trail`.

        The speed in m/s to which the joint is to be brought, by at most how many N, and where the pulses stand in m at
        the step's end, and their speed in m/s.
        """

class Windows:
    """Windows of recordings, each a run from a start state under the recorded duties.

    `times_s` and `duties` have the entries of all series, one after the other, duty NaN with the bridge open. Each of
    `windows` is the first entry of its series, one past its last, the window's first and one past its last. Raises
    ValueError for other shapes, and for a cart that this engine cannot represent.
    """

    def __init__(self, times_s: Floats, duties: Floats, windows: Sequence[tuple[int, int, int, int]]) -> None: ...
    def run(
        self, carts: Sequence[CartParams], delays_s: Floats, starts: Floats, readings: Floats, ends: Floats, /
    ) -> None:
        """Run every window under each of n `carts`, which have one physics step; other threads run meanwhile.

        `delays_s` is (n,), `starts` (n, windows, 4). Written: `readings` (n, entries of all windows, 2), position m and
        angle rad, and `ends` (n, windows, 4), the states at the windows' last entries.
        """
