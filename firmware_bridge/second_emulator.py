"""The image that is flashed on a second emulated ATmega328P, by other authors: npm's avr8js, in a Node.js process.

avr8js is under the MIT license. It is not part of this package: `npm ci` installs it into the user's cache on first use
and checks it against the hash in `firmware_bridge/avr8js/package-lock.json`. It takes three times the first emulator's
time; what it is for is a second opinion.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from firmware_bridge.build import write_hex
from firmware_bridge.emulator import (
    DriverWiring,
    EmulatedChip,
    cache_folder,
    check_image,
    close_pipes,
    current_image,
    kill,
)
from firmware_bridge.errors import BridgeError, LinkError

NODE_LEAST = 20
_INSTALL = "install it: apt install nodejs npm (Debian 13), or https://nodejs.org"
_INSTALL_LIMIT_S = 120.0
_SILENCE_LIMIT_S = 20.0
_REQUEST = struct.Struct("<iiiHBBBBBBHHBBBHHBI")
_ANSWER = struct.Struct("<iIIIQQQIIIIiiII")
_FIGURES = (
    *("resets", "cycles", "awake_cycles", "policy_cycles"),
    *("longest_latency_cycles", "longest_interrupt_cycles", "bytes_lost"),
)
_TICK_COUNTS = 2000  # PULSE_TICK_COUNTS
_DRIVEN_LOW, _DRIVEN_HIGH = 1, 2  # enum chip_enable
_RESET, _HANG_PROGRAM, _LOSE_TICK = 1, 2, 3  # enum world_order
_PROGRAM = ("runner.js", "chip.js", "timers.js", "usart.js", "steps.js", "world.js")
_PACKAGE_FILES = ("package.json", "package-lock.json")


def check_node() -> str:
    """The path of Node.js. Raises `BridgeError` if it is missing or too old."""
    node = shutil.which("node")
    if node is None:
        raise BridgeError(f"node not found; {_INSTALL}")
    done = subprocess.run([node, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    version = re.match(r"v(\d+)\.", done.stdout)
    if version is None or int(version[1]) < NODE_LEAST:
        found = done.stdout.strip() or "no Node.js"
        raise BridgeError(f"{node}: is {found}, expected v{NODE_LEAST} or later; {_INSTALL}")
    return node


def installed_packages(say: Callable[[str], object] = lambda _: None) -> Path:
    """The node_modules folder with avr8js, installed if not cached, which `say` is told. Raises `BridgeError`."""
    texts = {name: _source(name) for name in _PACKAGE_FILES}
    folder = cache_folder() / f"avr8js-{hashlib.sha256(repr(texts).encode()).hexdigest()[:16]}"
    if not (folder / "node_modules" / "avr8js" / "package.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        npm = shutil.which("npm")
        if npm is None:
            raise BridgeError(f"npm not found, which installs avr8js; {_INSTALL}")
        version = json.loads(texts["package.json"])["dependencies"]["avr8js"]
        say(f"installing avr8js {version} from npm into {folder}")
        with tempfile.TemporaryDirectory(prefix="avr8js-", dir=folder.parent) as name:
            for file, text in texts.items():
                Path(name, file).write_text(text, encoding="utf-8")
            _install(npm, name)
            with contextlib.suppress(OSError):  # another process was faster
                Path(name).rename(folder)
            Path(name).mkdir(exist_ok=True)
    return folder / "node_modules"


def _source(name: str) -> str:
    return resources.files("firmware_bridge.avr8js").joinpath(name).read_text(encoding="utf-8")


def _install(npm: str, folder: str) -> None:
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BridgeError(f"npm ci took more than {_INSTALL_LIMIT_S:g} s; is there a network?") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if re.match(r"npm (error|ERR!)", line)]
        code = next((line.split()[-1] for line in lines if " code " in line), f"status {done.returncode}")
        if code == "EINTEGRITY":
            raise BridgeError("npm: avr8js is not the package that package-lock.json names (EINTEGRITY); do not use it")
        raise BridgeError(f"npm cannot install avr8js ({code}); the first use needs a network, later ones do not")


class SecondChip:
    """One ATmega328P with a firmware, on avr8js; a millisecond passes with each `tick`.

    It has the methods of `firmware_bridge.emulator.EmulatedChip`. The pulses that `tick` returns are measured at the
    pins, over the last PWM period of the millisecond. A context manager; Node.js also ends with an object that is
    dropped without `close`.
    """

    def __init__(
        self,
        elf: Path | None = None,
        events: Path | None = None,
        pulse_phase: int | None = None,
        *,
        driver: DriverWiring | None = None,
    ) -> None:
        """Switch it on with the image `elf`, or this package's own firmware. Raises `BridgeError`.

        `events` is a file to write, as `EmulatedChip` does. With `pulse_phase` the PWM periods begin that many cycles
        after the first tick, modulo their length, instead of where the time of the start has left them. A stepper's
        `driver` is as for `EmulatedChip`; it misses no pulses.
        """
        drive = "dc" if driver is None else "stepper"
        image = current_image(drive=drive) if elf is None else elf
        check_image(image, drive)
        node, packages = check_node(), installed_packages()
        self._folder = tempfile.TemporaryDirectory(prefix="avr8js-")
        folder = Path(self._folder.name)
        for name in _PROGRAM:
            (folder / name).write_text(_source(name), encoding="utf-8")
        write_hex(image, folder / "firmware.hex")
        words = [node, str(folder / "runner.js"), str(folder / "firmware.hex")]
        if events is not None:
            words += [str(events), *([] if pulse_phase is None else [str(pulse_phase)])]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(packages)},
            start_new_session=True,
        )
        self._abandoned = weakref.finalize(self, kill, self._process, os.getpid())
        self._time_us = 0
        self._kept = b""
        self._wired = (0, 0, 0, 0)  # cut, swapped, spiked, spikes
        self._order = (0, 0)
        self._skew_ppm = 0
        self._line = b""
        self._last_taken = 0
        self._figures: dict[str, int] = {}
        self._steps = (0, 0, 0, 0)
        self._driver, self._driver_steps = driver, 0
        self.equip()
        try:
            ready = self._read(len(b"ready\n"))
        except LinkError as error:
            self.close()
            raise BridgeError(
                f"the second emulator does not start; if avr8js is damaged, remove {packages.parent}: "
                f"{error}, with {image}"
            ) from None
        assert ready == b"ready\n"

    @property
    def time_us(self) -> int:
        """What the chip's clock showed at its last tick; wraps at 32 bits."""
        return self._time_us

    @property
    def process_id(self) -> int:
        """Node.js's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether Node.js still runs."""
        return self._process.poll() is None

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        """Run one millisecond; returns how many of 800 cycles the bridge drives, None if it is open.

        A stepper's returns where the pulses stand on the mean of the millisecond, None if its driver is off. Raises
        `LinkError` when the emulator has ended or does not answer.
        """
        cut, swapped, spiked, spikes = self._wired
        order, cause = self._order
        (rail_mv, bandgap_mv, fuses, chip, bootloader), line = self._parts, self._line
        self._order, self._line = (0, 0), b""
        if self._driver is not None and not self._driver.has_cart_encoder:
            cart_counts = 0
        request = _REQUEST.pack(
            *(_signed(cart_counts), _signed(pole_counts), self._skew_ppm, supply_mv, inputs),
            *(cut, swapped, order, cause, spiked),
            *(rail_mv, bandgap_mv, *fuses, chip, bootloader, spikes, len(line)),
        )
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(request + line)
            stdin.flush()
        except (OSError, ValueError):
            raise LinkError(self._why_ended()) from None
        pulses, is_open, ticks, *figures, length, steps, area, is_left, enable = _ANSWER.unpack(
            self._read(_ANSWER.size)
        )
        self._steps = (steps, area, is_left, enable)
        self._kept += self._read(length)
        self._time_us = ticks * 1000 & 0xFFFFFFFF
        self._figures = {"ticks": ticks, **dict(zip(_FIGURES, figures, strict=True))}
        if self._driver is not None:
            return self._mean_steps(self._driver)
        return None if is_open else pulses

    def _mean_steps(self, driver: DriverWiring) -> float | None:
        """As `ChipMailbox.tick` of a stepper's chip, of the millisecond that has just passed."""
        steps, area, _, enable = self._steps
        before, self._driver_steps = self._driver_steps, steps
        is_on = driver.is_powered and enable == (_DRIVEN_LOW if driver.is_enable_low else _DRIVEN_HIGH)
        mean = (before * _TICK_COUNTS + area) / _TICK_COUNTS
        return (-mean if driver.is_reversed else mean) if is_on else None

    def _read(self, count: int) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        found = b""
        while len(found) < count:
            ready, _, _ = select.select([stdout], [], [], _SILENCE_LIMIT_S)
            if not ready:
                self._process.kill()
                raise LinkError(f"the second emulator did not answer for {_SILENCE_LIMIT_S:g} s; start it again")
            part = os.read(stdout.fileno(), count - len(found))
            if not part:
                raise LinkError(self._why_ended())
            found += part
        return found

    def _why_ended(self) -> str:
        try:
            self._process.wait(_SILENCE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        stderr = self._process.stderr
        lines = [] if stderr is None or stderr.closed else stderr.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "Error" in line] or lines
        return f"the second emulator has ended ({errors[0] if errors else f'status {self._process.returncode}'})"

    def feed(self, received: bytes, /) -> None:
        """Receive bytes from the host, from the next millisecond on."""
        self._line += bytes(received)

    def take(self) -> bytes:
        """The bytes that have left the chip since the last call."""
        taken, self._kept = self._kept, b""
        if taken:
            self._last_taken = taken[-1]
        return taken

    def has_sent(self) -> bool:
        """Whether `take` would return the end of a frame, a 0 that follows something."""
        before = self._last_taken
        for byte in self._kept:
            if byte == 0 and before != 0:
                return True
            before = byte
        return False

    def restart(self, cause: int, /) -> None:
        """Reset by that `enum reset_cause`, in the next millisecond."""
        self._order = (_RESET, cause)

    def hang(self, program: bool, /) -> None:
        """The main program runs in circles from the next millisecond on; False: the tick's interrupt is lost."""
        self._order = (_HANG_PROGRAM if program else _LOSE_TICK, 0)

    def wire(self, *, cut: int = 0, swapped: int = 0, spiked: int = 0, spikes: int = 0) -> None:
        """The encoders' wires from the next millisecond on, as `EmulatedChip.wire`."""
        self._wired = (cut, swapped, spiked, spikes)

    def skew(self, ppm: int, /) -> None:
        """Let the chip's clock run faster by `ppm`, from the next millisecond on."""
        self._skew_ppm = ppm

    def equip(
        self,
        *,
        rail_mv: int = 5000,
        bandgap_mv: int = 1100,
        fuse_low: int = 0xFF,
        fuse_high: int = 0xDE,
        fuse_extended: int = 0xFC,
        bootloader: int = 0x0404,
        chip: int = 0x950F,
    ) -> None:
        """What the board is made of: the 5 V rail, and what a program reads of its chip after a restart."""
        self._parts = (rail_mv, bandgap_mv, (fuse_low, fuse_high, fuse_extended), chip, bootloader)

    def figures(self) -> dict[str, int]:
        """What the emulator counted, as `EmulatedChip.figures`."""
        return dict(self._figures)

    def steps(self) -> tuple[int, int, int, int]:
        """What a stepper's driver has seen, as `EmulatedChip.steps`."""
        return self._steps

    def close(self) -> None:
        """Switch it off; Node.js ends. May be called twice."""
        close_pipes(self._process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_SILENCE_LIMIT_S)
        self._abandoned()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._folder.cleanup()

    def __enter__(self) -> SecondChip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Chip = EmulatedChip | SecondChip


def _signed(number: int) -> int:
    """The low 32 bits as a signed number."""
    return (number + 0x80000000) % 0x100000000 - 0x80000000
