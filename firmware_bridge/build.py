"""The firmware for the ATmega328P: compiled with avr-gcc from the packaged C, and flashed with avrdude.

Standard library only. The sources are package data, so that a wheel builds what a checkout does.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol import read_protocol

MCU = "atmega328p"
CLOCK_HZ = 16_000_000
CHIP_BYTES = 32_768
FLASH_BYTES = CHIP_BYTES - 512  # what Optiboot leaves
_BOOTLOADER_BYTES = {115_200: 512, 57_600: 2048}  # by its baud rate: Optiboot, and the Nano's old one
RAM_BYTES = 2048
_STACK_BYTES = (
    700  # the deepest calls and an interrupt took 335 bytes; the margin that the firmware's tests ask for is 350
)
ELF_NAME, HEX_NAME = "firmware.elf", "firmware.hex"

_BOARD = "boards/avr"
_POLICY_BYTES = f"{_BOARD}/policy_bytes.h"  # what is compiled into the firmware of a cart with a policy
_POLICY_CODE = ("policy.c", "onboard.c", f"{_BOARD}/policy_image.c")  # nothing of it where there is none
_WITHOUT_POLICY = "-DFIRMWARE_WITHOUT_POLICY"
DRIVES = ("dc", "stepper")
_ONLY_DC = ("drive_dc.c", "drive_dc.h", "homing_dc.c", f"{_BOARD}/motor.c")
_ONLY_STEPPER = (
    *("drive_stepper.c", "drive_stepper.h", "homing_stepper.c", "ramp.c", "ramp.h"),
    f"{_BOARD}/stepper.c",
)
_STEPPER_DEFINE = "-DFIRMWARE_STEPPER"
_MARK = b"cartpole_robot firmware\0"  # in main.c: every image of ours holds it
_STEPPER_MARK = b"stepper\0"  # behind the two numbers that follow it
_ELF_MACHINE_AT, _AVR = 18, 83
_COMPILE = (
    *(f"-mmcu={MCU}", f"-DF_CPU={CLOCK_HZ}UL", "-std=c11", "-O2", "-flto"),
    "-fno-tree-pre",  # with it a tick takes 3 % longer and the image a kilobyte more
    # 1.5 kB less with policy.c for size, and a tick 5 % longer: nothing small twice, registers saved by a routine
    *("-fno-inline-small-functions", "-fno-reorder-blocks", "-mcall-prologues", "-mstrict-X"),
    # less again, and a tick some percent longer: short calls where they reach, constants computed again
    *("-mrelax", "-fno-early-inlining", "-fno-tree-dominator-opts", "-fno-tree-ch", "-fno-gcse"),
    *("-fno-ipa-sra", "-fno-move-loop-invariants"),
    *("-Wall", "-Wextra", "-Werror", "-Wconversion"),
    *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,--undefined=firmware_mark"),
)
_MOST_IMAGE_BYTES = 1 << 22
_INSTALL_COMPILER = "install it: apt install gcc-avr avr-libc (Debian, Ubuntu), brew install avr-gcc (macOS)"
_INSTALL_AVRDUDE = "install it: apt install avrdude (Debian, Ubuntu), brew install avrdude (macOS)"
_COMPILE_LIMIT_S = 120.0
_FLASH_LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class FirmwareImage:
    """A built firmware: its files, what it is and what it takes of the chip, in bytes."""

    elf: Path
    hex: Path
    protocol_hash: int
    firmware_id: int
    flash_bytes: int
    ram_bytes: int  # variables; the stack has the rest


def firmware_sources(policy_header: str | None = None, drive: str = "dc") -> dict[str, str]:
    """The text of every C file that makes up the firmware, by its path below `firmware/`, in order of that path.

    `drive` is what it drives, one of `DRIVES`.
    `policy_header` is the text of policy_bytes.h; without one the firmware carries no policy and none of its code.
    """
    folder = resources.files("firmware_bridge.firmware")
    other = _ONLY_STEPPER if drive == "dc" else _ONLY_DC
    found: dict[str, str] = {}
    for place, prefix in ((folder, ""), (folder.joinpath(_BOARD), f"{_BOARD}/")):
        for entry in place.iterdir():
            path = prefix + entry.name
            if (
                path.endswith((".c", ".h"))
                and path not in other
                and (policy_header is not None or path not in _POLICY_CODE)
            ):
                found[path] = entry.read_text(encoding="utf-8")
    if policy_header is not None:
        found[_POLICY_BYTES] = policy_header
    return dict(sorted(found.items()))


def firmware_id(sources: dict[str, str]) -> int:
    """32 bits over the compiler's options and the sources: what HELLO_ACK reports of the firmware that answers."""
    crc = zlib.crc32(repr(_COMPILE).encode())
    for name, text in sources.items():
        crc = zlib.crc32(f"{name}\n{text}\n".encode(), crc)
    return crc


