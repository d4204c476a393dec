"""The firmware that is flashed, instruction by instruction: an ATmega328P emulated by simavr, in a process of its own.

simavr is under the GPL 3. The program around it is compiled from `firmware_bridge/simavr/` on the machine it runs on,
kept in the user's cache, and spoken to through shared memory and a pipe.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import select
import shutil
import stat
import subprocess
import tempfile
import weakref
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from firmware_bridge._host import MAILBOX_BYTES, ChipMailbox
from firmware_bridge.build import MCU, build_firmware, firmware_id, firmware_sources, read_image_mark
from firmware_bridge.chip_trace import ChipTrace
from firmware_bridge.errors import BridgeError, LinkError
from firmware_bridge.protocol import read_protocol

_PROGRAM = (
    *("emulator", "mailbox", "pins", "serial_line", "encoder_wires"),
    *("idle_timers", "timer1", "step_pins", "board_setup", "chip_bytes", "pin_events", "trace"),
)
_COMPILE = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
_LINK = (
    ("-l:libsimavr.a", "-l:libelf.so.1"),  # 5 % faster: internal calls need no jump table
    ("-lsimavr",),
)
_COMPILE_LIMIT_S = 120.0
_START_LIMIT_S = 20.0
_MOTORS = {"dc": "DC motor", "stepper": "stepper"}
_SILENCE_LIMIT_MS = 10_000
_INSTALL = "simavr is not installed: apt install libsimavr-dev (Debian, Ubuntu)"


def cache_folder() -> Path:
    """The cache of programs built on this machine, created if missing, for its user alone.

    Raises `BridgeError` for a folder that another user owns or may write to: what is in it is run.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root, "cartpole_robot")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        wrong = _written_by_others(folder)
    except OSError as error:
        raise BridgeError(f"{folder}: cannot be made ({error.strerror}); set XDG_CACHE_HOME") from None
    if wrong is not None:
        raise BridgeError(f"{folder}: {wrong}, and programs in it are run; remove it, or set XDG_CACHE_HOME")
    return folder


def _cached(path: Path) -> bool:
    """Whether the file is in the cache. Raises `BridgeError` if another user may have written it."""
    if not path.is_file():
        return False
    wrong = _written_by_others(path)
    if wrong is not None:
        raise BridgeError(f"{path}: {wrong}, and it is to be run; remove it")
    return True


