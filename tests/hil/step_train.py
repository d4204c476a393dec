"""A stepper's pulses, count for count: what the chip's are compared with, and the program that makes them."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

from firmware_bridge.protocol import read_protocol
from tests.firmware.c_core import FIRMWARE, compile_c

SPEED_MOST, GAIN_Q4 = 20_000, 16_000  # of steps.c
TICK_COUNTS = 2000


class _Rate(ctypes.Structure):
    _fields_ = (("period", ctypes.c_uint16), ("share", ctypes.c_uint16))


class _Limits(ctypes.Structure):
    _fields_ = (("speed_most", ctypes.c_uint16), ("gain_q4", ctypes.c_uint16))


class _Ramp(ctypes.Structure):
    speed: int
    _fields_ = (("speed", ctypes.c_int32),)


class HostTrain:
    """`ramp.c` and `boards/host/pulse_train.c`, a tick at a time."""

    def __init__(self, folder: Path) -> None:
        sources = [FIRMWARE / "ramp.c", FIRMWARE / "boards/host/pulse_train.c"]
        self._c = ctypes.CDLL(str(compile_c(folder / "train.so", sources, ["-std=c11", "-O1", "-fPIC", "-shared"])))
        self._c.ramp_rate.restype = _Rate
        self._c.pulse_train_set.argtypes = (ctypes.c_void_p, _Rate, ctypes.c_bool)
        self._train = ctypes.create_string_buffer(64)
        self._ramp, self._limits = _Ramp(0), _Limits(SPEED_MOST, GAIN_Q4)
        self._c.pulse_train_begin(self._train)
        self.steps = self.area = 0

    @property
    def speed(self) -> float:
        """Steps a second chosen for the next tick; positive to the right."""
        return self._ramp.speed / 256

    def tick(self, acceleration_q15: int) -> int:
        """A millisecond; returns the steps at its beginning. `steps` and `area` are then those at its end."""
        before = self.steps
        self._c.pulse_train_set(self._train, self._c.ramp_rate(ctypes.byref(self._ramp)), self._ramp.speed < 0)
        self._c.ramp_tick(ctypes.byref(self._ramp), ctypes.byref(self._limits), ctypes.c_int16(acceleration_q15))
        self.area = 0
        for count in range(1, TICK_COUNTS + 1):
            made = self._c.pulse_train_advance(self._train, 1)
            self.steps += made
            self.area += made * (TICK_COUNTS - count)
        return before


def compile_steps(folder: Path, defines: Sequence[str] = ()) -> Path:
    """An image of steps.c with the board's own files. Raises `CalledProcessError`."""
    board = [FIRMWARE / "boards/avr" / f"{name}.c" for name in STEP_BOARD]
    elf = folder / "steps.elf"
    words = [
        *("avr-gcc", "-mmcu=atmega328p", "-DF_CPU=16000000UL", "-std=c11", "-O2", "-flto", "-DFIRMWARE_STEPPER"),
        *("-Wall", "-Wextra", "-Werror", "-Wconversion", f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}UL", *defines),
        *(f"-I{FIRMWARE}", str(Path(__file__).with_name("steps.c")), *map(str, board), str(FIRMWARE / "ramp.c")),
        *("-Wl,--undefined=firmware_mark", "-o", str(elf)),
    ]
    subprocess.run(words, check=True)
    return elf


def compile_buffered(folder: Path) -> Path:
    """An image of buffered.c. Raises `CalledProcessError`."""
    elf = folder / "buffered.elf"
    words = ["avr-gcc", "-mmcu=atmega328p", "-O2", f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}UL"]
    subprocess.run([*words, str(Path(__file__).with_name("buffered.c")), "-o", str(elf)], check=True)
    return elf


STEP_BOARD = ("stepper", "encoders", "clock", "contacts", "serial", "supply", "startup")
