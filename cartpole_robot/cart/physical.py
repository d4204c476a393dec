"""What a cart and its pole can be: bounds that no real one leaves."""

from __future__ import annotations

from cartpole_robot.cart.parts import PoleCart
from cartpole_robot.cart.urdf import uniform_rod_inertia_kg_m2
from cartpole_robot.errors import UsageError

_MASS_KG = (1e-4, 1e4)
_LENGTH_M = (1e-3, 1e2)
_ROUNDING = 1.0 + 1e-6


def check_body(body: PoleCart, *, where: str) -> None:
    """Raise `UsageError` beginning with `where` for numbers that no cart-pole has."""
    fault = physical_fault(
        cart_mass_kg=body.cart_mass_kg,
        pole_mass_kg=body.pole_mass_kg,
        pole_half_length_m=body.pole_half_length_m,
        pole_inertia_kg_m2=body.pole_inertia_kg_m2,
    )
    if fault is not None:
        raise UsageError(f"{where}: {fault}")


def physical_fault(
    *, cart_mass_kg: float, pole_mass_kg: float, pole_half_length_m: float, pole_inertia_kg_m2: float
) -> str | None:
    """The first number that no cart-pole has, with its bounds; None if there is none.

    A pole whose mass m lies between its hinge and twice the distance l of its centre of mass has at most the inertia
    m l² about that centre, with half of the mass at either end.
    """
    for name, value, (low, high), unit in (
        ("cart_mass_kg", cart_mass_kg, _MASS_KG, "kg"),
        ("pole_mass_kg", pole_mass_kg, _MASS_KG, "kg"),
        ("pole_half_length_m", pole_half_length_m, _LENGTH_M, "m"),
    ):
        if not low <= value <= high:
            return f"{name} = {value:g}, expected {low:g} to {high:g} {unit}; is it in another unit?"
    most = pole_mass_kg * pole_half_length_m**2
    inertia = pole_inertia_kg_m2
    if 0.0 < inertia <= most * _ROUNDING:
        return None
    rod = uniform_rod_inertia_kg_m2(pole_mass_kg, pole_half_length_m)
    hint = f"is it about the hinge? then write {inertia - most:.3g}" if most < inertia <= 2.0 * most else "correct it"
    return (
        f"pole_inertia_kg_m2 = {inertia:g}, expected more than 0 and at most {most:.3g} about the centre of mass "
        f"(a rod of {pole_mass_kg:g} kg and {2.0 * pole_half_length_m:g} m has {rod:.3g}); {hint}"
    )
