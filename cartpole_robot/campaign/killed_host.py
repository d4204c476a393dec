"""SIGKILL for the host while the cart runs at full drive toward an end, or homes: does the firmware stop it in time?

Three separate processes run: the host, which is killed; the plant behind a pseudo-terminal, in real time; the chip. For
each start a host opens the port, arms and drives at full duty from a random place toward a random end; at a random
moment it is killed. A start is good if the motor is off within the command deadline of the last byte, and the cart
comes to rest (not only reverses) before its end stop and does not reach it within the second after the kill. The pole
is free: when it swings through below, it rocks the cart, whose bridge is open by then, back and forth by some cm. If
the firmware had stopped the motor before the kill, the start does not count and is repeated with a shorter run; with
the same run if it had to, since the living host was silent for too long: the machine is busy.

A stepper, which no hand moves, drives from the middle. It answers the silence with a ramp to rest and holds; a start is
good if its last pulse comes in the time of the command deadline and a ramp from full speed, if the cart comes to rest,
and if it then stands where it is counted.

While homing, a host sends a frame every 0.2 s or so and is killed at a random moment; a start is good if the motor is
off within half a second of the last frame that arrived.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cartpole_robot.campaign.killed_outcome import (
    HOMING_OFF_MS,
    KilledHost,
    Moment,
    has_lost_time,
    outcome_of,
    was_starved,
)
from cartpole_robot.cart.firmware_figures import encoders_and_settings, quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import driver_wiring
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool
from firmware_bridge._host import FrameDecoder
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import RefusedError
from firmware_bridge.messages import StateMessage

LONGEST_RUN_S = 0.3  # by then the travel limit has stopped the cart anyway
LONGEST_HOMING_S = 2.5  # from the first push on: both switches, and part of the way to the middle
OBSERVED_S = 1.0  # after the kill, of the cart's time
_TRIES, _DRIVES_WITHIN_S = 8, 60.0
_BUSY_TRIES, _OBSERVED_WITHIN_S = 100, 60.0
_STARTS_WITHIN_S = 60.0  # the first time an emulator is compiled
_ENDS_WITHIN_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STARTS_AT_ONCE = 20  # of one cart, which homes before


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

        decoder, counts = FrameDecoder(), 0

        def read(sent: bytes) -> None:
            nonlocal counts
            for message in decoder.feed(sent):
                if message[0] == StateMessage.TYPE:
                    counts = StateMessage.unpack(message).cart_counts

        def note(cart: VirtualCart) -> None:
            state = cart.true_state()
            heard_ms = pty_cart.last_received_ms + line_ms
            place = (state.cart_position_m, state.cart_speed_m_s)
            moments.append(Moment(cart.time_ms, time.monotonic(), *place, cart.drive, heard_ms, counts))

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

        pty_cart.on_sent = read
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
        outcome = outcome_of(moments, driving_s=driving_s, killed_s=killed_s, stepper=of.cart.stepper)
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