def _written_by_others(path: Path) -> str | None:
    """Why the contents of a file or folder may not be this user's own; None if only this user can write to it."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        return f"belongs to the user {found.st_uid}, expected {os.geteuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def current_image(policy_header: str | None = None, drive: str = "dc") -> Path:
    """The ELF of this package's firmware, built if not cached; the arguments are as in `firmware_sources`.

    Raises `BridgeError`.
    """
    identity = f"{read_protocol().hash:08x}-{firmware_id(firmware_sources(policy_header, drive)):08x}"
    image = cache_folder() / f"firmware-{identity}.elf"
    if not _cached(image):
        with tempfile.TemporaryDirectory(prefix="firmware-", dir=image.parent) as folder:
            build_firmware(Path(folder), policy_header, drive).elf.replace(image)
    return image


def emulator_program() -> Path:
    """The emulator, built unless this source is cached. Raises `BridgeError` if a compiler or simavr is missing."""
    folder = resources.files("firmware_bridge.simavr")
    sources = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".h") or entry.name.removesuffix(".c") in _PROGRAM
    }
    digest = hashlib.sha256(repr((_COMPILE, _LINK, sorted(sources.items()))).encode()).hexdigest()[:16]
    program = cache_folder() / f"emulator-{digest}"
    if _cached(program):
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BridgeError("no C compiler found; install one: apt install gcc")
    with tempfile.TemporaryDirectory(prefix="emulator-", dir=program.parent) as name:
        for file, text in sources.items():
            Path(name, file).write_text(text, encoding="utf-8")
        for libraries in _LINK:
            words = [compiler, *_COMPILE, *(f"{part}.c" for part in _PROGRAM), *libraries, "-o", "emulator"]
            try:
                done = subprocess.run(
                    words, cwd=name, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMPILE_LIMIT_S
                )
            except subprocess.TimeoutExpired:
                raise BridgeError(f"compiling the emulator took more than {_COMPILE_LIMIT_S:g} s; try again") from None
            if done.returncode == 0:
                break
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
            if re.search(r"simavr/\S+: No such file|-lsimavr", done.stderr):
                raise BridgeError(_INSTALL)
            raise BridgeError(f"the emulator does not compile: {lines[0] if lines else 'no reason given'}")
        Path(name, "emulator").chmod(stat.S_IRWXU)
        Path(name, "emulator").replace(program)
    return program


def check_image(elf: Path, drive: str = "dc") -> None:
    """Raise `BridgeError` unless `elf` is a firmware for this chip and `drive` that this host can talk to."""
    if not elf.is_file():
        raise BridgeError(f"{elf}: no such file; build one: cartpole-robot firmware build")
    mark = read_image_mark(elf)
    if mark.device is not None and mark.device != MCU:
        raise BridgeError(f"{elf}: built for an {mark.device}, expected {MCU}; cartpole-robot firmware build")
    if mark.protocol_hash != read_protocol().hash:
        raise BridgeError(
            f"{elf}: speaks {mark.protocol_hash & 0xFFFF:04x}, host {read_protocol().hash & 0xFFFF:04x}: "
            "build it again (cartpole-robot firmware build)"
        )
    if mark.drive != drive:
        raise BridgeError(
            f"{elf}: drives a {_MOTORS[mark.drive]}, and the cart has a {_MOTORS[drive]}; "
            f"build the cart's own: cartpole-robot firmware build --drive {drive}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverWiring:
    """A stepper's driver at PB0 to PB2 of an emulated chip, and what may be wrong with it.

    The driver is on while the chip drives ENABLE low if `is_enable_low`, high otherwise. One that `is_reversed` takes
    DIR the other way round, one without power moves nothing, and of `misses_every` pulses it misses one (0: none).
    `has_cart_encoder` connects an encoder that the firmware does not read, and whose edges take it time.
    """

    is_enable_low: bool = True
    is_reversed: bool = False
    is_powered: bool = True
    misses_every: int = 0
    has_cart_encoder: bool = False


class EmulatedChip:
    """One ATmega328P with a firmware, switched on; a millisecond passes with each `tick`.

    `tick`, `feed`, `take`, `has_sent`, `restart` and `time_us` are those of `firmware_bridge._host.Firmware`;
    `wire`, `hang`, `skew` and `figures` those of `ChipMailbox`. `tick` raises `LinkError` when the
    emulator has ended or does not answer, which ends it. It ignores Ctrl-C. A context manager; the emulator also ends
    with an object that is dropped without `close`.

    A traced chip runs one instruction at a time, which is slower, and keeps its `trace`, None otherwise.
    """

    def __init__(
        self,
        elf: Path | None = None,
        events: Path | None = None,
        *,
        is_traced: bool = False,
        driver: DriverWiring | None = None,
    ) -> None:
        """Switch it on with the image `elf`, or this package's own firmware. Raises `BridgeError`.

        `events` is a file to write with what PB0 to PB2 do (`simavr/pin_events.h`), which takes time. What is wired
        there is a stepper's `driver`, or a bridge.
        """
        if not hasattr(os, "memfd_create"):
            raise BridgeError("the emulated chip runs on Linux only; use the rig virtual")
        drive = "dc" if driver is None else "stepper"
        image = current_image(drive=drive) if elf is None else elf
        check_image(image, drive)
        program = emulator_program()
        memory = os.memfd_create("cartpole-robot-mailbox")
        self.trace = ChipTrace() if is_traced else None
        files = [memory] if self.trace is None else [memory, self.trace.file]
        try:
            os.ftruncate(memory, MAILBOX_BYTES)
            self.mailbox = mailbox = ChipMailbox(memory, _weakly(self))
            if driver is not None:
                self.wire_driver(driver)
            self._process = subprocess.Popen(
                [program, image, str(memory), "-" if events is None else events, *map(str, files[1:])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,
            )
        except OSError as error:
            raise BridgeError(f"{program}: cannot be started ({error.strerror})") from None
        finally:
            os.close(memory)
            if self.trace is not None:
                self.trace.close()
        self._abandoned = weakref.finalize(self, kill, self._process, os.getpid())
        reply = self._next_line()
        if reply != "ready":
            self._process.kill()
            self.close()
            raise BridgeError(f"{image}: {reply or 'the emulator did not start'}")
        self.tick, self.feed, self.take, self.has_sent = mailbox.tick, mailbox.feed, mailbox.take, mailbox.has_sent
        self.restart, self.wire, self.hang, self.skew = mailbox.restart, mailbox.wire, mailbox.hang, mailbox.skew
        self.figures, self.equip = mailbox.figures, mailbox.equip
        self.steps, self.step_figures = mailbox.steps, mailbox.step_figures

    def wire_driver(self, driver: DriverWiring) -> None:
        """Change the wires of a stepper's driver, from the next millisecond on."""
        self.mailbox.wire_driver(**dataclasses.asdict(driver))

    @property
    def time_us(self) -> int:
        """What the chip's clock showed at its last tick; wraps at 32 bits."""
        return self.mailbox.time_us

    @property
    def process_id(self) -> int:
        """The emulator's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the emulator's process still runs."""
        return self._process.poll() is None

    def _next_line(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], _START_LIMIT_S)
        return stdout.readline().decode(errors="replace").strip() if ready else ""

    def check_is_alive(self, waited_ms: int) -> None:
        """Raise `LinkError` if the emulator has ended, or if `waited_ms` without an answer is too long."""
        status = self._process.poll()
        if status is not None:
            reason = self._next_line() or (f"signal {-status}" if status < 0 else f"exit status {status}")
            raise LinkError(f"the emulated chip has ended ({reason}); start it again")
        if waited_ms >= _SILENCE_LIMIT_MS:
            self._process.kill()
            self._process.wait()
            raise LinkError(f"the emulated chip did not answer for {waited_ms / 1000:g} s; start it again")

    def close(self) -> None:
        """Switch it off; the emulator ends. May be called twice."""
        close_pipes(self._process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_START_LIMIT_S)
        self._abandoned()

    def __enter__(self) -> EmulatedChip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close them, upon which the emulator ends."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def kill(process: subprocess.Popen[bytes], owner: int) -> None:
    """End the emulator at once; does nothing in a fork of the process `owner` that started it."""
    if os.getpid() == owner:
        close_pipes(process)
        process.kill()
        process.wait()


def _weakly(chip: EmulatedChip) -> Callable[[int], None]:
    """Its `check_is_alive`, for the chip's mailbox: no reference cycle, so that an unused chip is freed at once."""
    reference = weakref.ref(chip)

    def check(waited_ms: int) -> None:
        held = reference()
        if held is None:
            raise LinkError("the emulated chip no longer exists; start it again")
        held.check_is_alive(waited_ms)

    return check
