"""Frozen dataclasses, nested ones too, from tables of TOML or JSON; an error names what does not fit."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cartpole_robot.errors import UsageError
from cartpole_robot.files.plain_data import check_plain, read_bounded

Record = TypeVar("Record")
LARGEST = 1e12  # no parameter in SI units is larger; a larger one would overflow later, with a less clear error
_LARGEST_COUNT = 1 << 128  # a seed may be as large
_LARGEST_TOML_BYTES = 1 << 20
_LONG_KEY = re.compile(  # of more parts than plain data may nest
    r"""(?:^|[\[{,])[ \t]*(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""", re.MULTILINE | re.ASCII
)
_LONGEST_TEXT = 1 << 17  # characters
_LONGEST_SHOWN = 120  # characters of a value in an error


def read_toml(path: Path, *, purpose: str, expected_format: int | None = None) -> dict[str, Any]:
    """The tables of a TOML file; `purpose` ("cart file") names it in errors. Raises `UsageError`.

    With an `expected_format` the file must have the key `format` with that number; the tables do not include it.
    """
    try:
        text = read_bounded(path, _LARGEST_TOML_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such {purpose}; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a {purpose}; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: this {purpose} cannot be read ({error.strerror}); check its permissions") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}, expected a {purpose} in TOML; choose another file") from None
    try:
        decoded = text.decode("utf-8-sig")
        is_deep = _LONG_KEY.search(decoded) is not None  # parsing takes a time that grows with the square of the parts
        tables = {} if is_deep else tomllib.loads(decoded)
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}: is not text in UTF-8, expected a {purpose} in TOML; save it as UTF-8, or choose another file"
        ) from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{path}: nests too deep for a {purpose}; simplify it") from None
    except ValueError as error:  # also for a number of thousands of digits
        raise UsageError(f"{path}: is not valid TOML ({error}); fix that line") from None
    if is_deep:
        raise UsageError(f"{path}: a key nests deeper than 32 levels; correct it")
    try:
        check_plain(tables)
    except ValueError as error:
        raise UsageError(f"{path}: {error}; correct it") from None
    if expected_format is not None:
        found = tables.pop("format", None)
        if found != expected_format or isinstance(found, bool):
            if found is None:
                raise UsageError(
                    f"{path}: has no format, expected {expected_format}; add the line format = {expected_format}"
                )
            raise UsageError(f"{path}: format = {found!r}, expected {expected_format}; this version reads no other")
    return tables


def record_from_table(kind: type[Record], table: Mapping[str, Any], *, where: str) -> Record:
    """The dataclass `kind` filled from `table`; `where` ("my.toml: [limits]") begins every error.

    A field may be a number, text, boolean, enum, another such dataclass, a tuple, list or mapping of these, or
    optional; one of type `Any` takes any value, and one of another class an instance of it. Raises `UsageError`
    for an unknown or missing key, a value of another type, and what a dataclass itself refuses.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} = {_shown(table)}, expected a table of values; correct it")
    hints = _hints_of(kind)
    check_keys(table, hints, where=where)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        is_needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name not in table and is_needed:
            is_section = dataclasses.is_dataclass(hints[field.name])
            missing = f"the section [{field.name}]" if is_section else field.name
            raise UsageError(f"{where}: {missing} is missing; add it{'' if is_section else ' with a value'}")
    values = {name: _converted(hint, table[name], where, name) for name, hint in hints.items() if name in table}
    try:
        return kind(**values)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _hints_of(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def check_keys(table: Mapping[str, Any], known: Iterable[str], *, where: str) -> None:
    """Raises `UsageError` where `table` has a key that is not among the `known`, naming both."""
    names = list(known)
    for key in table:
        if key not in names:
            raise UsageError(f"{where}: unknown key {_shown(key)}; expected one of {', '.join(names)}")


def require(fact: bool, message: str) -> None:
    """Raises `ValueError(message)` unless `fact` holds."""
    if not fact:
        raise ValueError(message)


def require_positive(record: object, *names: str) -> None:
    """Raises `ValueError` with name and value unless each named attribute is a finite number above 0."""
    for name in names:
        value = getattr(record, name)
        require(
            math.isfinite(value) and value > 0.0,
            f"{name} = {value:g}, expected a finite number greater than 0; correct it",
        )


def require_not_negative(record: object, *names: str) -> None:
    """Raises `ValueError` with name and value unless each named attribute is a finite number of at least 0."""
    for name in names:
        value = getattr(record, name)
        require(
            math.isfinite(value) and value >= 0.0,
            f"{name} = {value:g}, expected a finite number of at least 0; correct it",
        )


def _converted(hint: Any, value: Any, where: str, name: str) -> Any:
    """`value` converted to the type `hint`; raises `UsageError` beginning with `where` and `name`."""
    here = f"{where} {name}"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:  # from JSON; TOML has no null
            return None
        return _converted(next(h for h in arguments if h is not type(None)), value, where, name)
    plain = origin or hint
    if hint is Any or (plain not in (float, int, str, bool, tuple, list, Mapping) and isinstance(value, plain)):
        return value
    if dataclasses.is_dataclass(hint):
        return record_from_table(typing.cast(type, hint), value, where=_section(where, name))
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UsageError(f"{here} = {_shown(value)}, expected a list; write [first, second, ...]")
        return origin(_converted(arguments[0], item, where, name) for item in value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UsageError(f"{here} = {_shown(value)}, expected a table; write [{name}]")
        return {
            str(key): _converted(arguments[1], item, _section(where, name), _name(key)) for key, item in value.items()
        }
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(repr(member.value) for member in hint)
            raise UsageError(f"{here} = {_shown(value)}, expected one of {choices}; choose one of them") from None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    largest = _LARGEST_COUNT if hint is int else LARGEST
    if is_number and abs(value) > largest and math.isfinite(value if isinstance(value, float) else 1.0):
        raise UsageError(f"{here} is beyond {largest:g}, expected a smaller number; correct it")
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if hint is str and isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise UsageError(f"{here} has {len(value)} characters, expected at most {_LONGEST_TEXT}; shorten it")
    if hint in (str, bool) and isinstance(value, hint):
        return value
    expected = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[hint]
    raise UsageError(f"{here} = {_shown(value)}, expected {expected}; correct it")


def _section(where: str, name: str) -> str:
    """The place of section `name`: "my.toml: [name]", inside another section "my.toml: [other.name]"."""
    return f"{where[:-1]}.{name}]" if where.endswith("]") else f"{where}: [{name}]"


def _name(key: object) -> str:
    text = str(key)
    return text if text.isprintable() and len(text) <= _LONGEST_SHOWN else _shown(text)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
