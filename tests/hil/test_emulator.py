"""The emulated chip: each missing or wrong part gives a one-line error, and ticking it in C changes nothing."""

from __future__ import annotations

import gc
import os
import random
import signal
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.campaign.bench import Bench, RecordedBoard, Subject
from cartpole_robot.campaign.pin_events import read_pin_events
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge import build, emulator
from firmware_bridge.emulator import EmulatedChip, check_image, current_image
from firmware_bridge.errors import BridgeError, LinkError
from tests.conftest import Completed


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def compiler(folder: Path, text: str) -> None:
    """A `cc` that says `text` and fails."""
    program = folder / "bin" / "cc"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_missing_simavr_names_its_package(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(empty_cache, "emulator.c:9:10: fatal error: simavr/avr_adc.h: No such file or directory")
    monkeypatch.setenv("PATH", f"{empty_cache / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(BridgeError, match=r"simavr is not installed: apt install libsimavr-dev"):
        emulator.emulator_program()


def test_missing_compilers_name_their_packages(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(BridgeError, match=r"no C compiler found; install one: apt install gcc"):
        emulator.emulator_program()
    with pytest.raises(BridgeError, match=r"avr-gcc not found; install it: apt install gcc-avr avr-libc"):
        current_image()


def test_other_images_are_refused_by_name(chip_tools: None, tmp_path: Path) -> None:
    content = current_image().read_bytes()
    mark = content.index(build._MARK) + len(build._MARK)
    images = {
        "other-chip": (content.replace(b"atmega328p", b"atmega2560"), "built for an atmega2560, expected atmega328p"),
        "other-hash": (
            content[:mark] + b"\x01\x02\x03\x04" + content[mark + 4 :],
            "speaks 0201, host .*: build it again",
        ),
        "no-firmware": (Path("/bin/true").read_bytes(), "not a firmware.elf of this program"),
        "empty": (b"", "not a firmware.elf of this program"),
    }
    for name, (image, message) in images.items():
        path = tmp_path / name
        path.write_bytes(image)
        with pytest.raises(BridgeError, match=message):
            check_image(path)
    with pytest.raises(BridgeError, match="no such file; build one: cartpole-robot firmware build"):
        check_image(tmp_path / "nothing")


def step_on(rig: AvrRig) -> None:
    for _ in range(3):
        rig.step(0.0)


def test_killed_emulator_ends_the_episode_by_name(chip_tools: None) -> None:
    rig = AvrRig(quickly_homing(load_cart("diy_arduino")))
    try:
        start_rollout(rig, 0)
        os.kill(rig.chip.process_id, signal.SIGKILL)
        with pytest.raises(RigError, match=r"the emulated chip has ended \(signal 9\); start it again"):
            step_on(rig)
    finally:
        rig.close()
        rig.close()


def test_emulator_ends_with_its_world(chip_tools: None) -> None:
    """As if the parent had died: the emulator gets no notice and no signal."""
    with EmulatedChip() as chip:
        process = chip._process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5.0) == 0
        assert not chip.is_running


def tick_thrice(chip: EmulatedChip) -> None:
    for _ in range(3):
        chip.tick(0, 0, 0, 12_000)


def test_silent_emulator_ends_the_episode_by_name(chip_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "_SILENCE_LIMIT_MS", 200)
    with EmulatedChip() as chip:
        chip.tick(0, 0, 0, 12_000)
        os.kill(chip.process_id, signal.SIGSTOP)
        with pytest.raises(LinkError, match=r"the emulated chip did not answer for 0\.2 s; start it again"):
            tick_thrice(chip)
        assert not chip.is_running


def test_emulator_that_says_nothing_at_its_start_is_an_error(
    chip_tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "emulator"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(emulator, "emulator_program", lambda: program)
    monkeypatch.setattr(emulator, "_START_LIMIT_S", 0.3)
    with pytest.raises(BridgeError, match="the emulator did not start"):
        EmulatedChip()


def test_interrupt_from_the_keyboard_is_nothing_to_the_emulator(chip_tools: None) -> None:
    with EmulatedChip() as chip:
        assert os.getpgid(chip.process_id) != os.getpgid(0)


def test_forgotten_chip_is_gone_at_once(chip_tools: None) -> None:
    chip = EmulatedChip()
    chip.close()
    reference = weakref.ref(chip)
    gc.disable()
    try:
        del chip
        assert reference() is None
    finally:
        gc.enable()


def test_missing_image_on_the_command_line_is_one_line(command_line: Callable[..., Completed], tmp_path: Path) -> None:
    rig = f"avr:{tmp_path / 'nothing.elf'}"
    done = command_line("record", "lqr", "--cart", "diy_arduino", "--rig", rig, "--out", tmp_path / "out.parquet")
    assert done.returncode == 1
    assert "no such file; build one: cartpole-robot firmware build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_watchdog_resets_a_chip_that_sleeps_as_soon_as_one_that_runs(chip_tools: None, tmp_path: Path) -> None:
    """A lost tick lets the chip sleep, a hung program keeps it awake; the same tick was the last to feed either's."""
    offs_us = []
    for is_hung in (True, False):
        path = tmp_path / str(is_hung)

        def make_chip(image: Path | None, path: Path = path) -> EmulatedChip:
            return EmulatedChip(image, path)

        with Bench(Subject(policy=Path("lqr"), cart="diy_arduino"), make_chip=make_chip) as bench:
            struck = bench.strike(random.Random(7), lambda: bench.chip.hang(is_hung), steps=10)  # noqa: B023
            struck_cycle = bench.board.struck_cycle
        assert 10 < struck.off_ms <= 20
        events = read_pin_events(path)
        enables, kinds = events.edges["PB0"]
        falls = enables[(kinds == 0) & (enables > struck_cycle - events.start_cycle)]
        offs_us.append((falls[0] - (struck_cycle - events.start_cycle)) / 16.0)
    assert abs(offs_us[1] - offs_us[0]) <= 10.0


def test_ticks_without_python_in_between_change_nothing(chip_tools: None) -> None:
    """Compared with a board that Python ticks: the same bytes and a bit-identical plant."""
    found = []
    for is_in_c in (True, False):
        rig = AvrRig(quickly_homing(load_cart("diy_arduino")))
        if not is_in_c:
            rig.virtual_cart.board = RecordedBoard(rig.chip)
        measured = start_rollout(rig, 4)
        controller = regulator_of(rig.cart)
        states = []
        for _ in range(150):
            measured = rig.step(controller.duty(np.array(measured.state())))
            states.append(rig.true_state())
        found.append((states, rig.telemetry_sha256))
        rig.close()
    assert found[0] == found[1]
