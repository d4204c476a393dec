"""The wiring diagram of the build guide, an A4 sheet, with the pins of the firmware's `pins.h`.

python -m cartpole_robot.drawing.wiring docs/wiring.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from cartpole_robot.drawing.circuit import FAINT, HEAVY, SMALL_MM, TEXT_MM, TITLE_MM, Sheet
from cartpole_robot.drawing.pin_table import Pin, pin_for

_MINUS = "\u2212"
A4_MM = (297.0, 210.0)
_RAIL, _BUS = 25.0, 93.0  # y of 12 V and of the ground bar
_BOARD_LEFT, _BOARD_RIGHT, _BOARD_TOP, _BOARD_BOTTOM = 114.0, 178.0, 104.0, 203.0
_FIRST_ROW, _ROW = 116.0, 12.8
_MODULE_LEFT, _MODULE_RIGHT = 240.0, 288.0


def wiring_svg() -> str:
    """The diagram as SVG."""
    sheet = Sheet(*A4_MM, "Wiring of a cart with an Arduino Uno or Nano")
    sheet.text((8, 10), "Wiring of a cart with an Arduino Uno or Nano", size=TITLE_MM, bold=True)
    sheet.text(
        (289, 10),
        "Calculated from data sheets, not yet tried on hardware. Contacts are drawn at rest, the e-stop released.",
        size=SMALL_MM,
        anchor="end",
        colour=FAINT,
    )
    _supply(sheet)
    _safety_chain(sheet)
    _motor_rail(sheet)
    _bridge_power(sheet)
    _ground_bar(sheet)
    _board(sheet)
    _encoders(sheet)
    _contacts(sheet)
    _bridge_logic(sheet)
    _other_pins(sheet)
    _converter(sheet)
    return sheet.svg()


def _supply(s: Sheet) -> None:
    s.box((8, 34), (24, 44))
    s.text((20, 52), "12 V\n10 A", size=TITLE_MM, anchor="middle", bold=True)
    s.text((20, 66), "supply", anchor="middle")
    s.text((20, 39), "+", size=TITLE_MM, anchor="middle")
    s.text((20, 76), _MINUS, size=TITLE_MM, anchor="middle")
    s.wire((20, 34), (20, _RAIL), (36, _RAIL), width=HEAVY)
    s.fuse((36, _RAIL), (52, _RAIL), width=HEAVY)
    s.text((44, 20.5), "F1  7.5 A blade", anchor="middle")
    s.wire((52, _RAIL), (100, _RAIL), width=HEAVY)
    s.wire((20, 78), (20, _BUS), width=HEAVY)


def _safety_chain(s: Sheet) -> None:
    """From the fused 12 V: e-stop contact 2, then precharge, and START with the relay's own contact."""
    s.dot((60, _RAIL))
    s.contact((60, _RAIL), (60, 43), opens=True)
    s.text((56.5, 32), "E-STOP\ncontact 2", anchor="end", bold=True)
    s.text((56.5, 39.6), "opens", size=SMALL_MM, anchor="end")
    s.dot((60, 43))
    s.wire((60, 43), (84, 43))
    s.resistor((84, 43), (106, 43))
    s.text((95, 39.6), "R1  47 Ω 5 W", anchor="middle")
    s.text((95, 48), "precharge", size=SMALL_MM, anchor="middle", colour=FAINT)
    s.diode((106, 43), (126, 43))  # without it C1 would hold the coil through R1 when contact 2 opens
    s.text((116, 39.6), "D3  1N4007", anchor="middle")
    s.wire((126, 43), (126, _RAIL))
    s.wire((60, 43), (60, 50))
    s.contact((60, 50), (60, 64), opens=False)
    s.text((56.5, 56), "START", anchor="end", bold=True)
    s.text((56.5, 59.6), "push", size=SMALL_MM, anchor="end")
    s.wire((60, 50), (80, 50))
    s.contact((80, 50), (80, 64), opens=False)
    s.text((84, 56.2), "K1 pole 2", bold=True)
    s.text((84, 59.8), "holds itself", size=SMALL_MM)
    s.wire((80, 64), (60, 64))
    s.dot((60, 50), (60, 64))
    s.wire((60, 64), (60, 70))
    s.box((54, 70), (12, 9))
    s.text((60, 75.6), "K1", anchor="middle", bold=True)
    s.text((52.5, 75.6), "coil", size=SMALL_MM, anchor="end")
    s.wire((60, 79), (60, _BUS))
    s.dot((60, 67), (60, 85))
    s.wire((60, 67), (80, 67), (80, 70))
    s.diode((80, 82), (80, 69))
    s.wire((80, 82), (80, 85), (60, 85))
    s.text((84, 76.6), "D1  1N4007")


