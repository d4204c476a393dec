"""The last seconds before a fault at the firmware's own rate: its inputs and commands in each millisecond.

A file is a NumPy archive without pickles: `samples`, a structured array with the fields of `SAMPLE`, one per safety
tick, with gaps where the line lost some; and `header`, JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.drive_keys import check_one_drive
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.formats import other_format
from cartpole_robot.files.new_file import not_written
from cartpole_robot.files.plain_data import parse_json
from cartpole_robot.files.records import record_from_table, require
from firmware_bridge.constants import TICK_US
from firmware_bridge.messages import TraceMessage
from firmware_bridge.protocol import ProtocolError, read_protocol

BLACK_BOX_FORMAT = 3
KEPT_S = 10.0
_LONGEST_MS = 600_000  # of `KEPT_S` and its gaps: a longer silence ends a run
_LARGEST_COUNT = 1 << 30  # either way
_MOST_MOVED = 128  # counts in a millisecond, as a TRACE tells them
_LARGEST_BYTES = 1 << 24  # `KEPT_S` takes 200 kB

SAMPLE = np.dtype(
    [
        ("time_ms", "<i4"),  # since the first sample
        ("cart_counts", "<i4"),
        ("pole_counts", "<i4"),
        ("cart_illegal", "<u1"),
        ("pole_illegal", "<u1"),
        ("missed", "<u1"),  # ticks missed before this one
        ("flags", "<u1"),  # enum trace_flag
        ("duty_q15", "<i2"),
        ("supply_mv", "<u2"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class BlackBox:
    """The end of a run: `samples` of dtype `SAMPLE`, and the fault that ended it.

    `fault` is a name of `enum fault`, "RESET <cause>" if the cart restarted, "LINK" if it fell silent or sent nonsense,
    "IMPLAUSIBLE" if no such cart can measure what it sent; `message` is the rig's line about it. The first sample is
    `since_armed_ms` after the first armed one. `counts_before` are the counts of cart and pole in the tick before the
    first sample: a cart that is armed there is seen to move from them on.
    """

    samples: NDArray[np.void]
    cart: CartParams
    fault: str
    message: str
    warmth: int
    options: int
    since_armed_ms: int
    counts_before: tuple[int, int]
    provenance: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write a new file. Raises `UsageError` if it exists already or cannot be written."""
        header = {
            "format": BLACK_BOX_FORMAT,
            "protocol_hash": read_protocol().hash,
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("samples", "cart")},
            "cart": self.cart.as_dict(),
        }
        try:
            with atomic_file(path) as file:
                np.savez_compressed(
                    file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), samples=self.samples
                )
        except FileExistsError:
            raise UsageError(f"{path}: exists already, and nothing is overwritten; choose another --record") from None
        except OSError as error:
            raise UsageError(not_written(path, error, option="--record")) from None


def load_black_box(path: Path) -> BlackBox:
    """The black box in the file. Raises `UsageError` if it is not a black box, of another format or damaged."""
    try:
        arrays = read_arrays(path, ("header", "samples"), most_bytes=_LARGEST_BYTES)
        header, samples = parse_json(arrays["header"].tobytes()), arrays["samples"]
    except FileNotFoundError:
        raise UsageError(f"{path}: no such black box; check the path") from None
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: is no readable black box ({error}); check the path") from None
    found = header.pop("format", None) if isinstance(header, dict) else None
    if found != BLACK_BOX_FORMAT or samples.dtype != SAMPLE:
        provenance = header.get("provenance") if isinstance(header, dict) else None
        written_by = provenance if isinstance(provenance, Mapping) else {}
        raise other_format(
            path, "black box", found, written_by, expected=BLACK_BOX_FORMAT, remedy="record another with deploy"
        )
    protocol_hash = header.pop("protocol_hash", 0)
    if protocol_hash != read_protocol().hash:
        shown = f"{protocol_hash & 0xFFFF:04x}" if isinstance(protocol_hash, int) else repr(protocol_hash)[:20]
        raise UsageError(
            f"{path}: comes from firmware with protocol {shown}, this version has "
            f"{read_protocol().hash & 0xFFFF:04x}; replay it with the version that wrote it"
        )
    if isinstance(header.get("cart"), Mapping):
        check_one_drive(header["cart"], f"{path}: [black box.cart]")
    box = record_from_table(BlackBox, {**header, "samples": samples}, where=f"{path}: [black box]")
    try:
        _check_is_possible(box)
    except ValueError as error:
        raise UsageError(f"{path}: was altered: {error}; restore it from a copy") from None
    return box


