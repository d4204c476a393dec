"""The cart file of an identified cart: every number with its source, identified ones with their interval."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import CART_FILE_FORMAT, IDENTIFIED
from cartpole_robot.cart.drive_keys import keys_in_file
from cartpole_robot.cart.listing import unit_of
from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.cart.parts import Apply, Delay, Readings, Timing
from cartpole_robot.cart.stepper import MOST_STEPS_PER_S, Stepper
from cartpole_robot.errors import RunError
from cartpole_robot.files.new_file import new_file
from cartpole_robot.identify.fit import Estimate
from cartpole_robot.identify.identification import Identification
from cartpole_robot.identify.stepper_cart import STEPS_PER_M, identified_stepper
from cartpole_robot.open_loop.model import Model, Term, identified_delay
from firmware_bridge.constants import TICK_S

_FIELDS = {
    "delay": ("delay.latency_s",),
    "motor_gain": ("motor.stall_force_n",),
    "damping": ("motor.back_emf_n_s_m", "friction.cart_viscous_n_s_m"),
    "back_emf": ("motor.back_emf_n_s_m",),
    "viscous": ("friction.cart_viscous_n_s_m",),
    "coulomb": ("friction.cart_coulomb_n", "friction.cart_static_n"),
    "dead_zone": ("motor.dead_zone_duty",),
    "saturation": ("motor.saturation",),
    "gain_asymmetry": ("motor.gain_asymmetry",),
    "dead_zone_asymmetry": ("motor.dead_zone_asymmetry_duty",),
    "cart_mass": ("pole_cart.cart_mass_kg",),
    "pole_viscous": ("friction.pole_viscous_n_m_s",),
    "pole_coulomb": ("friction.pole_coulomb_n_m",),
    "pole_length": ("pole_cart.pole_half_length_m", "pole_cart.pole_inertia_kg_m2"),
    "motor_lag": ("motor.lag_s",),
    "angle_zero": ("readings.pole_angle_zero_rad",),
    "settling": ("stepper.settling_s",),
    "steps_per_m": ("stepper.steps_per_m",),
}
_SAME_DELAY_S = 1e-3
_SAME_STEP_S = 1e-9
_AS = ", as identified"


def file_keys(term: str) -> tuple[str, ...]:
    """The keys of a cart file that hold the term of that name; none for what a cart file does not store."""
    return _FIELDS.get(term, ())


def identified_cart(found: Identification, nominal: CartParams) -> CartParams:
    """`nominal` with the identified numbers, and with action duties that push as hard as before.

    The angle zero of the recordings is stored where its interval excludes 0. A clock that an import took from its data
    becomes that of a firmware, or the cart could not be simulated. Raises `RunError` where the identified motor is too
    weak.
    """
    cart = found.model.cart
    sources = dict(nominal.sources)
    readings = _readings(found, nominal)
    for estimate in found.estimates:
        if estimate.term.name == STEPS_PER_M and estimate.value == estimate.term.read(found.nominal):
            continue  # the file's are kept
        for key in file_keys(estimate.term.name):
            source = _source(estimate, found, key, nominal)
            if source is not None:
                sources[key] = source
    delay = nominal.delay
    if any(e.term.name == "delay" for e in found.estimates):
        is_as_before = abs(found.model.delay_s - nominal.mean_delay_s) < _SAME_DELAY_S
        if not (is_as_before and delay.apply is Apply.NEXT_TICK):
            delay = _latency(found.model, nominal)
            sources["delay.apply"] = sources["delay.latency_s"]
        else:
            sources["delay.latency_s"] = nominal.sources.get("delay.latency_s", "not given in the file: the default")
    chosen = "chosen: they push the identified cart as hard per kg as those of the file before"
    changes: dict[str, Any] = {}
    if nominal.stepper is not None:
        changes = _changes_of_a_stepper(found, nominal, nominal.stepper, sources)
    duties = _same_pushes(nominal.action_duties, found.model, nominal)
    if duties != nominal.action_duties:
        sources["actions.duty"] = chosen
    others: dict[str, Any] = {}
    for key in ("swing_up", "precise"):
        table = getattr(nominal, f"{key}_duties")
        if table is not None:  # two that the motor cannot give any more become one
            others[f"{key}_duties"] = tuple(dict.fromkeys(_same_pushes(table, found.model, nominal)))
            if others[f"{key}_duties"] != table:
                sources[f"actions.{key}_duty"] = chosen
    timing = _simulated_timing(nominal)
    if timing != nominal.timing:
        before_s = nominal.timing.control_period_s
        origin = f"the firmware's millisecond; the recordings' period is {before_s:g} s"
        sources |= {"timing.control_period_s": origin, "timing.physics_step_s": origin}
    try:
        return dataclasses.replace(
            cart,
            name=nominal.name,
            description=f"{nominal.description.removesuffix(_AS)}{_AS}",
            delay=delay,
            limits=nominal.limits,
            action_duties=duties,
            **others,
            timing=timing,
            readings=readings,
            sources=sources,
            **changes,
        )
    except ValueError as error:
        raise RunError(f"the identified cart cannot be driven as the nominal one: {error}") from None


def _changes_of_a_stepper(
    found: Identification, nominal: CartParams, before: Stepper, sources: dict[str, str]
) -> dict[str, Any]:
    """The parts of the new cart that follow from its stepper; the sources of what else changes are added."""
    stepper = identified_stepper(found.model, before)
    if stepper.maximum_speed_m_s != before.maximum_speed_m_s:
        sources["stepper.maximum_speed_m_s"] = (
            f"computed: the most steps a second that the board makes, {MOST_STEPS_PER_S}, over stepper.steps_per_m"
        )
    assert nominal.encoders is not None
    return {
        "stepper": stepper,
        "encoders": dataclasses.replace(nominal.encoders, cart_counts_per_m=stepper.steps_per_m),
    }


def _latency(model: Model, nominal: CartParams) -> Delay:
    """The delay for the file: a firmware applies a command at the next whole millisecond after its arrival.

    Commands that wait for a control tick, and take effect after whole periods, still wait; the latency is one that
    leads to that tick.
    """
    period_s = nominal.timing.control_period_s
    periods = max(1, round(model.delay_s / period_s))
    if nominal.delay.apply is Apply.NEXT_TICK and abs(model.delay_s - periods * period_s) < _SAME_DELAY_S:
        return Delay(apply=Apply.NEXT_TICK, latency_s=(periods - 0.5) * period_s)
    before_tick_s = 0.0 if nominal.firmware is None else 0.5 * TICK_S
    return identified_delay(dataclasses.replace(model, delay_s=model.delay_s - before_tick_s))


def _readings(found: Identification, nominal: CartParams) -> Readings | None:
    zero = next((e for e in found.estimates if e.term.name == "angle_zero"), None)
    if zero is None or zero.low <= 0.0 <= zero.high:
        return nominal.readings
    return Readings(pole_angle_zero_rad=zero.value)


def _simulated_timing(cart: CartParams) -> Timing:
    """The cart's timing in whole milliseconds where it has encoders, which a firmware reads once a millisecond."""
    if cart.encoders is None or abs(cart.timing.physics_step_s - TICK_S) < _SAME_STEP_S:
        return cart.timing
    period_s = TICK_S * max(1, round(cart.timing.control_period_s / TICK_S))
    return dataclasses.replace(cart.timing, physics_step_s=TICK_S, control_period_s=period_s)


