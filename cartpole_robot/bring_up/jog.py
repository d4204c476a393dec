"""Moves the cart with the keyboard: it creeps while an arrow key is held, and stops 0.25 s after its release."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from cartpole_robot.terminal.interrupts import signals_held
from firmware_bridge.errors import BridgeError, LinkError, RefusedError
from firmware_bridge.link import Link
from firmware_bridge.transport import SerialTransport

_LEFT_KEYS, _RIGHT_KEYS, _END_KEYS = ("\x1b[D", "a", "h"), ("\x1b[C", "d", "l"), ("q", "\x1b", "\x03", "\x04")
_DRAW_S = 0.1
_SILENCE_S = 1.0


def jog(cart: CartParams, port: str) -> None:
    """Let the operator move the cart on `port` until q. Raises `RigError`, and `UsageError` without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError("jog reads keys and needs a terminal; run it in one")
    try:
        link = Link(SerialTransport(port))
    except BridgeError as error:
        raise RigError(str(error)) from None
    try:
        link.open()
        link.mode("CLEAR")
        link.configure(cfg_message(cart), stepper_message(cart))
        print("left and right arrow (or a and d) move the cart, q ends", file=sys.stderr)
        with _raw_terminal():
            _loop(link, cart)
    except BridgeError as error:
        raise RigError("; ".join(filter(None, (str(error), _stand_down(link))))) from None
    except BaseException:
        problem = _stand_down(link)
        if problem is not None:
            raise RigError(problem) from None
        raise
    problem = _stand_down(link)
    if problem is not None:
        raise RigError(problem)


def _stand_down(link: Link) -> str | None:
    """Motor off, line released; what keeps the first from being known, or None."""
    try:
        if link.session is not None:
            with signals_held():
                link.disarm()
    except BridgeError as error:
        return str(error)
    finally:
        link.close()
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(file=sys.stderr)
    return None


def _loop(link: Link, cart: CartParams) -> None:
    encoders, _ = encoders_and_settings(cart)
    drawn_s, heard_s = 0.0, time.monotonic()
    note = ""
    while True:
        key = _key()
        if key in _END_KEYS:
            return
        if key in _LEFT_KEYS or key in _RIGHT_KEYS:
            try:
                link.mode("JOG_LEFT" if key in _LEFT_KEYS else "JOG_RIGHT")
                note = ""
            except RefusedError as error:
                note = str(error)
        state = link.newest_state(link.clock() + 0.2)
        now_s = time.monotonic()
        if state is not None:
            heard_s = now_s
        elif now_s - heard_s > _SILENCE_S:
            raise LinkError(f"no measurement for {_SILENCE_S:g} s: the link is lost; check cable and power")
        if state is not None and now_s - drawn_s > _DRAW_S:
            drawn_s = now_s
            name = link.protocol.enums["cart_state"](state.state).name
            fault = link.protocol.enums["fault"](state.fault).name
            flags = link.protocol.enums["input_flag"]
            closed = [
                side for side, bit in (("left", "LEFT_SWITCH"), ("right", "RIGHT_SWITCH")) if state.inputs & flags[bit]
            ]
            line = (
                f"cart {state.cart_counts / encoders.cart_counts_per_m * 1000.0:+8.1f} mm   "
                f"pole {state.pole_counts / encoders.pole_counts_per_rad:+6.2f} rad   {name}"
                f"{'' if fault == 'NONE' else ' ' + fault}   switch: {' and '.join(closed) or 'none'}   {note}"
            )
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _key() -> str:
    """The newest key pressed, empty if none was."""
    file = sys.stdin.fileno()
    key = ""
    while select.select([file], [], [], 0.0)[0]:
        data = os.read(file, 64).decode(errors="ignore")
        if not data:
            return "q"
        for known in (*_LEFT_KEYS, *_RIGHT_KEYS, *_END_KEYS):
            if data.endswith(known):
                key = known
                break
    return key


@contextmanager
def _raw_terminal() -> Iterator[None]:
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        tty.setcbreak(file)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)
