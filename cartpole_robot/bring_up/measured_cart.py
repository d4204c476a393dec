"""The cart file with the numbers that `check-rig` has measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import date

from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import MOST_STEPS_PER_S
from cartpole_robot.errors import RunError

_DIGITS = 5
_BY_TRACK = ", by firmware.switch_m"
_GIVEN = {"encoders.cart_counts_per_m": _BY_TRACK, "stepper.steps_per_m": _BY_TRACK}  # what a number rests on


def measured_numbers(results: Sequence[StepResult]) -> dict[str, float]:
    """What the steps have measured, by "section.key", with as many digits as mean something."""
    found = {key: value for result in results for key, value in result.measured.items()}
    return {key: float(f"{value:.{_DIGITS}g}") for key, value in found.items()}


def doubtful_numbers(results: Sequence[StepResult]) -> dict[str, str]:
    """Those of the measured numbers that are right only if nothing else is wrong: the step that found so, by key."""
    return {key: result.name for result in results if result.verdict is Verdict.WRONG for key in result.measured}


def measured_cart(cart: CartParams, results: Sequence[StepResult], day: date) -> CartParams:
    """`cart` with what was measured on `day`, each number with its source. Raises `RunError` if no cart can be so."""
    numbers = measured_numbers(results)
    if not numbers:
        raise RunError(f"nothing was measured that a cart file holds: the steps {_measuring(cart)} do")
    if cart.stepper is not None and "stepper.steps_per_m" in numbers:
        steps_per_m = numbers["encoders.cart_counts_per_m"] = numbers["stepper.steps_per_m"]
        if steps_per_m * cart.stepper.maximum_speed_m_s > MOST_STEPS_PER_S:  # then the board makes no more of a second
            numbers["stepper.maximum_speed_m_s"] = math.floor(1e4 * MOST_STEPS_PER_S / steps_per_m) / 1e4
    changes: dict[str, dict[str, float | int]] = {}
    for key, value in numbers.items():
        section, name = key.split(".")
        kept = getattr(getattr(cart, section), name)
        changes.setdefault(section, {})[name] = round(value) if isinstance(kept, int) else value
    measured = f"measured: check-rig {day.isoformat()}"
    sources = dict(cart.sources) | {key: measured + _GIVEN.get(key, "") for key in numbers}
    try:
        records = {name: dataclasses.replace(getattr(cart, name), **values) for name, values in changes.items()}
        return dataclasses.replace(cart, sources=sources, **records)
    except ValueError as error:
        raise RunError(f"the measured numbers make no cart: {error}") from None


def _measuring(cart: CartParams) -> str:
    return "rail, track, dead-zone and brake" if cart.stepper is None else "rail, track and acceleration"