def _motor_rail(s: Sheet) -> None:
    """The relay's contact, and what lies between the motor's supply and ground."""
    s.contact((98, _RAIL), (118, _RAIL), opens=False, width=HEAVY)
    s.text((108, 19.5), "K1 pole 1", anchor="middle", bold=True)
    s.wire((118, _RAIL), (_MODULE_LEFT - 14, _RAIL), width=HEAVY)
    s.dot((126, _RAIL))
    s.text((133, 21), "12 V of the motor, behind the relay", size=SMALL_MM)
    for x in (140.0, 158.0, 178.0):
        s.dot((x, _RAIL))
    s.wire((140, _RAIL), (140, 50), width=HEAVY)
    s.capacitor((140, 50), (140, 68), polarised=True, width=HEAVY)
    s.wire((140, 68), (140, _BUS), width=HEAVY)
    s.text((143.6, 57.5), "C1\n2200 µF\n35 V")
    s.wire((158, _RAIL), (158, 50))
    s.resistor((158, 50), (158, 66))
    s.wire((158, 66), (158, _BUS))
    s.text((160.6, 55.6), "R2\n470 Ω\n1 W")
    s.text((160.6, 67), "bleeder", size=SMALL_MM, colour=FAINT)
    s.wire((178, _RAIL), (178, 50))
    s.diode((178, 66), (178, 50), clamps=True)
    s.wire((178, 66), (178, _BUS))
    s.text((181.6, 57), "D2\n1.5KE16A")
    s.text((181.6, 67), "clamp", size=SMALL_MM, colour=FAINT)
    supply = pin_for("supply of the motor")
    s.dot((204, _RAIL), (204, 52))
    s.wire((204, _RAIL), (204, 32))
    s.resistor((204, 32), (204, 48))
    s.text((206.6, 41), "R3  10 kΩ")
    s.wire((204, 48), (204, 56))
    s.resistor((204, 56), (204, 72))
    s.text((206.6, 67), "R4\n1.8 kΩ")
    s.wire((204, 72), (204, _BUS))
    s.wire((204, 52), (221, 52))
    s.dot((219, 52))
    s.wire((219, 52), (219, 58))
    s.capacitor((219, 58), (219, 74))
    s.wire((219, 74), (219, _BUS))
    s.text((222.4, 70.4), "100 nF")
    _flag(s, (221, 52), supply)


def _flag(s: Sheet, at: tuple[float, float], pin: Pin) -> None:
    """A wire that continues at the pin of this name."""
    x, y = at
    s.wire((x, y), (x + 2, y - 2.2), (x + 12, y - 2.2), (x + 12, y + 2.2), (x + 2, y + 2.2), (x, y))
    s.text((x + 7, y + 0.95), pin.arduino, anchor="middle", bold=True)


