"""What the wiring diagrams of a DC motor and of a stepper share: supply, safety chain, board and contacts."""

from __future__ import annotations

from dataclasses import dataclass

from cartpole_robot.drawing.circuit import FAINT, HEAVY, SMALL_MM, TEXT_MM, TITLE_MM, Sheet
from cartpole_robot.drawing.pin_table import Pin, pin_for

MINUS = "\u2212"
A4_MM = (297.0, 210.0)
RAIL, BUS = 25.0, 93.0  # y of the supply and of the ground bar
BOARD_LEFT, BOARD_RIGHT, BOARD_TOP, BOARD_BOTTOM = 114.0, 178.0, 104.0, 203.0
FIRST_ROW, ROW = 116.0, 12.8
MODULE_LEFT, MODULE_RIGHT = 240.0, 288.0


@dataclass(frozen=True, kw_only=True)
class Power:
    """The supply of the motor and the parts that follow from its voltage, in the words of the drawing."""

    volts: int
    amperes: int
    fuse: str
    precharge: str
    bulk: str
    bleeder: str
    clamp: str


def headline(s: Sheet, title: str) -> None:
    """The title, and what the drawing rests on."""
    s.text((8, 10), title, size=TITLE_MM, bold=True)
    s.text(
        (289, 10),
        "Calculated from data sheets, not yet tried on hardware. Contacts are drawn at rest, the e-stop released.",
        size=SMALL_MM,
        anchor="end",
        colour=FAINT,
    )


def supply(s: Sheet, power: Power) -> None:
    """The power supply and its fuse."""
    s.box((8, 34), (24, 44))
    s.text((20, 52), f"{power.volts} V\n{power.amperes} A", size=TITLE_MM, anchor="middle", bold=True)
    s.text((20, 66), "supply", anchor="middle")
    s.text((20, 39), "+", size=TITLE_MM, anchor="middle")
    s.text((20, 76), MINUS, size=TITLE_MM, anchor="middle")
    s.wire((20, 34), (20, RAIL), (36, RAIL), width=HEAVY)
    s.fuse((36, RAIL), (52, RAIL), width=HEAVY)
    s.text((44, 20.5), f"F1  {power.fuse}", anchor="middle")
    s.wire((52, RAIL), (100, RAIL), width=HEAVY)
    s.wire((20, 78), (20, BUS), width=HEAVY)


def safety_chain(s: Sheet, power: Power) -> None:
    """From the fused supply: e-stop contact 2, then precharge, and START with the relay's own contact."""
    s.dot((60, RAIL))
    s.contact((60, RAIL), (60, 43), opens=True)
    s.text((56.5, 32), "E-STOP\ncontact 2", anchor="end", bold=True)
    s.text((56.5, 39.6), "opens", size=SMALL_MM, anchor="end")
    s.dot((60, 43))
    s.wire((60, 43), (84, 43))
    s.resistor((84, 43), (106, 43))
    s.text((95, 39.6), f"R1  {power.precharge}", anchor="middle")
    s.text((95, 48), "precharge", size=SMALL_MM, anchor="middle", colour=FAINT)
    s.diode((106, 43), (126, 43))  # without it C1 would hold the coil through R1 when contact 2 opens
    s.text((116, 39.6), "D3  1N4007", anchor="middle")
    s.wire((126, 43), (126, RAIL))
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
    s.wire((60, 79), (60, BUS))
    s.dot((60, 67), (60, 85))
    s.wire((60, 67), (80, 67), (80, 70))
    s.diode((80, 82), (80, 69))
    s.wire((80, 82), (80, 85), (60, 85))
    s.text((84, 76.6), "D1  1N4007")