def build_firmware(out: Path, policy_header: str | None = None, drive: str = "dc") -> FirmwareImage:
    """Compile into `out`/firmware.elf and firmware.hex; the folder is created if missing.

    `policy_header` is the policy that the microcontroller is to carry, `drive` what the image is to drive, as
    `firmware_sources` takes them.
    Files of an earlier build are replaced. Raises `BridgeError` if a tool is missing, the C does not compile, or
    another file has one of these names.
    """
    elf, image = out / ELF_NAME, out / HEX_NAME
    for path in (elf, image):
        if path.exists() and image_drive(path) is None:
            raise BridgeError(f"{path}: not built by this program; move it away or choose another folder with --out")
    compiler, sizer = (_tool(name, _INSTALL_COMPILER) for name in ("avr-gcc", "avr-size"))
    sources = firmware_sources(policy_header, drive)
    protocol_hash, identity = read_protocol().hash, firmware_id(sources)
    with tempfile.TemporaryDirectory(prefix="firmware-") as name:
        folder = Path(name)
        for source, text in sources.items():
            (folder / source).parent.mkdir(parents=True, exist_ok=True)
            (folder / source).write_text(text, encoding="utf-8")
        defines = [f"-DPROTOCOL_HASH=0x{protocol_hash:08x}UL", f"-DFIRMWARE_ID=0x{identity:08x}UL"]
        if policy_header is None:
            defines.append(_WITHOUT_POLICY)
        if drive == "stepper":
            defines.append(_STEPPER_DEFINE)
        code = [source for source in sources if source.endswith(".c")]
        _run([compiler, *_COMPILE, *defines, *code, "-o", ELF_NAME], folder)
        write_hex(folder / ELF_NAME, folder / HEX_NAME)
        flash_bytes, ram_bytes = _sizes(_run([sizer, "-A", ELF_NAME], folder))
        _check_flash(flash_bytes)
        if ram_bytes > RAM_BYTES - _STACK_BYTES:
            raise BridgeError(
                f"the firmware's variables take {ram_bytes} bytes of RAM, the chip has {RAM_BYTES - _STACK_BYTES} "
                "next to its stack; choose a smaller policy"
            )
        out.mkdir(parents=True, exist_ok=True)
        for path in (elf, image):
            _replace(path, (folder / path.name).read_bytes())
    return FirmwareImage(
        elf=elf,
        hex=image,
        protocol_hash=protocol_hash,
        firmware_id=identity,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
    )


def write_hex(elf: Path, out: Path) -> None:
    """Write what is flashed of `elf` as Intel HEX. Raises `BridgeError` if the tool is missing or fails."""
    copier = _tool("avr-objcopy", _INSTALL_COMPILER)
    _run([copier, "-O", "ihex", "-R", ".eeprom", str(elf.absolute()), str(out.absolute())], out.parent)


