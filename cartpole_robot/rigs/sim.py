"""The simulated cart: the plant in PyBullet, with motor, encoders and delay where the cart has them."""

from __future__ import annotations

import math
from math import isfinite
from typing import Any

import numpy as np

from cartpole_robot.cart_parts import Encoders
from cartpole_robot.estimator import Estimator
from cartpole_robot.params import CartParams
from cartpole_robot.rig import Rig, RigError
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.delay import CommandDelay
from cartpole_robot.simulation.motor import electrical_power_w
from cartpole_robot.simulation.plant import Plant


def simulated_rig(cart: CartParams) -> Rig:
    """The rig for `cart`: by its encoders, or without any an ideal one."""
    return IdealSimRig(cart) if cart.encoders is None else SimRig(cart, cart.encoders)


class IdealSimRig:
    """A cart whose duty is a force at once and whose state is known exactly; implements `cartpole_robot.rig.Rig`."""

    def __init__(self, cart: CartParams) -> None:
        self._cart = cart
        self._plant = Plant(cart.pole_cart, cart.timing.physics_step_s)
        self._advance = self._plant.advance
        self._steps_per_period = cart.timing.physics_steps_per_period
        self._stall_force_n = cart.motor.stall_force_n
        self._measurement = Measurement()

    @property
    def cart(self) -> CartParams:
        """The cart this rig simulates."""
        return self._cart

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`, exactly; an ideal cart draws nothing from `rng`."""
        self._plant.place(start)
        return self._measure(self._advance(0.0, 0), 0.0)

    def step(self, duty: float) -> Measurement:
        """The measurement one control period later. Raises `RigError` when the physics has no finite answer."""
        if not -1.0 <= duty <= 1.0:
            duty = math.copysign(1.0, duty)
        return self._measure(self._advance(duty * self._stall_force_n, self._steps_per_period), duty)

    def _measure(self, joint_states: Any, duty: float) -> Measurement:
        cart, pole = joint_states
        if not isfinite(cart[1] + pole[1]):
            raise RigError(f"the simulation diverged at {cart[:2]}, {pole[:2]}; use a shorter physics step")
        measurement = self._measurement
        measurement.cart_position_m = cart[0]
        measurement.cart_speed_m_s = cart[1]
        measurement.pole_angle_rad = pole[0]
        measurement.pole_speed_rad_s = pole[1]
        measurement.applied_duty = duty
        return measurement

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()
        self._advance = self._plant.advance


class SimRig:
    """A cart with motor, friction, encoders and delay; implements `cartpole_robot.rig.Rig`.

    It measures what a real rig measures: counts, and the firmware's own estimate of the speeds. `true_state` is for
    tests and reports.
    """

    def __init__(self, cart: CartParams, encoders: Encoders) -> None:
        self._cart = cart
        self._simulated = SimulatedCart(cart, encoders)
        self._delay = CommandDelay(cart.delay, cart.timing)
        self._estimator = Estimator(encoders, cart.timing.physics_step_s)
        self._measurement = Measurement()

    @property
    def cart(self) -> CartParams:
        """The cart this rig simulates."""
        return self._cart

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`; delays and losses of the episode are drawn from `rng`."""
        self._delay.reset(rng)
        cart_counts, pole_counts = self._simulated.place(start)
        self._estimator.reset(cart_counts, pole_counts)
        return self._measure(cart_counts, pole_counts, 0.0)

    def step(self, duty: float) -> Measurement:
        """The measurement one control period later. Raises `RigError` when the physics has no finite answer."""
        if not -1.0 <= duty <= 1.0:
            duty = math.copysign(1.0, duty)
        duties = self._delay.duties(duty)
        try:
            cart_counts, pole_counts = self._simulated.run(duties, self._estimator.update)
        except (ValueError, OverflowError):  # NaN and infinity have no counts
            raise RigError(f"the simulation diverged: {self.true_state()}; use a shorter physics step") from None
        return self._measure(cart_counts, pole_counts, duties[-1])

    def _measure(self, cart_counts: int, pole_counts: int, duty: float) -> Measurement:
        measurement = self._measurement
        self._estimator.write(cart_counts, pole_counts, measurement)
        measurement.applied_duty = duty
        measurement.motor_power_w = electrical_power_w(self._cart.motor, duty, measurement.cart_speed_m_s)
        return measurement

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return self._simulated.state()

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._simulated.close()
