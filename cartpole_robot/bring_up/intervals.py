"""The intervals of an identification as ranges from which carts are drawn, to try a policy on all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization, Range
from cartpole_robot.errors import UsageError

_KEYS = {
    "motor_gain": "motor.stall_force_n",
    "back_emf": "motor.back_emf_n_s_m",
    "damping": "motor.back_emf_n_s_m",  # the file keeps the viscous part of the sum
    "coulomb": "friction.cart_coulomb_n",
    "dead_zone": "motor.dead_zone_duty",
    "pole_viscous": "friction.pole_viscous_n_m_s",
    "pole_length": "pole_cart.pole_half_length_m",
    "cart_mass": "pole_cart.cart_mass_kg",
    "delay": "delay.latency_s",
    "settling": "stepper.settling_s",
}
_LEAST_SHARE = 0.02  # of a value to each side: no interval is trusted to be narrower
_MOST_SHARE = 0.3  # a wider one says that hardly anything is known, not that all of it is likely
_LEAST_S = 1e-3


def ranges_of(cart: CartParams, estimates: Sequence[Mapping[str, Any]]) -> Randomization | None:
    """Carts within the intervals about the identified `cart`; None where they make no valid cart."""
    for share in (1.0, 0.5):
        ranges = {}
        for estimate in estimates:
            key = _KEYS.get(str(estimate["term"]))
            value = None if key is None else _value(cart, key)
            if key is not None and value:
                ranges[key] = _range(value, estimate, share, is_delay=key.startswith("delay"))
        try:
            return Randomization(cart, ranges, where="the intervals of the identification")
        except UsageError:
            continue
    return None


def _value(cart: CartParams, key: str) -> float | None:
    section, name = key.split(".")
    value = getattr(getattr(cart, section), name)
    return None if value is None else float(value)


def _range(value: float, estimate: Mapping[str, Any], share: float, *, is_delay: bool) -> Range:
    """About `value`, as wide as the interval, within bounds."""
    half = 0.5 * (float(estimate["high_95"]) - float(estimate["low_95"]))
    half = half if math.isfinite(half) else math.inf
    least = _LEAST_S if is_delay else _LEAST_SHARE * abs(value)
    half = share * min(max(half, least), max(_MOST_SHARE * abs(value), least))
    return Range(low=max(value - half, 0.1 * value), high=value + half, is_factor=False)