def _bridge_power(s: Sheet) -> None:
    top, right = 20.0, 264.0
    s.box((_MODULE_LEFT, top), (right - _MODULE_LEFT, 64))
    s.text((_MODULE_LEFT + 9.5, 36), "BTS7960\nmodule\n(IBT-2)", anchor="middle", bold=True)
    s.text((_MODULE_LEFT + 9.5, 52), "power side", size=SMALL_MM, anchor="middle")
    s.wire((_MODULE_LEFT - 14, _RAIL), (_MODULE_LEFT, _RAIL), width=HEAVY)
    s.text((_MODULE_LEFT + 1.5, _RAIL + 1), "B+", bold=True)
    s.text((_MODULE_LEFT + 1.5, 80), f"B{_MINUS}", bold=True)
    s.wire((_MODULE_LEFT, 79), (_MODULE_LEFT - 4, 79), (_MODULE_LEFT - 4, _BUS), width=1.6)
    s.text((right - 1.5, 45), "M+", bold=True, anchor="end")
    s.text((right - 1.5, 71), f"M{_MINUS}", bold=True, anchor="end")
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


def _ground_bar(s: Sheet) -> None:
    s.wire((16, _BUS), (_MODULE_RIGHT - 44, _BUS), width=1.6)
    s.text(
        (92, _BUS + 4.6),
        f"0 V: one bar at the module's B{_MINUS}. Each part has its own wire to it; nothing else joins the grounds.",
        size=TEXT_MM,
        bold=True,
    )


def _board(s: Sheet) -> None:
    s.box((_BOARD_LEFT, _BOARD_TOP), (_BOARD_RIGHT - _BOARD_LEFT, _BOARD_BOTTOM - _BOARD_TOP), fill="#eef3f8")
    middle = 0.5 * (_BOARD_LEFT + _BOARD_RIGHT)
    s.text((middle, _BOARD_TOP + 5.5), "Arduino Uno R3 or Nano (ATmega328P)", anchor="middle", bold=True)


def _left_pin(s: Sheet, y: float, pin: Pin) -> None:
    s.text((_BOARD_LEFT + 1.5, y + 1), pin.label, bold=True)
    s.text((_BOARD_LEFT + 17, y + 1), pin.what, size=SMALL_MM)
    s.wire((92, y), (_BOARD_LEFT, y))


def _right_pin(s: Sheet, y: float, name: str, what: str = "") -> None:
    s.text((_BOARD_RIGHT - 1.5, y + 1), name, bold=True, anchor="end")
    s.text((_BOARD_RIGHT + 2, y - 1.2), what, size=SMALL_MM)


def _filter(s: Sheet, y: float, *, pull_up: str, capacitor: str) -> None:
    """Pull-up, series resistor and capacitor on the line at `y`, from x = 44 to 92."""
    s.wire((44, y), (66, y))
    s.dot((56, y), (92, y))
    s.resistor((56, y), (56, y - 7.6))
    s.supply((56, y - 7.6), "5 V")
    s.text((58.2, y - 2.9), pull_up, size=SMALL_MM)
    s.resistor((66, y), (84, y))
    s.text((75, y - 2), "1 kΩ", size=SMALL_MM, anchor="middle")
    s.wire((84, y), (92, y))
    s.capacitor((92, y), (92, y + 5.4))
    s.ground((92, y + 5.4))
    s.text((95.2, y + 4), capacitor, size=SMALL_MM)


def _encoders(s: Sheet) -> None:
    groups = (
        ("Cart encoder", "Pololu 37D motor", "cart encoder", ("yellow", "white"), "blue: 5 V\ngreen: 0 V"),
        ("Pole encoder", "LPD3806-600BM", "pole encoder", ("green", "white"), "red: 5 V\nblack: 0 V"),
    )
    for index, (title, example, what, colours, power) in enumerate(groups):
        top = _FIRST_ROW + 2 * index * _ROW
        s.box((8, top - 8), (36, _ROW + 11.6))
        s.text((10, top - 3.8), title, bold=True)
        s.text((10, top - 0.2), example, size=SMALL_MM)
        s.text((10, top + 8), power, size=SMALL_MM)
        for row, (channel, colour) in enumerate(zip("AB", colours, strict=True)):
            y = top + row * _ROW
            s.text((42.5, y + 1), channel, bold=True, anchor="end")
            s.text((45, y - 1), colour, size=SMALL_MM)
            _filter(s, y, pull_up="2.2 kΩ", capacitor="1 nF")
            _left_pin(s, y, pin_for(f"{what} {channel}"))


