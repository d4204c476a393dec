"""The recorder of running rollouts: rows go into memory at once, and to disk from another thread."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import math
import os
import threading
import time
import zlib
from pathlib import Path
from types import TracebackType

from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.new_file import check_is_new, not_written
from cartpole_robot.recording.journal import CHECKSUM, ROW, ROW_BYTES, journal_header, journal_of, journal_outcome
from cartpole_robot.recording.metadata import Outcome, RecordingMetadata
from cartpole_robot.recording.reader import seal_journal
from cartpole_robot.recording.writer import check_is_free
from cartpole_robot.signals import Measurement

FLUSH_S = 0.25  # how often rows go to disk: what a killed process loses (at most a second is promised)
_SYNC_S = 1.0
_CAPACITY_ROWS = 1 << 16  # a minute at 1 kHz: how long a disk may stall before rows are lost


class Recorder:
    """Records one rollout into `path`; a context manager.

    `append` is for the control loop: it packs the row into a ring buffer in a few microseconds, without allocation,
    and never waits. A thread writes the buffer to the journal next to `path` every quarter of a second. When the disk
    is full, `failure` holds the error, and what was written stays readable. `close` converts the journal to Parquet
    where pyarrow is installed.
    """

    def __init__(self, path: Path, metadata: RecordingMetadata, *, capacity_rows: int = _CAPACITY_ROWS) -> None:
        """Begin the journal. Raises `UsageError` where it exists or cannot be created.

        Raises `RunError` where the header cannot be written.
        """
        self.path = path
        self.failure: str | None = None
        self.rows = 0
        self.rows_lost = 0
        self._capacity = capacity_rows
        self._ring = bytearray(capacity_rows * ROW_BYTES)
        self._written_rows = 0
        header = journal_header(metadata)
        self._file = _new_journal(path)
        self._begin(header)
        self._wake = threading.Event()
        self._is_closing = False
        self._is_closed = False
        self._synced_s = time.monotonic()
        self._syncing: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def _begin(self, header: bytes) -> None:
        self._write(header)
        if self.failure is not None:
            os.close(self._file)
            journal_of(self.path).unlink(missing_ok=True)
            raise RunError(f"{self.failure}; free space or choose another place")

    def append(
        self,
        measurement: Measurement,
        host_time_s: float,
        requested_duty: float,
        reward: float,
        flags: int,
        shadow_duty: float = math.nan,
    ) -> None:
        """Add a row; it is lost, and counted in `rows_lost`, when the disk lags by the whole buffer."""
        waiting = self.rows - self._written_rows
        if waiting >= self._capacity:
            self.rows_lost += 1
            return
        ROW.pack_into(
            self._ring,
            self.rows % self._capacity * ROW_BYTES,
            measurement.tick,
            measurement.mcu_time_us,
            host_time_s,
            measurement.cart_counts,
            measurement.pole_counts,
            measurement.cart_position_m,
            measurement.cart_speed_m_s,
            measurement.pole_angle_rad,
            measurement.pole_speed_rad_s,
            requested_duty,
            measurement.applied_duty,
            measurement.motor_power_w,
            reward,
            measurement.lateness_s,
            measurement.command_age_s,
            shadow_duty,
            flags,
        )
        self.rows += 1
        if waiting * 2 > self._capacity:
            self._wake.set()

    def close(self, outcome: Outcome | None = None) -> Path:
        """Write the remaining rows and the outcome; returns the path of the finished file. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._is_closing = True
            self._wake.set()
            self._thread.join()
            if outcome is not None and self.failure is None:
                self._write(journal_outcome(dataclasses.replace(outcome, rows_lost=self.rows_lost)))
            if self._syncing is not None:
                self._syncing.join()
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)
            if self.failure is None:
                seal_journal(self.path)
        return self.path if self.path.exists() else journal_of(self.path)

    def discard(self) -> None:
        """End without a file when no row was recorded, else `close`."""
        if self.rows:
            self.close()
        elif not self._is_closed:
            self._is_closed = self._is_closing = True
            self._wake.set()
            self._thread.join()
            os.close(self._file)
            journal_of(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        """Write the rows that were appended since the last call."""
        end = self.rows
        if self.failure is not None:
            return
        while self._written_rows < end and self.failure is None:
            first = self._written_rows % self._capacity
            count = min(end - self._written_rows, self._capacity - first)
            begin = first * ROW_BYTES
            view = memoryview(self._ring)[begin : begin + count * ROW_BYTES]
            for row in range(0, len(view), ROW_BYTES):
                CHECKSUM.pack_into(view, row + ROW.size, zlib.crc32(view[row : row + ROW.size]))
            self._write(view)
            self._written_rows += count
        if time.monotonic() - self._synced_s > _SYNC_S and (self._syncing is None or not self._syncing.is_alive()):
            # Against a power cut; from a thread of its own, because a slow disk must not hold up the next rows.
            self._synced_s = time.monotonic()
            self._syncing = threading.Thread(target=self._sync, name="recorder-sync", daemon=True)
            self._syncing.start()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            self._fail(error)

    def _write(self, content: bytes | memoryview) -> None:
        begin = os.lseek(self._file, 0, os.SEEK_END)
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._fail(error)
            whole = (len(content) - len(rest)) // ROW_BYTES * ROW_BYTES
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, begin + whole)

    def _fail(self, error: OSError) -> None:
        self.failure = f"{journal_of(self.path)}: {error.strerror or error}"


def _new_journal(path: Path) -> int:
    """An empty, locked journal for the recording `path`, as a file descriptor. Raises `UsageError`."""
    check_is_free(path)
    journal = journal_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        check_is_new(journal)
        raise
    except OSError as error:
        raise UsageError(not_written(path, error)) from None
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor
