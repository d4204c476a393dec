"""SIGKILL for the host while the cart runs at full drive toward an end, or homes: does the firmware stop it in time?

Three separate processes run: the host, which is killed; the plant behind a pseudo-terminal, in real time; the chip. For
each start a host opens the port, arms and drives at full duty from a random place toward a random end; at a random
moment it is killed. A start is good if the motor is off within the command deadline of the last byte, and the cart
comes to rest (not only reverses) before its end stop and does not reach it within the second after the kill. The pole
is free: when it swings through below, it rocks the cart, whose bridge is open by then, back and forth by some cm. If
the firmware had stopped the motor before the kill, the start does not count and is repeated with a shorter run; with
the same run if it had to, since the living host was silent for too long: the machine is busy.

While homing, a host sends a frame every 0.2 s or so and is killed at a random moment; a start is good if the motor is
off within half a second of the last frame that arrived.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import itertools
import math
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.cart.firmware_figures import encoders_and_settings, quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import driver_wiring
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import RefusedError

LONGEST_RUN_S = 0.3  # by then the travel limit has stopped the cart anyway
LONGEST_HOMING_S = 2.5  # from the first push on: both switches, and part of the way to the middle
HOMING_OFF_MS = 500
OBSERVED_S = 1.0  # after the kill, of the cart's time
REST_M_S = 0.01
STANDS_MS = 100  # how long it must be at rest without a break: a cart that reverses is not
_TRIES, _DRIVES_WITHIN_S = 8, 60.0
_BUSY_TRIES, _OBSERVED_WITHIN_S, _LOST_MS = 100, 60.0, 20
_STARTS_WITHIN_S = 60.0  # the first time an emulator is compiled
_ENDS_WITHIN_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STARTS_AT_ONCE = 20  # of one cart, which homes before


class Moment(NamedTuple):
    """One millisecond of the cart: its clock and the machine's, position, speed, drive, and the last byte's time."""

    time_ms: int
    clock_s: float
    position_m: float
    speed_m_s: float
    drive: float | None
    last_heard_ms: int


@dataclass(frozen=True, kw_only=True)
class KilledHost:
    """One start: speed at the kill, ms from the host's last byte to motor off, greatest distance, longest standstill.

    If the motor never went off, `off_after_ms` extends to the end of the observation. `repeats` counts the tries
    before it that a busy machine spoiled.
    """

    speed_m_s: float
    off_after_ms: int
    is_off: bool
    farthest_m: float
    stood_ms: int
    repeats: int = 0

    def is_homing_off_in_time(self) -> bool:
        """Whether the motor of a homing cart was off within half a second."""
        return self.is_off and self.off_after_ms <= HOMING_OFF_MS

    def is_off_in_time(self, cart: CartParams) -> bool:
        """Whether the motor was off within the command timeout."""
        _, settings = encoders_and_settings(cart)
        return self.is_off and self.off_after_ms <= round(1000.0 * settings.command_timeout_s)

    def has_stopped(self, cart: CartParams) -> bool:
        """Whether the cart came to rest and never reached the end stop."""
        return self.farthest_m < (cart.limits.end_stop_m or math.inf) and self.stood_ms >= STANDS_MS

    def message(self, cart: CartParams) -> str:
        """The outcome as text for a person."""
        if not self.is_off:
            return "never off"
        if not self.has_stopped(cart):
            rest = "at rest" if self.stood_ms >= STANDS_MS else "never stood still"
            return f"went to {1000 * self.farthest_m:.0f} mm, {rest}"
        return "off and at rest" if self.is_off_in_time(cart) else "off late"


def fast_cart(cart: CartParams) -> CartParams:
    """`cart` that homes quickly and keeps driving while its pole falls, so that it reaches full speed."""
    cart = quickly_homing(cart)
    _, settings = encoders_and_settings(cart)
    return dataclasses.replace(
        cart,
        limits=dataclasses.replace(cart.limits, pole_angle_rad=1.5, cart_position_m=settings.switch_m),
        firmware=dataclasses.replace(settings, pole_limit_rad=1.5),
    )


@dataclass(frozen=True, kw_only=True)
class KilledStarts:
    """What is started and killed: hosts of `cart`, which drives as `fast_cart` does, or homes with `is_homing`.

    With `on_chip` the firmware is the image on the emulated chip, else the C built for this machine. The same seed
    draws the same places, ends and moments for the same number.
    """

    cart: CartParams
    seed: int = 0
    on_chip: bool = True
    image: Path | None = None
    is_homing: bool = False


def kill_hosts(of: KilledStarts, starts: Sequence[int], *, carts: int = 1) -> Iterator[KilledHost]:
    """The outcome of each numbered start, as they end; `carts` run at the same time, each with its own host.

    Raises `RigError` if a start fails too often.
    """
    fast = dataclasses.replace(of, cart=fast_cart(of.cart))
    parts = [starts[first : first + _STARTS_AT_ONCE] for first in range(0, len(starts), _STARTS_AT_ONCE)]
    with WorkerPool(carts) as workers:
        asked = [workers.submit(_start_some, fast, part) for part in parts]
        for done in as_completed(asked):
            yield from done.result()


def _start_some(of: KilledStarts, numbers: Sequence[int]) -> list[KilledHost]:
    ours, theirs = multiprocessing.Pipe()
    process = MainlessProcess(target=serve, args=(theirs, of.cart, of.on_chip, of.image))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_STARTS_WITHIN_S):
            raise RigError(f"the cart did not start within {_STARTS_WITHIN_S:g} s; is the machine overloaded?")
        port = ours.recv()
        return [_one_start(ours, of, port, random.Random(f"{of.seed} {number}")) for number in numbers]
    except (EOFError, OSError):
        raise RigError("the cart's process ended before its time; is the machine out of memory?") from None
    finally:
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(_ENDS_WITHIN_S)
        if process.is_alive():
            process.kill()
            process.join()


def serve(connection: Connection, params: CartParams, on_chip: bool, image: Path | None) -> None:
    """The cart's process: for each position received, sends the moments since the last and starts there next."""
    moments: list[Moment] = []
    with contextlib.ExitStack() as stack:
        board = stack.enter_context(EmulatedChip(image, driver=driver_wiring(params))) if on_chip else None
        pty_cart = stack.enter_context(PtyCart(params, board=board))
        assert pty_cart.person is not None
        person = pty_cart.person
        line_ms = 1 if on_chip else 0  # bytes reach the chip in the course of the millisecond that comes

        def note(cart: VirtualCart) -> None:
            state = cart.true_state()
            heard_ms = pty_cart.last_received_ms + line_ms
            moments.append(
                Moment(
                    cart.time_ms, time.monotonic(), state.cart_position_m, state.cart_speed_m_s, cart.drive, heard_ms
                )
            )

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

        connection.send(pty_cart.path)
        pty_cart.serve(until=is_over, on_tick=note)


