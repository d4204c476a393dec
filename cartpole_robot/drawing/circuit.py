"""A circuit diagram as SVG: wires, the symbols of parts and their labels, in millimetres on a sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]
INK, FAINT, HEAVY = "#20262e", "#6b737d", 0.9
THIN = 0.35
_BODY = ((-3.0, -1.1), (3.0, -1.1), (3.0, 1.1), (-3.0, 1.1), (-3.0, -1.1))
SMALL_MM, TEXT_MM, TITLE_MM = 2.5, 2.8, 4.4


class Sheet:
    """A sheet of `width` x `height` mm. Symbols with a direction are drawn from one end of the part to the other."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []

    def svg(self) -> str:
        """The drawing as the text of a file."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
            f'viewBox="0 0 {width:g} {height:g}" font-family="Liberation Sans, Arial, Helvetica, sans-serif" '
            f'fill="none" stroke="{INK}" stroke-linecap="round" stroke-linejoin="round">'
        )
        paper = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff" stroke="none"/>'
        return "\n".join([head, f"<title>{escape(self._title)}</title>", paper, *self._parts, "</svg>"]) + "\n"

    def wire(self, *points: Point, width: float = THIN, dashed: bool = False, colour: str = INK) -> None:
        """A line through `points`."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        dash = ' stroke-dasharray="1.2 1"' if dashed else ""
        self._parts.append(f'<polyline points="{path}" stroke="{colour}" stroke-width="{width:g}"{dash}/>')

    def dot(self, *points: Point) -> None:
        """Joints of wires."""
        for x, y in points:
            self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="0.65" fill="{INK}" stroke="none"/>')

    def text(
        self,
        at: Point,
        words: str,
        *,
        size: float = TEXT_MM,
        anchor: str = "start",
        bold: bool = False,
        colour: str = INK,
    ) -> None:
        """`words` from, about (`anchor` middle) or up to (end) the point, one line below the other."""
        weight = ' font-weight="bold"' if bold else ""
        for row, line in enumerate(words.split("\n")):
            y = at[1] + row * size * 1.25
            self._parts.append(
                f'<text x="{_n(at[0])}" y="{_n(y)}" font-size="{size:g}" text-anchor="{anchor}"{weight} '
                f'fill="{colour}" stroke="none">{escape(line)}</text>'
            )

    def box(self, at: Point, size: Point, *, width: float = 0.5, dashed: bool = False, fill: str = "#ffffff") -> None:
        """A rectangle with its top left corner at `at`."""
        dash = ' stroke-dasharray="1.6 1.2"' if dashed else ""
        self._parts.append(
            f'<rect x="{_n(at[0])}" y="{_n(at[1])}" width="{_n(size[0])}" height="{_n(size[1])}" rx="0.8" '
            f'fill="{fill}" stroke-width="{width:g}"{dash}/>'
        )

    def circle(self, at: Point, radius: float) -> None:
        """A circle."""
        self._parts.append(f'<circle cx="{_n(at[0])}" cy="{_n(at[1])}" r="{_n(radius)}" stroke-width="0.5"/>')

    def resistor(self, begin: Point, end: Point) -> None:
        """A resistor in the middle of a wire."""
        self._in_line(begin, end, 6.0, _BODY)

    def fuse(self, begin: Point, end: Point, *, width: float = THIN) -> None:
        """A fuse in the middle of a wire: a box with the wire through it."""
        self.wire(begin, end, width=width)
        self._in_line(begin, end, 6.0, _BODY)

    def capacitor(self, begin: Point, end: Point, *, polarised: bool = False, width: float = THIN) -> None:
        """A capacitor in the middle of a wire; a polarised one has its plus toward `begin`."""
        place = _placer(begin, end)
        self._leads(begin, end, 1.4, width)
        for along in (-0.7, 0.7):
            self.wire(place(along, -2.2), place(along, 2.2), width=0.6)
        if polarised:
            self.wire(place(-2.6, 1.2), place(-2.6, 2.4))
            self.wire(place(-3.2, 1.8), place(-2.0, 1.8))

    def diode(self, anode: Point, cathode: Point, *, clamps: bool = False) -> None:
        """A diode in the middle of a wire; one that `clamps` has the bent bar of a suppressor."""
        place = _placer(anode, cathode)
        self._leads(anode, cathode, 2.6)
        corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in (place(-1.3, -1.5), place(-1.3, 1.5), place(1.3, 0.0)))
        self._parts.append(f'<polygon points="{corners}" fill="{INK}" stroke-width="{THIN:g}"/>')
        bar = [place(1.3, -1.7), place(1.3, 1.7)]
        if clamps:
            bar = [place(2.1, -2.2), *bar, place(0.5, 2.2)]
        self.wire(*bar, width=0.5)

    def contact(self, begin: Point, end: Point, *, opens: bool, width: float = THIN) -> None:
        """A contact in the middle of a wire: one that `opens` when it is operated is closed at rest."""
        place = _placer(begin, end)
        self._leads(begin, end, 6.0, width)
        self.dot(place(-3.0, 0.0), place(3.0, 0.0))
        if opens:
            self.wire(place(3.0, 0.0), place(3.0, -1.6))
            self.wire(place(-3.0, 0.0), place(3.6, -1.1), width=0.5)
        else:
            self.wire(place(-3.0, 0.0), place(2.6, -2.4), width=0.5)

    def ground(self, at: Point) -> None:
        """The logic ground, below the point."""
        x, y = at
        for half, below in ((1.6, 0.0), (1.0, 0.6), (0.4, 1.2)):
            self.wire((x - half, y + below), (x + half, y + below))

    def supply(self, at: Point, words: str) -> None:
        """A supply's name above the point, over a bar."""
        x, y = at
        self.wire((x - 1.6, y), (x + 1.6, y), width=0.5)
        self.text((x, y - 0.7), words, size=SMALL_MM, anchor="middle")

    def _leads(self, begin: Point, end: Point, gap: float, width: float = THIN) -> None:
        place = _placer(begin, end)
        self.wire(begin, place(-0.5 * gap, 0.0), width=width)
        self.wire(place(0.5 * gap, 0.0), end, width=width)

    def _in_line(self, begin: Point, end: Point, gap: float, outline: Sequence[Point]) -> None:
        place = _placer(begin, end)
        self._leads(begin, end, gap)
        self.wire(*(place(along, across) for along, across in outline), width=0.45)


class _Placer:
    """Points along and across the line from `begin` to `end`, counted from its middle."""

    def __init__(self, begin: Point, end: Point) -> None:
        self._middle = (0.5 * (begin[0] + end[0]), 0.5 * (begin[1] + end[1]))
        length = math.dist(begin, end)
        self._along = ((end[0] - begin[0]) / length, (end[1] - begin[1]) / length)

    def __call__(self, along: float, across: float) -> Point:
        (x, y), (dx, dy) = self._middle, self._along
        return x + along * dx - across * dy, y + along * dy + across * dx


def _placer(begin: Point, end: Point) -> _Placer:
    return _Placer(begin, end)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
