"""Domain randomisation: a cart with parameters drawn for each episode from ranges in a TOML file.

    format = 1
    [motor]
    stall_force_n = { factor = [0.5, 1.5] }     # of the cart's own value
    [delay]
    latency_s = { between = [0.0, 0.03] }       # in the parameter's own unit

Each number is drawn uniformly and independently. Dependent parameters follow: a pole of another mass or length keeps
its shape (its inertia scales as m l²), static friction keeps its ratio to Coulomb friction, and the dead zones of both
sides keep theirs, unless the file gives them ranges of their own.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.cart.params import SECTIONS, CartParams, check_is_ideal
from cartpole_robot.cart.parts import equivalent_body
from cartpole_robot.cart.physical import check_body
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import LARGEST, check_keys, read_toml

RANDOMIZATION_FORMAT = 1
_SHIPPED = "cartpole_robot.cart.ranges"
RANDOMIZED_SECTIONS = ("pole_cart", "motor", "stepper", "friction", "delay")
_MOST_CORNERS = 4096
_POWER_ONLY = ("motor.supply_voltage_v", "motor.stall_current_a")
_KNOWN_TO_FIRMWARE = tuple(
    f"stepper.{name}"
    for name in (
        *("steps_per_m", "microsteps", "maximum_speed_m_s", "maximum_acceleration_m_s2"),
        *("pulse_width_s", "direction_setup_s", "enable_is_low", "supply_voltage_v", "alarm_is_low"),
    )
)
_HINGE = ("pole_cart.pole_mass_kg", "pole_cart.pole_half_length_m")
_INERTIA = "pole_cart.pole_inertia_kg_m2"
_DEAD_ZONE, _DEAD_ZONE_ASYMMETRY = "motor.dead_zone_duty", "motor.dead_zone_asymmetry_duty"
_COULOMB, _STATIC = "friction.cart_coulomb_n", "friction.cart_static_n"


@dataclass(frozen=True, kw_only=True)
class Range:
    """A parameter's values from `low` to `high`: in its unit, or with `is_factor` as multiples of the cart's value."""

    low: float
    high: float
    is_factor: bool

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"goes from {self.low:g} to {self.high:g}, expected finite numbers, the smaller first")

    def value(self, share: float, nominal: float) -> float:
        """The value a `share` (0 to 1) of the way from the low end to the high end."""
        drawn = self.low + share * (self.high - self.low)
        return drawn * nominal if self.is_factor else drawn


class Randomization:
    """The ranges around one cart, with every corner checked to be a valid cart."""

    def __init__(self, cart: CartParams, ranges: Mapping[str, Range], *, where: str) -> None:
        """`ranges` by "section.key"; `where` begins errors. Raises `UsageError` for a corner that is no valid cart."""
        self.cart = cart
        self.ranges = dict(ranges)
        self._where = where
        self._nominal = {key: nominal_value(cart, key, where=where) for key in self.ranges}
        self._check_corners(where)

    def draw(self, rng: np.random.Generator) -> CartParams:
        """A cart drawn from the ranges; one number of `rng` for each, in the file's order."""
        return self._cart_at(rng.random(len(self.ranges)).tolist())

    def upper_corner(self) -> CartParams:
        """The cart with every number at the upper end of its range, and thus the longest delay."""
        return self._cart_at([1.0] * len(self.ranges))

    def shortest_pole(self) -> CartParams:
        """The cart with the shortest pole of the ranges, otherwise unchanged."""
        key = "pole_cart.pole_half_length_m"
        if key not in self.ranges:
            return self.cart
        body = dataclasses.replace(
            self.cart.pole_cart, pole_half_length_m=self.ranges[key].value(0.0, self._nominal[key])
        )
        return dataclasses.replace(self.cart, pole_cart=body)

    def as_dict(self) -> dict[str, dict[str, list[float]]]:
        """The ranges as the file writes them, "section.key" to {"factor" or "between": [low, high]}."""
        return {k: {"factor" if r.is_factor else "between": [r.low, r.high]} for k, r in self.ranges.items()}

    def _cart_at(self, shares: list[float]) -> CartParams:
        """The cart at those shares of the ranges; raises ValueError where it is not valid."""
        values = {
            key: span.value(share, self._nominal[key])
            for (key, span), share in zip(self.ranges.items(), shares, strict=True)
        }
        return changed_cart(self.cart, values, source=f"drawn: {self._where}")

    def sources(self) -> dict[str, str]:
        """The source of each number of a drawn cart, by "section.key"."""
        followers = _followers(self.cart, dict.fromkeys(self.ranges, 0.0))
        return {**self.cart.sources, **dict.fromkeys([*self.ranges, *followers], f"drawn: {self._where}")}

    def _check_corners(self, where: str) -> None:
        for shares in self._corners():
            try:
                cart = self._cart_at(shares)
                equivalent_body(cart.pole_cart, self.shortest_pole().pole_cart)
                if _INERTIA in self.ranges:
                    check_body(cart.pole_cart, where="pole_cart")
                if cart.encoders is None:
                    check_is_ideal(cart)
            except (ValueError, ArithmeticError) as error:
                ends = zip(self.ranges.items(), shares, strict=True)
                corner = ", ".join(f"{key} = {span.value(share, self._nominal[key]):g}" for (key, span), share in ends)
                raise UsageError(f"{where}: no cart can be drawn with {corner}: {error}") from None

    def _corners(self) -> Iterator[list[float]]:
        """Every combination of the ranges' ends, or a fixed sample of them where they are too many."""
        count = len(self.ranges)
        if 2**count <= _MOST_CORNERS:
            yield from map(list, itertools.product((0.0, 1.0), repeat=count))
            return
        rng = np.random.default_rng(0)
        yield [0.0] * count
        yield [1.0] * count
        for _ in range(_MOST_CORNERS):
            yield rng.integers(0, 2, count).astype(float).tolist()


