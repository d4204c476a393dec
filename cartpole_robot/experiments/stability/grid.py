"""Grids of carts around one cart: two parameters per map, from a TOML file.

    format = 1
    [[map]]
    title = "Delay and motor gain"
    x = { axis = "delay.latency_s", between = [0.0, 0.06], points = 7 }      # in the parameter's own unit
    y = { axis = "motor.stall_force_n", factors = [0.5, 0.75, 1.0, 2.0] }    # of the cart's own value

`factor` and `between` give two ends, as in a randomisation file, and `points` the number of evenly spaced values;
`factors` and `values` list each value. The axis `friction` scales all numbers of that section by factors. The cart's
own value is added if it is missing. Dependent parameters change together (see `cart.randomization`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.cart.listing import unit_of, words_of
from cartpole_robot.cart.params import SECTIONS, CartParams, check_is_ideal
from cartpole_robot.cart.randomization import RANDOMIZED_SECTIONS, changed_cart, nominal_value
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import LARGEST, check_keys, read_toml

GRID_FORMAT = 1
MOST_POINTS = 10_000
FRICTION = "friction"
STRONGEST = (-1.0, 1.0)
_SAME = 1e-9  # relative: a value that differs less from the cart's own is the cart's own
_NAMES = {
    "delay.latency_s": "delay",
    "motor.stall_force_n": "motor gain",
    "stepper.settling_s": "settling of the motor",
    "pole_cart.pole_half_length_m": "pole half-length",
}
_HOW = "factor = [low, high], points = N | between = [low, high], points = N | factors = [...] | values = [...]"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter of a grid, `key` "section.name", or `friction` for all of that section.

    `values` increase: in SI units, or with `is_factor` times the cart's own. `own` is the cart's own number in SI
    units, None for a group. The value at `own_index` is the cart's own.
    """

    key: str
    values: tuple[float, ...]
    is_factor: bool
    own: float | None
    own_index: int

    @property
    def name(self) -> str:
        return _NAMES.get(self.key) or words_of(self.key.rpartition(".")[2])

    @property
    def unit(self) -> str:
        """The parameter's unit, ms for seconds; empty for a group."""
        unit = unit_of(self.key) if self.own is not None else ""
        return "ms" if unit == "s" else unit

    @property
    def scale(self) -> float:
        """The factor from SI units to `unit`."""
        return 1000.0 if self.unit == "ms" else 1.0

    @property
    def label(self) -> str:
        """The axis label of a figure: name and unit, or the reference of a factor."""
        if not self.is_factor:
            return f"{self.name} [{self.unit}]" if self.unit else self.name
        if self.own is None:
            return f"{self.name} [times the cart's own]"
        return f"{self.name} [times {self.own * self.scale:.3g} {self.unit}]"

    @property
    def shown_unit(self) -> str:
        """The unit of `shown`: the parameter's unit, or "times"."""
        return "times" if self.is_factor else self.unit

    def shown(self, index: int) -> str:
        """The value at `index` as text: in `unit`, or as a factor."""
        value = self.values[index]
        return f"{value:.4g}" if self.is_factor else f"{value * self.scale:.4g}"

    def parameters(self, index: int, cart: CartParams) -> dict[str, float]:
        """The cart parameters at `index`, by "section.name", in SI units."""
        value = self.values[index]
        if self.own is not None:
            return {self.key: value * self.own if self.is_factor else value}
        numbers = dataclasses.asdict(getattr(cart, self.key))
        return {f"{self.key}.{name}": value * number for name, number in numbers.items()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the keys of a grid file, and the cart's own value."""
        return {"axis": self.key, "factors" if self.is_factor else "values": list(self.values), "own": self.own}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A grid point: its indices on both axes, and its cart, or why there is none.

    The cart has the strongest possible actions: an action table is a property of the policy, not of the cart, and the
    map must show a fall if a policy's actions are too weak there.
    """

    x: int
    y: int
    plant: CartParams | None
    why_none: str | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One map: two axes around one cart, and the carts at all of their points, row by row."""

    title: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]

    @property
    def axes(self) -> tuple[Axis, Axis]:
        return self.x, self.y

    def as_dict(self) -> dict[str, Any]:
        return {"title": self.title, "x": self.x.as_dict(), "y": self.y.as_dict()}


def load_grids(path: Path | None, cart: CartParams) -> tuple[Grid, ...]:
    """The maps of a grid file around `cart`; of the package's default grid for its drive if `path` is None.

    Raises `UsageError` naming file, key, value and what was expected.
    """
    if path is not None:
        return _parsed(path, cart)
    name = "default_grid.toml" if cart.stepper is None else "default_grid_stepper.toml"
    shipped = resources.files("cartpole_robot.experiments.stability").joinpath(name)
    with resources.as_file(shipped) as file:
        return _parsed(file, cart)


def _parsed(path: Path, cart: CartParams) -> tuple[Grid, ...]:
    table = read_toml(path, purpose="grid file", expected_format=GRID_FORMAT)
    check_keys(table, ["map"], where=str(path))
    maps = table.get("map")
    if not isinstance(maps, list) or not maps:
        raise UsageError(f"{path}: holds no map; add [[map]] with title, x and y")
    grids = [_grid(entry, cart, f"{path}: map {number}") for number, entry in enumerate(maps, 1)]
    titles = [grid.title for grid in grids]
    for title in titles:
        if titles.count(title) > 1:
            raise UsageError(f"{path}: two maps have the title {title!r}; change one of them")
    return tuple(grids)


