"""Images that a real board would not run with: the emulated chip names what each has not set up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.errors import LinkError
from tests.firmware.test_avr_build import Chip, begin_homing

BOARD = "boards/avr/"
PULL_UP = r"an encoder pin \(PC0 to PC3\) has no pull-up: DDRC is 0x00, PORTC 0x00"
CONTACT = r"a contact's pin \(PD2 to PD4\) has no pull-up: DDRD is 0x00, PORTD 0x.."
NO_INTERRUPT = "an encoder pin raises no interrupt: PCICR"
SET_OUTPUTS = "    motor_open();\n    TCCR1B = MODE_B;\n"
# File, text, what stands there instead, and the error.
IMAGES = {
    "timer never started": ("motor", "MODE_B | CLOCK;", "MODE_B;", "Timer1 is stopped: TCCR1B selects clock 0"),
    "ICR1 never written": ("motor", "    ICR1 = PULSE_PERIOD - 1u;\n", "", "Timer1 makes 16000000 pulses a second"),
    "ICR1 written before the mode": (
        "motor",
        "    TCCR1B = MODE_B;\n    ICR1 = PULSE_PERIOD - 1u;\n",
        "    ICR1 = PULSE_PERIOD - 1u;\n",
        "Timer1 makes 16000000 pulses a second",
    ),
    "prescaler 1024": ("motor", "(1u << CS10)", "((1u << CS12) | (1u << CS10))", "Timer1 makes 19 pulses a second"),
    "prescaler 8": ("motor", "(1u << CS10)", "(1u << CS11)", "Timer1 makes 2500 pulses a second"),
    "other waveform": ("motor", "((1u << WGM13) | (1u << WGM12))", "(1u << WGM13)", "Timer1 is in waveform mode 10"),
    "inverted pulses": (
        "motor",
        "#define PULSE_BACKWARDS ((uint8_t)(1u << COM1B1))",
        "#define PULSE_BACKWARDS ((uint8_t)((1u << COM1B1) | (1u << COM1B0)))",
        "COM1B is 3, and 2 makes a pulse of the length asked for",
    ),
    "PB1 and PB2 inputs": (
        "motor",
        SET_OUTPUTS,
        f"{SET_OUTPUTS}    DDRB = 1;\n",
        r"a pin of the bridge \(PB0 to PB2\) is an input: DDRB is 0x01",
    ),
    "encoder pull-ups off": ("encoders", "    ENCODER_PORT |= ENCODER_MASK;", "", PULL_UP),
    "encoder interrupt off": (
        "encoders",
        "    PCICR |= 1u << PCIE1;\n",
        "",
        NO_INTERRUPT,
    ),
    "one encoder pin without": (
        "encoders",
        "_CHANGES = ENCODER_MASK",
        "_CHANGES = 7",
        f"{NO_INTERRUPT} is 0x02, PCMSK1 0x07",
    ),
    "contact pull-ups off": ("contacts", "    CONTACT_PORT |= ESTOP_MASK | LEFT_MASK | RIGHT_MASK;", "", CONTACT),
    "ADC on the external reference": (
        "supply",
        "(1u << REFS0) | ",
        "",
        "the ADC's reference is AREF, where",
    ),
    "ADC on the bandgap": ("supply", "(1u << REFS0)", "(3u << REFS0)", "the ADC's reference is not AVCC"),
    "ADC too fast": ("supply", "(1u << ADPS2) | ", "", "the ADC runs at 2000000 Hz"),
    "parity": ("serial", "(1u << UCSZ01) |", "(1u << UPM01) | (1u << UCSZ01) |", "the line is not 8N1: UCSR0C is 0x26"),
    "watchdog off": ("main", "    wdt_enable(WDTO_15MS);\n", "", "the watchdog is off, or slower than 16 ms"),
    "watchdog slow": ("main", "WDTO_15MS", "WDTO_60MS", "the watchdog is off, or slower than 16 ms"),
    "power-down": (
        "main",
        "SMCR = 1u << SE;",
        "SMCR = 5u;",
        "sleep is deeper than idle and stops the timers: SMCR is 0x05",
    ),
}


USUAL = (
    "timer never started",
    "ICR1 written before the mode",
    "prescaler 1024",
    "PB1 and PB2 inputs",
    "inverted pulses",
)
ALWAYS = (*USUAL, "encoder pull-ups off", "ADC on the external reference", "watchdog off")
CHOSEN = IMAGES if os.environ.get("EVERY_IMAGE") else ALWAYS  # make mutants builds every one


@pytest.mark.parametrize("name", CHOSEN)
def test_board_that_is_not_set_up_is_named(
    chip_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, text, instead, message = IMAGES[name]
    sources = build.firmware_sources()
    source = sources[f"{BOARD}{module}.c"]
    assert source.count(text) == 1
    changed = {**sources, f"{BOARD}{module}.c": source.replace(text, instead)}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: changed)
    chip = Chip(build.build_firmware(tmp_path).elf)
    try:
        with pytest.raises(LinkError, match=rf"^the emulated chip has ended \({message}"):
            _drive(chip)
    finally:
        chip.close()


def _drive(chip: Chip) -> None:
    chip.step(milliseconds=30)
    begin_homing(chip)
    chip.step(milliseconds=700)
    assert chip.motor[2] > 0
