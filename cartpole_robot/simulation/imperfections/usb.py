"""The USB chip between host and cart: bytes wait for its timer, then for a frame of the bus."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_not_negative

_LONGEST_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Usb:
    """A USB chip. What the cart sends waits until `flush_s` have passed or `packet_bytes` have gathered.

    The timer of a 16U2 runs free; that of an FTDI chip restarts with every packet (`restarts_timer`). Either begins at
    a random phase, so that a byte waits for between 0 and `flush_s`. Then the packet waits for the bus, between 0 and
    `frame_s`, and so does what the host sends. Bytes arrive with the next millisecond of the cart.
    """

    flush_s: float = 0.0
    packet_bytes: int = 64
    restarts_timer: bool = False
    frame_s: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "flush_s", "frame_s")
        for name in ("flush_s", "frame_s"):
            require(getattr(self, name) <= _LONGEST_S, f"{name} = {getattr(self, name):g}, expected at most 1 s")
        require(1 <= self.packet_bytes <= 4096, f"packet_bytes = {self.packet_bytes}, expected 1 to 4096")


class UsbChip:
    """A chip with the figures of `usb`; its phase and the waits for the bus are drawn from `rng`."""

    def __init__(self, usb: Usb, rng: random.Random) -> None:
        self._usb = usb
        self._rng = rng
        self._flush_ms = 1000.0 * usb.flush_s
        self._next_ms = rng.random() * self._flush_ms
        self._gathered = bytearray()
        self._on_the_bus: deque[tuple[float, bytes]] = deque()

    def to_host(self, data: bytes, time_ms: int) -> bytes:
        """What reaches the host at `time_ms`, `data` being what the cart has sent since the last call."""
        gathered, packet_bytes, flush_ms = self._gathered, self._usb.packet_bytes, self._flush_ms
        if flush_ms > 0.0 and time_ms >= self._next_ms:  # the timer ran over before `data` came
            self._send(len(gathered), time_ms)
            self._next_ms += flush_ms * ((time_ms - self._next_ms) // flush_ms + 1)
        gathered += data
        while len(gathered) >= packet_bytes:
            self._send(packet_bytes, time_ms)
            if self._usb.restarts_timer:
                self._next_ms = time_ms + flush_ms
        if flush_ms == 0.0:
            self._send(len(gathered), time_ms)
        arrived = b""
        while self._on_the_bus and self._on_the_bus[0][0] <= time_ms:
            arrived += self._on_the_bus.popleft()[1]
        return arrived

    def _send(self, count: int, time_ms: int) -> None:
        if count == 0:
            return
        due_ms = time_ms + 1000.0 * self.wait_s()
        if self._on_the_bus:  # the bus keeps the order
            due_ms = max(due_ms, self._on_the_bus[-1][0])
        self._on_the_bus.append((due_ms, bytes(self._gathered[:count])))
        del self._gathered[:count]

    def wait_s(self) -> float:
        """How long the next packet waits for the bus, in either direction."""
        return self._rng.random() * self._usb.frame_s
