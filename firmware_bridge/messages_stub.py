"""Writes `messages.pyi` from `protocol.h`: `python -m firmware_bridge.messages_stub`."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.protocol import Message, read_protocol

STUB = Path(__file__).with_name("messages.pyi")
_HEAD = '''\
"""The messages of protocol.h, written by `python -m firmware_bridge.messages_stub`; do not edit."""

from typing import NamedTuple

from firmware_bridge.protocol import Message
'''


def stub_text() -> str:
    """What `messages.pyi` must be for this `protocol.h`."""
    return _HEAD + "".join(_declaration(kind) for kind in read_protocol().messages.values())


def _declaration(kind: type[Message]) -> str:
    if not kind.FIELDS:
        return f"class {kind.__name__}(Message): ...\n"
    fields = "".join(_field(name, type_.__name__) for name, type_ in kind.FIELDS.items())
    hidden = f"_{kind.__name__.removesuffix('Message')}"
    return f"\nclass {hidden}(NamedTuple):\n{fields}\nclass {kind.__name__}({hidden}, Message): ...\n"


def _field(name: str, type_name: str) -> str:
    hides_method = hasattr(tuple, name)
    return f"    {name}: {type_name}{'  # type: ignore[assignment]' if hides_method else ''}\n"


if __name__ == "__main__":
    STUB.write_text(stub_text(), encoding="utf-8")
