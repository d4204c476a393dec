"""A virtual cart in a process of its own, which the caller drives through a pseudo-terminal."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.simulation.imperfections.profile import WORKBENCH, Profile, fitting, load_profile
from cartpole_robot.simulation.workers import MainlessProcess

_STARTS_WITHIN_S = 60.0  # the first time an emulator is compiled


@contextmanager
def cart_process(
    rig: str,
    cart: CartParams,
    policy: bytes | None = None,
    *,
    profile: Profile | None = None,
    seed: int = 0,
    has_hand: bool = True,
) -> Iterator[str]:
    """The port of `cart` while its process runs; `rig` is "virtual", "avr" or "avr:ELF".

    `policy` is the policy image for the virtual firmware; a chip has its own in the ELF file. `profile` says what is
    imperfect about the cart, by default what a workbench has, drawn with `seed`. Without a hand nobody raises its pole.
    Raises `RigError`.
    """
    ours, theirs = multiprocessing.Pipe()
    given = _Given(
        rig=rig,
        cart=cart,
        policy=policy,
        profile=profile or load_profile(WORKBENCH),
        seed=seed,
        has_hand=has_hand,
    )
    process = MainlessProcess(target=_serve, args=(theirs, given), daemon=True)
    process.start()
    theirs.close()
    try:
        try:
            if not ours.poll(_STARTS_WITHIN_S):
                raise RigError(
                    f"the {rig} cart did not start within {_STARTS_WITHIN_S:g} s; is the machine overloaded?"
                )
            answer = ours.recv()
        except EOFError:
            raise RigError(f"the process of the {rig} cart ended before it began") from None
        if isinstance(answer, Exception):
            raise answer
        yield answer
    finally:
        ours.close()
        process.join(10.0)
        if process.is_alive():
            process.kill()


@dataclass(frozen=True, kw_only=True)
class _Given:
    rig: str
    cart: CartParams
    policy: bytes | None
    profile: Profile
    seed: int
    has_hand: bool


def _serve(connection: Connection, given: _Given) -> None:
    """Run in the process until the other end of the connection is closed."""
    from cartpole_robot.deployment.realtime import punctual
    from cartpole_robot.errors import RunError, UsageError
    from cartpole_robot.rigs.open_rig import open_board
    from cartpole_robot.rigs.pty_cart import PtyCart
    from cartpole_robot.simulation.imperfections.imperfect import spoil
    from cartpole_robot.simulation.virtual_cart import Board, built_firmware
    from firmware_bridge._host import PolicyImage
    from firmware_bridge.errors import BridgeError

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver: the cart stays until it has been stopped
    cart = given.cart
    with contextlib.ExitStack() as stack:
        try:
            board: Board | None = stack.enter_context(open_board(given.rig, cart))
            if given.policy is not None and board is None:
                board = built_firmware(cart, PolicyImage(given.policy))
            pty_cart = stack.enter_context(PtyCart(cart, board=board, has_hand=given.has_hand))
            spoil(pty_cart.cart, cart, fitting(given.profile, cart.motor)[0], given.seed)
        except (UsageError, RunError, BridgeError) as error:
            with contextlib.suppress(OSError):  # the driver was stopped meanwhile
                connection.send(error if isinstance(error, UsageError) else RigError(str(error)))
            return
        stack.enter_context(punctual(cpu=min(os.sched_getaffinity(0))))
        try:
            connection.send(pty_cart.path)
        except OSError:
            return
        pty_cart.serve(until=connection.poll)
