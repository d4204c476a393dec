"""What a user should know about a comparison of a stepper's cart, as notes."""

from __future__ import annotations

from collections.abc import Sequence

from cartpole_robot.cart.params import CartParams
from cartpole_robot.open_loop.lost_steps import Jump
from cartpole_robot.open_loop.model import board_of
from cartpole_robot.open_loop.series import STEPS_LOST, Series
from cartpole_robot.recording.format import Recording

_MOST_JUMPS = 5


def board_notes(recorded: Recording, cart: CartParams) -> list[str]:
    """About a recording whose board made other steps of a duty than that of the simulated `cart`."""
    boards = [None if c.stepper is None else board_of(c.stepper) for c in (recorded.cart, cart)]
    if boards[0] != boards[1]:
        return [
            f"{recorded.path.name} was driven by {_board_text(recorded.cart)}, the simulation's file has "
            f"{_board_text(cart)}: the board's steps are those of the recording, their length is the simulation's"
        ]
    return []


def steps_notes(series: Series, jumps: Sequence[Jump]) -> list[str]:
    """About a stepper's cart that is not where its count says."""
    notes = []
    if series.fault is not None and series.fault.startswith(STEPS_LOST):
        notes.append(f"{series.name} ended with {series.fault}: its counts were not where the cart was")
    if jumps:
        shown = ", ".join(jump.text() for jump in jumps[:_MOST_JUMPS])
        more = len(jumps) - _MOST_JUMPS
        notes.append(
            f"{series.name}: the pole moves as if the cart had jumped against its count of steps, by about {shown}"
            f"{f' and {more} times more' if more > 0 else ''}: lost steps, as far as the simulation's other terms are "
            "right"
        )
    return notes


def _board_text(cart: CartParams) -> str:
    assert cart.stepper is not None
    steps_per_m, speed_m_s, acceleration_m_s2 = board_of(cart.stepper)
    return f"{steps_per_m:g} steps per metre, at most {speed_m_s:g} m/s and {acceleration_m_s2:g} m/s²"
