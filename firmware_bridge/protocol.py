"""What the C headers declare: the wire format of `protocol.h` with its hash, and the constants of any header.

Standard library only: `setup.py` and the firmware's build take the hash from here too.
"""

from __future__ import annotations

import enum
import functools
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

_CODES = {
    "uint8_t": "B",
    "int8_t": "b",
    "uint16_t": "H",
    "int16_t": "h",
    "uint32_t": "I",
    "int32_t": "i",
}
_TOKENS = re.compile(r"[A-Za-z_]\w*|\d\w*|[^\s\w]")


class ProtocolError(ValueError):
    """`protocol.h` says something this reader does not understand, or a message does not follow it."""


@dataclass(frozen=True)
class Message:
    """One kind of message: its name ("STATE"), its type byte and its fields in order, the type byte apart."""

    name: str
    type: int
    fields: tuple[str, ...]
    layout: struct.Struct

    def pack(self, **values: int) -> bytes:
        """The message with those values. Raises `ProtocolError` for a field missing, unknown or too large."""
        if len(values) != len(self.fields):
            unknown = sorted(values.keys() - set(self.fields))
            missing = sorted(set(self.fields) - values.keys())
            raise ProtocolError(f"{self.name}: missing {', '.join(missing) or 'none'}, unknown {', '.join(unknown)}")
        try:
            return self.layout.pack(self.type, *[values[name] for name in self.fields])
        except KeyError as error:
            raise ProtocolError(f"{self.name}: {error.args[0]} is missing") from None
        except struct.error as error:
            raise ProtocolError(f"{self.name}: {error} in {describe(values)}") from None

    def unpack(self, message: bytes) -> dict[str, int]:
        """The fields of a message of this kind. Raises `ProtocolError` for one of another length."""
        if len(message) != self.layout.size:
            raise ProtocolError(f"{self.name}: {len(message)} bytes, expected {self.layout.size}")
        return dict(zip(self.fields, self.layout.unpack(message)[1:], strict=True))


class Protocol:
    """What a `protocol.h` declares.

    `constants` by name, `enums` by name (members lose the prefix they share), `records` (packed structures that are no
    messages) by name, `messages` by name and `by_type` by type byte; `hash` is 32 bits over the declarations, comments
    and spacing apart.
    """

    def __init__(self, text: str) -> None:
        """Raises `ProtocolError` for a declaration that is none of those the header may hold."""
        text = _without_comments(text)
        self.constants = _constants(text)
        text = re.sub(r"_Static_assert\(.*?\);", " ", text, flags=re.DOTALL)
        body = re.sub(r"^#.*$", " ", text, flags=re.M)
        self.enums: dict[str, type[enum.IntEnum]] = {}
        structures: list[tuple[str, str]] = []

        def take_enum(found: re.Match[str]) -> str:
            self.enums[found[1]] = _enum(found[1], found[2])
            return " "

        def take_structure(found: re.Match[str]) -> str:
            structures.append((found[2], found[1]))
            return " "

        body = re.sub(r"enum (\w+) \{(.*?)\};", take_enum, body, flags=re.DOTALL)
        body = re.sub(r"typedef struct PACKED \{(.*?)\} (\w+)_t;", take_structure, body, flags=re.DOTALL)
        if body.strip():
            raise ProtocolError(f"protocol.h: cannot read {body.strip().splitlines()[0]!r}")
        types = self.enums["message_type"]
        self.records: dict[str, struct.Struct] = {}
        self.messages: dict[str, Message] = {}
        for name, fields in structures:
            if name.endswith("_message"):
                kind = name.removesuffix("_message").upper()
                self.messages[kind] = self._message(kind, fields, types)
            else:
                self.records[name] = struct.Struct("<" + "".join(code for _, code in self._fields(name, fields)))
        self.by_type = {message.type: message for message in self.messages.values()}
        self.hash = zlib.crc32(self._declarations(structures).encode())

    def unpack(self, message: bytes) -> tuple[str, dict[str, int]]:
        """Name and fields of a message. Raises `ProtocolError` for an unknown type or another length."""
        kind = self.by_type.get(message[0]) if message else None
        if kind is None:
            raise ProtocolError(f"message of unknown type {message[:1].hex() or 'none'}")
        return kind.name, kind.unpack(message)

    def _fields(self, name: str, body: str) -> list[tuple[str, str]]:
        """Each field of a structure and its code for `struct`; an array of records is one field of bytes."""
        fields: list[tuple[str, str]] = []
        for entry in filter(None, (" ".join(part.split()) for part in body.split(";"))):
            found = re.fullmatch(r"(\w+) (\w+(?:, \w+)*)", entry)
            array = re.fullmatch(r"(\w+)_t (\w+) ?\[(\w+)\]", entry)
            if found is not None and found[1] in _CODES:
                fields += [(field, _CODES[found[1]]) for field in found[2].split(", ")]
            elif array is not None and array[1] in self.records and array[3] in self.constants:
                fields.append((array[2], f"{self.records[array[1]].size * self.constants[array[3]]}s"))
            else:
                raise ProtocolError(f"protocol.h: {name}: cannot read {entry!r}, expected a fixed-width integer")
        return fields

    def _message(self, name: str, body: str, types: type[enum.IntEnum]) -> Message:
        fields = self._fields(name, body)
        if not fields or fields[0][0] != "type" or name not in types.__members__:
            raise ProtocolError(
                f"protocol.h: {name}: begins with {[field for field, _ in fields[:1]]}, expected type, and "
                f"MESSAGE_{name} in its enum"
            )
        codes = "".join(code for _, code in fields)
        return Message(name, int(types[name]), tuple(field for field, _ in fields[1:]), struct.Struct("<" + codes))

    def _declarations(self, structures: list[tuple[str, str]]) -> str:
        """The declarations in one form, whatever their spacing."""
        lines = [f"{name} {value}" for name, value in self.constants.items()]
        lines += [f"{name} {member.name} {member.value}" for name, each in self.enums.items() for member in each]
        lines += [" ".join([name, *_TOKENS.findall(fields)]) for name, fields in structures]
        return "\n".join(lines)


def _enum(name: str, body: str) -> type[enum.IntEnum]:
    members: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in body.split(","))):
        found = re.fullmatch(r"(\w+) = (\d+)", entry)
        if found is None:
            raise ProtocolError(f"protocol.h: enum {name}: cannot read {entry!r}, expected NAME = number")
        members[found[1]] = int(found[2])
    prefix = next(iter(members)).split("_")[0] + "_"
    make: Any = enum.IntEnum  # a type checker wants to see the members of every enum
    kind: type[enum.IntEnum] = make(name, {key.removeprefix(prefix): value for key, value in members.items()})
    return kind


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def _constants(text: str) -> dict[str, int]:
    """Every `#define NAME number` of a text without comments; the number may be hexadecimal and have a suffix."""
    found = re.findall(r"^#define (\w+) (0x[0-9A-Fa-f]+|\d+)[UuLl]*\s*$", text, re.M)
    return {name: int(number, 0) for name, number in found}


def header_text(name: str = "protocol.h") -> str:
    """The packaged header of that name."""
    return resources.files("firmware_bridge.firmware").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def read_constants(name: str) -> Mapping[str, int]:
    """The integer constants that the packaged header `name` defines, read once; expressions are left out."""
    return MappingProxyType(_constants(_without_comments(header_text(name))))


@functools.cache
def read_protocol() -> Protocol:
    """The protocol this package speaks, read once."""
    return Protocol(header_text())


def describe(values: Mapping[str, Any]) -> str:
    """Fields of a message as one line, for logs and errors."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
