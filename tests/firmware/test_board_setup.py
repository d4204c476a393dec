"""Images that a real board would not run with: the emulated chip names what each has not set up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import AckMessage, CfgMessage, ModeMessage
from tests.firmware.test_avr_build import FAULT, LIMITS, MODE, PROTOCOL, Chip, begin_homing, of_kind

ACK = PROTOCOL.enums["ack_code"]

BOARD = "boards/avr/"
PULL_UP = r"an encoder pin \(PC0 to PC3\) has no pull-up: DDRC is 0x00, PORTC 0x00"
CONTACT = r"a contact's pin \(PD2 to PD4\) has no pull-up: DDRD is 0x00, PORTD 0x.."
NO_INTERRUPT = "an encoder pin raises no interrupt: PCICR"
SET_OUTPUTS = "    motor_open();\n    TCCR1B = MODE_B;\n"
# File, text, what stands there instead, and the error.
IMAGES = {
    "timer never started": ("motor", "MODE_B | CLOCK;", "MODE_B;", "Timer1 is stopped: TCCR1B selects clock 0"),
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
        "((uint8_t)(1u << REFS0))",
        "0",
        "the ADC's reference is AREF, where",
    ),
    "ADC on the bandgap": (
        "supply",
        "((uint8_t)(1u << REFS0))",
        "((uint8_t)(3u << REFS0))",
        "the ADC's reference is not AVCC",
    ),
    "ADC at another pin": (
        "supply",
        "AGAINST_AVCC | channel",
        "AGAINST_AVCC | 1u | channel",
        "the ADC measures channel 15",
    ),
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


# The firmware itself finds these: it reads the period back, and does not begin to drive.
REFUSED = {
    "ICR1 never written": ("motor", "    ICR1 = PULSE_PERIOD - 1u;\n", ""),
    "ICR1 written before the mode": (
        "motor",
        "    TCCR1B = MODE_B;\n    ICR1 = PULSE_PERIOD - 1u;\n",
        "    ICR1 = PULSE_PERIOD - 1u;\n",
    ),
    "ICR1 one cycle too long": ("motor", "    ICR1 = PULSE_PERIOD - 1u;\n", "    ICR1 = PULSE_PERIOD;\n"),
}

USUAL = (
    "timer never started",
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
    *change, message = IMAGES[name]
    chip = _changed_chip(tmp_path, monkeypatch, *change)
    try:
        with pytest.raises(LinkError, match=rf"^the emulated chip has ended \({message}"):
            _drive(chip)
    finally:
        chip.close()


@pytest.mark.parametrize("name", REFUSED if os.environ.get("EVERY_IMAGE") else ["ICR1 written before the mode"])
def test_wrong_pulse_period_is_read_back_and_refused(
    chip_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = _changed_chip(tmp_path, monkeypatch, *REFUSED[name])
    try:
        chip.step(milliseconds=30)
        session = chip.hello().session
        chip.say(CfgMessage(**{**LIMITS, "session": session}))
        for seq, mode in enumerate(("HOME", "JOG_LEFT", "JOG_RIGHT"), start=2):
            request = ModeMessage(session=session, seq=seq, mode=MODE[mode], options=0)
            (answer,) = of_kind(AckMessage, chip.say(request))
            assert (answer.code, answer.detail) == (ACK["UNHEALTHY"], FAULT["PULSE_PERIOD"])
        chip.step(milliseconds=100)
        assert chip.motor == (False, 0, 0)
    finally:
        chip.close()


def _changed_chip(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, text: str, instead: str) -> Chip:
    sources = build.firmware_sources()
    source = sources[f"{BOARD}{module}.c"]
    assert source.count(text) == 1
    changed = {**sources, f"{BOARD}{module}.c": source.replace(text, instead)}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: changed)
    return Chip(build.build_firmware(folder).elf)


def _drive(chip: Chip) -> None:
    chip.step(milliseconds=30)
    begin_homing(chip)
    chip.step(milliseconds=700)
    assert chip.motor[2] > 0
