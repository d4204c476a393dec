"""The wiring diagram of the build guide, an A4 sheet, with the pins of the firmware's `pins.h`.

python -m cartpole_robot.drawing.wiring docs/wiring.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from cartpole_robot.drawing.circuit import FAINT, HEAVY, SMALL_MM, TITLE_MM, Sheet
from cartpole_robot.drawing.pin_table import pin_for
from cartpole_robot.drawing.wiring_parts import (
    A4_MM,
    BOARD_RIGHT,
    BUS,
    MINUS,
    MODULE_LEFT,
    MODULE_RIGHT,
    RAIL,
    Power,
    board,
    contacts,
    converter,
    encoders,
    ground_bar,
    headline,
    motor_rail,
    other_pins,
    right_pin,
    safety_chain,
    supply,
)

_TITLE = "Wiring of a cart with an Arduino Uno or Nano"
_POWER = Power(
    volts=12,
    amperes=10,
    fuse="7.5 A blade",
    precharge="47 Ω 5 W",
    bulk="2200 µF\n35 V",
    bleeder="470 Ω\n1 W",
    clamp="1.5KE16A",
)


def wiring_svg() -> str:
    """The diagram as SVG."""
    sheet = Sheet(*A4_MM, _TITLE)
    headline(sheet, _TITLE)
    supply(sheet, _POWER)
    safety_chain(sheet, _POWER)
    motor_rail(sheet, _POWER)
    _bridge_power(sheet)
    ground_bar(sheet, f"the module's B{MINUS}")
    board(sheet)
    encoders(sheet, ("cart", "pole"))
    contacts(sheet)
    _bridge_logic(sheet)
    other_pins(sheet)
    converter(sheet, _POWER)
    return sheet.svg()


def _bridge_power(s: Sheet) -> None:
    top, right = 20.0, 264.0
    s.box((MODULE_LEFT, top), (right - MODULE_LEFT, 64))
    s.text((MODULE_LEFT + 9.5, 36), "BTS7960\nmodule\n(IBT-2)", anchor="middle", bold=True)
    s.text((MODULE_LEFT + 9.5, 52), "power side", size=SMALL_MM, anchor="middle")
    s.wire((MODULE_LEFT - 14, RAIL), (MODULE_LEFT, RAIL), width=HEAVY)
    s.text((MODULE_LEFT + 1.5, RAIL + 1), "B+", bold=True)
    s.text((MODULE_LEFT + 1.5, 80), f"B{MINUS}", bold=True)
    s.wire((MODULE_LEFT, 79), (MODULE_LEFT - 4, 79), (MODULE_LEFT - 4, BUS), width=1.6)
    s.text((right - 1.5, 45), "M+", bold=True, anchor="end")
    s.text((right - 1.5, 71), f"M{MINUS}", bold=True, anchor="end")
    s.wire((right, 44), (283, 44), (283, 51), width=HEAVY)
    s.wire((right, 70), (283, 70), (283, 63), width=HEAVY)
    s.circle((283, 57), 6.0)
    s.text((283, 58.6), "M", size=TITLE_MM, anchor="middle", bold=True)
    s.text((283, 42), "red", size=SMALL_MM, anchor="middle")
    s.text((283, 73.4), "black", size=SMALL_MM, anchor="middle")
    s.dot((272, 44), (272, 70))
    s.capacitor((272, 44), (272, 70))
    s.text((272, 42), "100 nF", size=SMALL_MM, anchor="middle")
    s.text((266, 79), "the capacitor at\nthe motor itself;\ntwist both wires", size=SMALL_MM)


def _bridge_logic(s: Sheet) -> None:
    left, right = MODULE_LEFT + 6, MODULE_RIGHT
    s.box((left, 105), (right - left, 64))
    s.text((right - 2, 150), "BTS7960\nmodule\n(IBT-2)\nlogic side", anchor="end", bold=True)
    rows = (
        (116.0, "bridge enable", "bridge enable"),
        (130.0, "OC1A", "pulses forwards"),
        (144.0, "OC1B", "pulses backwards"),
    )
    for y, what, words in rows:
        pin = pin_for(what)
        right_pin(s, y, pin.label, words)
        s.wire((BOARD_RIGHT, y), (left, y))
        s.dot((228, y))
        s.wire((228, y), (228, y + 0.6))
        s.resistor((228, y + 0.6), (228, y + 8.6))
        s.ground((228, y + 8.6))
        s.text((230.6, y + 5.6), "10 kΩ", size=SMALL_MM)
    s.text((224, 112), "at the module", size=SMALL_MM, anchor="middle", colour=FAINT)
    s.dot((241, 116))
    s.wire((241, 116), (241, 121), (left, 121))
    for y, name in ((116.0, "R_EN"), (121.0, "L_EN"), (130.0, "RPWM"), (144.0, "LPWM"), (158.0, "VCC"), (166.0, "GND")):
        s.text((left + 1.5, y + 1), name, bold=True)
    right_pin(s, 158.0, "5V", "and every point marked 5 V")
    s.wire((BOARD_RIGHT, 158), (left, 158))
    right_pin(s, 166.0, "GND", "and every ground sign; only here to the 0 V bar")
    s.wire((BOARD_RIGHT, 166), (left, 166), width=HEAVY)
    s.text((right - 2, 111), "R_IS, L_IS: open", size=SMALL_MM, anchor="end")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(wiring_svg(), encoding="utf-8")
