"""What the drawing of a cart needs to know of it."""

from __future__ import annotations

from typing import Any

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams


def drive_of(cart: CartParams) -> dict[str, Any]:
    """What moves it: "dc" or "stepper"; of a stepper the acceleration at full duty, and the steps of a metre."""
    if cart.stepper is None:
        return {"drive": cart.drive.value}
    return {
        "drive": cart.drive.value,
        "full_acceleration_m_s2": cart.stepper.maximum_acceleration_m_s2,
        "steps_per_m": cart.stepper.steps_per_m,
    }


def drawing_of(cart: CartParams) -> dict[str, Any]:
    """Lengths in m from the middle of the track, the pole's whole length in m, its limit in rad, and `drive_of`.

    Raises `UsageError` for a cart that no firmware can drive.
    """
    _, settings = encoders_and_settings(cart)
    return {
        **drive_of(cart),
        "pole_length_m": 2.0 * cart.pole_cart.pole_half_length_m,
        "travel_limit_m": settings.travel_limit_m,
        "switch_m": settings.switch_m,
        "pole_limit_rad": settings.pole_limit_rad,
    }