def _drive_until_killed(cart: CartParams, port: str, duty: float, connection: Connection) -> None:
    """The host's process: full drive through the rig that a deployment uses. It ends with the worker that began it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - its messages are of no use here
    rig = SerialRig(cart, port)
    start_rollout(rig, 0)
    connection.send(time.monotonic())
    with contextlib.suppress(RigError):
        while True:
            rig.step(duty)
    time.sleep(60.0)  # stopped by the firmware before the kill came


def _home_until_killed(cart: CartParams, port: str, duty: float, connection: Connection) -> None:
    """The host's process: homes, whatever the cart was, and reads what it reports. `duty` says nothing."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - its messages are of no use here
    rig = SerialRig(cart, port)
    link = rig.link
    link.mode("DISARM")
    with contextlib.suppress(RefusedError):  # there is no fault to clear
        link.mode("CLEAR")
    link.mode("HOME")
    is_driven = False
    while True:
        state = link.newest_state(link.clock() + 1.0)
        if state is not None and state.applied_q15 != 0 and not is_driven:
            is_driven = True
            connection.send(time.monotonic())


def _one_start(connection: Connection, of: KilledStarts, port: str, rng: random.Random) -> KilledHost:
    """Let one host drive, kill it, and return the outcome.

    A host that never drives, or a motor that was off before the kill, does not count: both are repeated, the latter
    with half of the run, or while homing, where the motor also rests now and then, with another one. If the machine
    kept the cart's process from its time, or the living host from sending, that is no try of these.
    """
    timeout_ms = HOMING_OFF_MS
    if not of.is_homing:
        _, settings = encoders_and_settings(of.cart)
        timeout_ms = round(1000.0 * settings.command_timeout_s)
    duty = rng.choice((-1.0, 1.0))
    room_m = of.cart.limits.cart_position_m
    place_m, run_s = -duty * room_m * rng.uniform(-0.2, 0.75), rng.uniform(0.02, LONGEST_RUN_S)
    tries = repeats = 0
    while tries < _TRIES and repeats < _BUSY_TRIES:
        if of.is_homing:
            run_s = rng.uniform(0.02, LONGEST_HOMING_S)
        connection.send(place_m)
        _answered(connection)
        run = _drive_and_kill(of, port, duty, run_s)
        if run is None:
            connection.send(0.0)
            is_busy = has_lost_time(_answered(connection))
            repeats, tries = repeats + is_busy, tries + (not is_busy)
            continue
        driving_s, killed_s = run
        moments = _observed(connection, killed_s)
        outcome = outcome_of(moments, driving_s=driving_s, killed_s=killed_s)
        if outcome is not None:
            return dataclasses.replace(outcome, repeats=repeats)
        if was_starved([moment for moment in moments if driving_s <= moment.clock_s < killed_s], timeout_ms):
            repeats += 1
        else:
            tries += 1
            run_s /= 2.0
    raise RigError(
        f"no host was killed while it drove: {tries} times it did not drive then, or the firmware stopped the motor "
        f"before, and {repeats} times the machine was too busy to let it send"
    )


