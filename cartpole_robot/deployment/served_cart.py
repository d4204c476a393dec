"""A virtual cart behind a pseudo-terminal in a process of its own, for whoever drives it through its port."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.simulation.workers import MainlessProcess

_STARTS_WITHIN_S = 60.0  # the first time an emulator is compiled


@contextmanager
def served_cart(rig: str, cart: CartParams, policy: bytes | None = None) -> Iterator[str]:
    """The port of `cart` while it is served; `rig` is "virtual", "avr" or "avr:ELF".

    `policy` is the image of one that a virtual firmware carries; a chip's is in its ELF file. Raises `RigError`.
    """
    ours, theirs = multiprocessing.Pipe()
    process = MainlessProcess(target=_serve, args=(theirs, rig, cart, policy), daemon=True)
    process.start()
    theirs.close()
    try:
        try:
            if not ours.poll(_STARTS_WITHIN_S):
                raise RigError(
                    f"the {rig} cart did not start within {_STARTS_WITHIN_S:g} s; is the machine overloaded?"
                )
            told = ours.recv()
        except EOFError:
            raise RigError(f"the process of the {rig} cart ended before it began") from None
        if isinstance(told, Exception):
            raise told
        yield told
    finally:
        ours.close()
        process.join(10.0)
        if process.is_alive():
            process.kill()


def _serve(connection: Connection, rig: str, cart: CartParams, policy: bytes | None) -> None:
    """The process: serves until the other end of the connection is closed."""
    from cartpole_robot.deployment.realtime import punctual
    from cartpole_robot.errors import RunError, UsageError
    from cartpole_robot.rigs.open_rig import open_board
    from cartpole_robot.rigs.pty_cart import PtyCart
    from cartpole_robot.simulation.virtual_cart import Board
    from firmware_bridge._host import Firmware, PolicyImage
    from firmware_bridge.errors import BridgeError

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who drives: the cart stays until it has been stopped
    with contextlib.ExitStack() as stack:
        try:
            board: Board | None = stack.enter_context(open_board(rig))
            if policy is not None and board is None:
                board = Firmware(policy=PolicyImage(policy))
            served = stack.enter_context(PtyCart(cart, board=board))
        except (UsageError, RunError, BridgeError) as error:
            connection.send(error if isinstance(error, UsageError) else RigError(str(error)))
            return
        stack.enter_context(punctual(cpu=min(os.sched_getaffinity(0))))
        connection.send(served.path)
        served.serve(until=connection.poll)
