"""References of what a cart says and stores: messages, faults and the columns of recordings."""

from __future__ import annotations

import inspect
import re

import numpy as np

from cartpole_robot.cart.listing import unit_of
from cartpole_robot.recording import format as recording_format
from docs.extension.source import entry_comments, field_comments
from docs.extension.tables import code, sentence, table
from firmware_bridge.faults import DC_FAULTS, FAULTS, RESETS, STEPPER_FAULTS
from firmware_bridge.protocol import header_text, read_protocol

_KINDS = {"u": "unsigned", "i": "signed", "f": "float"}


def recording_columns() -> str:
    """The columns of a recording and its flags."""
    explained = entry_comments(inspect.getsource(recording_format), "COLUMNS")
    rows = [
        (code(name), _kind(np.dtype(kind)), unit_of(name), explained.get(name, ""))
        for name, _, kind in recording_format.COLUMNS
    ]
    comments = field_comments(recording_format.Flag)
    flags = [(str(flag.value), code(flag.name), comments.get(flag.name or "", "")) for flag in recording_format.Flag]
    return "\n\n".join(
        [
            "## Columns",
            f"Format {recording_format.RECORDING_FORMAT}; numbers are little-endian.",
            table(("column", "type", "unit", "what it holds"), rows),
            "## Flags",
            "The sum of these numbers:",
            table(("number", "flag", "meaning"), flags),
        ]
    )


def _kind(kind: np.dtype[np.generic]) -> str:
    return f"{_KINDS[kind.kind]}, {8 * kind.itemsize} bits"


def faults() -> str:
    """Each fault with its number, drive, meaning and remedy, then the causes of a reset."""
    numbers = read_protocol().enums["fault"]
    rows = []
    for name, text in sorted(FAULTS.items(), key=lambda fault: int(numbers[fault[0]])):
        meaning, _, remedy = text.partition("; ")
        anchor = f"fault-{name.lower().replace('_', '-')}"
        drive = "DC" if name in DC_FAULTS else "stepper" if name in STEPPER_FAULTS else ""
        rows.append((f"[`{name}`]{{#{anchor}}}", str(int(numbers[name])), drive, sentence(meaning), sentence(remedy)))
    resets = []
    for name, text in RESETS.items():
        meaning, _, remedy = text.partition("; ")
        resets.append((code(name), sentence(meaning), sentence(remedy)))
    return "\n\n".join(
        [
            "## All faults",
            "A fault with an entry under *drive* occurs with that drive only.",
            table(("fault", "number", "drive", "what happened", "what to do"), rows),
            "## Causes of a reset",
            "The host names the cause when a cart begins a new session.",
            table(("cause", "what happened", "what to do"), resets),
        ]
    )


def wire_protocol() -> str:
    """Every message with its fields, every enum and constant of `protocol.h`, with their comments."""
    protocol, text = read_protocol(), header_text()
    parts = ["## Messages", table(("message", "type", "bytes", "meaning"), _overview(text))]
    for message in protocol.messages.values():
        if message.FIELDS:
            parts += [f"### {message.NAME}", table(("field", "type", "meaning"), _struct(text, message.NAME))]
    parts += ["## Records", "A TRACE contains these samples."]
    parts += [table(("field", "type", "meaning"), _struct(text, "trace_sample", suffix=""))]
    parts += ["## Enumerations and constants"]
    for name, members in protocol.enums.items():
        if name not in ("message_type", "fault"):
            explained = _comments(_body(text, rf"enum {name} \{{(.*?)\n?\}};"), r"(\w+) = \d+,?")
            prefix = {key.partition("_")[2]: note for key, note in explained.items()}
            rows = [(str(int(member)), code(member.name), prefix.get(member.name, "")) for member in members]
            parts += [f"### {name.replace('_', ' ')}", table(("number", "name", "meaning"), rows)]
    constants = [(code(key), str(value)) for key, value in protocol.constants.items()]
    parts += ["### Constants", table(("name", "value"), constants)]
    return "\n\n".join(parts)


def _overview(text: str) -> list[tuple[str, str, str, str]]:
    """Name, type, size and the comment before its structure, of each message."""
    found = []
    for message in read_protocol().messages.values():
        pattern = rf"(?:/\*((?:(?!\*/).)*)\*/\s*)?typedef struct PACKED \{{[^}}]*\}} {message.NAME.lower()}_message_t;"
        note = re.search(pattern, text, re.DOTALL)
        meaning = _joined(note[1]) if note and note[1] else ""
        name = f"[{message.NAME}](#{message.NAME.lower()})" if message.FIELDS else message.NAME
        found.append((name, str(message.TYPE), str(message.LAYOUT.size), meaning))
    return sorted(found, key=lambda row: int(row[1]))


def _struct(text: str, name: str, suffix: str = "_message") -> list[tuple[str, str, str]]:
    """Name, C type and comment of each field of a structure, its type byte left out."""
    body = _body(text, rf"typedef struct PACKED \{{([^}}]*)\}} {name.lower()}{suffix}_t;")
    explained = _comments(body, r"\w+ (\w+)(?:\[\w+\])?;")
    fields = re.findall(r"(\w+) (\w+)(\[\w+\])?;", re.sub(r"/\*.*?\*/", " ", body, flags=re.DOTALL))
    return [
        (code(field), code(kind + length), explained.get(field, ""))
        for kind, field, length in fields
        if field != "type"
    ]


def _body(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None, pattern
    return found[1]


def _comments(body: str, declaration: str) -> dict[str, str]:
    """The comment behind each declaration on its line, by the name that the declaration's group matches."""
    pattern = rf"{declaration}[ \t]*(?:/\*(.*?)\*/)"
    return {name: _joined(note) for name, note in re.findall(pattern, body, re.DOTALL)}


def _joined(comment: str) -> str:
    """A C comment on one line."""
    return sentence(re.sub(r"\n\s*\*", " ", comment))