def has_lost_time(moments: Sequence[Moment]) -> bool:
    """Whether the cart's clock fell behind the machine's during the `moments`."""
    passed_ms = 1000.0 * (moments[-1].clock_s - moments[0].clock_s) if moments else 0.0
    return passed_ms - len(moments) > _LOST_MS


def was_starved(moments: Sequence[Moment], timeout_ms: int) -> bool:
    """Whether at one of the `moments`, of a living host, none of its bytes had come for as long as stops the motor."""
    return any(moment.time_ms - moment.last_heard_ms >= timeout_ms for moment in moments)


def _observed(connection: Connection, killed_s: float) -> list[Moment]:
    """The moments since the last until `OBSERVED_S` after the kill by the cart's time, which a busy machine slows down.

    Raises `RigError` if that takes too long.
    """
    moments: list[Moment] = []
    give_up_s = time.monotonic() + _OBSERVED_WITHIN_S
    rest_s = OBSERVED_S
    while rest_s > 0.0:
        if time.monotonic() > give_up_s:
            raise RigError(
                f"the cart did not get {OBSERVED_S:g} s further within {_OBSERVED_WITHIN_S:g} s; is the machine "
                "overloaded?"
            )
        time.sleep(rest_s)
        connection.send(0.0)
        moments += _answered(connection)
        after = [moment.time_ms for moment in moments if moment.clock_s >= killed_s]
        rest_s = OBSERVED_S - (len(after) - 1) / 1000.0  # a moment is a millisecond
    return moments


def _answered(connection: Connection) -> list[Moment]:
    """The cart's answer to a place. Raises `RigError` where none comes."""
    if not connection.poll(_ENDS_WITHIN_S):
        raise RigError(f"the cart's process did not answer within {_ENDS_WITHIN_S:g} s; is the machine overloaded?")
    moments: list[Moment] = connection.recv()
    return moments


def _drive_and_kill(of: KilledStarts, port: str, duty: float, run_s: float) -> tuple[float, float] | None:
    """When a host began to drive and when it was killed, on the machine's clock; None if it never drove."""
    ours, theirs = multiprocessing.Pipe()
    work = _home_until_killed if of.is_homing else _drive_until_killed
    host = multiprocessing.get_context("fork").Process(target=work, args=(of.cart, port, duty, theirs))
    host.start()
    theirs.close()
    try:
        if not ours.poll(_DRIVES_WITHIN_S):
            return None
        driving_s: float = ours.recv()
        time.sleep(run_s)
        killed_s = time.monotonic()
        return driving_s, killed_s
    except EOFError:  # it ended
        return None
    finally:
        host.kill()
        host.join()
        ours.close()


def outcome_of(moments: Sequence[Moment], *, driving_s: float, killed_s: float) -> KilledHost | None:
    """The outcome; None if the start does not count: the motor never ran, or was off before the kill.

    Motion before `driving_s` was homing.
    """
    run = [moment for moment in moments if moment.clock_s >= driving_s]
    driven = [k for k, moment in enumerate(run) if moment.drive not in (None, 0.0)]
    if not driven or run[driven[0]].clock_s > killed_s:
        return None
    after = run[driven[-1] + 1 :]
    if after and after[0].clock_s < killed_s:
        return None
    off_ms = after[0].time_ms if after else run[-1].time_ms
    return KilledHost(
        speed_m_s=next(abs(moment.speed_m_s) for moment in reversed(run) if moment.clock_s <= killed_s),
        off_after_ms=off_ms - run[-1].last_heard_ms,
        is_off=bool(after),
        farthest_m=max(abs(moment.position_m) for moment in run[driven[0] :]),
        stood_ms=_longest(abs(moment.speed_m_s) < REST_M_S for moment in after),
    )


def _longest(facts: Iterable[bool]) -> int:
    """The length of the longest run of true facts."""
    return max((len(list(part)) for is_true, part in itertools.groupby(facts) if is_true), default=0)
