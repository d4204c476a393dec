"""The interface of every rig, simulated or real."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import Measurement, State

if TYPE_CHECKING:
    import numpy as np


class Start(enum.StrEnum):
    """How the pole gets upright at the start of an episode."""

    BY_HAND = "by_hand"  # a person raises it, or a simulated rig places it
    SWING_UP = "swing_up"  # the cart swings it up


class Rig(Protocol):
    """One cart-pole, stepped in control periods.

    The caller cannot tell whether the cart is simulated. All quantities are SI; a duty is the fraction of full
    drive in [-1, 1], positive to the right.
    """

    @property
    def cart(self) -> CartParams:
        """The cart this rig drives, as configured."""

    @property
    def episode_cart(self) -> CartParams:
        """The cart of this episode: `cart`, or what a simulated rig drew for it."""

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of a new episode, motor off.

        A simulated rig places the cart at `start` exactly; a rig that can only bring its cart near it does so and
        measures where it is. Every random number of the episode (noise, delay) comes from `rng`. Raises `RigError`.
        """

    def command(self, duty: float) -> None:
        """Request `duty` in answer to the newest measurement, without waiting. Raises `RigError`, motor at zero."""

    def measure(self) -> Measurement:
        """The measurement one control period after the previous one. Raises `RigError`, motor at zero."""

    def step(self, duty: float) -> Measurement:
        """`command`, then `measure`."""

    def disarm(self) -> None:
        """Motor off until the next `reset`, and confirmed by the cart; the episode is over. Raises `RigError` if not.

        Between episodes the rig needs no commands: work that takes longer than a control period belongs there.
        """

    def close(self) -> None:
        """Motor off, everything released. May be called twice.

        Raises `RigError`, everything released, for a motor that may still run, unless another error reported it.
        """


class SwingRig(Rig, Protocol):
    """A rig that can be driven while its pole hangs, swings or rotates."""

    @property
    def is_swinging(self) -> bool:
        """Whether the pole's angle does not end the episode, because the pole is still being swung up."""

    def begin_swing(
        self, rng: np.random.Generator, *, checks_zero: bool = False, may_be_held: bool = True
    ) -> Measurement:
        """The first measurement of a swing-up: cart at rest and armed, the pole moving as it happens to.

        With `checks_zero` a cart that can do so first checks its pole's zero while the pole swings freely. A pole that
        is held upright is armed as it is; with `may_be_held` False the rig waits until it hangs. Raises
        `RigError`, and `UsageError` for a cart that must not swing up.
        """

    def begin_episode(self) -> Measurement:
        """The newest measurement as the first of an episode, at tick 0, without a break in the control steps."""
