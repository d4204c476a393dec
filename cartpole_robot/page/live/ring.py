"""Memory that the control loop and the server of a live view share: the loop writes and never waits."""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from multiprocessing.heap import Arena
from typing import NamedTuple

_RECORD = struct.Struct("<Q9d3Bx")  # number, the nine quantities of a Snapshot, then its state, fault and driver
_CHECK = struct.Struct("<I")
_SLOT = _RECORD.size + _CHECK.size
_COUNT = struct.Struct("<Q")
_WRITTEN, _ASKED, _TAKEN, _ENDED, _HEAD = 0, 8, 16, 24, 32
_SLOTS = 8192


class Snapshot(NamedTuple):
    """A cart at one moment, in SI units.

    `time_s` counts from the start of the view. Duties, supply and lateness are NaN where they are not known. `state`
    and `fault` are numbers of `protocol.h`, `driver` one of the view's list of drivers.
    """

    time_s: float
    position_m: float
    speed_m_s: float
    angle_rad: float
    rate_rad_s: float
    requested_duty: float
    applied_duty: float
    supply_v: float
    lateness_us: float
    state: int
    fault: int
    driver: int


class Ring:
    """The newest snapshots, and how often an e-stop was asked for; can be passed to a new process.

    One process writes snapshots, another reads them. Neither waits for the other, and there is no lock: a snapshot that
    is overwritten while it is read does not match its check sum and is left out.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        self._slots = slots
        self._memory = _shared_memory(_HEAD + slots * _SLOT)
        self._view()

    def _view(self) -> None:
        self._bytes = memoryview(self._memory.buffer)
        self._written = self._number(_WRITTEN)
        self._taken = self._number(_TAKEN)

    def __getstate__(self) -> tuple[int, object]:
        return self._slots, self._memory

    def __setstate__(self, state: tuple[int, object]) -> None:
        self._slots, self._memory = state  # type: ignore[assignment]
        self._view()

    def _number(self, at: int) -> int:
        number: int = _COUNT.unpack_from(self._bytes, at)[0]
        return number

    def put(self, snapshot: tuple[float, ...]) -> None:
        """Add one, a tuple as `Snapshot`; the oldest is overwritten."""
        at = _HEAD + self._written % self._slots * _SLOT
        memory = self._bytes
        self._written += 1
        _RECORD.pack_into(memory, at, self._written, *snapshot)
        _CHECK.pack_into(memory, at + _RECORD.size, zlib.crc32(memory[at : at + _RECORD.size]))
        _COUNT.pack_into(memory, _WRITTEN, self._written)

    def is_stop_asked(self) -> bool:
        """Whether an e-stop has been asked for since the last call. For the process that writes."""
        asked = self._number(_ASKED)
        if asked == self._taken:
            return False
        self._taken = asked
        return True

    def confirm_stop(self) -> None:
        """The e-stop has been sent to the cart."""
        _COUNT.pack_into(self._bytes, _TAKEN, self._taken)

    def end(self) -> None:
        """No more snapshots will come."""
        _COUNT.pack_into(self._bytes, _ENDED, 1)

    @property
    def has_ended(self) -> bool:
        return self._number(_ENDED) != 0

    @property
    def written(self) -> int:
        """How many snapshots there have been so far."""
        return self._number(_WRITTEN)

    def ask_stop(self) -> int:
        """Ask for an e-stop; returns what `stops_sent` will reach once it is sent. One thread at a time."""
        asked = self._number(_ASKED) + 1
        _COUNT.pack_into(self._bytes, _ASKED, asked)
        return asked

    @property
    def stops_sent(self) -> int:
        return self._number(_TAKEN)

    def read(self, after: int, most: int) -> tuple[int, list[Snapshot]]:
        """The number of the newest snapshot, and at most `most` of those after number `after`, oldest first."""
        newest = self.written
        first = max(after, newest - min(most, self._slots))
        found = []
        for number in range(first + 1, newest + 1):
            at = _HEAD + (number - 1) % self._slots * _SLOT
            record = bytes(self._bytes[at : at + _SLOT])
            (check,) = _CHECK.unpack_from(record, _RECORD.size)
            its_number, *values = _RECORD.unpack_from(record)
            if its_number == number and check == zlib.crc32(record[: _RECORD.size]):
                found.append(Snapshot(*values))
        return newest, found


def _shared_memory(size: int) -> Arena:
    """Zeroed memory that can be passed to a new process. Raises OSError where there is not so much.

    On Linux it is no file: /dev/shm may be small or full, writing to it would then end the process, and the pages of a
    file on a disk make the loop wait.
    """
    if not hasattr(os, "memfd_create"):
        return Arena(size)
    file = os.memfd_create("live view")
    try:
        os.posix_fallocate(file, 0, size)
        memory = Arena(size, file)
    except OSError:
        os.close(file)
        raise
    weakref.finalize(memory, os.close, file)
    return memory
