"""The cart file of an identified cart: every number with its source, identified ones with their interval."""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import CART_FILE_FORMAT
from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.identify.fit import Estimate
from cartpole_robot.identify.identification import Identification
from cartpole_robot.open_loop.model import Model, identified_delay
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
    "cart_mass": ("pole_cart.cart_mass_kg",),
    "pole_viscous": ("friction.pole_viscous_n_m_s",),
    "pole_coulomb": ("friction.pole_coulomb_n_m",),
    "pole_length": ("pole_cart.pole_half_length_m", "pole_cart.pole_inertia_kg_m2"),
    "motor_lag": ("motor.lag_s",),
}
_SAME_DELAY_S = 1e-3
_IDENTIFIED = "identified"
_AS = ", as identified"


def file_keys(term: str) -> tuple[str, ...]:
    """The keys of a cart file that hold the term of that name; none for a term that belongs to the recording."""
    return _FIELDS.get(term, ())


def identified_cart(found: Identification, nominal: CartParams) -> CartParams:
    """`nominal` with the identified numbers, and with action duties that push as hard as before.

    Raises `RunError` where the identified motor is too weak for that.
    """
    cart = found.model.cart
    sources = dict(nominal.sources)
    for estimate in found.estimates:
        for key in file_keys(estimate.term.name):
            sources[key] = _source(estimate, found)
    delay = nominal.delay
    if any(e.term.name == "delay" for e in found.estimates):
        is_as_before = abs(found.model.delay_s - nominal.mean_delay_s) < _SAME_DELAY_S
        if not (is_as_before and delay.apply is Apply.NEXT_TICK):
            delay = _latency(found.model, nominal)
            sources["delay.apply"] = sources["delay.latency_s"]
        else:
            sources["delay.latency_s"] = nominal.sources.get("delay.latency_s", "not given in the file: the default")
    try:
        return dataclasses.replace(
            cart,
            name=nominal.name,
            description=f"{nominal.description.removesuffix(_AS)}{_AS}",
            delay=delay,
            limits=nominal.limits,
            action_duties=_same_pushes(found.model, nominal),
            sources=sources,
        )
    except ValueError as error:
        raise RunError(f"the identified cart cannot be driven as the nominal one: {error}") from None


def _latency(model: Model, nominal: CartParams) -> Delay:
    """The delay for the file: a firmware applies a command at the next whole millisecond after its arrival."""
    before_tick_s = 0.0 if nominal.firmware is None else 0.5 * TICK_S
    return identified_delay(dataclasses.replace(model, delay_s=model.delay_s - before_tick_s))


def _source(estimate: Estimate, found: Identification) -> str:
    more = len(found.recordings) - 3
    of = ", ".join(found.recordings[:3]) + (f" and {more} more" if more > 0 else "")
    low, high = estimate.low, estimate.high
    if estimate.term.name == "delay" and found.nominal.cart.firmware is not None:
        low = max(0.0, low - TICK_S)
    return f"{_IDENTIFIED} from {of}: 95 % within {low:.4g} to {high:.4g} {estimate.term.unit}, engine {found.engine}"


def _same_pushes(model: Model, nominal: CartParams) -> tuple[float, ...]:
    """The duties that, friction overcome, push the identified cart as hard per kilogram as the nominal one."""
    before, now = nominal.motor, model.cart.motor
    heavier = model.cart.pole_cart.mass_kg / nominal.pole_cart.mass_kg
    duties = []
    for duty in nominal.action_duties:
        push_n = before.level(abs(duty)) * before.stall_force_n - nominal.friction.cart_coulomb_n
        force_n = heavier * push_n + model.cart.friction.cart_coulomb_n
        size = now.duty_for(max(0.0, force_n) / now.stall_force_n)
        duties.append(0.0 if duty == 0.0 else round(min(1.0, size), 4) * (1.0 if duty > 0.0 else -1.0))
    return tuple(duties)


def cart_as_toml(cart: CartParams) -> str:
    """The text of a cart file that `load_cart` reads as `cart`: each number with its source."""
    lines = [
        f"format = {CART_FILE_FORMAT}",
        f"description = {_text(cart.description)}",
        'source = "see each number"',
    ]
    for section in SECTIONS:
        record = getattr(cart, section)
        if record is None:
            continue
        lines += ["", f"[{section}]"]
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if value is not None:
                lines.append(_line(field.name, value, cart.sources.get(f"{section}.{field.name}", "assumed")))
    lines += ["", "[actions]", _line("duty", list(cart.action_duties), cart.sources.get("actions.duty", "assumed"))]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, source: str) -> str:
    plain = value.value if isinstance(value, enum.Enum) else value
    if source.startswith(_IDENTIFIED) and isinstance(plain, float):
        plain = float(f"{plain:.6g}")  # no interval is narrower
    return f"{name} = {{ value = {json.dumps(plain)}, source = {_text(source)} }}"


def _text(text: str) -> str:
    """A TOML string: as in JSON, but DEL and half of a surrogate pair are no part of one."""
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(valid, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_cart(path: Path, cart: CartParams) -> None:
    """Write `cart_as_toml` to a new file, completely or not at all. Raises `UsageError` where `path` exists."""
    try:
        with atomic_file(path) as file:
            file.write(cart_as_toml(cart).encode())
    except FileExistsError:
        raise UsageError(f"{path}: exists already, and no cart file is overwritten; choose another --out") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); choose another --out") from None
