"""The native engine's carts, or a message about what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import Measurement, State
from firmware_bridge._host import PULSE_PERIOD

if TYPE_CHECKING:
    from cartpole_robot.simulation._native import BoardCart, Fleet, NativeCart, StepperDrive
    from firmware_bridge._host import FloatPolicy, HostPolicy, Int16Policy


class TabledPolicy(NamedTuple):
    """A policy in C as the native engine runs it: the inputs of which history it takes, and the duty of each action.

    There are no duties for one that commands its duty itself.
    """

    policy: FloatPolicy | Int16Policy | HostPolicy
    duties: tuple[float, ...]
    history_length: int = 1


class EpisodeSums(NamedTuple):
    """Sums over steps: squared position and angle before each, the motor's power, and the reversals of the push."""

    square_m2: float = 0.0
    square_rad2: float = 0.0
    power_w: float = 0.0
    reversals: int = 0


class Survived(NamedTuple):
    """How an episode ended: its steps, whether with a fall, the rig's fault, and the sums with its steps added."""

    steps: int
    is_terminated: bool
    fault: str | None
    sums: EpisodeSums


class NotRepresentedError(UsageError):
    """A cart that C cannot represent; `reason` says why."""

    def __init__(self, cart: CartParams, reason: str) -> None:
        self.reason = f"the native engine cannot represent it: {reason}"
        super().__init__(f"cart {cart.name!r}: {self.reason}; use the engine pybullet")


def native_cart(cart: CartParams, measurement: Measurement) -> NativeCart:
    """`cart` in C; its readings go into `measurement`. Raises `NotRepresentedError`."""
    made: NativeCart = _made("NativeCart", cart, measurement)
    return made


def native_fleet(
    cart: CartParams, count: int, duties: tuple[float, ...], limits: tuple[float, float], most_steps: int
) -> Fleet:
    """`count` carts in C, with the task's actions and limits of position and angle. Raises `NotRepresentedError`."""
    made: Fleet = _made("Fleet", cart, count, np.array(duties), limits, most_steps)
    return made


def stepper_drive(cart: CartParams) -> StepperDrive:
    """The stepper of `cart` in C, which both engines use. Raises `NotRepresentedError`."""
    made: StepperDrive = _made("StepperDrive", cart)
    return made


class NativeBoardCart:
    """A cart in front of a board, as `SimulatedCart` is on PyBullet; `body` is the same in C.

    Its zeros are the middle of the track and upright.
    """

    def __init__(self, cart: CartParams) -> None:
        """Raises `UsageError` without the compiled part."""
        self.body: BoardCart = _made("BoardCart", cart, PULSE_PERIOD)
        self.place, self.counts, self.change = self.body.place, self.body.counts, self.body.change
        self.turn = self.body.turn

    def run_under(self, tick: Callable[[int, int], float | None], drive: float | None, most_steps: int) -> int:
        """As `SimulatedCart.run_under`."""
        step, steps = self.body.step, 0
        try:
            while steps < most_steps:
                steps += 1
                drive = tick(*step(drive))
        except StopIteration:
            pass
        return steps

    def state(self) -> State:
        """The true state, which no encoder shows."""
        return State(*self.body.state())

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _made(name: str, cart: CartParams, *arguments: object) -> Any:
    try:
        from cartpole_robot.simulation import _native
    except ImportError:
        raise UsageError(
            "the compiled part cartpole_robot.simulation._native is missing, and with it the native engine; "
            "install the package with a C compiler at hand, or choose the engine pybullet"
        ) from None
    try:
        return getattr(_native, name)(cart, *arguments)
    except ValueError as error:
        raise NotRepresentedError(cart, str(error)) from None