def changed_cart(cart: CartParams, values: Mapping[str, float], *, source: str) -> CartParams:
    """`cart` with those values by "section.key", in SI units, and the dependent ones changed with them.

    `source` becomes the source of every changed value. Raises ValueError where the cart is not valid.
    """
    changed: dict[str, dict[str, float]] = {}
    every = {**values, **_followers(cart, values)}
    for key, value in every.items():
        section, name = key.split(".")
        changed.setdefault(section, {})[name] = value
    parts: dict[str, Any] = {
        section: dataclasses.replace(getattr(cart, section), **numbers) for section, numbers in changed.items()
    }
    return dataclasses.replace(cart, **parts, sources={**cart.sources, **dict.fromkeys(every, source)})


def _followers(cart: CartParams, values: Mapping[str, float]) -> dict[str, float]:
    """The dependent parameters that follow a changed one and are not among `values`."""
    body, friction = cart.pole_cart, cart.friction
    followers = {}
    if _INERTIA not in values and any(key in values for key in _HINGE):
        mass_kg = values.get(_HINGE[0], body.pole_mass_kg)
        half_m = values.get(_HINGE[1], body.pole_half_length_m)
        grown = mass_kg * half_m**2 / (body.pole_mass_kg * body.pole_half_length_m**2)
        followers[_INERTIA] = body.pole_inertia_kg_m2 * grown
    if _STATIC not in values and _COULOMB in values:
        ratio = friction.cart_static_n / friction.cart_coulomb_n if friction.cart_coulomb_n else 1.0
        followers[_STATIC] = values[_COULOMB] * ratio
    zone_duty, asymmetry_duty = cart.motor.dead_zone_duty, cart.motor.dead_zone_asymmetry_duty
    if asymmetry_duty and _DEAD_ZONE in values and _DEAD_ZONE_ASYMMETRY not in values:
        followers[_DEAD_ZONE_ASYMMETRY] = values[_DEAD_ZONE] * (asymmetry_duty / zone_duty)
    return followers


