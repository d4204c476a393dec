"""Text from files and devices cannot control the terminal, a figure or fill the screen."""

from __future__ import annotations

import pytest

from cartpole_robot.terminal.printable import LONGEST_LINE, figure_text, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with é and 車", "plain, with é and 車"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("one\ntwo\r", r"one\ntwo\r"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("half \ud800", r"half \ud800"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("tab\there", "tab\there"),
    ],
)
def test_control_and_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_megabytes_are_shortened_in_their_middle() -> None:
    shown = printable("begin" + "x" * 10_000_000 + "end")
    assert len(shown) < LONGEST_LINE + 100
    assert shown.startswith("beginx")
    assert shown.endswith("xend")
    assert "... 9998008 characters left out ..." in shown


def test_lines_stay_lines() -> None:
    assert printable_lines("a\n  b\x1b\n") == "a\n  b\\x1b\n"


def test_dollars_are_no_formula_in_a_figure() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    figure.suptitle(figure_text("costs $\\frac{$ or $x^{"))
    figure.canvas.draw()
    assert figure_text("$5") == r"\$5"
