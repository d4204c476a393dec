"""The serial ports of this machine, and which of them have a cart."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports as pyserial_ports

from firmware_bridge.errors import BridgeError
from firmware_bridge.link import Link
from firmware_bridge.transport import SerialTransport
from firmware_bridge.usb import UsbBridge, described, latency_ms

_PROBE_S = 3.0  # the link first lets a bootloader's two seconds pass


@dataclass(frozen=True)
class Port:
    """A port: path, the system's description, whether a cart answers (None: not asked), its answer or the error."""

    path: str
    description: str
    has_cart: bool | None
    message: str


def list_ports(*, probe: bool) -> list[Port]:
    """The ports, sorted; with `probe` each is opened and asked, which resets an Arduino Uno and disarms a cart."""
    return [
        probed(port.device, port.description) if probe else Port(port.device, port.description, None, "")
        for port in sorted(pyserial_ports.comports())
    ]


def probed(path: str, description: str = "") -> Port:
    """The port at `path`, asked whether a cart is behind it."""
    try:
        transport = SerialTransport(path)
    except BridgeError as error:
        return Port(path, description, None, str(error).removeprefix(f"{path}: "))
    with contextlib.closing(Link(transport)) as link:
        try:
            hello = link.open(_PROBE_S)
        except BridgeError as error:
            return Port(path, description, False, str(error))
    state = link.protocol.enums["cart_state"](hello.state).name
    return Port(path, description, True, f"a cart: {state}, build {hello.firmware_id:08x}")


def usb_bridge(path: str) -> UsbBridge | None:
    """The USB bridge of the port at `path`; None for one that is not on USB, such as a pseudo-terminal."""
    device = str(Path(path).resolve())
    for found in pyserial_ports.comports():
        if found.device == device and found.vid is not None:
            return described(found.vid, found.pid or 0, found.product or "", latency_ms(device))
    return None
