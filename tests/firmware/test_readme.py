"""The tables of firmware_bridge/README.md against what they describe."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.faults import FAULTS
from firmware_bridge.protocol import read_protocol

README = (Path(__file__).parent.parent.parent / "firmware_bridge" / "README.md").read_text()


def test_every_fault_is_explained_once() -> None:
    assert set(FAULTS) == set(read_protocol().enums["fault"].__members__) - {"NONE"}
    for name, meaning in FAULTS.items():
        assert f"| {name} | {meaning} |" in README


def test_every_message_stands_with_its_type_size_and_fields() -> None:
    for message in read_protocol().messages.values():
        fields = ", ".join(message.FIELDS) or "-"
        row = next(line for line in README.splitlines() if line.startswith(f"| {message.NAME} |"))
        assert row.startswith(f"| {message.NAME} | {message.TYPE} | {message.LAYOUT.size} |")
        assert row.endswith(f"| {fields} |")


def test_every_state_is_in_the_table() -> None:
    for state in read_protocol().enums["cart_state"].__members__:
        assert f"\n| {state} |" in README
