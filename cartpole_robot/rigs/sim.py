"""The simulated cart: the plant in PyBullet, driven by duty."""

from __future__ import annotations

import math
from math import isfinite
from typing import Any

import numpy as np

from cartpole_robot.params import CartParams
from cartpole_robot.rig import RigError
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.plant import Plant


class SimRig:
    """A cart-pole in simulation; implements `cartpole_robot.rig.Rig`. Its measurement is the plant's exact state."""

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
        measurement = self._measurement
        measurement.cart_position_m = cart[0]
        measurement.cart_speed_m_s = speed = cart[1]
        measurement.pole_angle_rad = pole[0]
        measurement.pole_speed_rad_s = pole_speed = pole[1]
        measurement.applied_duty = duty
        if not isfinite(speed + pole_speed):
            raise RigError(f"the simulation diverged: {measurement.state()}; use a shorter physics step")
        return measurement

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()
