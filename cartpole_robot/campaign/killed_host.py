"""SIGKILL for the host while the cart runs at full drive toward an end: does the firmware stop it in time?

Three processes stand apart: the host, which is killed; the plant behind a pseudo-terminal, in real time; the chip. For
each start a host opens the port, arms and drives at full duty from a random place toward a random end; at a random
moment it is killed. Counted is where the motor went off within the command deadline of the last byte, and where the
cart came to rest before its end stop and, for the second that it was watched, never reached it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.firmware_limits import encoders_and_settings, quickly_homing
from cartpole_robot.params import CartParams
from cartpole_robot.rig import RigError
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.runtime import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.emulator import EmulatedChip

LONGEST_RUN_S = 0.3  # by then the travel limit has stopped the cart anyway
_TRIES, _DRIVES_WITHIN_S = 5, 60.0
_STARTS_AT_ONCE = 20  # of one cart, which homes before


class Moment(NamedTuple):
    """A millisecond of the cart: its clock, where it is, what drives it, when it last heard of the host."""

    time_ms: int
    position_m: float
    speed_m_s: float
    drive: float | None
    last_heard_ms: int


@dataclass(frozen=True)
class KilledHost:
    """One start: greatest speed, ms from the host's last byte to motor off, greatest distance, least speed after it."""

    speed_m_s: float
    off_after_ms: int
    farthest_m: float
    rest_speed_m_s: float

    def is_off_in_time(self, cart: CartParams) -> bool:
        """Whether the motor was off within the command timeout."""
        _, settings = encoders_and_settings(cart)
        return self.off_after_ms <= round(1000.0 * settings.command_timeout_s)

    def has_stopped(self, cart: CartParams) -> bool:
        """Whether the cart came to rest and never reached the end stop."""
        return self.farthest_m < (cart.limits.end_stop_m or math.inf) and self.rest_speed_m_s < 0.01


def fast_cart(cart: CartParams) -> CartParams:
    """`cart` that homes quickly and goes on driving while its pole falls, so that it reaches full speed."""
    cart = quickly_homing(cart)
    _, settings = encoders_and_settings(cart)
    return dataclasses.replace(
        cart,
        limits=dataclasses.replace(cart.limits, pole_angle_rad=1.5, cart_position_m=settings.switch_m),
        firmware=dataclasses.replace(settings, pole_limit_rad=1.5),
    )


def kill_hosts(
    cart: CartParams,
    starts: Sequence[int],
    *,
    seed: int = 0,
    on_chip: bool = True,
    image: Path | None = None,
    carts: int = 1,
) -> Iterator[KilledHost]:
    """The outcome of each of those numbered starts, as they end; `carts` stand side by side, each with its own host.

    With `on_chip` the firmware is the image on the emulated chip, else the C built for this machine. The same seed
    draws the same places, ends and moments for the same number. The cart drives as `fast_cart` does. Raises `RigError`
    where none can be had.
    """
    fast = fast_cart(cart)
    parts = [starts[first : first + _STARTS_AT_ONCE] for first in range(0, len(starts), _STARTS_AT_ONCE)]
    with ProcessPoolExecutor(carts, mp_context=multiprocessing.get_context("spawn")) as workers:
        asked = [workers.submit(_start_some, fast, part, seed, on_chip, image) for part in parts]
        try:
            for done in as_completed(asked):
                yield from done.result()
        finally:
            for one in asked:
                one.cancel()


def _start_some(
    cart: CartParams, numbers: Sequence[int], seed: int, on_chip: bool, image: Path | None
) -> list[KilledHost]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, cart, on_chip, image))
    process.start()
    theirs.close()
    try:
        port = ours.recv()
        return [_one_start(ours, cart, port, random.Random(f"{seed} {number}")) for number in numbers]
    except EOFError:
        raise RigError("the cart's process ended before its time") from None
    finally:
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(10.0)


def serve(connection: Connection, params: CartParams, on_chip: bool, image: Path | None) -> None:
    """The cart's process: answers a number with the moments since the last, and places the next start there."""
    moments: list[Moment] = []
    with contextlib.ExitStack() as stack:
        board = stack.enter_context(EmulatedChip(image)) if on_chip else None
        served = stack.enter_context(PtyCart(params, board=board))
        assert served.person is not None
        person = served.person
        line_ms = 1 if on_chip else 0  # bytes reach the chip in the course of the millisecond that comes

        def note(cart: VirtualCart) -> None:
            state = cart.true_state()
            heard_ms = served.last_received_ms + line_ms
            moments.append(Moment(cart.time_ms, state.cart_position_m, state.cart_speed_m_s, cart.drive, heard_ms))

        def is_over() -> bool:
            if not connection.poll():
                return False
            try:
                asked = connection.recv()
            except EOFError:
                return True
            if asked is None:
                return True
            person.position_m = asked
            connection.send(list(moments))
            moments.clear()
            return False

        connection.send(served.path)
        served.serve(until=is_over, on_tick=note)


def _drive_until_killed(cart: CartParams, port: str, duty: float, connection: Connection) -> None:
    """The host's process: full drive through the very rig that a deployment uses."""
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what it tells a person is of no use here
    rig = SerialRig(cart, port)
    start_rollout(rig, 0)
    connection.send("driving")
    with contextlib.suppress(RigError):
        while True:
            rig.step(duty)
    time.sleep(60.0)  # stopped by the firmware before the kill came


def _one_start(served: Connection, cart: CartParams, port: str, rng: random.Random) -> KilledHost:
    """Let one host drive, kill it, and see what the cart made of it; a host that never drives is no start."""
    duty = rng.choice((-1.0, 1.0))
    room_m = cart.limits.cart_position_m
    place_m, run_s = -duty * room_m * rng.uniform(-0.2, 0.75), rng.uniform(0.02, LONGEST_RUN_S)
    for _ in range(_TRIES):
        served.send(place_m)
        served.recv()
        ours, theirs = multiprocessing.Pipe()
        host = multiprocessing.get_context("fork").Process(target=_drive_until_killed, args=(cart, port, duty, theirs))
        host.start()
        theirs.close()
        with contextlib.suppress(EOFError):  # it ended
            if ours.poll(_DRIVES_WITHIN_S):
                ours.recv()
                break
        host.kill()
        host.join()
    else:
        raise RigError(f"no host got to drive in {_TRIES} times {_DRIVES_WITHIN_S:g} s; is the machine overloaded?")
    time.sleep(run_s)
    assert host.pid is not None
    os.kill(host.pid, signal.SIGKILL)
    host.join()
    time.sleep(1.0)
    served.send(0.0)
    moments: list[Moment] = served.recv()
    begin = max(
        k
        for k in range(len(moments))
        if moments[k].drive in (None, 0.0) and k + 1 < len(moments) and moments[k + 1].drive not in (None, 0.0)
    )
    driven = moments[begin + 1 :]
    last_heard_ms = driven[-1].last_heard_ms
    off = next(moment for moment in driven if moment.drive in (None, 0.0))
    return KilledHost(
        speed_m_s=max(abs(moment.speed_m_s) for moment in driven),
        off_after_ms=off.time_ms - last_heard_ms,
        farthest_m=max(abs(moment.position_m) for moment in driven),
        rest_speed_m_s=min(abs(moment.speed_m_s) for moment in driven if moment.time_ms >= off.time_ms),
    )