def flash_firmware(image: Path, port: str, baud: int = 115_200) -> None:
    """Write the .hex `image` into the Arduino on `port` through its bootloader.

    `baud` is the bootloader's, not the firmware's. avrdude reports its progress on stderr. Raises `BridgeError` if
    the image would reach into the bootloader, avrdude or the port is missing, or the chip does not answer.
    """
    bootloader_bytes = _BOOTLOADER_BYTES.get(baud, max(_BOOTLOADER_BYTES.values()))
    image_bytes = _hex_end(_image_bytes(image))
    if image_bytes > CHIP_BYTES - bootloader_bytes:
        raise BridgeError(
            f"{image}: takes {image_bytes} bytes of flash, and a bootloader at {baud} baud leaves "
            f"{CHIP_BYTES - bootloader_bytes}; choose a smaller policy, or burn Optiboot"
        )
    avrdude = _tool("avrdude", _INSTALL_AVRDUDE)
    if port.startswith("/") and not Path(port).exists():
        raise BridgeError(f"{port}: no such port; plug the Arduino in and look for /dev/ttyACM* or /dev/ttyUSB*")
    words = [avrdude, "-p", MCU, "-c", "arduino", "-P", port, "-b", str(baud), "-D", "-U", f"flash:w:{image}:i"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=_FLASH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise BridgeError(f"{port}: flashing took more than {_FLASH_LIMIT_S:g} s; press reset and try again") from None
    if done.returncode != 0:
        raise BridgeError(
            f"{port}: avrdude ended with status {done.returncode}; close what else has the port open, "
            "and for a Nano with the old bootloader say --baud 57600"
        )


@dataclass(frozen=True)
class ImageMark:
    """What an image says about itself; `device` is the chip it was compiled for, None if the file does not say.

    `drive` is what it drives, one of `DRIVES`.
    """

    protocol_hash: int
    firmware_id: int
    device: str | None
    drive: str


def read_image_mark(elf: Path) -> ImageMark:
    """What the ELF file `elf` says about itself. Raises `BridgeError` if it is not a firmware of this program."""
    content = _image_bytes(elf)
    at = content.find(_MARK)
    if not content.startswith(b"\x7fELF") or at < 0 or len(content) < at + len(_MARK) + 8:
        raise BridgeError(f"{elf}: not a firmware.elf of this program; build one: cartpole-robot firmware build")
    protocol_hash, identity = struct.unpack_from("<II", content, at + len(_MARK))
    drive = _drive_at(content, at)
    (machine,) = struct.unpack_from("<H", content, _ELF_MACHINE_AT)
    device = re.search(rb"\0(at(?:mega|tiny|xmega)\w+)\0", content)
    if machine != _AVR:
        return ImageMark(protocol_hash, identity, f"machine {machine}", drive)
    return ImageMark(protocol_hash, identity, None if device is None else device[1].decode(), drive)


def image_drive(path: Path) -> str | None:
    """What the .elf or .hex file drives, one of `DRIVES`; None if it holds no firmware of this program."""
    content = _image_bytes(path)
    content = _hex_content(content) if path.suffix == ".hex" else content
    at = content.find(_MARK)
    return None if at < 0 else _drive_at(content, at)


def _drive_at(content: bytes, mark_at: int) -> str:
    return "stepper" if content.startswith(_STEPPER_MARK, mark_at + len(_MARK) + 8) else "dc"


def _image_bytes(path: Path) -> bytes:
    """The content of a file that may be an image. Raises `BridgeError` if it is larger than any image."""
    with path.open("rb") as file:
        content = file.read(_MOST_IMAGE_BYTES + 1)
    if len(content) > _MOST_IMAGE_BYTES:
        raise BridgeError(f"{path}: is larger than {_MOST_IMAGE_BYTES} bytes, expected a firmware; check the path")
    return content


def _hex_content(text: bytes) -> bytes:
    """The data of all records of an Intel HEX file; other lines are ignored."""
    records = re.findall(rb"^:[0-9A-Fa-f]{6}00((?:[0-9A-Fa-f]{2})*)[0-9A-Fa-f]{2}\s*$", text, re.MULTILINE)
    return b"".join(bytes.fromhex(record.decode()) for record in records)


def _hex_end(text: bytes) -> int:
    """The address after the last byte of an Intel HEX file of less than 64 kB."""
    records = re.findall(rb"^:([0-9A-Fa-f]{2})([0-9A-Fa-f]{4})00", text, re.MULTILINE)
    return max((int(length, 16) + int(address, 16) for length, address in records), default=0)


def _tool(name: str, how_to_install: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BridgeError(f"{name} not found; {how_to_install}")
    return found


def _replace(path: Path, data: bytes) -> None:
    """Give `path` this content, synced to disk; whatever fails, the file before is whole."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fsync(descriptor)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _run(words: Sequence[str], folder: Path) -> str:
    """What the tool prints. Raises `BridgeError` with the first line that reports an error."""
    name = Path(words[0]).name
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMPILE_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BridgeError(f"{name} took more than {_COMPILE_LIMIT_S:g} s; try again on a less busy machine") from None
    if done.returncode != 0:
        overflow = re.search(r"region `text' overflowed by (\d+) bytes", done.stderr)
        if overflow is not None:  # the linker's limit is the whole chip
            _check_flash(CHIP_BYTES + int(overflow[1]))
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no reason given")
        advice = f"; avr-libc is missing, {_INSTALL_COMPILER}" if "No such file or directory" in reason else ""
        raise BridgeError(f"{name} failed with status {done.returncode}: {reason}{advice}")
    return done.stdout


def _check_flash(flash_bytes: int) -> None:
    """Raise `BridgeError`, with both numbers, for a firmware that the bootloader leaves no room for."""
    if flash_bytes > FLASH_BYTES:
        raise BridgeError(
            f"the firmware takes {flash_bytes} bytes of flash, the chip has {FLASH_BYTES}; choose a smaller policy"
        )


def _sizes(text: str) -> tuple[int, int]:
    """Bytes of flash and of static RAM from the output of `avr-size -A`: a section and its size in each line."""
    sections = {name: int(size) for name, size in re.findall(r"^(\.\w+) +(\d+) ", text, re.MULTILINE)}
    if ".text" not in sections or ".bss" not in sections:
        raise BridgeError(f"avr-size: cannot read {text!r}, expected sections .text and .bss")
    data = sections.get(".data", 0)
    return sections[".text"] + data, data + sections[".bss"] + sections.get(".noinit", 0)
