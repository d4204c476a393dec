"""A virtual cart behind a pseudo-terminal for real-time tests, and the process that runs it."""

from __future__ import annotations

from multiprocessing.connection import Connection

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.pty_cart import PtyCart


def quick_cart() -> CartParams:
    """`diy_arduino`, homing in a few seconds."""
    return quickly_homing(load_cart("diy_arduino"))


def serve(cart: CartParams, connection: Connection, has_hand: bool = True) -> None:
    with PtyCart(cart, has_hand=has_hand) as pty_cart:
        connection.send(pty_cart.path)
        pty_cart.serve(until=connection.poll)
