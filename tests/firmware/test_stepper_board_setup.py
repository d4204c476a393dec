"""A stepper's images that a real board would not run with: the emulated chip names what each has not set up."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.emulator import DriverWiring, EmulatedChip
from firmware_bridge.errors import LinkError

STARTED = "    TCCR1A = STEPS_A;\n    TCCR1B = STEPS_B;\n"
# File, text, what stands there instead, and the error.
IMAGES = {
    "timer never started": ("stepper", "(1u << WGM12) | (1u << CS11)", "(1u << WGM12)", "Timer1 is stopped: TCCR1B"),
    "no prescaler": (
        "stepper",
        "(1u << CS11)",
        "(1u << CS10)",
        "Timer1 makes 32000 steps a second, expected at most 20000",
    ),
    "TOP from ICR1": (
        "stepper",
        "(1u << COM1B0) | (1u << WGM11) | (1u << WGM10)",
        "(1u << COM1B0) | (1u << WGM11)",
        "Timer1 is in waveform mode 14, and steps need 15, whose TOP is double-buffered",
    ),
    "pulses not inverted": (
        "stepper",
        "(1u << COM1B1) | (1u << COM1B0)",
        "(1u << COM1B1)",
        "COM1B is 2, and 3 makes a pulse at the end of its period",
    ),
    "nothing counts": ("stepper", "    TIMSK1 = 1u << TOIE1;\n", "", "nothing counts the steps: TIMSK1 is 0x00"),
    "DIR an input": (
        "stepper",
        STARTED,
        f"{STARTED}    BRIDGE_DIRECTION = PIN(STEP_BIT);\n",
        r"STEP or DIR \(PB2, PB1\) is an input: DDRB is 0x04",
    ),
    "OC1A connected": (
        "stepper",
        STARTED,
        f"{STARTED}    TCCR1A = STEPS_A | (1u << COM1A1);\n",
        r"COM1A is 2, and DIR \(PB1\) is the port's pin",
    ),
    "alarm without pull-up": (
        "contacts",
        "|= CONTACT_MASK;",
        "|= CONTACT_MASK & 0x1Fu;",
        r"the alarm's pin \(PD5\) has no pull-up: DDRD is 0x00, PORTD 0x1c",
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_stepper_board_that_is_not_set_up_is_named(
    chip_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, text, instead, message = IMAGES[name]
    sources = build.firmware_sources(drive="stepper")
    path = f"boards/avr/{module}.c"
    assert sources[path].count(text) == 1
    changed = {**sources, path: sources[path].replace(text, instead)}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: changed)
    elf = build.build_firmware(tmp_path, drive="stepper").elf
    with EmulatedChip(elf, driver=DriverWiring()) as chip, pytest.raises(LinkError, match=rf"has ended \({message}"):
        _run(chip)


def _run(chip: EmulatedChip) -> None:
    for _ in range(100):
        chip.tick(0, 0, 0, 24_000)


def test_image_of_a_stepper_is_set_up(chip_tools: None, tmp_path: Path) -> None:
    elf = build.build_firmware(tmp_path, drive="stepper").elf
    with EmulatedChip(elf, driver=DriverWiring()) as chip:
        for _ in range(100):
            assert chip.tick(0, 0, 0, 24_000) is None
        assert chip.step_figures()["high_cycles"] is None