def _contacts(s: Sheet) -> None:
    for row, (what, name) in enumerate(
        (("e-stop", "E-STOP contact 1"), ("left end switch", "Left switch"), ("right end switch", "Right switch"))
    ):
        y = _FIRST_ROW + (4 + row) * _ROW
        s.wire((12, y), (12, y + 2))
        s.ground((12, y + 2))
        s.contact((12, y), (44, y), opens=True)
        s.text((17, y - 2.4), name, bold=True)
        s.text((17, y + 4.2), "opens" if row == 0 else "SS-01GL2: COM, NC", size=SMALL_MM)
        _filter(s, y, pull_up="1 kΩ", capacitor="100 nF")
        _left_pin(s, y, pin_for(what))


def _bridge_logic(s: Sheet) -> None:
    left, right = _MODULE_LEFT + 6, _MODULE_RIGHT
    s.box((left, 105), (right - left, 64))
    s.text((right - 2, 150), "BTS7960\nmodule\n(IBT-2)\nlogic side", anchor="end", bold=True)
    rows = (
        (116.0, "bridge enable", "bridge enable"),
        (130.0, "OC1A", "pulses forwards"),
        (144.0, "OC1B", "pulses backwards"),
    )
    for y, what, words in rows:
        pin = pin_for(what)
        _right_pin(s, y, pin.label, words)
        s.wire((_BOARD_RIGHT, y), (left, y))
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
    _right_pin(s, 158.0, "5V", "and every point marked 5 V")
    s.wire((_BOARD_RIGHT, 158), (left, 158))
    _right_pin(s, 166.0, "GND", "and every ground sign; only here to the 0 V bar")
    s.wire((_BOARD_RIGHT, 166), (left, 166), width=HEAVY)
    s.text((right - 2, 111), "R_IS, L_IS: open", size=SMALL_MM, anchor="end")


def _other_pins(s: Sheet) -> None:
    pin = pin_for("supply of the motor")
    _right_pin(s, 173.5, pin.label)
    s.wire((_BOARD_RIGHT, 173.5), (184, 173.5))
    _flag(s, (184, 173.5), pin)
    s.text((199, 174.5), "from R3 and R4", size=SMALL_MM)
    for y, what in ((179.5, "serial in"), (184.5, "serial out")):
        _right_pin(s, y, pin_for(what).label)
    s.text((_BOARD_RIGHT + 2, 181.2), "taken by the USB chip:\nconnect nothing", size=SMALL_MM)
    _right_pin(s, 191.0, "USB")
    s.wire((_BOARD_RIGHT, 191), (182, 191))
    s.text((183.5, 190.4), "host; without the converter this\ncable also feeds the board", size=SMALL_MM)


def _converter(s: Sheet) -> None:
    _right_pin(s, 199.5, "VIN")
    s.wire((_BOARD_RIGHT, 199.5), (234, 199.5), dashed=True)
    s.text((_BOARD_RIGHT + 2, 202.8), "7.5 V, and its 0 V to GND", size=SMALL_MM)
    s.box((234, 179), (54, 25), dashed=True)
    s.text((236, 183.6), "Only for --host-may-leave", bold=True)
    s.text(
        (236, 187.8),
        "12 V → 7.5 V converter, 1 A,\nfed behind F1 and before the\nrelay through a fuse of 1 A.\n"
        "Never into 5V: it would feed\nback into the host.",
        size=SMALL_MM,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(wiring_svg(), encoding="utf-8")
