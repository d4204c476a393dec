"""How a cart is driven before it is identified: with its weakest possible brake, on a part of its track."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.firmware_figures import braking_distance_m, encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply

FORCE = (0.4, 2.5)
"""How many times as strong as in its file the motor of an unidentified cart may be."""
FRICTION = (0.5, 2.5)
"""How many times as much friction it may have."""
LENGTH = (0.6, 1.6)
"""How many times as long its pole may be."""
TRACK_SHARE = 0.75
"""Of the limits, that an unidentified cart may use."""
_CAUTIOUS_M_S = 0.8  # the fastest that it is meant to get
_LEAST_LATENCY_S = 0.5e-3  # of any line; a delay of 0 is no delay that a file may have


@dataclass(frozen=True, kw_only=True)
class Brake:
    """How a shorted cart stops: its speed falls by `rate_1_s` of itself a second, and by `dry_m_s2`."""

    rate_1_s: float
    dry_m_s2: float

    def distance_m(self, speed_m_s: float) -> float:
        """How far the cart rolls from that speed."""
        return braking_distance_m(mass_kg=1.0, damping_n_s_m=self.rate_1_s, dry_n=self.dry_m_s2, speed_m_s=speed_m_s)

    def deceleration_m_s2(self, speed_m_s: float) -> float:
        """The steady deceleration with that distance, which the firmware counts on."""
        return speed_m_s**2 / (2.0 * self.distance_m(speed_m_s))


def brake_of(cart: CartParams) -> Brake:
    """The brake of a cart by its numbers."""
    mass_kg = cart.pole_cart.mass_kg
    return Brake(rate_1_s=cart.damping_n_s_m / mass_kg, dry_m_s2=cart.friction.cart_coulomb_n / mass_kg)


def weakest_brake(cart: CartParams) -> Brake:
    """The weakest brake that a cart with this file may have: the back-EMF of a weak motor, and little friction."""
    mass_kg, friction = cart.pole_cart.mass_kg, cart.friction
    damping = FORCE[0] * cart.motor.back_emf_n_s_m + FRICTION[0] * friction.cart_viscous_n_s_m
    return Brake(rate_1_s=damping / mass_kg, dry_m_s2=FRICTION[0] * friction.cart_coulomb_n / mass_kg)


def with_homing(cart: CartParams, *, homing_duty: float, moving_duty: float, latency_s: float) -> CartParams:
    """`cart` with the duties with which it homes, and commands that work on arrival, after that latency."""
    _, firmware = encoders_and_settings(cart)
    delay = dataclasses.replace(cart.delay, apply=Apply.ON_ARRIVAL, latency_s=max(latency_s, _LEAST_LATENCY_S))
    sources = dict(cart.sources)
    for name, value in (("homing_duty", homing_duty), ("moving_duty", moving_duty)):
        if value != getattr(firmware, name):
            sources[f"firmware.{name}"] = "measured: bring-up, with less the cart did not home"
    sources["delay.apply"] = "chosen: bring-up; no delay is shorter"
    sources["delay.latency_s"] = "measured: bring-up, round trip of the line"
    firmware = dataclasses.replace(firmware, homing_duty=homing_duty, moving_duty=moving_duty)
    return dataclasses.replace(cart, firmware=firmware, delay=delay, sources=sources)


def with_signs(cart: CartParams, signs: Mapping[str, bool], source: str) -> CartParams:
    """`cart` with those keys of its `[firmware]`."""
    if not signs:
        return cart
    _, firmware = encoders_and_settings(cart)
    sources = {**cart.sources, **{f"firmware.{key}": source for key in signs}}
    firmware = dataclasses.replace(firmware, **dict[str, Any](signs))
    return dataclasses.replace(cart, firmware=firmware, sources=sources)


def cautious_cart(cart: CartParams, brake: Brake) -> CartParams:
    """`cart` on a part of its track, with that brake."""
    _, firmware = encoders_and_settings(cart)
    limits = dataclasses.replace(cart.limits, cart_position_m=round(TRACK_SHARE * cart.limits.cart_position_m, 4))
    firmware = dataclasses.replace(
        firmware,
        travel_limit_m=round(TRACK_SHARE * firmware.travel_limit_m, 4),
        brake_decel_m_s2=round(brake.deceleration_m_s2(_CAUTIOUS_M_S), 3),
    )
    return dataclasses.replace(cart, limits=limits, firmware=firmware)


def cautious_stepper(cart: CartParams) -> CartParams:
    """`cart`, which has a stepper, on a part of its track: it brakes as it accelerates."""
    _, firmware = encoders_and_settings(cart)
    limits = dataclasses.replace(cart.limits, cart_position_m=round(TRACK_SHARE * cart.limits.cart_position_m, 4))
    firmware = dataclasses.replace(firmware, travel_limit_m=round(TRACK_SHARE * firmware.travel_limit_m, 4))
    return dataclasses.replace(cart, limits=limits, firmware=firmware)


def fastest_m_s(cart: CartParams) -> float:
    """The speed that `cart` can reach on half of its track: its terminal speed, or less where the track is short."""
    _, firmware = encoders_and_settings(cart)
    most_m_s2 = cart.motor.strongest_force_n / cart.pole_cart.mass_kg
    return min(cart.terminal_speed_m_s, math.sqrt(2.0 * most_m_s2 * firmware.travel_limit_m))


def with_brake(cart: CartParams, brake: Brake, source: str) -> CartParams:
    """`cart` with `firmware.brake_decel_m_s2` by that brake, from the fastest that it can get."""
    _, firmware = encoders_and_settings(cart)
    decel_m_s2 = float(f"{brake.deceleration_m_s2(fastest_m_s(cart)):.4g}")
    return dataclasses.replace(
        cart,
        firmware=dataclasses.replace(firmware, brake_decel_m_s2=decel_m_s2),
        sources={**cart.sources, "firmware.brake_decel_m_s2": source},
    )