def motor_rail(s: Sheet, power: Power) -> None:
    """The relay's contact, and what lies between the motor's supply and ground."""
    s.contact((98, RAIL), (118, RAIL), opens=False, width=HEAVY)
    s.text((108, 19.5), "K1 pole 1", anchor="middle", bold=True)
    s.wire((118, RAIL), (MODULE_LEFT - 14, RAIL), width=HEAVY)
    s.dot((126, RAIL))
    s.text((133, 21), f"{power.volts} V of the motor, behind the relay", size=SMALL_MM)
    for x in (140.0, 158.0, 178.0):
        s.dot((x, RAIL))
    s.wire((140, RAIL), (140, 50), width=HEAVY)
    s.capacitor((140, 50), (140, 68), polarised=True, width=HEAVY)
    s.wire((140, 68), (140, BUS), width=HEAVY)
    s.text((143.6, 57.5), f"C1\n{power.bulk}")
    s.wire((158, RAIL), (158, 50))
    s.resistor((158, 50), (158, 66))
    s.wire((158, 66), (158, BUS))
    s.text((160.6, 55.6), f"R2\n{power.bleeder}")
    s.text((160.6, 67), "bleeder", size=SMALL_MM, colour=FAINT)
    s.wire((178, RAIL), (178, 50))
    s.diode((178, 66), (178, 50), clamps=True)
    s.wire((178, 66), (178, BUS))
    s.text((181.6, 57), f"D2\n{power.clamp}")
    s.text((181.6, 67), "clamp", size=SMALL_MM, colour=FAINT)
    supply = pin_for("supply of the motor")
    s.dot((204, RAIL), (204, 52))
    s.wire((204, RAIL), (204, 32))
    s.resistor((204, 32), (204, 48))
    s.text((206.6, 41), "R3  10 kΩ")
    s.wire((204, 48), (204, 56))
    s.resistor((204, 56), (204, 72))
    s.text((206.6, 67), "R4\n1.8 kΩ")
    s.wire((204, 72), (204, BUS))
    s.wire((204, 52), (221, 52))
    s.dot((219, 52))
    s.wire((219, 52), (219, 58))
    s.capacitor((219, 58), (219, 74))
    s.wire((219, 74), (219, BUS))
    s.text((222.4, 70.4), "100 nF")
    flag(s, (221, 52), supply)


def flag(s: Sheet, at: tuple[float, float], pin: Pin) -> None:
    """A wire that continues at the pin of this name."""
    x, y = at
    s.wire((x, y), (x + 2, y - 2.2), (x + 12, y - 2.2), (x + 12, y + 2.2), (x + 2, y + 2.2), (x, y))
    s.text((x + 7, y + 0.95), pin.arduino, anchor="middle", bold=True)


def ground_bar(s: Sheet, at: str) -> None:
    """The bar that joins the grounds, at the module's terminal `at`."""
    s.wire((16, BUS), (MODULE_RIGHT - 44, BUS), width=1.6)
    s.text(
        (92, BUS + 4.6),
        f"0 V: one bar at {at}. Each part has its own wire to it; nothing else joins the grounds.",
        size=TEXT_MM,
        bold=True,
    )


def board(s: Sheet) -> None:
    """The Arduino."""
    s.box((BOARD_LEFT, BOARD_TOP), (BOARD_RIGHT - BOARD_LEFT, BOARD_BOTTOM - BOARD_TOP), fill="#eef3f8")
    middle = 0.5 * (BOARD_LEFT + BOARD_RIGHT)
    s.text((middle, BOARD_TOP + 5.5), "Arduino Uno R3 or Nano (ATmega328P)", anchor="middle", bold=True)


def left_pin(s: Sheet, y: float, pin: Pin) -> None:
    """A pin at the left edge of the board."""
    s.text((BOARD_LEFT + 1.5, y + 1), pin.label, bold=True)
    s.text((BOARD_LEFT + 17, y + 1), pin.what, size=SMALL_MM)
    s.wire((92, y), (BOARD_LEFT, y))


def right_pin(s: Sheet, y: float, name: str, what: str = "") -> None:
    """A pin at the right edge of the board, with what it does next to its wire."""
    s.text((BOARD_RIGHT - 1.5, y + 1), name, bold=True, anchor="end")
    s.text((BOARD_RIGHT + 2, y - 1.2), what, size=SMALL_MM)


