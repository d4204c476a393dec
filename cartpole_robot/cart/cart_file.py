"""Cart files: TOML files that are read into `CartParams`.

Every number names its source: the file has a `source`, a section may have another, and a single number with a source of
its own is written `{ value = 0.57, source = "maker's manual, page 4" }`. "assumed" is a source too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.cart.drive_keys import check_homing, check_one_drive, fill_for_stepper
from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.cart.physical import check_body
from cartpole_robot.cart.urdf import read_urdf, rigid_body_numbers, uniform_rod_inertia_kg_m2
from cartpole_robot.cart.urdf_file import check_urdf, read_urdf_file
from cartpole_robot.errors import UsageError
from cartpole_robot.files.packaged import CARTS
from cartpole_robot.files.records import LARGEST, check_keys, read_toml, record_from_table
from cartpole_robot.files.sourced import plain_numbers

CART_FILE_FORMAT = 1
IDENTIFIED = "identified"
"""How the source of a number begins that `identify` has found."""
_SWING_UP, _PRECISE = "swing_up_duty", "precise_duty"


def cart_names() -> tuple[str, ...]:
    """The carts that come with the package, sorted."""
    return CARTS.names()


def load_cart(cart: str | Path | CartParams) -> CartParams:
    """The cart with that name, or from that file (a path ends in ".toml" or contains a folder).

    A `CartParams` is returned as it is. Raises `UsageError` naming file, key, value and what was expected.
    """
    if isinstance(cart, CartParams):
        return cart
    if not isinstance(cart, str | Path):
        raise UsageError(f"cart = {cart!r}, expected a cart's name, a .toml file, or CartParams")
    path = Path(cart)
    if isinstance(cart, str) and path.suffix != ".toml" and path.name == cart:
        if cart not in cart_names():
            raise UsageError(
                f"cart {cart!r} is not known; expected one of {', '.join(cart_names())}, or the path of a .toml file"
            )
        with resources.as_file(resources.files("cartpole_robot.cart.known").joinpath(f"{cart}.toml")) as file:
            return _parsed(file)
    if path.suffix == ".urdf":
        raise UsageError(
            f"{path}: is a URDF, expected a cart file; name it in one (urdf = {json.dumps(path.name)}), "
            "and see what it says with cartpole-robot carts show"
        )
    return _parsed(path)


def is_identified(cart: CartParams) -> bool:
    """Whether `identify` has found the force of its motor, or a stepper's settling, as the number's source says."""
    key = "motor.stall_force_n" if cart.stepper is None else "stepper.settling_s"
    return cart.sources.get(key, "").startswith(f"{IDENTIFIED} from ")


def with_actions(cart: CartParams, duties: tuple[float, ...], *, given: str, swings_up: bool = False) -> CartParams:
    """`cart` with the action table `duties`, whose source is then `given`. Raises `UsageError` beginning with it.

    With `swings_up` it is the table of the swing-up task.
    """
    replaced = (f"actions.{_SWING_UP}",) if swings_up else ("actions.duty", "actions.force_n")
    sources = {key: source for key, source in cart.sources.items() if key not in replaced}
    sources[replaced[0]] = f"given: {given}"
    try:
        if swings_up:
            return dataclasses.replace(cart, swing_up_duties=duties, sources=sources)
        return dataclasses.replace(cart, action_duties=duties, sources=sources)
    except ValueError as error:
        raise UsageError(
            f"{given} {','.join(f'{duty:g}' for duty in duties)} on the cart {cart.name!r}: {error}"
        ) from None


def _parsed(path: Path) -> CartParams:
    tables = read_toml(path, purpose="cart file", expected_format=CART_FILE_FORMAT)
    check_keys(tables, ["description", "source", "urdf", "actions", *SECTIONS], where=str(path))
    sources: dict[str, str] = {}
    plain = {
        name: plain_numbers(tables[name], name, sources, str(tables.get("source", "")), path)
        for name in [*SECTIONS, "actions"]
        if name in tables
    }
    check_one_drive(plain, str(path))
    if "actions" not in plain:
        raise UsageError(f"{path}: the section [actions] is missing; add it (cart/known/gym.toml shows one)")
    plain.setdefault("friction", {})
    if "urdf" in tables:
        _take_urdf(path, tables["urdf"], plain, sources)
    elif "pole_cart" in plain:
        _fill_from_urdf(plain["pole_cart"], sources)
    if "stepper" in plain:
        fill_for_stepper(plain, sources, str(path))
    actions, where = plain.pop("actions"), f"{path}: [actions]"
    others = {
        field: _duties_listed(actions.pop(key), f"{where} {key}")
        for key, field in ((_SWING_UP, "swing_up_duties"), (_PRECISE, "precise_duties"))
        if key in actions
    }
    duties = _action_duties(actions, plain.get("motor"), where)
    for name in plain:
        for field in dataclasses.fields(SECTIONS[name]):
            sources.setdefault(f"{name}.{field.name}", "not given in the file: the default")
    description = str(tables.get("description", ""))
    table = {
        "name": path.stem,
        "description": description,
        "action_duties": duties,
        "sources": sources,
        **others,
        **plain,
    }
    cart = record_from_table(CartParams, table, where=str(path))
    check_body(cart.pole_cart, where=f"{path}: [pole_cart]")
    check_homing(cart, str(path))
    return cart


def _take_urdf(path: Path, name: Any, plain: dict[str, dict[str, Any]], sources: dict[str, str]) -> None:
    """Fill in masses, pole, track and joint friction from the URDF `name` next to `path`, their only source."""
    if not isinstance(name, str) or not name:
        raise UsageError(f'{path}: urdf = {name!r}, expected the path of a URDF; write urdf = "cart.urdf"')
    body = read_urdf_file(path.parent / name)
    check_urdf(body)
    track = {} if body.end_stop_m is None else {"end_stop_m": body.end_stop_m}
    found: dict[str, Mapping[str, float]] = {"pole_cart": body.numbers(), "friction": body.friction, "limits": track}
    for section, numbers in found.items():
        for key, number in numbers.items():
            if key in plain.get(section, {}):
                raise UsageError(
                    f"{path}: [{section}] {key} is also in {body.path}, and a number has one source; remove it from one"
                )
            plain.setdefault(section, {})[key] = number
            sources[f"{section}.{key}"] = body.sources()[f"{section}.{key}"]
    friction = plain["friction"]
    if "cart_coulomb_n" in body.friction and "cart_static_n" not in friction:
        friction["cart_static_n"] = friction["cart_coulomb_n"]
        sources["friction.cart_static_n"] = f"{sources['friction.cart_coulomb_n']}, as cart_coulomb_n"


def _fill_from_urdf(pole_cart: dict[str, Any], sources: dict[str, str]) -> None:
    """Fill in from the URDF what the file omits; a pole of other size without an inertia gets a uniform rod's."""
    has_other_pole = "pole_mass_kg" in pole_cart or "pole_half_length_m" in pole_cart
    needs_inertia = "pole_inertia_kg_m2" not in pole_cart
    for key, number in rigid_body_numbers(read_urdf()).items():
        if key not in pole_cart:
            pole_cart[key] = number
            sources[f"pole_cart.{key}"] = "urdf/cartpole.urdf"
    numbers = (pole_cart["pole_mass_kg"], pole_cart["pole_half_length_m"])
    if has_other_pole and needs_inertia and all(map(_is_number, numbers)):
        pole_cart["pole_inertia_kg_m2"] = uniform_rod_inertia_kg_m2(*numbers)
        sources["pole_cart.pole_inertia_kg_m2"] = "uniform rod, m (2l)^2 / 12"


