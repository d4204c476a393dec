"""Carts as text: the list with key figures, and every parameter with its unit and source."""

from __future__ import annotations

import math
from typing import Any

from cartpole_robot.cart.drive_keys import keys_in_file
from cartpole_robot.cart.params import SECTIONS, CartParams

# The unit is the end of a name, as everywhere in this project; longer ends first.
_UNITS = (
    ("_per_s", "1/s"),
    ("_n_m_s", "N m s/rad"),
    ("_counts_per_turn", "counts/turn"),
    ("_counts_per_m", "counts/m"),
    ("_n_s_m", "N s/m"),
    ("_kg_m2", "kg m²"),
    ("_per_m", "1/m"),
    ("_rad_s", "rad/s"),
    ("_m_s2", "m/s²"),
    ("_n_m", "N m"),
    ("_m_s", "m/s"),
    ("_duty", "duty"),
    ("_rad", "rad"),
    ("_kg", "kg"),
    ("_n", "N"),
    ("_v", "V"),
    ("_a", "A"),
    ("_m", "m"),
    ("_s", "s"),
)


def unit_of(name: str) -> str:
    """The unit that a parameter's name ends in; empty where it has none."""
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "")


def words_of(name: str) -> str:
    """A parameter's name as words, without its unit: "cart coulomb" for "cart_coulomb_n"."""
    ending = next((ending for ending, _ in _UNITS if name.endswith(ending) and name != ending[1:]), "")
    return name.removesuffix(ending).replace("_", " ")


def key_figures(cart: CartParams) -> dict[str, Any]:
    """The key figures of a cart: drive, masses, pole, force, speed, track, encoders, delay; SI units.

    A stepper's force is what its largest acceleration takes.
    """
    return {
        "name": cart.name,
        "description": cart.description,
        "drive": cart.drive.value,
        "cart_mass_kg": cart.pole_cart.cart_mass_kg,
        "pole_mass_kg": cart.pole_cart.pole_mass_kg,
        "pole_half_length_m": cart.pole_cart.pole_half_length_m,
        "stall_force_n": cart.motor.stall_force_n,
        "terminal_speed_m_s": cart.terminal_speed_m_s if math.isfinite(cart.terminal_speed_m_s) else None,
        "cart_position_m": cart.limits.cart_position_m,
        "pole_counts_per_turn": cart.encoders.pole_counts_per_turn if cart.encoders else None,
        "control_period_s": cart.timing.control_period_s,
        "apply": cart.delay.apply.value,
        "action_duties": list(cart.action_duties),
    }


def list_text(carts: list[CartParams]) -> str:
    """A table with one line per cart, then the descriptions."""
    columns = f"{'pole m':>8}{'force N':>9}{'speed m/s':>11}{'track m':>9}{'pole counts':>13}  actions"
    lines = [f"{'cart':<14}{'drive':<8}{'masses kg':>13}{columns}"]
    for cart in carts:
        figures = key_figures(cart)
        speed = figures["terminal_speed_m_s"]
        masses = f"{figures['cart_mass_kg']:.3g} + {figures['pole_mass_kg']:.3g}"
        duties = ", ".join(f"{duty:g}" for duty in cart.action_duties)
        lines.append(
            f"{cart.name:<14}{figures['drive']:<8}{masses:>13}"
            f"{2.0 * figures['pole_half_length_m']:>8.3g}{figures['stall_force_n']:>9.3g}"
            f"{'-' if speed is None else f'{speed:.2f}':>11}{'±' + format(figures['cart_position_m'], '.3g'):>9}"
            f"{figures['pole_counts_per_turn'] or 'exact':>13}  {duties}"
        )
    return "\n".join([*lines, "", *(f"{cart.name}: {cart.description}" for cart in carts)])


def show_text(cart: CartParams) -> str:
    """Every parameter with its value, unit and source."""
    lines = [f"{cart.name}: {cart.description}"]
    for section in SECTIONS:
        names = keys_in_file(cart, section)
        if not names:
            continue
        lines.append(f"\n[{section}]")
        for name in names:
            value = getattr(getattr(cart, section), name)
            source = cart.sources.get(f"{section}.{name}", "")
            lines.append(f"  {name:<24}{_shown(value):>12} {unit_of(name):<12} {source}")
    source = cart.sources.get("actions.duty") or cart.sources.get("actions.force_n", "")
    lines += ["\n[actions]", _table_line("duty", cart.action_duties, source)]
    for key, table in (("swing_up_duty", cart.swing_up_duties), ("precise_duty", cart.precise_duties)):
        if table is not None:
            lines.append(_table_line(key, table, cart.sources.get(f"actions.{key}", "")))
    return "\n".join(lines)


def _table_line(name: str, table: tuple[float, ...], source: str) -> str:
    duties = ", ".join(f"{duty:g}" for duty in table)
    return f"  {name:<24}{duties:>12} {'':<12} {source}"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return str(value)
