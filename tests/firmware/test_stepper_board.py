"""What a stepper's board code does with ENABLE, the alarm and the timer, seen from the chip's pins and its line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.emulator import DriverWiring, EmulatedChip
from firmware_bridge.messages import AckMessage, CfgMessage, ModeMessage, StateMessage, StepperMessage
from tests.conftest import need_compiler
from tests.firmware.step_checks import (
    CRUISING,
    DRIVEN_HIGH,
    DRIVEN_LOW,
    ENABLE_HIGH,
    ENABLE_LOW,
    FAST,
    HIGH_BYTE,
    LET_GO,
    REVERSING,
    SLOW,
    WAITS,
    check_steps,
    check_stray_interrupt,
)
from tests.firmware.stepper_core import CFG, STEPPER
from tests.firmware.test_avr_build import ESTOP, FAULT, LEFT, LIMITS, MODE, RESET, STATE, Chip, of_kind
from tests.hil.step_train import compile_steps

ALARM_HIGH = 8


def wired_chip(elf: Path) -> EmulatedChip:
    return EmulatedChip(elf, driver=DriverWiring())


def stepper_chip(elf: Path, make_chip: Callable[[Path], EmulatedChip] = wired_chip) -> Chip:
    chip = Chip(elf, make_chip)
    chip.step(milliseconds=30)
    return chip


@pytest.fixture
def chip(chip_tools: None, image: build.FirmwareImage) -> Iterator[Chip]:
    made = stepper_chip(image.elf)
    yield made
    made.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> build.FirmwareImage:
    need_compiler()
    return build.build_firmware(tmp_path_factory.mktemp("firmware"), drive="stepper")


def level_of_enable(chip: Chip) -> int:
    return int(chip.emulated.steps()[3])


def ask_to_home(chip: Chip, flags: int = 1) -> AckMessage:
    """HOME's answer, the driver's `flags` among the limits."""
    session = chip.hello().session
    cfg = {**LIMITS, **CFG, "session": session, "pole_half_period_ms": 400}
    stepper = {**STEPPER, "session": session, "seq": 2, "flags": flags}
    for message in (CfgMessage(**cfg), StepperMessage(**stepper)):
        (answer,) = of_kind(AckMessage, chip.say(message))
        assert answer.code == 0
    (answer,) = of_kind(AckMessage, chip.say(ModeMessage(session=session, seq=3, mode=MODE["HOME"], options=0)))
    return answer


@pytest.mark.parametrize(("flags", "level"), [(1, DRIVEN_LOW), (0, DRIVEN_HIGH)])
def test_homing_steps_as_state_counts_and_the_e_stop_lets_go(chip: Chip, flags: int, level: int) -> None:
    assert level_of_enable(chip) == LET_GO
    assert ask_to_home(chip, flags).code == 0
    assert level_of_enable(chip) == level
    chip.step(milliseconds=650)
    assert -450 < chip.emulated.steps()[0] < -100
    chip.inputs = LEFT
    chip.step(milliseconds=250)
    assert chip.emulated.steps()[0] > 100
    chip.inputs = LEFT | ESTOP
    chip.step(milliseconds=6)
    assert level_of_enable(chip) == LET_GO
    steps = chip.emulated.steps()[0]
    state = of_kind(StateMessage, chip.step(milliseconds=40))[-1]
    assert (state.cart_counts, state.fault) == (steps, FAULT["ESTOP"])
    assert chip.emulated.steps()[0] == steps


def test_reset_lets_go_of_a_moving_driver_and_begins_again(chip: Chip) -> None:
    assert ask_to_home(chip).code == 0
    chip.step(milliseconds=650)
    chip.emulated.restart(RESET["EXTERNAL"])
    chip.step()
    steps = chip.emulated.steps()[0]
    assert level_of_enable(chip) == LET_GO
    chip.step(milliseconds=29)
    assert (chip.emulated.steps()[0], level_of_enable(chip)) == (steps, LET_GO)
    assert ask_to_home(chip).code == 0
    assert of_kind(StateMessage, chip.step(milliseconds=40))[-1].cart_counts == 0


def test_hung_program_lets_go_of_a_moving_driver_within_20_ms(chip: Chip) -> None:
    assert ask_to_home(chip).code == 0
    chip.step(milliseconds=650)
    chip.emulated.hang(True)
    chip.step(milliseconds=21)
    assert level_of_enable(chip) == LET_GO
    steps = chip.emulated.steps()[0]
    chip.step(milliseconds=20)
    assert chip.emulated.steps()[0] == steps
    assert chip.hello().state == STATE["DISARMED"]


@pytest.mark.parametrize(("flags", "inputs", "is_alarm"), [(3, 0, False), (3, ALARM_HIGH, True), (7, 0, True)])
def test_alarm_at_its_level_forbids_homing(chip: Chip, flags: int, inputs: int, is_alarm: bool) -> None:
    chip.inputs = inputs
    answer = ask_to_home(chip, flags)
    assert answer.detail == (FAULT["DRIVER_ALARM"] if is_alarm else 0)


def test_reset_lets_go_of_the_driver_before_anything_else(chip: Chip) -> None:
    """Without a reset, too, as from a bootloader: DDRB is 0x04, PORTB 0x05, TCCR1A 0x0080."""
    words = ["avr-objdump", "-d", "--no-show-raw-insn", str(chip.elf)]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ *([0-9a-f]+):\t([^;\n]*)", listing, re.MULTILINE)
    code = {int(at, 16): " ".join(what.split()) for at, what in found}
    begin = re.search(r"0x([0-9a-f]+)", code[0]) or re.search(r"\.\+(\d+)", code[0])
    assert begin is not None
    at = int(begin[1], 16) if code[0].startswith("jmp") else 2 + int(begin[1])
    first = [code[each] for each in sorted(code) if each >= at][:9]
    assert first[:3] == ["cli", "cbi 0x04, 0", "cbi 0x05, 0"]
    assert first[3:5] == ["ldi r24, 0x00", "sts 0x0080, r24"]
    assert first[5:] == ["cbi 0x05, 1", "cbi 0x05, 2", "sbi 0x04, 1", "sbi 0x04, 2"]


def test_image_is_marked_as_a_stepper_s(chip: Chip) -> None:
    assert build.read_image_mark(chip.elf).drive == "stepper"


@pytest.fixture(scope="module")
def steps_image(chip_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_steps(tmp_path_factory.mktemp("steps"))


@pytest.mark.parametrize(
    ("most", "enable"),
    [
        (SLOW, ENABLE_HIGH),
        (FAST, ENABLE_LOW),
        (FAST, ENABLE_LOW | WAITS),
        (REVERSING, ENABLE_HIGH | WAITS),
        (CRUISING, ENABLE_LOW | WAITS),
        (HIGH_BYTE, ENABLE_LOW),
    ],
)
def test_pulses_and_their_count_are_those_of_the_train(steps_image: Path, most: int, enable: int) -> None:
    """Whether the end of a period comes before a tick, with it or after it; DIR stands still around each pulse."""
    check_steps(steps_image, most, enable)


@pytest.mark.parametrize("enable", [ENABLE_LOW, ENABLE_HIGH])
def test_lost_program_lets_go_of_a_moving_driver(steps_image: Path, enable: int) -> None:
    check_stray_interrupt(steps_image, enable)
