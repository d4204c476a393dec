"""What the rigs without firmware share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.signals import Measurement, State


class LockstepRig(ABC):
    """What simulated rigs share: the cart's time passes only in `step`."""

    def __init__(self, cart: CartParams, randomization: Randomization | None) -> None:
        self._cart = self._episode_cart = cart
        self._randomization = randomization
        self._period_us = cart.timing.control_period_us
        self._measurement = Measurement()
        self._duty = 0.0
        self._compensates = (
            cart.compensates_dead_zone
        )  # by the numbers of `cart`, whatever is drawn, as a firmware does

    @property
    def cart(self) -> CartParams:
        """The cart this rig simulates."""
        return self._cart

    @property
    def episode_cart(self) -> CartParams:
        """The cart of this episode: `cart`, or what the randomisation drew."""
        return self._episode_cart

    @abstractmethod
    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`; what is random is drawn from `rng`."""

    @abstractmethod
    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. May be called twice."""

    @abstractmethod
    def step(self, duty: float) -> Measurement:
        """The measurement one control period later."""

    def command(self, duty: float) -> None:
        """Keep `duty` for the period that `measure` simulates."""
        self._duty = duty

    def measure(self) -> Measurement:
        """`step` with the commanded duty."""
        return self.step(self._duty)

    def disarm(self) -> None:  # noqa: B027 - not abstract
        """Do nothing: time stands still between episodes."""
