"""Frozen dataclasses out of TOML tables, with an error for whatever does not fit."""

from __future__ import annotations

import dataclasses
import enum
import math
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cartpole_robot.errors import UsageError

Record = TypeVar("Record")
_LARGEST = 1e12  # no parameter in SI units is larger; what is would overflow somewhere less clear


def read_toml(path: Path, *, purpose: str) -> dict[str, Any]:
    """The tables of a TOML file; `purpose` ("cart file") names it in errors. Raises `UsageError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such {purpose}; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a {purpose}; name the file in it") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no text, expected a {purpose} in TOML; choose another file") from None
    except OSError as error:
        raise UsageError(f"{path}: this {purpose} cannot be read ({error.strerror}); check its permissions") from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{path}: nests too deep for a {purpose}; simplify it") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is not valid TOML ({error}); mend that line") from None


def record_from_table(kind: type[Record], table: Mapping[str, Any], *, where: str) -> Record:
    """The dataclass `kind` filled from `table`; `where` ("my.toml: [limits]") begins every error.

    Raises `UsageError` for an unknown or missing key, a value of another type, and what the dataclass itself refuses.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} = {table!r}, expected a table of values; correct it")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    check_keys(table, fields, where=where)
    hints = typing.get_type_hints(kind)
    values = {name: _converted(hints[name], table[name], f"{where} {name}") for name in fields if name in table}
    missing = [
        name
        for name, field in fields.items()
        if name not in table and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{where}: {missing[0]} is missing; add it with a value")
    try:
        return kind(**values)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def check_keys(table: Mapping[str, Any], known: Iterable[str], *, where: str) -> None:
    """Nothing, unless `table` has a key that is not among the `known`: then `UsageError`, naming both."""
    names = list(known)
    for key in table:
        if key not in names:
            raise UsageError(f"{where}: unknown key {key!r}; expected one of {', '.join(names)}")


def require(fact: bool, message: str) -> None:
    """Nothing when `fact` holds, `ValueError(message)` otherwise."""
    if not fact:
        raise ValueError(message)


def require_positive(record: object, *names: str) -> None:
    """Nothing when each named attribute is a finite number above 0, else `ValueError` with name and value."""
    for name in names:
        value = getattr(record, name)
        require(
            math.isfinite(value) and value > 0.0,
            f"{name} = {value:g}, expected a finite number greater than 0; correct it",
        )


def require_not_negative(record: object, *names: str) -> None:
    """Nothing when each named attribute is a finite number of at least 0, else `ValueError` with name and value."""
    for name in names:
        value = getattr(record, name)
        require(
            math.isfinite(value) and value >= 0.0,
            f"{name} = {value:g}, expected a finite number of at least 0; correct it",
        )


def _converted(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotation `hint` wants it; raises `UsageError` beginning with `where`."""
    if typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType":
        if value is None:  # from JSON; TOML has no null
            return None
        return _converted(next(h for h in typing.get_args(hint) if h is not type(None)), value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where} = {value!r}, expected a list; write [first, second, ...]")
        return tuple(_converted(typing.get_args(hint)[0], item, where) for item in value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(repr(member.value) for member in hint)
            raise UsageError(f"{where} = {value!r}, expected one of {choices}; choose one of them") from None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(value) > _LARGEST and math.isfinite(value if isinstance(value, float) else 1.0):
        raise UsageError(f"{where} is beyond {_LARGEST:g}, expected a number of this world; correct it")
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and float(value).is_integer():
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    expected = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[hint]
    raise UsageError(f"{where} = {value!r}, expected {expected}; correct it")
