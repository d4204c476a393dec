"""What is known of USB bridges, and what is read back of their delays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge.ports import usb_bridge
from firmware_bridge.transport import SerialTransport
from firmware_bridge.usb import described, latency_ms


@pytest.mark.parametrize(
    ("ids", "chip", "works"),
    [
        ((0x2341, 0x0043), "ATmega16U2", True),
        ((0x0403, 0x6001), "FTDI", True),
        ((0x1A86, 0x7523), "CH340", True),
        ((0x2341, 0x0069), "Uno R4", False),
    ],
)
def test_bridge_of_the_guide_is_known_by_its_numbers(ids: tuple[int, int], chip: str, works: bool) -> None:
    found = described(*ids, "a product", None)
    assert found.chip is not None
    assert chip in found.chip
    assert found.works is works


def test_bridge_that_is_not_in_the_guide_is_not_called_suitable() -> None:
    found = described(0x10C4, 0xEA60, "CP2102", None)
    assert found.chip is None
    assert not found.works
    assert found.ids == "10c4:ea60"


@pytest.mark.parametrize(("text", "expected"), [("16\n", 16), ("1\n", 1), ("", None), ("no number", None)])
def test_latency_timer_is_what_the_system_reports(tmp_path: Path, text: str, expected: int | None) -> None:
    folder = tmp_path / "ttyUSB0" / "device"
    folder.mkdir(parents=True)
    (folder / "latency_timer").write_text(text)
    assert latency_ms("/dev/ttyUSB0", tmp_path) == expected
    assert latency_ms("/dev/ttyACM0", tmp_path) is None


def test_pseudo_terminal_has_neither_bridge_nor_low_latency() -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    transport = SerialTransport(path)
    assert usb_bridge(path) is None
    assert not transport.has_low_latency
    transport.close()
    os.close(master)
    os.close(slave)