def _check_is_possible(box: BlackBox) -> None:
    """Raises ValueError for numbers that no firmware can have sent: a replay would overflow, or never end."""
    for name, most in (("warmth", 255), ("options", 255), ("since_armed_ms", (1 << 32) - 1)):
        value = getattr(box, name)
        require(0 <= value <= most, f"{name} = {value}, expected 0 to {most}")
    require(box.samples.ndim == 1, f"its samples have shape {box.samples.shape}, expected (N,)")
    if not len(box.samples):
        return
    times_ms = box.samples["time_ms"].astype(np.int64)
    require(
        times_ms[0] == 0 and bool((np.diff(times_ms) >= 0).all()) and int(times_ms[-1]) <= _LONGEST_MS,
        f"its times go from {times_ms[0]} to {times_ms[-1]} ms, expected rising ones from 0 to at most {_LONGEST_MS}",
    )
    for name in ("cart_counts", "pole_counts"):
        largest = int(np.abs(box.samples[name].astype(np.int64)).max())
        require(largest <= _LARGEST_COUNT, f"{name} reach {largest}, expected at most {_LARGEST_COUNT}")
    for name, before in zip(("cart_counts", "pole_counts"), box.counts_before, strict=True):
        first = int(box.samples[name][0])
        require(
            abs(first - before) <= _MOST_MOVED,
            f"counts_before has {before} before {name} = {first}, expected at most {_MOST_MOVED} between them",
        )


@dataclass(frozen=True, kw_only=True)
class Traced:
    """The `samples` of TRACE messages, of dtype `SAMPLE`.

    The first message gives the motor's warmth (0 to 255), the time `first_us`, and the counts of cart and pole in the
    tick before.
    """

    samples: NDArray[np.void]
    warmth: int
    first_us: int
    counts_before: tuple[int, int]


def samples_of(traces: Sequence[bytes]) -> Traced:
    """The samples in the TRACE messages, in order; those that are damaged are left out."""
    record = read_protocol().records["trace_sample"]
    rows: list[tuple[int, ...]] = []
    first_us: int | None = None
    warmth = 0
    counts_before = (0, 0)
    for data in traces:
        try:
            trace = TraceMessage.unpack(data)
        except ProtocolError:
            continue
        if first_us is None:
            first_us, warmth = trace.time_us, trace.heat
        at_ms = ((trace.time_us - first_us) & 0xFFFF_FFFF) // TICK_US
        cart, pole = trace.cart_counts, trace.pole_counts
        for k, (cart_moved, pole_moved, flags, illegal, duty) in enumerate(record.iter_unpack(trace.samples)):
            if k >= trace.count:
                break
            if not rows:
                counts_before = (cart - cart_moved, pole - pole_moved)
            if k:
                cart += cart_moved
                pole += pole_moved
            rows.append(
                (
                    at_ms + k,
                    cart,
                    pole,
                    illegal & 15,
                    illegal >> 4,
                    0 if k else trace.missed,
                    flags,
                    duty,
                    trace.supply_mv,
                )
            )
    return Traced(samples=np.array(rows, SAMPLE), warmth=warmth, first_us=first_us or 0, counts_before=counts_before)


def traces_kept(control_period_s: float) -> int:
    """How many TRACE messages hold `KEPT_S` and one more control period."""
    period_ms = max(1, round(1000.0 * control_period_s))
    per_period = -(-period_ms // read_protocol().constants["PROTOCOL_TRACE_SAMPLES"])
    return (round(1000 * KEPT_S) // period_ms + 2) * per_period
