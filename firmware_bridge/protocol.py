"""What the C headers declare: the wire format of `protocol.h` with its hash, and the constants of any header.

Standard library only: `setup.py` and the firmware's build take the hash from here too.
"""

from __future__ import annotations

import enum
import functools
import re
import struct
import zlib
from collections import namedtuple
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any, ClassVar, Self

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
    """This reader does not understand `protocol.h`, or a message does not follow it."""


class Message(tuple[Any, ...]):
    """Base of the message classes, each a named tuple of its fields without the type byte.

    `NAME` is that of `enum message_type` ("STATE"), `TYPE` the type byte, `FIELDS` the type of each field by its name,
    `LAYOUT` that of the whole message.
    """

    __slots__ = ()
    NAME: ClassVar[str]
    TYPE: ClassVar[int]
    FIELDS: ClassVar[Mapping[str, type]]
    LAYOUT: ClassVar[struct.Struct]

    def pack(self) -> bytes:
        """The message as bytes. Raises `ProtocolError` for a field that is too large."""
        try:
            return self.LAYOUT.pack(self.TYPE, *self)
        except struct.error as error:
            values = ", ".join(f"{name} {value}" for name, value in zip(self.FIELDS, self, strict=True))
            raise ProtocolError(f"{self.NAME}: {error} in {values}") from None

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """The message that these bytes are. Raises `ProtocolError` for another length."""
        if len(message) != cls.LAYOUT.size:
            raise ProtocolError(f"{cls.NAME}: {len(message)} bytes, expected {cls.LAYOUT.size}")
        return tuple.__new__(cls, cls.LAYOUT.unpack(message)[1:])


class Protocol:
    """What a `protocol.h` declares.

    `constants` by name, `enums` by name (members lose the prefix they share), `records` (packed structures that are not
    messages) by name, the classes of the `messages` by name and `by_type` by type byte; `hash` is 32 bits over the
    declarations, comments and spacing apart.
    """

    def __init__(self, text: str) -> None:
        """Raises `ProtocolError` for a declaration that it does not know."""
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
        self.messages: dict[str, type[Message]] = {}
        for name, fields in structures:
            if name.endswith("_message"):
                kind = name.removesuffix("_message").upper()
                self.messages[kind] = self._message_class(kind, fields, types)
            else:
                self.records[name] = struct.Struct("<" + "".join(code for _, code in self._fields(name, fields)))
        self.by_type = {message.TYPE: message for message in self.messages.values()}
        self.hash = zlib.crc32(self._declarations(structures).encode())

    def unpack(self, message: bytes) -> Message:
        """The message that these bytes are. Raises `ProtocolError` for an unknown type or another length."""
        kind = self.by_type.get(message[0]) if message else None
        if kind is None:
            raise ProtocolError(f"message of unknown type {message[:1].hex() or 'none'}")
        return kind.unpack(message)

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

    def _message_class(self, name: str, body: str, types: type[enum.IntEnum]) -> type[Message]:
        fields = self._fields(name, body)
        if not fields or fields[0][0] != "type" or name not in types.__members__:
            raise ProtocolError(
                f"protocol.h: {name}: begins with {[field for field, _ in fields[:1]]}, expected type, and "
                f"MESSAGE_{name} in its enum"
            )
        class_name = f"{name.title().replace('_', '')}Message"
        contents = {
            "__doc__": f"{name} of protocol.h.",
            "__module__": "firmware_bridge.messages",
            "__slots__": (),
            "NAME": name,
            "TYPE": int(types[name]),
            "FIELDS": {field: bytes if code.endswith("s") else int for field, code in fields[1:]},
            "LAYOUT": struct.Struct("<" + "".join(code for _, code in fields)),
        }
        make: Any = namedtuple  # a type checker wants to see the fields; it has them from messages.pyi
        found: type[Message] = type(class_name, (make(class_name, contents["FIELDS"]), Message), contents)
        return found

    def _declarations(self, structures: list[tuple[str, str]]) -> str:
        """The declarations in one form that does not depend on their spacing."""
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
