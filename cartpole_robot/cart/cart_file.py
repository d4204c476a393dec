"""Cart files: TOML in, `CartParams` out.

Every number names its source: the file has a `source`, a section may have another, and a single number is written
`{ value = 0.57, source = "maker's manual, page 4" }` where it differs. "assumed" is a source too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.cart.params import OPTIONAL_SECTIONS, SECTIONS, CartParams
from cartpole_robot.cart.parts import Friction
from cartpole_robot.cart.urdf import read_urdf, rigid_body_numbers, uniform_rod_inertia_kg_m2
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import check_keys, read_toml, record_from_table

CART_FILE_FORMAT = 1


def cart_names() -> tuple[str, ...]:
    """The carts that come with the package, sorted."""
    folder = resources.files("cartpole_robot.cart.known")
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_cart(cart: str | Path | CartParams) -> CartParams:
    """The cart of that name, or of that file (a path ends in ".toml" or has a folder in it).

    A `CartParams` is passed through. Raises `UsageError` naming file, key, value and what was expected.
    """
    if isinstance(cart, CartParams):
        return cart
    path = Path(cart)
    if isinstance(cart, str) and path.suffix != ".toml" and path.name == cart:
        if cart not in cart_names():
            raise UsageError(
                f"cart {cart!r} is not known; expected one of {', '.join(cart_names())}, or the path of a .toml file"
            )
        with resources.as_file(resources.files("cartpole_robot.cart.known").joinpath(f"{cart}.toml")) as file:
            return _parsed(read_toml(file, purpose="cart file"), file)
    return _parsed(read_toml(path, purpose="cart file"), path)


def with_actions(cart: CartParams, duties: tuple[float, ...], *, given: str) -> CartParams:
    """`cart` with the action table `duties`, whose source is then `given`. Raises `UsageError` beginning with it."""
    sources = {key: source for key, source in cart.sources.items() if not key.startswith("actions.")}
    try:
        return dataclasses.replace(cart, action_duties=duties, sources={**sources, "actions.duty": f"given: {given}"})
    except ValueError as error:
        raise UsageError(
            f"{given} {','.join(f'{duty:g}' for duty in duties)} on the cart {cart.name!r}: {error}"
        ) from None


def _parsed(tables: dict[str, Any], path: Path) -> CartParams:
    check_keys(tables, ["format", "description", "source", "actions", *SECTIONS], where=str(path))
    if tables.get("format") != CART_FILE_FORMAT or isinstance(tables.get("format"), bool):
        raise UsageError(
            f"{path}: format = {tables.get('format')!r}, expected {CART_FILE_FORMAT}; this version reads no other"
        )
    sources: dict[str, str] = {}
    present = [name for name in SECTIONS if name in tables or name not in OPTIONAL_SECTIONS]
    plain = {
        name: _plain_numbers(_table(tables, name, path), name, sources, str(tables.get("source", "")), path)
        for name in [*present, "actions"]
    }
    _fill_from_urdf(plain["pole_cart"], sources)
    records: dict[str, Any] = {
        name: record_from_table(SECTIONS[name], plain[name], where=f"{path}: [{name}]") for name in present
    }
    records.setdefault("friction", Friction())
    for name, record in records.items():
        for field in dataclasses.fields(record):
            sources.setdefault(f"{name}.{field.name}", "not given in the file: the default")
    duties = _action_duties(plain["actions"], records["motor"].stall_force_n, f"{path}: [actions]")
    description = tables.get("description", "")
    try:
        return CartParams(
            name=path.stem, description=str(description), action_duties=duties, sources=sources, **records
        )
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _table(tables: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = tables.get(name)
    if not isinstance(table, dict):
        raise UsageError(f"{path}: the section [{name}] is missing; add it (cart/known/gym.toml shows one)")
    return dict(table)


def _plain_numbers(
    table: dict[str, Any], section: str, sources: dict[str, str], file_source: str, path: Path
) -> dict[str, Any]:
    """`table` with each `{value, source}` replaced by its value; the sources go into `sources`."""
    section_source = str(table.pop("source", file_source))
    plain: dict[str, Any] = {}
    for key, entry in table.items():
        source = section_source
        plain[key] = entry
        if isinstance(entry, dict):
            where = f"{path}: [{section}] {key}"
            check_keys(entry, ["value", "source"], where=where)
            if "value" not in entry:
                raise UsageError(f"{where}: value is missing; write {{ value = ..., source = ... }}")
            plain[key] = entry["value"]
            source = str(entry.get("source", section_source))
        if not source:
            raise UsageError(
                f'{path}: [{section}] {key} names no source; add source = "..." ("assumed" where nobody measured it)'
            )
        sources[f"{section}.{key}"] = source
    return plain


def _fill_from_urdf(pole_cart: dict[str, Any], sources: dict[str, str]) -> None:
    """What the file leaves out comes from the URDF; an inertia left out with another pole is a uniform rod's."""
    has_other_pole = "pole_mass_kg" in pole_cart or "pole_half_length_m" in pole_cart
    needs_inertia = "pole_inertia_kg_m2" not in pole_cart
    for key, number in rigid_body_numbers(read_urdf()).items():
        if key not in pole_cart:
            pole_cart[key] = number
            sources[f"pole_cart.{key}"] = "urdf/cartpole.urdf"
    numbers = (pole_cart["pole_mass_kg"], pole_cart["pole_half_length_m"])
    if has_other_pole and needs_inertia and all(isinstance(n, int | float) and abs(n) < 1e12 for n in numbers):
        pole_cart["pole_inertia_kg_m2"] = uniform_rod_inertia_kg_m2(*numbers)
        sources["pole_cart.pole_inertia_kg_m2"] = "uniform rod, m (2l)^2 / 12"


def _action_duties(actions: dict[str, Any], stall_force_n: float, where: str) -> tuple[float, ...]:
    """The action table as duties, from `duty` or from `force_n` (the force on a cart at rest)."""
    check_keys(actions, ["duty", "force_n"], where=where)
    if len(actions) != 1:
        raise UsageError(f"{where}: found {sorted(actions) or 'nothing'}, expected either duty or force_n; give one")
    ((key, numbers),) = actions.items()
    is_list = isinstance(numbers, list) and all(
        isinstance(number, int | float) and not isinstance(number, bool) and not abs(number) > 1e12
        for number in numbers
    )
    if not is_list:
        raise UsageError(f"{where} {key} = {numbers!r}, expected a list of numbers; write [-1.0, 1.0]")
    return tuple(float(number) / (stall_force_n if key == "force_n" else 1.0) for number in numbers)
