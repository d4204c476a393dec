"""The last seconds before a fault at the firmware's own rate: what it saw and was told in each millisecond.

A file is a NumPy archive without pickles: `samples`, a structured array with the fields of `SAMPLE`, one a safety tick,
gaps where the line lost some; and `header`, JSON.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.records import record_from_table
from firmware_bridge.protocol import read_protocol

BLACK_BOX_FORMAT = 1
KEPT_S = 10.0
_TICK_US = 1000

SAMPLE = np.dtype(
    [
        ("time_ms", "<i4"),  # since the first sample
        ("cart_counts", "<i4"),
        ("pole_counts", "<i4"),
        ("cart_illegal", "<u1"),
        ("pole_illegal", "<u1"),
        ("missed", "<u1"),  # ticks before it that did not come
        ("flags", "<u1"),  # enum trace_flag
        ("duty_q15", "<i2"),
        ("supply_mv", "<u2"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class BlackBox:
    """What was kept of a run: `samples` of dtype `SAMPLE`, and what it ended with.

    `fault` is a name of `enum fault`, "RESET <cause>" where the cart started anew, or "LINK" where it was not heard of
    any more; `told` is the rig's line about it. The first sample is `since_armed_ms` after the first that was armed.
    """

    samples: NDArray[np.void]
    cart: CartParams
    fault: str
    told: str
    warmth: int
    options: int
    since_armed_ms: int
    provenance: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write it; nothing that is there is replaced. Raises `UsageError`."""
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
            raise UsageError(f"{path}: exists already, and no black box is overwritten; choose another file") from None
        except OSError as error:
            raise UsageError(f"{path}: the black box cannot be written ({error.strerror})") from None


def load_black_box(path: Path) -> BlackBox:
    """The black box in that file. Raises `UsageError` for a file that is none, or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            header, samples = json.loads(archive["header"].tobytes()), archive["samples"]
    except FileNotFoundError:
        raise UsageError(f"{path}: no such black box; check the path") from None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        RecursionError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UsageError(f"{path}: is no readable black box ({error}); check the path") from None
    found = header.pop("format", None) if isinstance(header, dict) else None
    if found != BLACK_BOX_FORMAT or samples.dtype != SAMPLE:
        raise UsageError(f"{path}: has black box format {found!r}, this version reads {BLACK_BOX_FORMAT}")
    protocol_hash = header.pop("protocol_hash", 0)
    if protocol_hash != read_protocol().hash:
        shown = f"{protocol_hash & 0xFFFF:04x}" if isinstance(protocol_hash, int) else repr(protocol_hash)[:20]
        raise UsageError(
            f"{path}: was kept from a firmware of protocol {shown}, this version has "
            f"{read_protocol().hash & 0xFFFF:04x}; replay it with the version that wrote it"
        )
    return record_from_table(BlackBox, {**header, "samples": samples}, where=f"{path}: [black box]")


def samples_of(traces: Sequence[bytes]) -> tuple[NDArray[np.void], int, int]:
    """The samples in those TRACE messages, in order; the motor's warmth (0 to 255) and the cart's clock at first."""
    protocol = read_protocol()
    message, record = protocol.messages["TRACE"], protocol.records["trace_sample"]
    rows: list[tuple[int, ...]] = []
    first_us: int | None = None
    warmth = 0
    for trace in traces:
        try:
            fields = dict(zip(message.fields, message.layout.unpack(trace)[1:], strict=True))
        except struct.error:
            continue
        if first_us is None:
            first_us, warmth = fields["time_us"], fields["heat"]
        at_ms = ((fields["time_us"] - first_us) & 0xFFFF_FFFF) // _TICK_US
        cart, pole = fields["cart_counts"], fields["pole_counts"]
        for k, (cart_moved, pole_moved, flags, illegal, duty) in enumerate(record.iter_unpack(fields["samples"])):
            if k >= fields["count"]:
                break
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
                    0 if k else fields["missed"],
                    flags,
                    duty,
                    fields["supply_mv"],
                )
            )
    return np.array(rows, SAMPLE), warmth, first_us or 0


def traces_kept(control_period_s: float) -> int:
    """How many TRACE messages hold `KEPT_S`, with one period more."""
    period_ms = max(1, round(1000.0 * control_period_s))
    per_period = -(-period_ms // read_protocol().constants["PROTOCOL_TRACE_SAMPLES"])
    return (round(1000 * KEPT_S) // period_ms + 2) * per_period
