"""Steps that look at the microcontroller: chip, fuses, bootloader, the timer of the pulses."""

from __future__ import annotations

from cartpole_robot.bring_up.bench import Bench
from cartpole_robot.bring_up.findings import Finding, fine, unknown, wrong
from firmware_bridge._host import PULSE_PERIOD
from firmware_bridge.protocol import read_constants

_STEPPER_TIMER = read_constants("drive_stepper.h")["DRIVE_PULSE_TOP"]  # both control registers of timer 1
_CHIPS = {0x950F: "ATmega328P"}
_UNSUITABLE_CHIPS = {0x9516: "ATmega328PB"}
_CRYSTAL = {0xFF, 0xF7}  # low fuse: a 16 MHz crystal, undivided; low power as on the Uno, or full swing
_BOOT_WORDS = {0: 2048, 1: 1024, 2: 512, 3: 256}  # of flash, by BOOTSZ
_BROWN_OUT_V = {4: 4.3, 5: 2.7, 6: 1.8}  # by BODLEVEL; 7: none
_NOT_USED = 0xFFFF
_HIDDEN = 0  # by lock bits, as boards are sold
_OPTIBOOT_WORDS = 256
_OPTIBOOT = range(4, 9)  # major versions
_BURN = "burn Optiboot with a programmer (Arduino IDE: Arduino Uno, Burn Bootloader), which sets the fuses too"
_READ_FUSES = "read them with a programmer (avrdude -U lfuse:r:-:h -U hfuse:r:-:h -U efuse:r:-:h) and look them up in "
_SHEET = "the chapter Memory Programming of the ATmega328P data sheet"


def check_chip(bench: Bench) -> Finding:
    """Which chip runs the firmware, and whether its timer counts as the firmware wants it."""
    health = bench.link.health()
    if health.chip in _UNSUITABLE_CHIPS:
        return wrong(
            "board-unsuitable",
            f"{_UNSUITABLE_CHIPS[health.chip]}: this firmware is for an ATmega328P",
            "use an Arduino Uno R3, or a Nano with an ATmega328P",
        )
    if health.chip not in _CHIPS:
        return unknown(
            f"a chip with the signature {health.chip:04x}, which the guide does not know",
            "read what is printed on it; measure the pulses at D9 with an oscilloscope (20 kHz) before the motor is "
            "connected",
        )
    hello, steppers = bench.hello, bench.link.protocol.enums["drive"]["STEPPER"]
    has_steps = hello is not None and hello.drive == steppers  # whatever the file says
    expected = _STEPPER_TIMER if has_steps else PULSE_PERIOD - 1
    if health.pulse_top != expected:
        what = "has the settings" if has_steps else "counts to"
        return wrong(
            "pulse-period",
            f"timer 1 {what} {health.pulse_top}, expected {expected}",
            "flash the firmware again; if it stays, the chip is not what its signature says",
        )
    if has_steps:
        return fine(f"{_CHIPS[health.chip]}; the timer of the step pulses is set up")
    return fine(f"{_CHIPS[health.chip]}; the pulses' timer counts to {health.pulse_top}")


def check_fuses(bench: Bench) -> Finding:
    """Clock, reset and brown-out level, as the chip's fuses have them."""
    health = bench.link.health()
    low, high, extended = health.fuse_low, health.fuse_high, health.fuse_extended
    text = f"low {low:02x}, high {high:02x}, extended {extended:02x}"
    level = extended & 7
    if level == 7:
        return wrong(
            "brown-out-disabled",
            f"{text}: no brown-out detection; a chip whose 5 V sag runs wild",
            f"set the extended fuse to FC (4.3 V): avrdude -U efuse:w:0xFC:m with a programmer, or {_BURN}",
        )
    if level == 6:
        return wrong(
            "brown-out-low",
            f"{text}: brown-out at 1.8 V, and 16 MHz takes 3.8 V",
            "set the extended fuse to FC (4.3 V)",
        )
    if low not in _CRYSTAL or level not in _BROWN_OUT_V:
        return unknown(f"{text}: a clock or brown-out setting that the guide does not know", _READ_FUSES + _SHEET)
    if high & 0xF8 not in (0xD8, 0xD0):  # reset pin, no debugWIRE, SPI, watchdog by software; EEPROM kept or not
        return unknown(f"{text}: a high fuse that the guide does not know", _READ_FUSES + _SHEET)
    note = "" if level == 4 else ", as boards are sold; 4.3 V (extended fuse FC) would be safer at 16 MHz"
    return fine(f"{text}: crystal, brown-out at {_BROWN_OUT_V[level]:g} V{note}")


def check_bootloader(bench: Bench) -> Finding:
    """Whether the bootloader lets the firmware start at once after the watchdog has reset the chip."""
    health = bench.link.health()
    words = _BOOT_WORDS[health.fuse_high >> 1 & 3]
    starts_loader = not health.fuse_high & 1
    version = health.bootloader
    if not starts_loader:
        return fine("none: the chip starts the firmware directly, and is flashed with a programmer")
    text = f"{2 * words} bytes for the bootloader, version word {version:04x}"
    if version == _NOT_USED and words != _OPTIBOOT_WORDS:
        return wrong(
            "bootloader-old",
            f"{text}: the old bootloader of Nanos, which hangs after a watchdog reset with the motor's bridge undriven",
            _BURN,
        )
    if version == _HIDDEN and words != _OPTIBOOT_WORDS:
        return wrong(
            "bootloader-old",
            f"{2 * words} bytes for the bootloader, its version hidden by lock bits: the old bootloader of Nanos, "
            "which hangs after a watchdog reset with the motor's bridge undriven, or one that the reset misses",
            _BURN,
        )
    if version >> 8 not in _OPTIBOOT:
        what = (
            f"{2 * words} bytes for the bootloader, as Optiboot takes, its version hidden by lock bits"
            if version == _HIDDEN
            else f"{text}: a bootloader that the guide does not know"
        )
        return unknown(
            what,
            "let the watchdog reset the chip (motor unplugged) and look whether HELLO answers within a second; if not, "
            + _BURN,
        )
    if words != _OPTIBOOT_WORDS:
        return wrong(
            "bootloader-fuses",
            f"Optiboot {version >> 8}.{version & 0xFF} behind fuses for {2 * words} bytes: the reset misses it",
            f"set the high fuse to DE, or {_BURN}",
        )
    return fine(f"Optiboot {version >> 8}.{version & 0xFF} in {2 * words} bytes")
