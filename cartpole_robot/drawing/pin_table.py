"""The pins of the board, read from the firmware's `pins.h`, so that the wiring diagram cannot drift from the code."""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

_ROW = re.compile(r"^ \*   (P[B-D]\d)  ([AD]\d+) +(.+)$", re.MULTILINE)
_STEPPER_ROW = re.compile(r"^ \*   (D\d+) \((P[B-D]\d)\) +(.+)$", re.MULTILINE)
_END = re.compile(r"[:,]|  +|\. ")


class Pin(NamedTuple):
    """A pin of the chip, its name on an Arduino Uno or Nano, and what it does."""

    chip: str
    arduino: str
    what: str

    @property
    def label(self) -> str:
        """Both names."""
        return f"{self.arduino} ({self.chip})"


def pin_table() -> tuple[Pin, ...]:
    """The pins of `pins.h` in its order. Raises ValueError where it has no such table."""
    text = _pins_h()
    pins = tuple(Pin(chip, arduino, _END.split(what)[0].strip()) for chip, arduino, what in _ROW.findall(text))
    if not pins:
        raise ValueError("boards/avr/pins.h: no table of pins was found")
    return pins


def stepper_pin_for(what: str) -> Pin:
    """As `pin_for`, of the pins that a stepper's cart has in place of the bridge's."""
    rows = [(chip, arduino, _END.split(text)[0].strip()) for arduino, chip, text in _STEPPER_ROW.findall(_pins_h())]
    found = [Pin(*row) for row in rows if row[2] == what]
    if len(found) != 1:
        names = ", ".join(row[2] for row in rows)
        raise ValueError(f"boards/avr/pins.h: {len(found)} pins of a stepper do {what!r}, expected one of {names}")
    return found[0]


def _pins_h() -> str:
    return resources.files("firmware_bridge.firmware").joinpath("boards/avr/pins.h").read_text(encoding="utf-8")


def pin_for(what: str) -> Pin:
    """The one pin that does `what`. Raises ValueError naming it where there is none."""
    found = [pin for pin in pin_table() if pin.what == what]
    if len(found) != 1:
        names = ", ".join(pin.what for pin in pin_table())
        raise ValueError(f"boards/avr/pins.h: {len(found)} pins do {what!r}, expected one of {names}")
    return found[0]