def _source(estimate: Estimate, found: Identification, key: str, nominal: CartParams) -> str | None:
    """The source of the number under `key`, with its own interval; None where it is the one of `nominal`.

    A term may be stored under several keys, each with a share of it, or in proportion to it.
    """
    ends = [_value_at(estimate, found.model, key, end) for end in (estimate.low, estimate.high)]
    name = key.split(".")[1]
    if ends[0] == ends[1] == _stored(nominal, key):
        return None  # it does not move with the term: the rest of the term is stored elsewhere
    low, high = (alone if end is None else end for end, alone in zip(ends, (estimate.low, estimate.high), strict=True))
    unit = estimate.term.unit if key == file_keys(estimate.term.name)[0] else unit_of(name)
    more = len(found.recordings) - 3
    of = ", ".join(found.recordings[:3]) + (f" and {more} more" if more > 0 else "")
    if estimate.term.name == "delay" and found.nominal.cart.firmware is not None:
        low = max(0.0, low - TICK_S)
    also = ""
    if estimate.term.name == "damping":
        also = ", the rest of its sum with friction.cart_viscous_n_s_m" if key == "motor.back_emf_n_s_m" else ""
    if estimate.bound is not None:
        also += f", at the bound {estimate.bound:g} of the search"
    if estimate.is_disputed:
        also += ", recordings disagree"
    return f"{IDENTIFIED} from {of}: 95 % within {low:.4g} to {high:.4g} {unit}{also}, engine {found.engine}"


