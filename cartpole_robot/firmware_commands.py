"""The verbs `cartpole-robot firmware build | flash | size`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.errors import UsageError
from cartpole_robot.verbs import Verbs, add_verb

if TYPE_CHECKING:
    from firmware_bridge.build import FirmwareImage

_BAUDS = (115200, 57600)


def add_firmware_verbs(verbs: Verbs) -> None:
    """Add `firmware` and its own verbs."""
    summary = "build the cart's firmware, flash it, tell its size"
    firmware = verbs.add_parser("firmware", help=summary, description=f"{summary.capitalize()}.")
    below = firmware.add_subparsers(title="verbs", metavar="VERB", required=True)

    build = add_verb(
        below,
        "build",
        "compile the firmware for an Arduino Uno or Nano (ATmega328P)",
        "cartpole-robot firmware build --out firmware",
    )
    build.add_argument(
        "--out", type=Path, default=Path("firmware"), metavar="FOLDER", help="where to write (default: firmware)"
    )
    build.add_argument("--json", action="store_true", help="print what was built as JSON")
    build.set_defaults(run=_build, extra="sim")

    flash = add_verb(
        below,
        "flash",
        "build the firmware and write it into the Arduino on a port",
        "cartpole-robot firmware flash --port /dev/ttyACM0",
    )
    flash.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyACM0")
    flash.add_argument("--hex", type=Path, metavar="FILE", help="write this image instead of a new one")
    flash.add_argument(
        "--baud",
        type=int,
        default=_BAUDS[0],
        choices=_BAUDS,
        help="the bootloader's: 115200 (default; Uno, newer Nano) or 57600 (Nano with the old bootloader)",
    )
    flash.set_defaults(run=_flash, extra="sim")

    size = add_verb(below, "size", "tell flash and RAM that the firmware takes", "cartpole-robot firmware size --json")
    size.add_argument("--json", action="store_true", help="print as JSON")
    size.set_defaults(run=_size, extra="sim")


def _build(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware

    built = build_firmware(arguments.out)
    files = {"elf": str(built.elf), "hex": str(built.hex)}
    print(json.dumps({**_figures(built), **files}, indent=2) if arguments.json else _text(built, files))
    return 0


def _flash(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware, flash_firmware, is_own_image

    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        image = arguments.hex
        if image is None:
            image = build_firmware(Path(folder)).hex
        elif image.suffix != ".hex" or not image.is_file() or not is_own_image(image):
            raise UsageError(f"{image}: not a firmware.hex of this program; build one: cartpole-robot firmware build")
        flash_firmware(image, arguments.port, arguments.baud)
    print(f"flashed {arguments.port}")
    return 0


def _size(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware

    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        built = build_firmware(Path(folder))
    print(json.dumps(_figures(built), indent=2) if arguments.json else _text(built, {}))
    return 0


def _figures(built: FirmwareImage) -> dict[str, int | str]:
    from firmware_bridge.build import FLASH_BYTES, RAM_BYTES

    return {
        "flash_bytes": built.flash_bytes,
        "flash_most_bytes": FLASH_BYTES,
        "ram_bytes": built.ram_bytes,
        "ram_most_bytes": RAM_BYTES,
        "protocol_hash": f"{built.protocol_hash:08x}",
        "firmware_id": f"{built.firmware_id:08x}",
    }


def _text(built: FirmwareImage, files: dict[str, str]) -> str:
    figures = _figures(built)
    rows = {
        "flash": f"{built.flash_bytes} of {figures['flash_most_bytes']} bytes",
        "RAM": f"{built.ram_bytes} of {figures['ram_most_bytes']} bytes, the rest is stack",
        "protocol": str(figures["protocol_hash"]),
        "firmware id": str(figures["firmware_id"]),
        **files,
    }
    return "\n".join(f"  {name:<12} {value}" for name, value in rows.items())