def _action_duties(actions: dict[str, Any], motor: dict[str, Any] | None, where: str) -> tuple[float, ...]:
    """The action table as duties, from `duty` or from `force_n` (on a cart at rest, positive to the right)."""
    check_keys(actions, ["duty", "force_n"], where=where)
    if len(actions) != 1:
        raise UsageError(f"{where}: found {sorted(actions) or 'nothing'}, expected either duty or force_n; give one")
    ((key, listed),) = actions.items()
    if motor is None:
        if key == "duty":
            return _duties_listed(listed, f"{where} duty")
        raise UsageError(f"{where}: has force_n, expected duty: shares of the largest acceleration of the [stepper]")
    numbers = _duties_listed(listed, f"{where} {key}")
    full_n, asymmetry = motor.get("stall_force_n", 1.0), motor.get("gain_asymmetry", 0.0)
    if key == "duty" or not (_is_number(full_n) and full_n > 0 and _is_number(asymmetry) and abs(asymmetry) < 1.0):
        return numbers
    right_n, left_n = full_n * (1.0 + asymmetry), full_n * (1.0 - asymmetry)
    return tuple(number / (right_n if number > 0 else left_n) for number in numbers)


def _duties_listed(numbers: Any, where: str) -> tuple[float, ...]:
    if not isinstance(numbers, list) or not all(map(_is_number, numbers)):
        raise UsageError(f"{where} = {numbers!r}, expected a list of numbers; write [-1.0, 1.0]")
    return tuple(map(float, numbers))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > LARGEST
