"""The cart-pole's motion over large angles, in NumPy: one state at a time, or many drives at once.

A drive is the motor's level: the share of its stall force, 1 at full duty of a motor that is the same to both sides. A
stepper's is the share of its acceleration, up to its largest speed.
The equations of motion are those of `simulation/native/plant.h`; back-EMF and viscous friction are solved exactly over
a step, positions move half a step before and half a step after the forces act (leapfrog).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import State

Array = NDArray[np.float64]
_FINE_S = 0.005


class Rollouts(NamedTuple):
    """Many motions from one state: position, speed, angle and angular speed at the end of each step, (steps, many)."""

    position_m: Array
    speed_m_s: Array
    angle_rad: Array
    rate_rad_s: Array


class SwingModel:
    """The motion of one cart. The motor's lag is left to the delay."""

    def __init__(self, cart: CartParams) -> None:
        body, friction, drive = cart.pole_cart, cart.friction, drive_model(cart)
        self._body = body
        self.mass_kg, self.gravity_m_s2 = drive.mass_kg, body.gravity_m_s2
        self.stall_n, self.damping, self.coulomb_n = drive.full_force_n, drive.damping_n_s_m, drive.dry_n
        self.most_m_s = drive.most_speed_m_s
        self.pole_viscous, self.pole_coulomb = friction.pole_viscous_n_m_s, friction.pole_coulomb_n_m
        self.stretch_pole(1.0)

    def stretch_pole(self, scale: float) -> None:
        """Make the pole `scale` times as long as the cart's, with the same mass."""
        self.coupling = scale * self._body.coupling_kg_m
        self.inertia = scale * scale * self._body.hinge_inertia_kg_m2
        self.rate_hanging_rad_s = math.sqrt(self.coupling * self.gravity_m_s2 / self.inertia)

    def energy(self, angle_rad: float, rate_rad_s: float) -> float:
        """The pole's energy: 0 upright and still, -1 hanging and still."""
        return 0.5 * (math.cos(angle_rad) - 1.0) + 0.25 * (rate_rad_s / self.rate_hanging_rad_s) ** 2

    def _kept(self, step_s: float) -> float:
        """The share of damping that acts over a step whose speed it changes."""
        share = step_s * self.damping / self.mass_kg
        return (1.0 - math.exp(-share)) / share if share > 0.0 else 1.0

    def accelerations(self, state: State, drive: float) -> tuple[float, float]:
        """Those of cart (m/s²) and pole (rad/s²) in a moving cart."""
        _, speed, angle, rate = state
        sine, cosine = math.sin(angle), self.coupling * math.cos(angle)
        dry = self.coulomb_n * max(-1.0, min(1.0, speed / 0.01))
        if speed * drive > 0.0 and abs(speed) >= self.most_m_s:
            drive = 0.0
        along = drive * self.stall_n - self.damping * speed - dry + self.coupling * sine * rate * rate
        about = self.coupling * self.gravity_m_s2 * sine - self.pole_viscous * rate
        share = 1.0 / (self.mass_kg * self.inertia - cosine * cosine)
        return (self.inertia * along - cosine * about) * share, (self.mass_kg * about - cosine * along) * share

    def after(self, state: State, drive: float, duration_s: float) -> State:
        """The state after `duration_s` at one drive."""
        steps = max(1, math.ceil(duration_s / _FINE_S - 1e-9))
        step_s = duration_s / steps
        kept = self._kept(step_s)
        force_n, damping = kept * drive * self.stall_n, kept * self.damping
        mass, inertia, coupling, dry = self.mass_kg, self.inertia, self.coupling, self.coulomb_n
        weight, stop = coupling * self.gravity_m_s2, mass / step_s
        most, asked_n = self.most_m_s, force_n
        x, v, angle, rate = state
        for _ in range(steps):
            if most < math.inf:
                force_n = max(-stop * (most + v), min(stop * (most - v), asked_n))
            angle += 0.5 * step_s * rate
            x += 0.5 * step_s * v
            sine, cosine = math.sin(angle), coupling * math.cos(angle)
            along = force_n - damping * v - max(-dry, min(dry, stop * v)) + coupling * sine * rate * rate
            about = weight * sine - self.pole_viscous * rate - math.copysign(self.pole_coulomb, rate)
            share = step_s / (mass * inertia - cosine * cosine)
            v += (inertia * along - cosine * about) * share
            rate += (mass * about - cosine * along) * share
            x += 0.5 * step_s * v
            angle += 0.5 * step_s * rate
        return State(x, v, angle, rate)

    def rollouts(self, state: State | tuple[Array, ...], drives: Array, step_s: float) -> Rollouts:
        """The motions under drives (steps, many), each held for `step_s`; the parts of `state` may be arrays too."""
        steps, many = drives.shape
        position0, speed0, angle0, rate0 = (np.array(np.broadcast_to(part, many), np.float64) for part in state)
        kept = self._kept(step_s)
        forces, damping, stop = drives * (kept * self.stall_n), kept * self.damping, self.mass_kg / step_s
        mass, inertia, coupling, dry = self.mass_kg, self.inertia, self.coupling, self.coulomb_n
        weight, viscous, product = coupling * self.gravity_m_s2, self.pole_viscous, mass * inertia
        speeds, angles, rates = np.empty((steps, many)), np.empty((steps, many)), np.empty((steps, many))
        speed, angle, rate = speed0, angle0 - 0.5 * step_s * rate0, rate0
        sine, cosine, along, about, share, part = np.empty((6, many))
        add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
        minimum, maximum = np.minimum, np.maximum
        most = self.most_m_s
        for k in range(steps):
            if most < math.inf:  # no more force than brings the cart to its largest speed
                np.clip(forces[k], -stop * (most + speed), stop * (most - speed), out=forces[k])
            multiply(rate, step_s, part)
            angle = add(angle, part, angles[k])
            np.sin(angle, sine)
            np.cos(angle, cosine)
            multiply(cosine, coupling, cosine)
            multiply(rate, rate, along)
            multiply(along, sine, along)
            multiply(along, coupling, along)
            add(along, forces[k], along)
            multiply(speed, damping, part)
            subtract(along, part, along)
            if dry:
                multiply(speed, stop, part)
                minimum(part, dry, out=part)
                maximum(part, -dry, out=part)
                subtract(along, part, along)
            multiply(sine, weight, about)
            multiply(rate, viscous, part)
            subtract(about, part, about)
            multiply(cosine, cosine, share)
            subtract(product, share, share)
            divide(step_s, share, share)
            multiply(cosine, about, sine)
            multiply(along, inertia, part)
            subtract(part, sine, part)
            multiply(part, share, part)
            speed = add(speed, part, speeds[k])
            multiply(about, mass, about)
            multiply(cosine, along, along)
            subtract(about, along, about)
            multiply(about, share, about)
            rate = add(rate, about, rates[k])
        positions = np.cumsum(speeds, axis=0)
        positions -= 0.5 * speeds
        positions += 0.5 * speed0
        positions *= step_s
        positions += position0
        angles += 0.5 * step_s * rates
        return Rollouts(positions, speeds, angles, rates)
