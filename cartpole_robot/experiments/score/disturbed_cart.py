"""A simulated cart whose sensors, motor and surroundings are disturbed as those of the double pendulum are.

The disturbances act in steps of 2 ms, inside the control period: noise and slow response of the drive, a late
measurement, pushes on cart and pole. The cart's own delay stays as its file has it.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.native_cart import native_cart

_REACH = 5.0  # standard deviations at which a push ends


@dataclass(frozen=True, kw_only=True)
class Push:
    """A push from outside, a Gaussian in time: `height` in N on the cart, in N m about the hinge with `is_on_pole`."""

    at_s: float
    width_s: float
    height: float
    is_on_pole: bool


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What disturbs a run.

    The controller reads the speeds with white noise of those standard deviations, `late_s` after they were measured.
    The drive, as a share of the stall force, goes `response` of the way to what is asked in each step, plus white
    noise of `drive_noise`.
    """

    cart_noise_m_s: float = 0.0
    pole_noise_rad_s: float = 0.0
    drive_noise: float = 0.0
    response: float = 1.0
    late_s: float = 0.0
    pushes: tuple[Push, ...] = ()


class DisturbedCart:
    """`plant`, under `disturbance`, in steps of `step_s`; `measurement` is what its encoders and estimator read."""

    def __init__(self, plant: CartParams, disturbance: Disturbance, *, step_s: float, seed: int) -> None:
        """Raises `UsageError` for a control period that is not a whole number of steps."""
        self.measurement = Measurement()
        self._plant, self._disturbance, self._seed, self._step_s = plant, disturbance, seed, step_s
        period_s, physics_s = plant.timing.control_period_s, plant.timing.physics_step_s
        self._steps = round(period_s / step_s)
        if abs(self._steps * step_s - period_s) > 1e-9 or step_s < physics_s - 1e-9:
            raise UsageError(
                f"cart {plant.name!r}: its control period of {period_s:g} s and physics step of {physics_s:g} s do not "
                f"fit the {step_s:g} s in which a score disturbs it; use a multiple of it, and a shorter physics step"
            )
        fine = dataclasses.replace(
            plant,
            delay=Delay(apply=Apply.AT_ONCE),
            timing=dataclasses.replace(plant.timing, control_period_s=step_s),
        )
        self._native = native_cart(fine, self.measurement)
        self._late = round(disturbance.late_s / step_s)
        self._is_driven_badly = disturbance.drive_noise > 0.0 or disturbance.response != 1.0

    def place(self, start: State) -> NDArray[np.float32]:
        """What the controller sees at `start`, cart and motor at rest; everything random begins again."""
        self._rng = np.random.default_rng(self._seed)
        self._native.place(start, self._rng.bit_generator)
        self._now = self._number = 0
        self._active_number, self._active, self._level = -1, 0.0, 0.0
        self._waiting: list[tuple[int, int, float]] = []
        self._seen: deque[tuple[float, ...]] = deque([self._read()], maxlen=self._late + 1)
        self._is_pushed = False
        return self._observation()

    def step(self, duty: float) -> NDArray[np.float32]:
        """What the controller sees one control period after it asked for `duty`."""
        self._send(self._plant.bridge_duty(min(1.0, max(-1.0, duty))))
        disturbance, native = self._disturbance, self._native
        noise = self._rng.normal(0.0, 1.0, self._steps).tolist() if disturbance.drive_noise else [0.0] * self._steps
        for drawn in noise:
            self._take()
            applied = self._driven(drawn) if self._is_driven_badly else self._active
            if disturbance.pushes:
                self._push()
            native.step(applied)
            self._now += 1
            if self._late:
                self._seen.append(self._read())
        if not self._late:
            self._seen.append(self._read())
        return self._observation()

    @property
    def commanded_duty(self) -> float:
        """The duty in force, as the firmware knows it: without the disturbances of the drive."""
        return self._active

    def _send(self, duty: float) -> None:
        """Put a command on its way, with the cart's own delay."""
        delay, period_s = self._plant.delay, self._plant.timing.control_period_s
        number, self._number = self._number, self._number + 1
        latency_s = delay.latency_s
        if delay.jitter_s or delay.drop_probability:
            if self._rng.random() < delay.drop_probability:
                return
            latency_s += delay.jitter_s * self._rng.random()
        effect = self._now + round(delay.effect(latency_s, period_s) / self._step_s)
        self._waiting.append((effect, number, duty))

    def _take(self) -> None:
        """Put in force the newest command whose moment has come."""
        for command in [command for command in self._waiting if command[0] <= self._now]:
            self._waiting.remove(command)
            if command[1] > self._active_number:
                self._active_number, self._active = command[1], command[2]

    def _driven(self, drawn: float) -> float:
        """The duty that gives the drive which the motor makes of the command in force."""
        motor, disturbance = self._plant.motor, self._disturbance
        level = self._level + disturbance.response * (motor.level(self._active) - self._level)
        self._level = min(1.0, max(-1.0, level + disturbance.drive_noise * drawn))
        return min(1.0, max(-1.0, motor.duty_for(self._level))) if self._level else 0.0

    def _push(self) -> None:
        """Apply the pushes of this step, at its middle."""
        now_s = (self._now + 0.5) * self._step_s
        force_n = torque_n_m = 0.0
        for push in self._disturbance.pushes:
            apart = (now_s - push.at_s) / push.width_s
            if abs(apart) <= _REACH:
                height = push.height * math.exp(-0.5 * apart * apart)
                if push.is_on_pole:
                    torque_n_m += height
                else:
                    force_n += height
        is_pushed = bool(force_n or torque_n_m)
        if is_pushed or self._is_pushed:
            self._native.push(force_n, torque_n_m)
        self._is_pushed = is_pushed

    def _read(self) -> tuple[float, ...]:
        measured = self.measurement
        return (
            measured.cart_position_m,
            measured.cart_speed_m_s,
            measured.pole_angle_rad,
            measured.pole_speed_rad_s,
        )

    def _observation(self) -> NDArray[np.float32]:
        x, v, angle, rate = self._seen[0]
        disturbance = self._disturbance
        if disturbance.cart_noise_m_s or disturbance.pole_noise_rad_s:
            of_cart, of_pole = self._rng.normal(0.0, 1.0, 2).tolist()
            v += disturbance.cart_noise_m_s * of_cart
            rate += disturbance.pole_noise_rad_s * of_pole
        return np.array((x, v, angle, rate), np.float32)
