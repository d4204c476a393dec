"""The wiring diagram of a cart with a stepper, an A4 sheet, with the pins of the firmware's `pins.h`.

python -m cartpole_robot.drawing.stepper_wiring docs/wiring_stepper.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from cartpole_robot.drawing.circuit import FAINT, HEAVY, SMALL_MM, Sheet
from cartpole_robot.drawing.pin_table import pin_for, stepper_pin_for
from cartpole_robot.drawing.wiring_parts import (
    A4_MM,
    BOARD_LEFT,
    BOARD_RIGHT,
    BUS,
    FIRST_ROW,
    MINUS,
    MODULE_LEFT,
    MODULE_RIGHT,
    RAIL,
    ROW,
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

_TITLE = "Wiring of a cart with a stepper"
_POWER = Power(
    volts=24,
    amperes=5,
    fuse="4 A blade",
    precharge="100 Ω 10 W",
    bulk="2200 µF\n50 V",
    bleeder="1 kΩ\n2 W",
    clamp="1.5KE30A",
)
_COILS = ((40.0, "A+", "black"), (48.0, f"A{MINUS}", "green"), (60.0, "B+", "red"), (68.0, f"B{MINUS}", "blue"))
_LOGIC_LEFT, _GROUND_X = 250.0, 244.0


def stepper_wiring_svg() -> str:
    """The diagram as SVG."""
    sheet = Sheet(*A4_MM, _TITLE)
    headline(sheet, _TITLE)
    supply(sheet, _POWER)
    safety_chain(sheet, _POWER)
    motor_rail(sheet, _POWER)
    _driver_power(sheet)
    ground_bar(sheet, "the driver's GND")
    board(sheet)
    encoders(sheet, ("pole",))
    _free_pins(sheet)
    contacts(sheet)
    _driver_logic(sheet)
    other_pins(sheet)
    converter(sheet, _POWER)
    return sheet.svg()


def _driver_power(s: Sheet) -> None:
    top, right = 20.0, 264.0
    s.box((MODULE_LEFT, top), (right - MODULE_LEFT, 64))
    s.text((MODULE_LEFT + 8.5, 52), "DM542T\ndriver", anchor="middle", bold=True)
    s.text((MODULE_LEFT + 8.5, 59.5), "power side", size=SMALL_MM, anchor="middle")
    s.wire((MODULE_LEFT - 14, RAIL), (MODULE_LEFT, RAIL), width=HEAVY)
    s.text((MODULE_LEFT + 1.5, RAIL + 1), "+V", bold=True)
    s.text((MODULE_LEFT + 1.5, 80), "GND", bold=True)
    s.wire((MODULE_LEFT, 79), (MODULE_LEFT - 4, 79), (MODULE_LEFT - 4, BUS), width=1.6)
    s.box((276, 34), (13, 40))
    s.text((282.5, 52), "NEMA\n17", anchor="middle", bold=True)
    for y, name, colour in _COILS:
        s.text((right - 1.5, y + 1), name, bold=True, anchor="end")
        s.wire((right, y), (276, y), width=HEAVY)
        s.text((270, y - 1.2), colour, size=SMALL_MM, anchor="middle")
    s.text((266.5, 79), "colours of the\n17HS19-2004S1", size=SMALL_MM, colour=FAINT)


def _free_pins(s: Sheet) -> None:
    """Those that count the cart with a DC motor."""
    for row, channel in enumerate("AB"):
        pin = pin_for(f"cart encoder {channel}")
        s.text((BOARD_LEFT + 1.5, FIRST_ROW + row * ROW + 1), pin.label, bold=True)
        s.text((BOARD_LEFT + 17, FIRST_ROW + row * ROW + 1), "free", size=SMALL_MM)
    s.text(
        (8, FIRST_ROW),
        "No encoder at the cart: the firmware counts the pulses\nthat it makes. Leave A0 and A1 open.",
        size=SMALL_MM,
        colour=FAINT,
    )


def _driver_logic(s: Sheet) -> None:
    left, right = _LOGIC_LEFT, MODULE_RIGHT
    s.box((left, 105), (right - left, 60))
    s.text((right - 2, 150), "DM542T\ndriver\nlogic side", anchor="end", bold=True)
    for y, what, words, name in ((116.0, "OC1B", "STEP", "PUL"), (127.0, "DIR", "DIR: high to the left", "DIR")):
        right_pin(s, y, stepper_pin_for(what).label, words)
        s.wire((BOARD_RIGHT, y), (left, y))
        s.text((left + 1.5, y + 1), f"{name}+", bold=True)
        _grounded(s, y + 5.5, f"{name}{MINUS}")
    _enable(s, 141.5)
    pin = stepper_pin_for("the driver's alarm")
    right_pin(s, 154.0, pin.label, "alarm, optional")
    s.wire((BOARD_RIGHT, 154), (left, 154), dashed=True)
    s.text((left + 1.5, 155), "ALM+", bold=True)
    _grounded(s, 159.5, f"ALM{MINUS}")
    right_pin(s, 161.0, "5V", "to every point marked 5 V")
    s.wire((BOARD_RIGHT, 161.0), (182, 161.0))
    right_pin(s, 167.5, "GND", "and every ground sign; only here to the 0 V bar")
    s.wire((BOARD_RIGHT, 167.5), (238, 167.5), width=HEAVY)


def _grounded(s: Sheet, y: float, name: str) -> None:
    """A terminal of the driver's logic side that is at ground."""
    s.text((_LOGIC_LEFT + 1.5, y + 1), name, bold=True)
    s.wire((_LOGIC_LEFT, y), (_GROUND_X, y), (_GROUND_X, y + 0.8))
    s.ground((_GROUND_X, y + 0.8))


def _enable(s: Sheet, y: float) -> None:
    """The transistor that switches the driver off while the board lets go of its gate: current through ENA is off."""
    right_pin(s, y, stepper_pin_for("ENABLE").label, "ENABLE: low is on")
    s.wire((BOARD_RIGHT, y), (219, y))
    s.dot((208, y))
    s.resistor((208, y), (208, y - 8))
    s.supply((208, y - 8), "5 V")
    s.text((210.4, y - 3.2), "10 kΩ", size=SMALL_MM)
    s.box((219, y - 3.5), (14, 13))
    s.text((226, y + 4.2), "Q1", anchor="middle", bold=True)
    s.text((226, y + 7.6), "2N7000", size=SMALL_MM, anchor="middle")
    s.text((220.2, y + 1), "G", size=SMALL_MM)
    s.text((231.8, y + 1), "D", size=SMALL_MM, anchor="end")
    s.wire((233, y), (_LOGIC_LEFT, y))
    s.text((_LOGIC_LEFT + 1.5, y + 1), f"ENA{MINUS}", bold=True)
    s.wire((233, y + 8), (237, y + 8), (237, y + 9))
    s.text((234, y + 7.2), "S", size=SMALL_MM)
    s.ground((237, y + 9))
    s.text((_LOGIC_LEFT + 1.5, y + 8), "ENA+", bold=True)
    s.wire((_LOGIC_LEFT, y + 7), (_GROUND_X, y + 7))
    s.supply((_GROUND_X, y + 7), "5 V")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(stepper_wiring_svg(), encoding="utf-8")
