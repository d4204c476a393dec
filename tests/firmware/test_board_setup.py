"""Images that a real board would not run with: the emulated chip names what each has not set up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import AckMessage, CfgMessage, ModeMessage
from tests.firmware.mutate_boards import chip_checks, first_failed_check
from tests.firmware.planted_images import IMAGES, MORE_IMAGES, REFUSED, SEEN
from tests.firmware.test_avr_build import FAULT, LIMITS, MODE, PROTOCOL, Chip, begin_homing, of_kind

ACK = PROTOCOL.enums["ack_code"]

BOARD = "boards/avr/"
USUAL = (
    "timer never started",
    "prescaler 1024",
    "PB1 and PB2 inputs",
    "inverted pulses",
)
ALWAYS = (*USUAL, "encoder pull-ups off", "ADC on the external reference", "watchdog off")
CHOSEN = {**IMAGES, **MORE_IMAGES} if os.environ.get("EVERY_IMAGE") else ALWAYS  # make mutants builds every one


@pytest.mark.parametrize("name", CHOSEN)
def test_board_that_is_not_set_up_is_named(
    chip_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *change, message = {**IMAGES, **MORE_IMAGES}[name]
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


@pytest.mark.parametrize("name", SEEN if os.environ.get("EVERY_IMAGE") else ["watchdog fed by the main loop"])
def test_board_that_does_something_else_fails_the_check_of_it(
    chip_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *change, check = SEEN[name]
    chip = _changed_chip(tmp_path, monkeypatch, *change)
    chip.close()
    checks = [case for case in chip_checks() if check in case[0]]
    assert checks
    assert first_failed_check(chip.elf, checks) is not None


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
