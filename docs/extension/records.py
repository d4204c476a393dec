"""References of configuration files and bundles, from the frozen records that they are read into."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from importlib import resources

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.listing import unit_of
from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.policy import bundle, host_arrays, swing_up_arrays
from cartpole_robot.policy.interface import Interface
from cartpole_robot.training.config import StepCost, TrainingConfig, load_preset
from docs.extension.source import docstring, field_comments
from docs.extension.tables import code, table

SHOWN_CART = "diy_arduino"
SHOWN_STEPPER = "diy_stepper"  # in the section that the other does not have


def cart_file() -> str:
    """Each section of a cart file: what it is, its keys, and the values of one cart with their sources."""
    parts = []
    for name, record in SECTIONS.items():
        shown = SHOWN_STEPPER if name == "stepper" else SHOWN_CART
        head = ("key", "type", "unit", "default", f"in {shown}", "its source there")
        parts += [f"## `[{name}]`", docstring(record), table(head, _cart_rows(name, record, load_cart(shown)))]
        parts += [part for kind in _enums(record) for part in _members(kind)]
    return "\n\n".join(parts)


def _cart_rows(section: str, record: type, cart: CartParams) -> Iterator[tuple[str, ...]]:
    part = getattr(cart, section)
    for name, kind, default in _fields(record):
        value = "" if part is None else _plain(getattr(part, name))
        source = "" if part is None else cart.sources.get(f"{section}.{name}", "")
        yield code(name), kind, unit_of(name), default, code(value), source


def preset() -> str:
    """Every field of a preset, what it means, and its value in each preset of the package."""
    names = sorted(file.name.removesuffix(".toml") for file in _preset_files())
    presets = {name: load_preset(name) for name in names}
    parts = [docstring(TrainingConfig)]
    comments = field_comments(TrainingConfig)
    fields = [row for row in _fields(TrainingConfig) if row[0] != "name"]
    rows = [(code(name), kind, default, comments.get(name, "")) for name, kind, default in fields]
    parts += ["## Fields", table(("field", "type", "default", "note"), rows)]
    parts += ["## The presets of the package"]
    values = [
        (code(name), *(code(_plain(getattr(config, name))) for config in presets.values()))
        for name, _, _ in fields
        if name not in ("description", "cost")
    ]
    parts.append(table(("field", *names), values))
    parts += ["## `[cost]`", docstring(StepCost), table(("key", "type", "default"), _code_first(StepCost))]
    parts += ["## Words that a field takes", *(part for kind in _enums(TrainingConfig) for part in _members(kind))]
    return "\n\n".join(parts)


def _preset_files() -> Iterator[typing.Any]:
    folder = resources.files("cartpole_robot.training.presets")
    return (file for file in folder.iterdir() if file.name.endswith(".toml"))


def policy_bundle() -> str:
    """The interface of a bundle, and the arrays in its file."""
    parts = ["## The interface", docstring(Interface), table(("key", "type", "default"), _code_first(Interface))]
    parts += [part for kind in _enums(Interface) for part in _members(kind)]
    kinds = (
        ("every bundle", bundle._NAMES),
        ("a network that only a host computes, besides", host_arrays.NAMES),
        ("a policy that balances on a cart with `[firmware]`, besides", swing_up_arrays.NAMES),
    )
    rows = [(code(name), f"{where}") for where, names in kinds for name in names]
    parts += [
        "## The arrays",
        f"Format {bundle.BUNDLE_FORMAT} holds a network that a microcontroller can compute, format "
        f"{host_arrays.FORMAT} one that only a host computes. Readers refuse every other number.",
        table(("array", "in"), rows),
        "## Golden examples",
        docstring(bundle.Golden),
    ]
    return "\n\n".join(parts)


def _code_first(record: type) -> Iterator[tuple[str, str, str]]:
    for name, kind, default in _fields(record):
        yield code(name), kind, default


def _fields(record: type) -> Iterator[tuple[str, str, str]]:
    """Name, type and default of each field of a record."""
    hints = typing.get_type_hints(record)
    for each in dataclasses.fields(record):
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        default = "required" if required else code(_plain(each.default)) or "none"
        yield each.name, _words(hints[each.name]), default


def _plain(value: object) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _words(hint: typing.Any) -> str:
    """A type in the words of a TOML file."""
    if isinstance(hint, types.UnionType):
        kinds = [_words(kind) for kind in typing.get_args(hint) if kind is not types.NoneType]
        return " or ".join(kinds)
    if typing.get_origin(hint) is tuple:
        return f"list of {_words(typing.get_args(hint)[0])}s"
    named = {float: "number", int: "whole number", bool: "true or false", str: "text", StepCost: "table"}
    return named.get(hint, "word")


def _enums(record: type) -> Iterator[type[enum.StrEnum]]:
    for hint in typing.get_type_hints(record).values():
        for kind in typing.get_args(hint) or (hint,):
            if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
                yield kind


def _members(kind: type[enum.StrEnum]) -> list[str]:
    comments = field_comments(kind)
    rows = [(code(member.value), comments.get(member.name, "")) for member in kind]
    return [docstring(kind), table(("word", "meaning"), rows)]
