"""What a rig with firmware needs to know about a cart: settings, swing period, braking distance."""

from __future__ import annotations

import dataclasses
import math

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Encoders, FirmwareSettings, PoleSensor
from cartpole_robot.errors import UsageError


def encoders_and_settings(cart: CartParams) -> tuple[Encoders, FirmwareSettings]:
    """The cart's `encoders` and `firmware`. Raises `UsageError` for a cart that no firmware can drive."""
    if cart.encoders is None or cart.firmware is None:
        missing, section = ("encoders", Encoders) if cart.encoders is None else ("firmware", FirmwareSettings)
        keys = [field.name for field in dataclasses.fields(section) if field.default is dataclasses.MISSING]
        raise UsageError(
            f"cart {cart.name!r} has no [{missing}] section and is for simulation only; use --rig sim, or another "
            f"cart, or add the section with its keys {', '.join(keys)}"
        )
    if cart.encoders.pole_sensor is not PoleSensor.ENCODER:
        raise UsageError(
            f"cart {cart.name!r} measures its pole with a {cart.encoders.pole_sensor}, which no firmware reads yet; "
            "use --rig sim, or another cart"
        )
    if cart.delay.apply is Apply.AT_ONCE:
        raise UsageError(
            f"cart {cart.name!r}: delay.apply = 'at_once', but every host takes time to answer; "
            "choose next_tick or on_arrival"
        )
    return cart.encoders, cart.firmware


def pole_half_period_s(cart: CartParams) -> float:
    """Half of the period of the pole's small free swing about hanging, cart held: pi sqrt(J / m g l)."""
    body = cart.pole_cart
    return math.pi * math.sqrt(body.hinge_inertia_kg_m2 / (body.coupling_kg_m * body.gravity_m_s2))


def pole_half_length_m(cart: CartParams, half_period_s: float) -> float:
    """Half of the length of a pole built as the cart's, of other length, whose free swing takes twice that long.

    Its inertia grows with the square of its length, so the length grows with the square of the period.
    """
    return cart.pole_cart.pole_half_length_m * (half_period_s / pole_half_period_s(cart)) ** 2


def braking_distance_m(*, mass_kg: float, damping_n_s_m: float, dry_n: float, speed_m_s: float) -> float:
    """How far a cart coasts with its motor shorted, braked by back-EMF, viscous and Coulomb friction."""
    if dry_n == 0.0:
        return mass_kg * speed_m_s / damping_n_s_m
    share = damping_n_s_m * speed_m_s / dry_n
    return mass_kg / damping_n_s_m * (speed_m_s - dry_n / damping_n_s_m * math.log1p(share))


def braking_deceleration_m_s2(cart: CartParams) -> float:
    """The steady deceleration with the braking distance of a cart at its terminal speed: v² / 2 d.

    A shorted motor brakes less, relative to v², the slower the cart is: below the terminal speed v² / 2a is a little
    too short, which the margin to the switches has to cover (a time constant times a few cm/s). A measured one,
    firmware.brake_decel_m_s2, takes its place. A stepper brakes as hard as it accelerates. Raises `UsageError` for a
    cart without a terminal speed.
    """
    if cart.stepper is not None:
        return cart.stepper.maximum_acceleration_m_s2
    speed_m_s = cart.terminal_speed_m_s
    if math.isinf(speed_m_s):
        raise UsageError(f"cart {cart.name!r}: nothing limits its speed; give motor.back_emf_n_s_m")
    if cart.firmware is not None and cart.firmware.brake_decel_m_s2 is not None:
        return cart.firmware.brake_decel_m_s2
    return deceleration_m_s2(cart, cart.damping_n_s_m)


def deceleration_m_s2(cart: CartParams, damping_n_s_m: float) -> float:
    """`braking_deceleration_m_s2` of a cart whose shorted motor and viscous friction brake with that damping."""
    speed_m_s = cart.terminal_speed_m_s
    distance_m = braking_distance_m(
        mass_kg=cart.pole_cart.mass_kg,
        damping_n_s_m=damping_n_s_m,
        dry_n=cart.friction.cart_coulomb_n,
        speed_m_s=speed_m_s,
    )
    return speed_m_s**2 / (2.0 * distance_m)


def quickly_homing(cart: CartParams) -> CartParams:
    """`cart` with homing that takes a few seconds instead of twenty; nothing else changes.

    A stepper's stops as far behind its switch as its acceleration needs, which must be before the end of the track.
    """
    _, firmware = encoders_and_settings(cart)
    speed_m_s = 0.5 if cart.stepper is None else 0.3
    return dataclasses.replace(
        cart, firmware=dataclasses.replace(firmware, homing_speed_m_s=speed_m_s, homing_duty=0.5)
    )
