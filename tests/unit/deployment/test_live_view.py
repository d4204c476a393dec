from __future__ import annotations

import io

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.deployment.live_view import LiveView
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.signals import Measurement


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def view_on(file: io.StringIO) -> LiveView:
    return LiveView(load_cart("diy_arduino"), Measurement(), StepTimes(10), lambda: "policy", file)


def test_line_stays_above_the_view_that_is_redrawn() -> None:
    file = Terminal()
    view = view_on(file)
    view._draw()
    view.add_line("the server has ended")
    view._draw()
    view._draw()
    height = len(view.text().splitlines())
    drawn = file.getvalue()
    assert drawn.count("the server has ended") == 1
    # Each drawing but the first begins at the first line of the view, below the line that was added.
    assert drawn.count(f"\033[{height}F") == 2
    assert drawn.count("F") - drawn.count(f"\033[{height}F") == 0


def test_line_is_printed_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    view_on(file).add_line("the server has ended")
    assert file.getvalue() == "the server has ended\n"


def test_line_of_a_view_that_is_over_is_printed() -> None:
    file = Terminal()
    with view_on(file) as view:
        pass
    view.add_line("the server has ended")
    assert file.getvalue().endswith("\nthe server has ended\n")
