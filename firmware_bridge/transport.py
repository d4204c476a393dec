"""Bytes between host and cart: what the link needs of a line, and a serial port that provides it."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import select
import termios
import time
from typing import Protocol

import serial

from firmware_bridge.errors import LinkError
from firmware_bridge.protocol import read_protocol

_BOOTLOADER_S = 2.5  # Optiboot listens for one second, the Nano's old bootloader for up to two
_FLAGS, _ASYNC_LOW_LATENCY = 4, 0x2000  # linux/serial.h, linux/tty_flags.h


class Transport(Protocol):
    """A line to a cart, with the clock of its deadlines.

    For `boot_s` after it was opened a bootloader may listen at the other end.
    """

    boot_s: float

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `LinkError`."""

    def read(self, deadline_s: float) -> bytes:
        """What has arrived, waiting for the first byte until the clock shows `deadline_s`; empty then.

        Raises `LinkError` if the line is gone.
        """

    def clock(self) -> float:
        """Seconds, monotonic; a lockstep line's are simulated."""

    def expect(self, due_s: float) -> None:
        """The next bytes are due when the clock shows `due_s`, so that a `read` can be ready for them."""

    def close(self) -> None:
        """Close the line. May be called twice."""


class SerialTransport:
    """A serial port or a pseudo-terminal, for this process alone; implements `Transport`.

    A `read` sleeps in `select`, which takes some tens of microseconds to wake up. It polls instead from `poll_s` before
    the bytes that `expect` announces are due until `poll_s` after that.
    """

    def __init__(self, port: str, poll_s: float = 0.0) -> None:
        """Open `port` at the protocol's speed.

        Raises `LinkError` for a port that is missing, in use, forbidden or not a serial port.
        """
        try:
            baud = read_protocol().constants["PROTOCOL_BAUD"]
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=1.0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(f"{port}: {_reason(error)}") from None
        self.port = port
        self._poll_s = poll_s
        self._due_s = 0.0  # on its clock
        self._file = self._serial.fileno()
        self.boot_s = _BOOTLOADER_S if self._has_reset_line() else 0.0
        self.has_low_latency = False
        with contextlib.suppress(Exception):  # pyserial raises many kinds where the driver has no such mode
            self._serial.set_low_latency_mode(True)
            self.has_low_latency = _reads_low_latency(self._file)

    def _has_reset_line(self) -> bool:
        """Whether opening the port may have reset the board: a pseudo-terminal has no DTR."""
        try:
            fcntl.ioctl(self._file, termios.TIOCMGET, bytes(4))
        except OSError:
            return False
        return True

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `LinkError`."""
        try:
            sent = os.write(self._file, data)
            if sent < len(data):
                self._serial.write(data[sent:])
        except BlockingIOError:
            raise LinkError(f"{self.port}: takes no more bytes; is the cart powered?") from None
        except (OSError, serial.SerialException, TypeError) as error:
            raise LinkError(f"{self.port}: {_reason(error)}") from None

    def read(self, deadline_s: float) -> bytes:
        """What has arrived, waiting until `deadline_s` for the first byte. Raises `LinkError` when the port is gone."""
        try:
            now_s, until_s = time.monotonic(), self._due_s + self._poll_s
            if self._poll_s and now_s < until_s <= deadline_s:
                data = self._poll(max(0.0, self._due_s - self._poll_s - now_s), until_s)
                if data:
                    return data
                now_s = time.monotonic()
            ready, _, _ = select.select([self._file], [], [], max(0.0, deadline_s - now_s))
            data = os.read(self._file, 4096) if ready else b""
        except BlockingIOError:
            return b""
        except (OSError, ValueError, TypeError) as error:
            raise LinkError(f"{self.port}: {_reason(error)}") from None
        if ready and not data:
            raise LinkError(f"{self.port}: the port is gone; plug the cart in again")
        return data

    def _poll(self, sleep_s: float, until_s: float) -> bytes:
        """What arrives while sleeping for `sleep_s` and then polling until `until_s`; may be empty."""
        file, clock = self._file, time.monotonic
        if sleep_s and select.select([file], [], [], sleep_s)[0]:
            return os.read(file, 4096)
        while clock() < until_s:
            if select.select([file], [], [], 0.0)[0]:
                return os.read(file, 4096)
        return b""

    def clock(self) -> float:
        """The host's monotonic clock, s."""
        return time.monotonic()

    def expect(self, due_s: float) -> None:
        """Poll around `due_s`."""
        self._due_s = due_s

    def close(self) -> None:
        """Close the port. May be called twice."""
        self._file = -1
        with contextlib.suppress(OSError, serial.SerialException):
            self._serial.close()


def _reads_low_latency(file: int) -> bool:
    """Whether the driver has the flag set: some accept it and do nothing. Raises OSError where it has none to read."""
    settings = array.array("i", [0] * 32)  # struct serial_struct of linux/serial.h
    fcntl.ioctl(file, termios.TIOCGSERIAL, settings)
    return bool(settings[_FLAGS] & _ASYNC_LOW_LATENCY)


def _reason(error: Exception) -> str:
    """A port's error, with what to do about it."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOENT:
        return "no such port; cartpole-robot ports lists those there are"
    if number == errno.EACCES:
        return "permission denied; join the group dialout, or ask the administrator"
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text:
        return "another program has this port; close it"
    if number in (errno.EIO, errno.ENODEV, errno.ENXIO, errno.EBADF):
        return "the port is gone; plug the cart in again"
    if number in (errno.ENOTTY, errno.EINVAL, errno.EISDIR) or "Inappropriate ioctl" in text:
        return "not a serial port; cartpole-robot ports lists those there are"
    return f"cannot be used ({text.splitlines()[0] if text else type(error).__name__})"