def filtered(s: Sheet, y: float, *, pull_up: str, capacitor: str) -> None:
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


def contacts(s: Sheet) -> None:
    """The e-stop's first contact and both end switches."""
    for row, (what, name) in enumerate(
        (("e-stop", "E-STOP contact 1"), ("left end switch", "Left switch"), ("right end switch", "Right switch"))
    ):
        y = FIRST_ROW + (4 + row) * ROW
        s.wire((12, y), (12, y + 2))
        s.ground((12, y + 2))
        s.contact((12, y), (44, y), opens=True)
        s.text((17, y - 2.4), name, bold=True)
        s.text((17, y + 4.2), "opens" if row == 0 else "SS-01GL2: COM, NC", size=SMALL_MM)
        filtered(s, y, pull_up="1 kΩ", capacitor="100 nF")
        left_pin(s, y, pin_for(what))


def other_pins(s: Sheet) -> None:
    """The supply's divider, and what the USB chip and its cable take."""
    pin = pin_for("supply of the motor")
    right_pin(s, 173.5, pin.label)
    s.wire((BOARD_RIGHT, 173.5), (184, 173.5))
    flag(s, (184, 173.5), pin)
    s.text((199, 174.5), "from R3 and R4", size=SMALL_MM)
    for y, what in ((179.5, "serial in"), (184.5, "serial out")):
        right_pin(s, y, pin_for(what).label)
    s.text((BOARD_RIGHT + 2, 181.2), "taken by the USB chip:\nconnect nothing", size=SMALL_MM)
    right_pin(s, 191.0, "USB")
    s.wire((BOARD_RIGHT, 191), (182, 191))
    s.text((183.5, 190.4), "host; without the converter this\ncable also feeds the board", size=SMALL_MM)


def converter(s: Sheet, power: Power) -> None:
    """The board's own power where the host may be unplugged."""
    right_pin(s, 199.5, "VIN")
    s.wire((BOARD_RIGHT, 199.5), (234, 199.5), dashed=True)
    s.text((BOARD_RIGHT + 2, 202.8), "7.5 V, and its 0 V to GND", size=SMALL_MM)
    s.box((234, 179), (54, 25), dashed=True)
    s.text((236, 183.6), "Only for --host-may-leave", bold=True)
    s.text(
        (236, 187.8),
        f"{power.volts} V → 7.5 V converter, 1 A,\nfed behind F1 and before the\nrelay through a fuse of 1 A.\n"
        "Never into 5V: it would feed\nback into the host.",
        size=SMALL_MM,
    )


_ENCODERS = {
    "cart": ("Cart encoder", "Pololu 37D motor", ("yellow", "white"), "blue: 5 V\ngreen: 0 V"),
    "pole": ("Pole encoder", "LPD3806-600BM", ("green", "white"), "red: 5 V\nblack: 0 V"),
}


def encoders(s: Sheet, which: tuple[str, ...]) -> None:
    """Those of `cart` and `pole`, each in its own place."""
    for index, (name, (title, example, colours, power)) in enumerate(_ENCODERS.items()):
        if name not in which:
            continue
        top = FIRST_ROW + 2 * index * ROW
        s.box((8, top - 8), (36, ROW + 11.6))
        s.text((10, top - 3.8), title, bold=True)
        s.text((10, top - 0.2), example, size=SMALL_MM)
        s.text((10, top + 8), power, size=SMALL_MM)
        for row, (channel, colour) in enumerate(zip("AB", colours, strict=True)):
            y = top + row * ROW
            s.text((42.5, y + 1), channel, bold=True, anchor="end")
            s.text((45, y - 1), colour, size=SMALL_MM)
            filtered(s, y, pull_up="2.2 kΩ", capacitor="1 nF")
            left_pin(s, y, pin_for(f"{name} encoder {channel}"))
