"""What the drawing of a cart needs to know of it."""

from __future__ import annotations

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams


def drawing_of(cart: CartParams) -> dict[str, float]:
    """Lengths in m from the middle of the track, the pole's whole length in m, and its limit in rad.

    Raises `UsageError` for a cart that no firmware can drive.
    """
    _, settings = encoders_and_settings(cart)
    return {
        "pole_length_m": 2.0 * cart.pole_cart.pole_half_length_m,
        "travel_limit_m": settings.travel_limit_m,
        "switch_m": settings.switch_m,
        "pole_limit_rad": settings.pole_limit_rad,
    }
