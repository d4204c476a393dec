"""The classes of the messages: their stub, their bytes, and what a wrong one raises."""

from __future__ import annotations

import pickle
import struct

import pytest

from firmware_bridge import messages
from firmware_bridge.messages import CmdMessage, HealthRequestMessage, StateMessage, TraceMessage
from firmware_bridge.messages_stub import STUB, stub_text
from firmware_bridge.protocol import ProtocolError, read_protocol

STATE = StateMessage(
    session=7,
    tick=8,
    time_us=160_000,
    cart_counts=-5,
    pole_counts=6,
    cart_speed=-70_000,
    pole_speed=16,
    applied_q15=-32767,
    supply_mv=12_000,
    command_age_ms=65_535,
    state=4,
    fault=0,
    inputs=24,
)


def test_stub_is_what_the_header_makes_of_it() -> None:
    assert STUB.read_text(encoding="utf-8") == stub_text(), "run python -m firmware_bridge.messages_stub"


def test_there_is_a_class_for_every_message() -> None:
    for name, kind in read_protocol().messages.items():
        assert getattr(messages, kind.__name__) is kind
        assert (name, read_protocol().enums["message_type"][name]) == (kind.NAME, kind.TYPE)


def test_message_is_packed_little_endian_behind_its_type_and_comes_back() -> None:
    data = struct.pack("<BHIIiiiihHHBBB", 4, *STATE)
    assert STATE.pack() == data
    assert StateMessage.unpack(data) == read_protocol().unpack(data) == STATE
    assert type(read_protocol().unpack(data)) is StateMessage
    assert (STATE.cart_counts, STATE._replace(tick=9).tick, HealthRequestMessage().pack()) == (-5, 9, b"\x0b")
    assert pickle.loads(pickle.dumps(STATE)) == STATE


def test_field_called_as_a_method_of_tuples_is_the_field() -> None:
    data = struct.pack("<BBIihHBB48s", 15, 3, 1, 2, 4, 12_000, 5, 0, bytes(range(48)))
    trace = TraceMessage.unpack(data)
    assert (trace.count, trace.samples) == (3, bytes(range(48)))


def test_wrong_messages_are_refused_with_both_numbers() -> None:
    with pytest.raises(ProtocolError, match="STATE: 35 bytes, expected 36"):
        StateMessage.unpack(STATE.pack()[:-1])
    with pytest.raises(ProtocolError, match=r"CMD: .*32767.* in session 1, tick 2, duty_q15 40000, valid_ms 60"):
        CmdMessage(session=1, tick=2, duty_q15=40_000, valid_ms=60).pack()
    for unknown in (b"", b"\xff", b"\x00abc"):
        with pytest.raises(ProtocolError, match="message of unknown type"):
            read_protocol().unpack(unknown)
