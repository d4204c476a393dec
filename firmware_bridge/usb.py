"""USB bridges: which chip it is, what is known of it, how long it keeps bytes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SYSTEM = Path("/sys/class/tty")


@dataclass(frozen=True, kw_only=True)
class UsbBridge:
    """A USB bridge; `chip` is None for one that is not known here, `works` whether this project runs with it.

    `note` is what is known of it. `latency_ms` is its latency timer as the system has it, None where there is none to
    read.
    """

    ids: str
    product: str
    chip: str | None
    works: bool
    note: str
    latency_ms: int | None


# By vendor and product. Sources: the boards' and chips' data sheets, and the tables of the Linux drivers.
_KNOWN: dict[tuple[int, int], tuple[str, bool, str]] = {
    **dict.fromkeys(
        ((0x2341, 0x0001), (0x2341, 0x0043), (0x2341, 0x0243), (0x2A03, 0x0043)),
        ("ATmega16U2 of an Arduino Uno R3", True, "it keeps bytes for about 4 ms, which no setting changes"),
    ),
    **dict.fromkeys(
        ((0x0403, 0x6001), (0x0403, 0x6015)),
        ("FTDI FT232R or FT231X", True, "its latency timer is 16 ms unless it is set to 1"),
    ),
    **dict.fromkeys(
        ((0x1A86, 0x7523), (0x1A86, 0x5523)),
        ("CH340", True, "where the port vanishes, the program brltty has taken it: remove that"),
    ),
    **dict.fromkeys(
        ((0x2341, 0x0069), (0x2341, 0x006D), (0x2341, 0x1002)),
        ("Renesas RA4M1 or ESP32 of an Arduino Uno R4", False, "this firmware is for an ATmega328P"),
    ),
}


def described(vendor: int, product_id: int, product: str, latency: int | None) -> UsbBridge:
    """What is known of the bridge with these numbers."""
    chip, works, note = _KNOWN.get((vendor, product_id), (None, False, ""))
    return UsbBridge(
        ids=f"{vendor:04x}:{product_id:04x}", product=product, chip=chip, works=works, note=note, latency_ms=latency
    )


def latency_ms(device: str, system: Path = _SYSTEM) -> int | None:
    """The latency timer that the system reports for `device`; None where its driver has none."""
    try:
        return int((system / Path(device).name / "device" / "latency_timer").read_text())
    except (OSError, ValueError):
        return None
