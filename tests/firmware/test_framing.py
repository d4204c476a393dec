"""Frames against an implementation written from protocol.h's first comment, and what a line can do to them."""

from __future__ import annotations

import random
from binascii import crc_hqx

import pytest

from tests.firmware.c_core import Core, Decoder, encode


def cobs(plain: bytes) -> bytes:
    """Consistent overhead byte stuffing of less than 254 bytes (Cheshire and Baker 1999)."""
    return b"".join(bytes([len(block) + 1]) + block for block in plain.split(b"\0"))


def check_of(line: bytes) -> bytes:
    crc = crc_hqx(line, 0xFFFF)
    return bytes([0xC0 + (crc >> 12), 0xC0 + (crc >> 6) % 64, 0xC0 + crc % 64])


def frame_of(message: bytes) -> bytes:
    line = bytes([len(message)]) + cobs(message)
    return b"\0" + line + check_of(line) + b"\0"


GOLDEN = [
    ("00", "00 01 01 01 cd e2 fc 00"),
    ("0b", "00 01 02 0b c2 f2 e5 00"),
    ("313233343536373839", "00 09 0a 31 32 33 34 35 36 37 38 39 c0 ef ca 00"),
    ("0601000204", "00 05 03 06 01 03 02 04 c8 c8 ce 00"),
    ("0800000000", "00 05 02 08 01 01 01 01 c6 ce d0 00"),
]


def test_crc_gives_its_published_check_value(core: Core) -> None:
    """CRC-16/IBM-3740 (also called CCITT-FALSE) of "123456789"."""
    assert crc_hqx(b"123456789", 0xFFFF) == 0x29B1
    assert core.library.framing_crc(0xFFFF, b"123456789", 9) == 0x29B1


@pytest.mark.parametrize(("message", "frame"), GOLDEN)
def test_golden_frames(core: Core, message: str, frame: str) -> None:
    assert frame_of(bytes.fromhex(message)).hex() == bytes.fromhex(frame).hex()
    assert encode(core.library, bytes.fromhex(message)).hex() == bytes.fromhex(frame).hex()


@pytest.mark.parametrize("bit", range(8))
def test_byte_of_one_bit_does_not_leave_the_crc_at_its_start(bit: int) -> None:
    """Else a frame would stay sound when one flip takes its length away, or puts a byte before it."""
    assert crc_hqx(bytes([1 << bit]), 0xFFFF) != 0xFFFF


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


@pytest.mark.parametrize("length", range(1, 65))
def test_every_length_goes_there_and_back(core: Core, length: int) -> None:
    rng = random.Random(length)
    decoder = Decoder(core.library)
    for message in contents(length, rng):
        frame = encode(core.library, message)
        assert frame == frame_of(message)
        assert len(frame) == length + 7
        assert 0 not in frame[1:-1]
        assert decoder.feed(frame) == [message]
    assert decoder.errors == 0


@pytest.mark.parametrize("length", [0, 65, 66, 100, 253, 254, 1000])
def test_empty_or_longer_message_is_not_encoded(core: Core, length: int) -> None:
    assert encode(core.library, bytes(length)) == b""


def test_message_of_no_bytes_is_refused(core: Core) -> None:
    decoder = Decoder(core.library)
    assert decoder.feed(frame_of(b"")) == []
    assert decoder.feed(b"\0\x00\x01" + check_of(b"\0\1") + b"\0") == []


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
        for end in range(2, len(frame) - 1):
            decoder = Decoder(core.library)
            assert decoder.feed(frame[:end] + b"\0") == []
            assert decoder.errors == 1
            assert decoder.feed(frame) == [message]


@pytest.mark.parametrize("length", [1, 5, 11, 48, 64])
def test_half_a_frame_at_first_costs_that_frame_only(core: Core, length: int) -> None:
    rng = random.Random(length)
    for message in contents(length, rng):
        frame = frame_of(message)
        for begin in range(2, len(frame)):
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


def test_frame_right_behind_a_refused_one_is_not_believed(core: Core) -> None:
    """It may be the other half of the one that was refused. A pause, or one good frame, and all is well."""
    decoder = Decoder(core.library)
    bare = frame_of(b"bare")[1:]
    assert decoder.feed(b"\0noise\0" + bare) == []
    assert decoder.errors == 2
    assert decoder.feed(bare) == [b"bare"], "the one before was sound"
    assert decoder.feed(b"noise\0noise\0" + bare) == []
    assert decoder.feed(b"noise\0\0" + bare) == [b"bare"]


@pytest.mark.parametrize("place", range(1, 19))
@pytest.mark.parametrize("change", [0x55, 0x01, 0x80, 0xFF])
def test_wrong_byte_is_refused_and_counted(core: Core, place: int, change: int) -> None:
    frame = bytearray(frame_of(b"sound message"))
    frame[place] ^= change
    assert place < len(frame) - 1
    assert 0 not in frame[1:-1]
    decoder = Decoder(core.library)
    assert decoder.feed(bytes(frame)) == []
    assert decoder.errors == 1


@pytest.mark.parametrize(
    "line", ["02 01 aa", "02 02 aa aa", "02 ff aa aa", "02 03 aa", "02 01 05 aa", "01 01", "01 03 aa"]
)
def test_stuffing_that_does_not_end_with_the_message_is_refused(core: Core, line: str) -> None:
    """With a correct check: no host sends it, but nothing may be read beyond its end."""
    stuffed = bytes.fromhex(line)
    decoder = Decoder(core.library)
    assert decoder.feed(b"\0" + stuffed + check_of(stuffed) + b"\0") == []
    assert decoder.errors == 1


@pytest.mark.parametrize("length", range(1, 9))
def test_frame_without_room_for_a_message_is_refused(core: Core, length: int) -> None:
    decoder = Decoder(core.library)
    for first in range(1, 9):
        assert decoder.feed(b"\0" + bytes([first]) + b"\xc1" * (length - 1) + b"\0") == []
    assert decoder.errors == 8


def test_errors_stay_at_their_largest(core: Core) -> None:
    decoder = Decoder(core.library)
    decoder.feed(b"\x01\0" * 65534)
    assert decoder.errors == 65534
    decoder.feed(b"\x01\0")
    assert decoder.errors == 65535
    decoder.feed(b"\x01\0" * 3)
    assert decoder.errors == 65535


def test_reset_forgets_half_a_frame_and_its_doubts(core: Core) -> None:
    decoder = Decoder(core.library)
    decoder.feed(b"noise\0" + frame_of(b"first")[1:4])
    core.library.frame_decoder_reset(decoder._decoder)
    assert decoder.feed(frame_of(b"next")[1:]) == [b"next"]
    assert decoder.errors == 1
