"""The simulated cart on PyBullet, the reference engine."""

from __future__ import annotations

import math
from math import isfinite
from typing import Any

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Encoders
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.signals import TIME_MASK, Measurement, State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.delay import CommandDelay
from cartpole_robot.simulation.estimator import Estimator
from cartpole_robot.simulation.motor import electrical_power
from cartpole_robot.simulation.plant import Plant


class IdealSimRig(LockstepRig):
    """A cart whose duty is a force at once and whose state is known exactly; implements `cartpole_robot.rig.Rig`."""

    def __init__(self, cart: CartParams, randomization: Randomization | None = None) -> None:
        super().__init__(cart, randomization)
        loaded = cart if randomization is None else randomization.shortest_pole()
        self._plant = Plant(loaded.pole_cart, cart.timing.physics_step_s)
        self._advance = self._plant.advance
        self._steps_per_period = cart.timing.physics_steps_per_period
        self._stall_force_n = cart.motor.stall_force_n

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`, exactly; an ideal cart draws from `rng` its randomised parameters alone."""
        if self._randomization is not None:
            self._episode_cart = drawn = self._randomization.draw(rng)
            self._plant.change(drawn.pole_cart, drawn.friction)
            self._stall_force_n = drawn.motor.stall_force_n
        self._plant.place(start)
        self._measurement.tick, self._duty = -1, 0.0
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
        measurement.tick += 1
        measurement.mcu_time_us = measurement.tick * self._period_us & TIME_MASK
        measurement.cart_position_m = cart[0]
        measurement.cart_speed_m_s = cart[1]
        measurement.pole_angle_rad = pole[0]
        measurement.pole_speed_rad_s = pole[1]
        measurement.applied_duty = duty
        return measurement

    def true_state(self) -> State:
        """The state of the plant, which an ideal cart measures exactly."""
        return self._measurement.state()

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()
        self._advance = self._plant.advance


class SimRig(LockstepRig):
    """A cart with motor, friction, encoders and delay; implements `cartpole_robot.rig.Rig`.

    It measures what a real rig measures: counts, and the firmware's own estimate of the speeds. `true_state` is for
    tests and reports.
    """

    def __init__(self, cart: CartParams, encoders: Encoders, randomization: Randomization | None = None) -> None:
        super().__init__(cart, randomization)
        self._simulated = SimulatedCart(cart if randomization is None else randomization.shortest_pole(), encoders)
        self._delay = CommandDelay(cart.delay, cart.timing)
        self._estimator = Estimator(encoders, cart.timing.physics_step_s)
        self._power_w = electrical_power(cart.motor)

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`; randomised parameters, then delays and losses are drawn from `rng`."""
        if self._randomization is not None:
            self._episode_cart = drawn = self._randomization.draw(rng)
            self._simulated.change(drawn)
            self._delay = CommandDelay(drawn.delay, drawn.timing)
            self._power_w = electrical_power(drawn.motor)
        self._delay.reset(rng)
        self._measurement.tick, self._duty = -1, 0.0
        cart_counts, pole_counts = self._simulated.place(start)
        self._estimator.reset(cart_counts, pole_counts)
        return self._measure(cart_counts, pole_counts, 0.0)

    def step(self, duty: float) -> Measurement:
        """The measurement one control period later. Raises `RigError` when the physics has no finite answer."""
        if not -1.0 <= duty <= 1.0:
            duty = math.copysign(1.0, duty)
        if self._compensates:
            duty = self._cart.bridge_duty(duty)
        duties = self._delay.duties(duty)
        try:
            cart_counts, pole_counts = self._simulated.run(duties, self._estimator.update)
        except (ValueError, OverflowError):  # NaN and infinity have no counts
            raise RigError(f"the simulation diverged: {self.true_state()}; use a shorter physics step") from None
        return self._measure(cart_counts, pole_counts, duties[-1])

    def _measure(self, cart_counts: int, pole_counts: int, duty: float) -> Measurement:
        measurement = self._measurement
        self._estimator.write(cart_counts, pole_counts, measurement)
        measurement.tick += 1
        measurement.mcu_time_us = measurement.tick * self._period_us & TIME_MASK
        measurement.applied_duty = duty
        measurement.motor_power_w = self._power_w(duty, measurement.cart_speed_m_s)
        measurement.command_age_s = self._delay.command_age_s
        return measurement

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return self._simulated.state()

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._simulated.close()