def _grid(entry: Any, cart: CartParams, where: str) -> Grid:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} = {entry!r}, expected a table; write [[map]]")
    check_keys(entry, ["title", "x", "y"], where=where)
    title = entry.get("title")
    if not isinstance(title, str) or not title.strip():
        raise UsageError(f"{where}: title = {title!r}, expected a text; write what is varied")
    x, y = (_axis(entry.get(name), cart, f"{where}: {name}") for name in ("x", "y"))
    count = len(x.values) * len(y.values)
    if count > MOST_POINTS:
        raise UsageError(f"{where}: has {count} points, expected at most {MOST_POINTS}; take fewer values")
    both = x.parameters(0, cart).keys() & y.parameters(0, cart).keys()
    if both:
        raise UsageError(f"{where}: x and y both change {min(both)}; choose another axis for one of them")
    points = [_point(i, j, x, y, cart, title) for j in range(len(y.values)) for i in range(len(x.values))]
    return Grid(title=title, x=x, y=y, points=tuple(points))


def _point(x: int, y: int, across: Axis, up: Axis, cart: CartParams, title: str) -> Point:
    numbers = {**across.parameters(x, cart), **up.parameters(y, cart)}
    try:
        strong = dataclasses.replace(cart, action_duties=STRONGEST)
        plant = changed_cart(strong, numbers, source=f"grid: {title}")
        if cart.encoders is None:
            check_is_ideal(plant)
    except (ValueError, ArithmeticError) as error:
        return Point(x=x, y=y, plant=None, why_none=str(error))
    return Point(x=x, y=y, plant=plant)


def _axis(entry: Any, cart: CartParams, where: str) -> Axis:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} = {entry!r}, expected {{ axis = ..., {_HOW} }}")
    check_keys(entry, ["axis", "factor", "between", "points", "factors", "values"], where=where)
    kinds = [name for name in ("factor", "between", "factors", "values") if name in entry]
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else "none of them"
        raise UsageError(f"{where}: gives {found}, expected one of {_HOW}")
    kind = kinds[0]
    key = entry.get("axis")
    is_factor = kind.startswith("factor")
    own = _own(key, cart, where)
    if own is None and not is_factor:
        raise UsageError(
            f"{where}: axis = {FRICTION!r} is every friction at once, expected factors; write factor or name one"
        )
    numbers = _numbers(entry, kind, where)
    if is_factor and own == 0.0:
        raise UsageError(
            f"{where}: {key} of the cart {cart.name!r} is 0, and so is every multiple; give between or values"
        )
    mine = 1.0 if is_factor or own is None else own
    others = [number for number in numbers if abs(number - mine) > _SAME * max(abs(mine), abs(number))]
    values = sorted([*others, mine])
    return Axis(key=str(key), values=tuple(values), is_factor=is_factor, own=own, own_index=values.index(mine))


def _own(key: Any, cart: CartParams, where: str) -> float | None:
    """The cart's own number, None for a group."""
    if key == FRICTION:
        if not any(dataclasses.asdict(cart.friction).values()):
            raise UsageError(
                f"{where}: the cart {cart.name!r} has no friction, and so no multiple of it; "
                "name another axis, in a grid of your own (--grid)"
            )
        return None
    known = [
        FRICTION,
        *(f"{section}.{f.name}" for section in RANDOMIZED_SECTIONS for f in dataclasses.fields(SECTIONS[section])),
    ]
    if key not in known:
        raise UsageError(f"{where}: axis = {key!r} is not known; expected one of {', '.join(known)}")
    return nominal_value(cart, key, where=where)


def _numbers(entry: Mapping[str, Any], kind: str, where: str) -> list[float]:
    """The axis's values as the file gives them."""
    given = entry[kind]
    here = f"{where}: {kind} = {given!r}"
    if not isinstance(given, list) or not given:
        raise UsageError(f"{here}, expected a list of numbers; write [first, second]")
    for number in given:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if is_number and math.inf > abs(number) > LARGEST:  # before an integer of hundreds of digits becomes a float
            raise UsageError(f"{here} goes beyond {LARGEST:g}, expected a physically possible number; correct it")
        if not is_number or not math.isfinite(number):
            raise UsageError(f"{here}: {number!r} is among its values, expected finite numbers; correct it")
    if kind in ("factors", "values"):
        if "points" in entry:
            raise UsageError(
                f"{where}: points cannot be combined with {kind}, which lists every value; remove one of them"
            )
        if len({float(number) for number in given}) < len(given):
            raise UsageError(f"{here}: contains a value twice; remove one of them")
        return [float(number) for number in given]
    if len(given) != 2 or given[0] >= given[1]:
        raise UsageError(
            f"{here}, expected two ends, the smaller first; write [low, high], or all of them as {_LISTS[kind]}"
        )
    points = entry.get("points")
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST_POINTS:
        raise UsageError(f"{where}: points = {points!r}, expected a whole number from 2 to {MOST_POINTS}; correct it")
    low, high = map(float, given)
    steps = points - 1
    return [(low * (steps - number) + high * number) / steps for number in range(points)]


_LISTS = {"factor": "factors", "between": "values"}
