"""How a cart answers its drive, for code that plans motions: a regulator's design and a swing-up."""

from __future__ import annotations

import math
from typing import NamedTuple

from cartpole_robot.cart.params import CartParams

_KINEMATIC_KG = 1e6  # so heavy that no pole and no friction changes its speed


class DriveModel(NamedTuple):
    """Mass and forces of a cart with its pole.

    A stepper's cart is kinematic: it follows its command, as if cart and motor were very heavy and very strong.
    `most_speed_m_s` is where its speed ends; infinite for a DC motor, whose damping ends it.
    """

    mass_kg: float
    full_force_n: float
    damping_n_s_m: float
    dry_n: float
    most_speed_m_s: float

    @property
    def acceleration_m_s2(self) -> float:
        """That of full drive from rest, without friction."""
        return self.full_force_n / self.mass_kg


def drive_model(cart: CartParams) -> DriveModel:
    """That of `cart`."""
    if cart.stepper is None:
        return DriveModel(
            mass_kg=cart.pole_cart.mass_kg,
            full_force_n=cart.motor.stall_force_n,
            damping_n_s_m=cart.damping_n_s_m,
            dry_n=cart.friction.cart_coulomb_n,
            most_speed_m_s=math.inf,
        )
    return DriveModel(
        mass_kg=_KINEMATIC_KG,
        full_force_n=_KINEMATIC_KG * cart.stepper.maximum_acceleration_m_s2,
        damping_n_s_m=0.0,
        dry_n=0.0,
        most_speed_m_s=cart.stepper.maximum_speed_m_s,
    )
