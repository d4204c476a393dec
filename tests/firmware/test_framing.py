"""Frames against an implementation of their own, written from protocol.h's first comment, and everything a line can do to them."""

from __future__ import annotations

import random
import struct
from binascii import crc_hqx

import pytest

from tests.firmware.c_core import Core, Decoder, encode


def cobs(plain: bytes) -> bytes:
    """Consistent overhead byte stuffing of less than 254 bytes (Cheshire and Baker 1999)."""
    return b"".join(bytes([len(block) + 1]) + block for block in plain.split(b"\0"))


def frame_of(message: bytes) -> bytes:
    return cobs(message + struct.pack("<H", crc_hqx(message, 0xFFFF))) + b"\0"


GOLDEN = [
    ("", "03ffff00"),
    ("00", "0103f0e100"),
    ("0b", "04 0b 9b 50 00"),
    ("313233343536373839", "0c 313233343536373839 b1 29 00"),  # the CRC's check value, 0x29B1
    ("0601000204", "03 06 01 05 02 04 db 8c 00"),
]


@pytest.mark.parametrize(("message", "frame"), GOLDEN)
def test_golden_frames(core: Core, message: str, frame: str) -> None:
    assert frame_of(bytes.fromhex(message)).hex() == bytes.fromhex(frame).hex()
    assert encode(core.library, bytes.fromhex(message)).hex() == bytes.fromhex(frame).hex()


def contents(length: int, rng: random.Random) -> list[bytes]:
    """Messages of that length: random, zeros, no zeros, zeros at either end, the largest codes."""
    return [
        rng.randbytes(length),
        bytes(length),
        bytes([255]) * length,
        bytes(rng.randrange(1, 256) for _ in range(length)),
        bytes(rng.randrange(2) for _ in range(length)),
        (bytes([0]) + rng.randbytes(length))[:length],
        (rng.randbytes(length) + bytes([0]))[-length:] if length else b"",
    ]


@pytest.mark.parametrize("length", range(65))
def test_every_length_goes_there_and_back(core: Core, length: int) -> None:
    rng = random.Random(length)
    decoder = Decoder(core.library)
    for message in contents(length, rng):
        frame = encode(core.library, message)
        assert frame == frame_of(message)
        assert len(frame) == length + 4
        assert 0 not in frame[:-1]
        assert decoder.feed(frame) == ([message] if length else []), "a frame of nothing is none"
    assert decoder.errors == (0 if length else len(contents(0, rng)))


@pytest.mark.parametrize("length", [65, 66, 100, 253, 254, 1000])
def test_longer_message_is_not_encoded(core: Core, length: int) -> None:
    assert encode(core.library, bytes(length)) == b""


@pytest.mark.parametrize("length", [65, 66, 100, 252])
def test_longer_frame_is_refused_whole(core: Core, length: int) -> None:
    decoder = Decoder(core.library)
    for message in contents(length, random.Random(length)):
        assert decoder.feed(frame_of(message)) == []
        assert decoder.feed(frame_of(b"next")) == [b"next"]
    assert decoder.errors == 7


def test_endless_frame_does_no_harm(core: Core) -> None:
    decoder = Decoder(core.library)
    for byte in (1, 2, 67, 255):
        assert decoder.feed(bytes([byte]) * 5000 + b"\0") == []
        assert decoder.feed(frame_of(b"next")) == [b"next"]
    assert decoder.errors == 4


@pytest.mark.parametrize("length", [1, 5, 11, 48, 64])
def test_truncated_frame_is_refused(core: Core, length: int) -> None:
    rng = random.Random(length)
    for message in contents(length, rng):
        frame = frame_of(message)
        for end in range(1, len(frame) - 1):
            decoder = Decoder(core.library)
            assert decoder.feed(frame[:end] + b"\0") == []
            assert decoder.errors == 1
            assert decoder.feed(frame) == [message]


@pytest.mark.parametrize("length", [1, 5, 11, 48, 64])
def test_half_a_frame_at_first_costs_that_frame_only(core: Core, length: int) -> None:
    rng = random.Random(length)
    for message in contents(length, rng):
        frame = frame_of(message)
        for begin in range(1, len(frame)):
            decoder = Decoder(core.library)
            assert decoder.feed(frame[begin:]) == []
            assert decoder.feed(frame) == [message]


@pytest.mark.parametrize("zeros", [1, 2, 10, 1000])
def test_runs_of_zeros_between_frames_are_no_errors(core: Core, zeros: int) -> None:
    decoder = Decoder(core.library)
    assert decoder.feed(bytes(zeros) + frame_of(b"one") + bytes(zeros) + frame_of(b"two")) == [b"one", b"two"]
    assert decoder.errors == 0


@pytest.mark.parametrize("seed", range(20))
def test_in_step_within_one_frame_after_garbage(core: Core, seed: int) -> None:
    rng = random.Random(seed)
    decoder = Decoder(core.library)
    message = rng.randbytes(rng.randrange(1, 65))
    for _ in range(20):
        garbage = rng.randbytes(rng.randrange(1, 300))
        found = decoder.feed(garbage + frame_of(message) + frame_of(message))
        assert found[-1:] == [message], seed
        assert set(found) == {message}, seed


@pytest.mark.parametrize("changed", [0, 1, 7, -3, -2])
def test_wrong_byte_is_refused_and_counted(core: Core, changed: int) -> None:
    frame = bytearray(frame_of(b"sound message"))
    frame[changed] ^= 0x55
    decoder = Decoder(core.library)
    assert decoder.feed(bytes(frame)) == []
    assert decoder.errors == 1


@pytest.mark.parametrize("text", ["01", "0101", "010101", "02aa", "03aabb", "0101 02aa", "03ffff", "ff", "05aabb"])
def test_frame_without_room_for_a_message_is_refused(core: Core, text: str) -> None:
    decoder = Decoder(core.library)
    assert decoder.feed(bytes.fromhex(text) + b"\0") == []
    assert decoder.errors == 1


def test_errors_stay_at_their_largest(core: Core) -> None:
    decoder = Decoder(core.library)
    decoder.feed(b"\x01\0" * 65534)
    assert decoder.errors == 65534
    decoder.feed(b"\x01\0")
    assert decoder.errors == 65535
    decoder.feed(b"\x01\0" * 3)
    assert decoder.errors == 65535


def test_reset_forgets_half_a_frame(core: Core) -> None:
    decoder = Decoder(core.library)
    decoder.feed(frame_of(b"first")[:4])
    core.library.frame_decoder_reset(decoder._decoder)
    assert decoder.feed(frame_of(b"next")) == [b"next"]
    assert decoder.errors == 0
