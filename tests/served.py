"""A cart for tests in real time, and the process that it stands in."""

from __future__ import annotations

from multiprocessing.connection import Connection

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.pty_cart import PtyCart


def quick_cart() -> CartParams:
    """`diy_arduino` that homes in a few seconds, for tests in real time."""
    return quickly_homing(load_cart("diy_arduino"))


def serve(cart: CartParams, connection: Connection) -> None:
    with PtyCart(cart) as served:
        connection.send(served.path)
        served.serve(until=connection.poll)
