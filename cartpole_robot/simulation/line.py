"""A faulty serial line: bytes flip, get lost, appear from nowhere, or wait in a USB bridge."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LineFaults:
    """What is wrong with a line, in both directions; probabilities are per byte.

    `usb_latency_ms` is a USB bridge's latency timer: what the cart sends waits in it until the oldest byte has waited
    that long, or 62 bytes have come together (FTDI's packet). `delay_ms` later all of it arrives. `is_dead_to_cart` and
    `is_dead_to_host` let nothing through.
    """

    flipped: float = 0.0
    dropped: float = 0.0
    inserted: float = 0.0
    usb_latency_ms: int = 0
    delay_ms: int = 0
    is_dead_to_cart: bool = False
    is_dead_to_host: bool = False

    def __post_init__(self) -> None:
        for name in ("flipped", "dropped", "inserted"):
            share = getattr(self, name)
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} = {share:g}, expected a probability from 0 to 1")
        for name in ("usb_latency_ms", "delay_ms"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} = {getattr(self, name)}, expected 0 to 1000")


_PACKET_BYTES = 62


class Line:
    """A line with `faults`, which may be changed at any time; with the same seed it treats the same bytes alike."""

    def __init__(self, faults: LineFaults, seed: int = 0) -> None:
        self.faults = faults
        self.harmed = 0  # bytes flipped, dropped or inserted
        self._rng = np.random.default_rng(seed)
        self._waiting: deque[tuple[int, bytes]] = deque()  # in the USB bridge, since when
        self._under_way: deque[tuple[int, bytes]] = deque()  # from there, until when

    def to_cart(self, data: bytes) -> bytes:
        """The part of the host's `data` that reaches the cart."""
        return b"" if self.faults.is_dead_to_cart else self._harm(data)

    def to_host(self, data: bytes, time_ms: int) -> bytes:
        """What reaches the host at `time_ms`, `data` being what the cart has sent since the last call."""
        faults = self.faults
        if data and not faults.is_dead_to_host:
            self._waiting.append((time_ms, self._harm(data)))
        waiting, under_way = self._waiting, self._under_way
        if waiting and (
            time_ms - waiting[0][0] >= faults.usb_latency_ms or sum(len(part) for _, part in waiting) >= _PACKET_BYTES
        ):
            under_way.append((time_ms + faults.delay_ms, b"".join(part for _, part in waiting)))
            waiting.clear()
        arrived = b""
        while under_way and under_way[0][0] <= time_ms:
            arrived += under_way.popleft()[1]
        return arrived

    def _harm(self, data: bytes) -> bytes:
        faults = self.faults
        if not data or not (faults.flipped or faults.dropped or faults.inserted):
            return data
        harmed = bytearray()
        for byte in data:
            draws = self._rng.random(3)
            if draws[0] < faults.inserted:
                harmed.append(int(self._rng.integers(256)))
                self.harmed += 1
            if draws[1] < faults.dropped:
                self.harmed += 1
                continue
            if draws[2] < faults.flipped:
                byte ^= 1 << int(self._rng.integers(8))
                self.harmed += 1
            harmed.append(byte)
        return bytes(harmed)
