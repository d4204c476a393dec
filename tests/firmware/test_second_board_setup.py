"""Images that a real board would not run with, on the second emulator: what their pins and messages show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import HelloAckMessage, HelloMessage, StateMessage
from firmware_bridge.second_emulator import SecondChip
from tests.firmware.test_avr_build import ESTOP, FAULT, PROTOCOL, Chip, begin_homing, health_of, of_kind
from tests.firmware.test_board_setup import BOARD, IMAGES

SOUND = {"pulses": "as asked", "supply": "12 V", "counts": "-3, 3", "e-stop": "ESTOP", "hung": "reset"}
NO_PULSE, FULL, OTHER = ({"pulses": what} for what in ("none", "all the time", "others"))
# What each image shows that a sound one does not.
SHOWN = {
    "timer never started": NO_PULSE,
    "ICR1 never written": FULL,
    "ICR1 written before the mode": FULL,
    "prescaler 1024": FULL,
    "prescaler 8": OTHER,
    "other waveform": OTHER,
    "inverted pulses": OTHER,
    "PB1 and PB2 inputs": NO_PULSE,
    "encoder pull-ups off": {"counts": "0, 0"},
    "encoder interrupt off": {"counts": "0, 0"},
    "one encoder pin without": {"counts": "-3, 2"},
    "contact pull-ups off": {"e-stop": "NONE"},
    "ADC on the external reference": {"supply": "out of range"},
    "ADC on the bandgap": {"supply": "out of range"},
    "ADC too fast": {},  # avr8js measures as well at any rate
    "parity": {"answer": "none"},
    "watchdog off": {"hung": "runs"},
    "watchdog slow": {"hung": "runs"},
    "power-down": {"ended": "sleep is deeper than idle"},
}
USUAL = ("inverted pulses",)
CHOSEN = SHOWN if os.environ.get("EVERY_IMAGE") else USUAL  # make mutants builds every one


def test_every_image_has_an_outcome() -> None:
    assert SHOWN.keys() == IMAGES.keys()


@pytest.mark.parametrize("name", CHOSEN)
def test_board_that_is_not_set_up_shows(
    second_emulator_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, text, instead, _ = IMAGES[name]
    sources = build.firmware_sources()
    changed = {**sources, f"{BOARD}{module}.c": sources[f"{BOARD}{module}.c"].replace(text, instead)}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: changed)
    chip = Chip(build.build_firmware(tmp_path).elf, SecondChip)
    try:
        shown = look(chip)
    except LinkError as error:
        shown = {**SOUND, "ended": str(error).partition("(")[2].partition(":")[0]}
    finally:
        chip.close()
    assert shown == {**SOUND, **SHOWN[name]}


def look(chip: Chip) -> dict[str, str]:
    """What the cart shows while it homes: its pulses by the pins, then inputs, then a program that hangs."""
    chip.step(milliseconds=30)
    if not of_kind(HelloAckMessage, chip.say(HelloMessage(nonce=7, protocol_hash=PROTOCOL.hash))):
        return {**SOUND, "answer": "none"}
    shown = dict(SOUND)
    try:
        begin_homing(chip)
    except AssertionError:
        assert of_kind(StateMessage, chip.heard)[-1].supply_mv > 32_000  # HOME is refused
        return {**shown, "supply": "out of range"}
    pulses = set()
    for _ in range(700):
        chip.step()
        pulses.add(chip.motor[1] - chip.motor[2])
    shown["pulses"] = name_of(pulses)
    for _ in range(3):
        chip.cart, chip.pole = chip.cart - 1, chip.pole + 1
        chip.step()
    chip.step(milliseconds=25)
    state = of_kind(StateMessage, chip.heard)[-1]
    shown["counts"] = f"{state.cart_counts}, {state.pole_counts}"
    chip.inputs = ESTOP
    chip.step(milliseconds=25)
    shown["e-stop"] = FAULT(of_kind(StateMessage, chip.heard)[-1].fault).name
    assert health_of(chip).missed_ticks == 0
    chip.emulated.hang(True)
    chip.step(milliseconds=40)
    shown["hung"] = "reset" if chip.emulated.figures()["resets"] else "runs"
    return shown


def name_of(pulses: set[int]) -> str:
    """The duty rises from 0 by less than a pulse a millisecond, backwards: 87 of 800 cycles in the end."""
    if pulses == {0}:
        return "none"
    if pulses == {0, -800}:
        return "all the time"
    return "as asked" if pulses == set(range(-87, 1)) else "others"