def ranges_names() -> tuple[str, ...]:
    """The ranges that come with the package, by the cart they are meant for, sorted."""
    folder = resources.files(_SHIPPED)
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_randomization(ranges: Path, cart: CartParams) -> Randomization:
    """The ranges of that name, or in that TOML file, around `cart`.

    Raises `UsageError` naming file, key, value and what was expected.
    """
    if ranges.suffix == ".toml" or str(ranges) != ranges.name:
        return _loaded(ranges, cart)
    if ranges.name not in ranges_names():
        raise UsageError(
            f"ranges {ranges.name!r} are not known; expected one of {', '.join(ranges_names())}, or a .toml file"
        )
    with resources.as_file(resources.files(_SHIPPED).joinpath(f"{ranges.name}.toml")) as file:
        return _loaded(file, cart)


def _loaded(path: Path, cart: CartParams) -> Randomization:
    tables = read_toml(path, purpose="randomisation file", expected_format=RANDOMIZATION_FORMAT)
    check_keys(tables, RANDOMIZED_SECTIONS, where=str(path))
    ranges: dict[str, Range] = {}
    for section in RANDOMIZED_SECTIONS:
        table = tables.get(section, {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {section} = {table!r}, expected a table of ranges; write [{section}]")
        known = [f.name for f in dataclasses.fields(SECTIONS[section])]
        check_keys(table, known, where=f"{path}: [{section}]")
        for key, entry in table.items():
            ranges[f"{section}.{key}"] = _range(entry, f"{path}: [{section}] {key}")
    if not ranges:
        raise UsageError(f"{path}: holds no range; give one, such as [motor] stall_force_n = {{ factor = [0.8, 1.2] }}")
    return Randomization(cart, ranges, where=str(path))


def randomization_from_dict(values: Any, cart: CartParams, *, where: str) -> Randomization:
    """The ranges that `Randomization.as_dict` wrote, also from JSON. Raises `UsageError` beginning with `where`."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} = {values!r}, expected a table of ranges")
    return Randomization(cart, {key: _range(entry, f"{where}: {key}") for key, entry in values.items()}, where=where)


def _range(entry: Any, where: str) -> Range:
    wanted = "{ factor = [low, high] } or { between = [low, high] }"
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise UsageError(f"{where} = {entry!r}, expected {wanted}")
    check_keys(entry, ["factor", "between"], where=where)
    kind, ends = next(iter(entry.items()))
    is_pair = isinstance(ends, list) and len(ends) == 2
    if not is_pair or any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise UsageError(f"{where}: {kind} = {ends!r}, expected two numbers; write {wanted}")
    if max(abs(end) for end in ends) > LARGEST:
        raise UsageError(f"{where}: {kind} = {ends!r} goes beyond {LARGEST:g}, expected smaller numbers")
    try:
        return Range(low=float(ends[0]), high=float(ends[1]), is_factor=kind == "factor")
    except ValueError as error:
        raise UsageError(f"{where}: {kind} {error}; correct it") from None


def nominal_value(cart: CartParams, key: str, *, where: str) -> float:
    """The cart's own value of "section.key". Raises `UsageError` beginning with `where` for what cannot be changed."""
    if key in _POWER_ONLY:
        raise UsageError(
            f"{where}: {key} changes power figures alone, not the motion; draw motor.stall_force_n, which falls with it"
        )
    if cart.stepper is not None and key.startswith("motor."):
        raise UsageError(
            f"{where}: {key} belongs to a DC motor, and the cart {cart.name!r} has a stepper; draw one of "
            "pull_out_force_n, corner_speed_m_s, pull_in_speed_m_s and settling_s of [stepper], and the sections "
            "pole_cart, friction and delay"
        )
    if cart.stepper is None and key.startswith("stepper."):
        raise UsageError(
            f"{where}: {key} belongs to a stepper, and the cart {cart.name!r} has a DC motor; draw one of the sections "
            "pole_cart, motor, friction and delay"
        )
    if key in _KNOWN_TO_FIRMWARE:
        raise UsageError(
            f"{where}: {key} is what the firmware counts with, and no cart differs from it unknown; leave it out"
        )
    section, _, name = key.partition(".")
    part = getattr(cart, section, None) if section in RANDOMIZED_SECTIONS else None
    value = getattr(part, name, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: {key} of the cart {cart.name!r} is {value!r}, expected a number; leave it out")
    return float(value)
