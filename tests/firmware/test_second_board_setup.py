"""Images that a real board would not run with, on the second emulator: what their pins and messages show."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

from cartpole_robot.campaign.pin_events import read_pin_events
from firmware_bridge import build
from firmware_bridge._host import encode_frame
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import (
    AckMessage,
    CfgMessage,
    HelloAckMessage,
    HelloMessage,
    ModeMessage,
    PingMessage,
    StateMessage,
)
from firmware_bridge.second_emulator import SecondChip
from tests.firmware.test_avr_build import ESTOP, FAULT, LIMITS, MODE, PROTOCOL, Chip, health_of, of_kind
from tests.firmware.test_board_setup import BOARD, IMAGES, REFUSED

SOUND = {"pulses": "as asked", "rate": "20000 Hz", "counts": "-3, 3", "e-stop": "ESTOP", "hung": "reset"}
NO_PULSE = {"pulses": "none", "rate": "none"}
# What each image shows that a sound one does not.
SHOWN = {
    "timer never started": NO_PULSE,
    "prescaler 1024": {"pulses": "all the time", "rate": "20 Hz"},
    "prescaler 8": {"rate": "2500 Hz", "pulses": ANY},  # a change waits up to 0.4 ms: in this or the next millisecond
    "other waveform": {"pulses": "others", "rate": "10013 Hz"},
    "inverted pulses": {"pulses": "others"},
    "PB1 and PB2 inputs": NO_PULSE,
    "encoder pull-ups off": {"counts": "0, 0"},
    "encoder interrupt off": {"counts": "0, 0"},
    "one encoder pin without": {"counts": "-3, 2"},
    "contact pull-ups off": {"e-stop": "NONE"},
    "ADC on the external reference": {"HOME": "SUPPLY_HIGH"},
    "ADC on the bandgap": {"HOME": "SUPPLY_HIGH"},
    "ADC at another pin": {"HOME": "SUPPLY_LOW"},
    "ADC too fast": {},  # avr8js measures as well at any rate
    "parity": {"answer": "none"},
    "watchdog off": {"hung": "runs"},
    "watchdog slow": {"hung": "runs"},
    "power-down": {"ended": "sleep is deeper than idle"},
    **{name: {"HOME": "PULSE_PERIOD"} for name in REFUSED},
}
USUAL = ("inverted pulses",)
CHOSEN = SHOWN if os.environ.get("EVERY_IMAGE") else USUAL  # make mutants builds every one


def test_every_image_has_an_outcome() -> None:
    assert SHOWN.keys() == IMAGES.keys() | REFUSED.keys()


@pytest.mark.long
@pytest.mark.parametrize("name", CHOSEN)
def test_board_that_is_not_set_up_shows(
    second_emulator_tools: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, text, instead, *_ = {**IMAGES, **REFUSED}[name]
    sources = build.firmware_sources()
    changed = {**sources, f"{BOARD}{module}.c": sources[f"{BOARD}{module}.c"].replace(text, instead)}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: changed)
    events = tmp_path / "events"
    chip = Chip(build.build_firmware(tmp_path).elf, lambda elf: SecondChip(elf, events))
    try:
        shown = look(chip)
    except LinkError as error:
        shown = {**SOUND, "ended": str(error).partition("(")[2].partition(":")[0]}
    finally:
        chip.close()
    if shown.keys() == SOUND.keys():  # it drove
        shown["rate"] = rate_of(events)
    assert shown == {**SOUND, **SHOWN[name]}


def rate_of(events: Path) -> str:
    """Of the pulses at PB2, from one to the next."""
    cycles, kinds = read_pin_events(events).edges["PB2"]
    rises = cycles[(kinds & 1) != 0]
    return f"{16e6 / np.median(np.diff(rises)):.0f} Hz" if len(rises) > 1 else "none"


def look(chip: Chip) -> dict[str, str]:
    """What the cart shows while it homes: its pulses by the pins, then inputs, then a program that hangs."""
    chip.step(milliseconds=30)
    if not of_kind(HelloAckMessage, chip.say(HelloMessage(nonce=7, protocol_hash=PROTOCOL.hash))):
        return {**SOUND, "answer": "none"}
    shown = dict(SOUND)
    session = chip.hello().session
    chip.say(CfgMessage(**{**LIMITS, "session": session, "flags": 16}))
    (answer,) = of_kind(AckMessage, chip.say(ModeMessage(session=session, seq=2, mode=MODE["HOME"], options=0)))
    if answer.code != 0:
        return {**shown, "HOME": FAULT(answer.detail).name}
    chip.step(milliseconds=20)
    pulses = set()
    ping = encode_frame(PingMessage(host_us=0).pack())
    for passed_ms in range(700):
        chip.step(ping if passed_ms % 200 == 100 else b"")
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
