"""SIGKILL for the host while the cart runs at full drive toward an end: does the firmware stop it in time?

    python -m benchmarks.killed_host --starts 100

A virtual cart lives behind a pseudo-terminal in real time. For each start a host process opens the port, arms and
drives at full duty from a random place toward a random end; at a random moment it is killed. Counted is where the motor
went off within the command deadline of the last byte, and where the cart came to rest before its end stop and, for the
second that it was watched, never reached it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart_files import load_cart
from cartpole_robot.params import CartParams
from cartpole_robot.rig import RigError
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.runtime import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart

DEADLINE_MS = 60  # command_timeout_s of the cart
END_STOP_M = 0.48
LONGEST_RUN_S = 0.3  # by then the travel limit has stopped the cart anyway


class Moment(NamedTuple):
    """A millisecond of the cart: its clock, where it is, what drives it, when it last heard of the host."""

    time_ms: int
    position_m: float
    speed_m_s: float
    drive: float | None
    last_received_ms: int


@dataclass(frozen=True)
class Outcome:
    """One start: greatest speed, ms from the host's last byte to motor off, greatest distance, least speed after it."""

    speed_m_s: float
    off_after_ms: int
    farthest_m: float
    rest_speed_m_s: float

    def is_off_in_time(self) -> bool:
        """Whether the motor was off within the command deadline."""
        return self.off_after_ms <= DEADLINE_MS

    def has_stopped(self) -> bool:
        """Whether the cart came to rest and never reached the end stop."""
        return self.farthest_m < END_STOP_M and self.rest_speed_m_s < 0.01


def fast_cart() -> CartParams:
    """`diy_arduino` that homes quickly and goes on driving while its pole falls, so that it reaches full speed."""
    cart = load_cart("diy_arduino")
    assert cart.firmware is not None
    return dataclasses.replace(
        cart,
        limits=dataclasses.replace(cart.limits, pole_angle_rad=1.5, cart_position_m=0.47),
        firmware=dataclasses.replace(cart.firmware, pole_limit_rad=1.5, homing_speed_m_s=0.6, homing_duty=0.5),
    )


def serve(connection: Connection) -> None:
    """The cart's process: answers a number with the moments since the last, and places the next start there."""
    moments: list[Moment] = []
    with PtyCart(fast_cart()) as served:
        assert served.person is not None
        person = served.person

        def note(cart: VirtualCart) -> None:
            state = cart.true_state()
            moments.append(
                Moment(cart.time_ms, state.cart_position_m, state.cart_speed_m_s, cart.drive, served.last_received_ms)
            )

        def is_over() -> bool:
            if not connection.poll():
                return False
            asked = connection.recv()
            if asked is None:
                return True
            person.position_m = asked
            connection.send(list(moments))
            moments.clear()
            return False

        connection.send(served.path)
        served.serve(until=is_over, on_tick=note)


def drive_until_killed(port: str, duty: float, connection: Connection) -> None:
    """The host's process: full drive through the very rig that a deployment uses."""
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what it tells a person is of no use here
    rig = SerialRig(fast_cart(), port)
    start_rollout(rig, 0)
    connection.send("driving")
    with contextlib.suppress(RigError):
        while True:
            rig.step(duty)
    time.sleep(60.0)  # stopped by the firmware before the kill came


def one_start(cart: Connection, port: str, rng: random.Random) -> Outcome:
    """Let one host drive, kill it, and see what the cart made of it."""
    duty = rng.choice((-1.0, 1.0))
    cart.send(-duty * rng.uniform(-0.1, 0.35))
    cart.recv()
    ours, theirs = multiprocessing.Pipe()
    host = multiprocessing.get_context("fork").Process(target=drive_until_killed, args=(port, duty, theirs))
    host.start()
    if not ours.poll(60.0):
        host.kill()
        raise RuntimeError("the host did not get to drive")
    ours.recv()
    time.sleep(rng.uniform(0.02, LONGEST_RUN_S))
    assert host.pid is not None
    os.kill(host.pid, signal.SIGKILL)
    host.join()
    time.sleep(1.0)
    cart.send(0.0)
    moments: list[Moment] = cart.recv()
    begin = max(
        k
        for k in range(len(moments))
        if moments[k].drive in (None, 0.0) and k + 1 < len(moments) and moments[k + 1].drive not in (None, 0.0)
    )
    driven = moments[begin + 1 :]
    last_received_ms = driven[-1].last_received_ms
    off = next(moment for moment in driven if moment.drive in (None, 0.0))
    return Outcome(
        speed_m_s=max(abs(moment.speed_m_s) for moment in driven),
        off_after_ms=off.time_ms - last_received_ms,
        farthest_m=max(abs(moment.position_m) for moment in driven),
        rest_speed_m_s=min(abs(moment.speed_m_s) for moment in driven if moment.time_ms >= off.time_ms),
    )


def run_campaign(starts: int, seed: int = 0) -> list[Outcome]:
    """The outcomes of that many starts, in order."""
    rng = random.Random(seed)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        port = ours.recv()
        return [one_start(ours, port, rng) for _ in range(starts)]
    finally:
        ours.send(None)
        process.join(10.0)


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=100)
    arguments = parser.parse_args()
    outcomes = run_campaign(arguments.starts)
    count = len(outcomes)
    worst_ms = max(outcome.off_after_ms for outcome in outcomes)
    in_time = sum(outcome.is_off_in_time() for outcome in outcomes)
    stopped = sum(outcome.has_stopped() for outcome in outcomes)
    speeds = [outcome.speed_m_s for outcome in outcomes]
    print(f"motor off within {DEADLINE_MS} ms of the host's last byte: {in_time} of {count} (worst {worst_ms} ms)")
    print(
        f"at rest before the end stop at {END_STOP_M * 1000:.0f} mm: {stopped} of {count} "
        f"(farthest {max(outcome.farthest_m for outcome in outcomes) * 1000:.0f} mm)"
    )
    print(f"greatest speeds: median {np.median(speeds):.2f} m/s, largest {max(speeds):.2f} m/s")
    print(machine_line())


if __name__ == "__main__":
    main()
