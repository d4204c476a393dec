"""What is scored: a policy, and the two references, each able to bring the pole up again and again."""

from __future__ import annotations

import math
from typing import Any, Protocol

from numpy.typing import NDArray

from cartpole_robot import swing_up_task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign
from cartpole_robot.signals import wrap_angle_rad


class Driver(Protocol):
    """Drives a cart from any motion of the pole."""

    def begin(self) -> None:
        """The motor has been switched on: swing up."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units, the angle in any turn."""

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        """The motor has been off for so long, or driven elsewhere with that mean of duty²."""


class SwingUpPolicyDriver:
    """A policy that swings up and balances; implements `Driver`."""

    def __init__(self, controller: Controller) -> None:
        self.begin, self.duty = controller.reset, controller.duty

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        """Do nothing: a policy does not know how warm the motor is."""


class SwingUpControllerDriver:
    """The swing-up controller of `cart` alone, which also balances; implements `Driver`."""

    def __init__(self, cart: CartParams, design: SwingUpDesign) -> None:
        self._controller = SwingUpController(cart, design)
        self.begin, self.duty, self.rest = self._controller.reset, self._controller.duty, self._controller.rest


class HandOver:
    """The swing-up controller of `cart`, then `balancing` once the pole is up and settled; implements `Driver`.

    It hands over as `rigs.swing_start` does: settled in the start spread, upright for as long as the firmware wants.
    """

    def __init__(self, cart: CartParams, design: SwingUpDesign, balancing: Controller) -> None:
        self._cart, self._balancing = cart, balancing
        self._swing = SwingUpController(cart, design)
        upright_s = swing_up_task.UPRIGHT_S if cart.firmware is None else cart.firmware.upright_s
        self._needed = math.ceil(upright_s / cart.timing.control_period_s) + 2
        self.begin()

    def begin(self) -> None:
        self._swing.reset()
        self._upright_steps, self._is_balancing = 0, False
        self._squares, self._steps = 0.0, 0

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty of the one or the other."""
        if not self._is_balancing:
            is_upright = swing_up_task.is_upright(float(observation[2]), self._cart)
            self._upright_steps = self._upright_steps + 1 if is_upright else 0
            duty = self._swing.duty(observation)
            if not (self._swing.is_settled() and self._upright_steps >= self._needed):
                return duty
            self._is_balancing = True
            self._balancing.reset()
        seen = observation.copy()
        seen[2] = wrap_angle_rad(float(observation[2]))
        duty = self._balancing.duty(seen)
        self._squares += duty * duty
        self._steps += 1
        return duty

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        """The swing-up controller learns also how warm the balancing has made the motor."""
        if self._steps:
            self._swing.rest(self._steps * self._cart.timing.control_period_s, self._squares / self._steps)
            self._squares, self._steps = 0.0, 0
        self._swing.rest(duration_s, duty_square)
