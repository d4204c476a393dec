"""What a user should know about an identification, as notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cartpole_robot.cart.params import CartParams
from cartpole_robot.identify.fit import Estimate, OneRecording

_VAGUE = 0.5  # of the value, of a signed term its largest: a wider interval says little
LARGE_ZERO_RAD = 0.03  # a pole is set upright by eye to a degree or so


def notes_of(
    cart: CartParams, names: Sequence[str], estimates: Sequence[Estimate], recordings: int, *, is_driven: bool
) -> list[str]:
    """The notes about `estimates` of the terms `names`, from that many recordings."""
    by_name: Mapping[str, Estimate] = {e.term.name: e for e in estimates}
    notes = []
    if "angle_zero" in by_name:
        notes += _zero_notes(by_name["angle_zero"])
    notes.extend(filter(None, map(_bound_note, estimates)))
    notes.extend(_disagreement(e) for e in estimates if e.is_disputed)
    if recordings == 1:
        notes.append(
            "one recording: the intervals contain only its noise, and not what differs from one recording to the next, "
            "which several would show"
        )
    if "damping" in by_name:
        notes.append(
            "back-EMF and viscous friction: only their sum shows while the bridge brakes at duty 0; the file's viscous "
            "friction is kept, the rest is assigned to back-EMF"
        )
    if "motor_gain" in by_name:
        notes.append(_force_note(cart, by_name))
    if "motor_gain" not in names and (cart.stepper is None or not is_driven):
        notes.append("the motor was never driven: motor, cart friction and delay do not show")
    notes.extend(
        f"{e.term.label}: hardly shows in these recordings ({e.low:.3g} to {e.high:.3g} {e.term.unit}); a motion that "
        "depends on it would show it"
        for e in estimates
        if e.term.name != "angle_zero"
        and e.bound is None
        and e.high - e.low > _VAGUE * (abs(e.value) if e.term.low >= 0.0 else e.term.high)
    )
    return notes


def _zero_notes(zero: Estimate) -> list[str]:
    """However good or bad the fit is: a wrong zero of the sensor bends all other numbers."""
    if abs(zero.value) < LARGE_ZERO_RAD:
        return []
    return [
        f"angle zero: the recordings show {zero.value:.3g} rad ({math.degrees(zero.value):.1f} degrees) with the pole "
        "upright; the new cart file keeps that as readings.pole_angle_zero_rad, by which compare corrects these "
        "recordings; if they were imported, better correct the offset in the map's [angle] and import them again"
    ]


def _bound_note(estimate: Estimate) -> str | None:
    bound, term = estimate.bound, estimate.term
    if bound is None:
        return None
    if bound == 0.0:
        return f"{term.label}: at 0, the bound of the search: these recordings show none"
    return (
        f"{term.label}: at {bound:g} {term.unit}, the bound of the search: the recordings ask for more than a model "
        "may have, or another term is missing; do not trust the value"
    )


def _disagreement(estimate: Estimate) -> str:
    lowest = min(estimate.by_recording, key=lambda one: one.high)
    highest = max(estimate.by_recording, key=lambda one: one.low)
    return (
        f"{estimate.term.label}: the recordings, or sections of one, disagree: {_one(lowest)}, {_one(highest)} "
        f"{estimate.term.unit}; the interval holds that spread"
    )


def _one(shown: OneRecording) -> str:
    return f"{shown.value:.4g} ({shown.low:.4g} to {shown.high:.4g}) in {shown.recording}"


def _force_note(cart: CartParams, by_name: Mapping[str, Estimate]) -> str:
    key, weighed = ("pole", "pole_mass_kg") if "cart_mass" in by_name else ("cart", "cart_mass_kg")
    source = cart.sources.get(f"pole_cart.{weighed}", "") or "no source"
    known = f"the {key}'s mass of {getattr(cart.pole_cart, weighed):g} kg ({source})"
    cart_kg = by_name["cart_mass"].value if "cart_mass" in by_name else cart.pole_cart.cart_mass_kg
    per_kg = by_name["motor_gain"].value / (cart_kg + cart.pole_cart.pole_mass_kg)
    return (
        f"motor gain: {per_kg:.4g} N per kg of cart and pole is what shows; the forces, damping and friction "
        f"included, are as accurate as {known}"
    )