def _value_at(estimate: Estimate, model: Model, key: str, value: float) -> float | None:
    """The number under `key` with the estimate's term at `value`; None where no cart can have that."""
    term = estimate.term
    if not isinstance(term, Term) or term.name in ("delay", "angle_zero"):
        return value
    try:
        return _stored(term.write(model, value).cart, key)
    except ValueError:
        return None


def _stored(cart: CartParams, key: str) -> float | None:
    section, name = key.split(".")
    found: float | None = getattr(getattr(cart, section), name, None)
    return found


def _same_pushes(table: tuple[float, ...], model: Model, nominal: CartParams) -> tuple[float, ...]:
    """The duties that, friction overcome, push the identified cart as hard per kilogram as `table` the nominal one.

    A stepper's are shares of the same acceleration.
    """
    if nominal.stepper is not None:
        return table
    before, now = nominal.commanded_motor, model.cart.commanded_motor
    heavier = model.cart.pole_cart.mass_kg / nominal.pole_cart.mass_kg
    duties = []
    for duty in table:
        push_n = abs(before.level(duty)) * before.stall_force_n - nominal.friction.cart_coulomb_n
        force_n = heavier * push_n + model.cart.friction.cart_coulomb_n
        size = abs(now.duty_for(math.copysign(max(0.0, force_n) / now.stall_force_n, duty)))
        duties.append(0.0 if duty == 0.0 else math.copysign(round(min(1.0, size), 4), duty))
    return tuple(duties)


def cart_as_toml(cart: CartParams) -> str:
    """The text of a cart file that `load_cart` reads as `cart`: each number with its source."""
    lines = [
        f"format = {CART_FILE_FORMAT}",
        f"description = {_text(cart.description)}",
        'source = "see each number"',
    ]
    for section in SECTIONS:
        names = keys_in_file(cart, section)
        if not names:
            continue
        lines += ["", f"[{section}]"]
        for name in names:
            value = getattr(getattr(cart, section), name)
            if value is not None:
                lines.append(_line(name, value, cart.sources.get(f"{section}.{name}", "assumed")))
    lines += ["", "[actions]", _line("duty", list(cart.action_duties), cart.sources.get("actions.duty", "assumed"))]
    for key, table in (("swing_up_duty", cart.swing_up_duties), ("precise_duty", cart.precise_duties)):
        if table is not None:
            lines.append(_line(key, list(table), cart.sources.get(f"actions.{key}", "assumed")))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, source: str) -> str:
    plain = value.value if isinstance(value, enum.Enum) else value
    if source.startswith(IDENTIFIED) and isinstance(plain, float):
        plain = float(f"{plain:.6g}")  # no interval is narrower
    return f"{name} = {{ value = {json.dumps(plain)}, source = {_text(source)} }}"


def _text(text: str) -> str:
    """A TOML string: as in JSON, but DEL and half of a surrogate pair are no part of one."""
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(valid, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_cart(path: Path, cart: CartParams) -> None:
    """Write `cart_as_toml` to a new file, completely or not at all. Raises as `new_file` does."""
    with new_file(path) as partial:
        partial.write_text(cart_as_toml(cart), encoding="utf-8")
