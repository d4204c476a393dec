"""The motor and its bridge, as a force at the cart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Motor


class Force(Protocol):
    """Duties to forces."""

    def __call__(self, duty: float, speed_m_s: float, is_open: bool = False, /) -> float:
        """The mean force in N over the next physics step, at that duty and cart speed; `is_open`: so is the bridge."""


class RewindableForce(NamedTuple):
    """A force, the newtons that its lag holds, and a function to set them, which undoing a step needs."""

    force: Force
    held_n: Callable[[], float]
    hold: Callable[[float], None]


def driving_force(cart: CartParams) -> Force:
    """The force of bridge, motor and viscous friction on `cart`, as `rewindable_force` has it."""
    return rewindable_force(cart).force


def rewindable_force(cart: CartParams) -> RewindableForce:
    """The force of bridge, motor and viscous friction on `cart`, dry friction apart.

    A bridge that is open at duty 0 lets the motor coast; one that is not shorts it, unless the cart's never does. The
    lag's state is inside and solved exactly for a duty that is constant over the step. Back-EMF and viscous friction
    act on the step's mean speed (the trapezoidal rule for a cart of this mass), not on the speed at its beginning: with
    a strong gear motor the latter is off by a per cent at 1 ms.
    """
    motor, step_s = cart.motor, cart.timing.physics_step_s
    right_zone, left_zone, coasts = motor.right_dead_zone_duty, motor.left_dead_zone_duty, not motor.brakes_at_zero
    viscous = cart.friction.cart_viscous_n_s_m
    damping = cart.damping_n_s_m
    mean, mean_coasting = (
        1.0 / (1.0 + 0.5 * coefficient * step_s / cart.pole_cart.cart_mass_kg) for coefficient in (damping, viscous)
    )
    right_n, left_n = motor.right_slope_n, motor.left_slope_n
    keep = math.exp(-step_s / motor.lag_s) if motor.lag_s > 0.0 else 0.0
    drive_n = 0.0

    def force(duty: float, speed_m_s: float, is_open: bool = False, /) -> float:
        nonlocal drive_n
        if duty > right_zone:
            target_n = right_n * (duty - right_zone)
        elif duty < -left_zone:
            target_n = left_n * (duty + left_zone)
        elif coasts or is_open:
            drive_n = 0.0  # an open bridge carries no current, whatever the winding held
            return -viscous * speed_m_s * mean_coasting
        else:
            target_n = 0.0
        drive_n = target_n + keep * (drive_n - target_n)
        return (drive_n - damping * speed_m_s) * mean

    def held_n() -> float:
        return drive_n

    def hold(held_n: float) -> None:
        nonlocal drive_n
        drive_n = held_n

    return RewindableForce(_saturated(force, motor) if motor.saturation > 0.0 else force, held_n, hold)


def _saturated(force: Force, motor: Motor) -> Force:
    """`force` of a motor that saturates: the duty is bent before it, so that every other motor is as fast as before."""
    full_n, right_n, left_n = motor.stall_force_n, motor.right_slope_n, motor.left_slope_n
    right_zone, left_zone, level = motor.right_dead_zone_duty, motor.left_dead_zone_duty, motor.level

    def bent(duty: float, speed_m_s: float, is_open: bool = False, /) -> float:
        if duty > right_zone:
            duty = right_zone + full_n * level(duty) / right_n
        elif duty < -left_zone:
            duty = full_n * level(duty) / left_n - left_zone
        return force(duty, speed_m_s, is_open)

    return bent


def electrical_power(motor: Motor) -> Callable[[float, float], float]:
    """A function from a steady duty and speed (m/s) to the power drawn from the supply in W.

    Power is |duty| times supply voltage times motor current. The current is the stall current's share that belongs to
    the force; NaN where the cart file knows no voltage or current. A bridge feeds nothing back: never below 0.
    """
    if motor.supply_voltage_v is None or motor.stall_current_a is None:
        return lambda duty, speed_m_s: math.nan
    supply_v, stall_a, back_emf, stall_n = (
        *(motor.supply_voltage_v, motor.stall_current_a),
        *(motor.back_emf_n_s_m, motor.stall_force_n),
    )
    level_at = motor.level

    def power_w(duty: float, speed_m_s: float) -> float:
        level = level_at(duty)
        if level > 0.0:
            share = level - back_emf * speed_m_s / stall_n
        elif level < 0.0:
            share = -level + back_emf * speed_m_s / stall_n
        else:
            return 0.0
        return abs(duty) * supply_v * stall_a * share if share > 0.0 else 0.0

    return power_w
