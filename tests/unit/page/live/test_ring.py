from __future__ import annotations

import errno
import math
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cartpole_robot.page.live import ring as ring_module
from cartpole_robot.page.live.ring import Ring, Snapshot


def snapshot(k: int) -> Snapshot:
    return Snapshot(k / 100.0, *(k + share for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)), 4, k % 30, 1)


def test_what_is_put_is_read_once_in_order() -> None:
    ring = Ring(8)
    for k in range(5):
        ring.put(snapshot(k))
    at, found = ring.read(0, 100)
    assert (at, found) == (5, [snapshot(k) for k in range(5)])
    assert ring.read(at, 100) == (5, [])
    ring.put(snapshot(5))
    assert ring.read(at, 100) == (6, [snapshot(5)])


def test_slow_reader_loses_the_oldest() -> None:
    ring = Ring(8)
    for k in range(20):
        ring.put(snapshot(k))
    assert ring.read(3, 100) == (20, [snapshot(k) for k in range(12, 20)])
    assert ring.read(3, 2) == (20, [snapshot(18), snapshot(19)])


def test_unknown_quantities_stay_unknown() -> None:
    ring = Ring(8)
    ring.put(snapshot(0)._replace(lateness_us=math.nan))
    _, (found,) = ring.read(0, 1)
    assert math.isnan(found.lateness_us)


def test_snapshot_that_is_half_overwritten_is_left_out() -> None:
    ring = Ring(8)
    for k in range(3):
        ring.put(snapshot(k))
    ring._bytes[ring_module._HEAD + ring_module._SLOT + 20] ^= 1
    assert ring.read(0, 100)[1] == [snapshot(0), snapshot(2)]


def test_snapshot_of_a_later_round_is_left_out() -> None:
    """A reader that is overtaken while it reads finds a whole snapshot, and another one than it looks for."""
    ring = Ring(4)
    for k in range(6):
        ring.put(snapshot(k))
    ring._bytes[ring_module._WRITTEN : ring_module._WRITTEN + 8] = (4).to_bytes(8, "little")  # what it saw at first
    assert ring.read(0, 100)[1] == [snapshot(2), snapshot(3)]


def test_stop_is_seen_once_and_confirmed() -> None:
    ring = Ring(4)
    assert not ring.is_stop_asked()
    number = ring.ask_stop()
    assert ring.stops_sent < number
    assert ring.is_stop_asked()
    assert not ring.is_stop_asked()
    ring.confirm_stop()
    assert ring.stops_sent == number


def _read_until_end(ring: Ring, connection: Connection) -> None:
    at, found = 0, []
    while not ring.has_ended:
        at, more = ring.read(at, 1000)
        found += more
    ring.ask_stop()
    at, more = ring.read(at, 1000)
    connection.send(found + more)


def test_another_process_reads_what_this_one_writes() -> None:
    ring = Ring(512)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_read_until_end, args=(ring, theirs))
    process.start()
    for k in range(300):
        ring.put(snapshot(k))
    ring.end()
    assert ours.recv() == [snapshot(k) for k in range(300)]
    process.join(10.0)
    assert ring.is_stop_asked()


@pytest.mark.parametrize("slots", [2, 16])
def test_every_snapshot_that_is_read_is_whole(slots: int) -> None:
    ring, is_over = Ring(slots), threading.Event()

    def write() -> None:
        for k in range(30_000):
            ring.put(snapshot(k))
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    at, many = 0, 0
    while not is_over.is_set():
        at, found = ring.read(at, slots)
        many += len(found)
        for each in found:
            assert each == snapshot(round(100.0 * each.time_s))
    writer.join()
    assert many > 0


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux has memory that is no file")
def test_ring_needs_no_room_for_a_file() -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    maps = Path("/proc/self/maps").read_text()
    ring = Ring()
    found = set(Path("/proc/self/maps").read_text().splitlines()) - set(maps.splitlines())
    assert any("/memfd:live view" in line for line in found)
    assert not any("pym-" in line for line in found)
    del ring
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_ring_without_memory_is_an_error_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Ring()
