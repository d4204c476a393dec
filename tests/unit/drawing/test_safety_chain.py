"""The safety chain as it is drawn: its nets are followed from the 12 V to the relay's coil and to the bridge."""

from __future__ import annotations

import pytest

from cartpole_robot.drawing import wiring
from cartpole_robot.drawing.circuit import Point, Sheet

GROUND_Y, RAIL, COIL, BRIDGE = 93.0, (52.0, 25.0), (60.0, 70.0), (240.0, 25.0)


class Netlist(Sheet):
    """Keeps the wires, and the parts with their two ends."""

    def __init__(self, width: float, height: float, title: str) -> None:
        super().__init__(width, height, title)
        self.wires: list[tuple[Point, ...]] = []
        self.parts: list[tuple[str, Point, Point]] = []

    def wire(self, *points: Point, **style: object) -> None:
        self.wires.append(points)

    def fuse(self, begin: Point, end: Point, *, width: float = 0.0) -> None:
        self.parts.append(("fuse", begin, end))

    def resistor(self, begin: Point, end: Point) -> None:
        self.parts.append(("resistor", begin, end))

    def capacitor(self, begin: Point, end: Point, *, polarised: bool = False, width: float = 0.0) -> None:
        self.parts.append(("bulk" if polarised else "capacitor", begin, end))

    def diode(self, anode: Point, cathode: Point, *, clamps: bool = False) -> None:
        self.parts.append(("clamp" if clamps else "diode", anode, cathode))

    def contact(self, begin: Point, end: Point, *, opens: bool, width: float = 0.0) -> None:
        self.parts.append(("opens" if opens else "closes", begin, end))

    def joined(self, point: Point) -> list[Point]:
        """Every corner of a wire and end of a part on the net of `point`."""
        net, waiting = [point], [point]
        while waiting:
            at = waiting.pop()
            for wire in self.wires:
                touches = any(_on(at, wire[i : i + 2]) for i in range(len(wire) - 1))
                meets = any(_on(corner, (at, at)) for corner in wire)
                if touches or meets:
                    new = [corner for corner in wire if corner not in net]
                    net += new
                    waiting += new
            # Where another wire or a part ends in the middle of a wire of this net, it joins it.
            ends = [end for wire in self.wires for end in (wire[0], wire[-1])]
            ends += [end for _, *both in self.parts for end in both]
            mine = [wire for wire in self.wires if wire[0] in net]
            new = [
                end
                for end in dict.fromkeys(ends)
                if end not in net and any(_on(end, w[i : i + 2]) for w in mine for i in range(len(w) - 1))
            ]
            net += new
            waiting += new
        return net


def _on(point: Point, line: tuple[Point, ...]) -> bool:
    (x, y), (ax, ay), (bx, by) = point, line[0], line[-1]
    inside = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
    return inside and (bx - ax) * (y - ay) == (by - ay) * (x - ax)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Netlist:
    sheets: list[Netlist] = []

    def keep(width: float, height: float, title: str) -> Netlist:
        sheets.append(Netlist(width, height, title))
        return sheets[-1]

    monkeypatch.setattr(wiring, "Sheet", keep)
    wiring.wiring_svg()
    sheet = sheets[0]
    sheet.parts = [part for part in sheet.parts if max(part[1][1], part[2][1]) <= GROUND_Y]
    return sheet


def feeds(sheet: Netlist, source: Point, sink: Point, *, estop_pressed: bool, closed: bool) -> bool:
    """Whether current can flow from `source` to `sink`; `closed` the contacts of START and K1."""
    conducts = (
        {"fuse", "resistor", "diode"} | ({"opens"} if not estop_pressed else set()) | ({"closes"} if closed else set())
    )
    ground = set(sheet.joined((20.0, GROUND_Y)))
    reached = set(sheet.joined(source))
    while True:
        steps = [
            end
            for kind, a, b in sheet.parts
            if kind in conducts
            for begin, end in ((a, b), (b, a))
            if begin in reached and end not in reached | ground and (kind != "diode" or begin == a)
        ]
        if not steps:
            return sink in reached
        reached |= set(sheet.joined(steps[0]))


def test_a_pressed_estop_leaves_no_path_to_the_coil_not_even_from_the_charged_capacitor(drawn: Netlist) -> None:
    assert feeds(drawn, RAIL, COIL, estop_pressed=False, closed=True)
    for source in (RAIL, BRIDGE):
        assert not feeds(drawn, source, COIL, estop_pressed=True, closed=True)


def test_the_released_estop_charges_the_capacitor_and_leaves_the_coil_to_start(drawn: Netlist) -> None:
    assert feeds(drawn, RAIL, BRIDGE, estop_pressed=False, closed=False)
    assert not feeds(drawn, RAIL, BRIDGE, estop_pressed=True, closed=False)
    assert not feeds(drawn, RAIL, COIL, estop_pressed=False, closed=False)


def test_no_part_that_has_a_polarity_is_drawn_the_wrong_way_round(drawn: Netlist) -> None:
    ground, supply = drawn.joined((20.0, GROUND_Y)), drawn.joined(BRIDGE)
    clamps = [(anode, cathode) for kind, anode, cathode in drawn.parts if kind == "clamp"]
    bulks = [(plus, minus) for kind, plus, minus in drawn.parts if kind == "bulk"]
    assert len(clamps) == len(bulks) == 1
    assert clamps[0][0] in ground
    assert clamps[0][1] in supply
    assert bulks[0][0] in supply
    assert bulks[0][1] in ground
    coil = drawn.joined(COIL)
    assert any(kind == "diode" and anode in ground and cathode in coil for kind, anode, cathode in drawn.parts)
