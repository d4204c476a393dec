"""Episodes in real time without an operator, on the virtual cart behind its pseudo-terminal.

    python -m benchmarks.hands_free [--cart NAME] [--episodes 200] [--seed 2102] [--json]

Each episode starts with a swing-up; the cart's regulator balances for half a second to two seconds; then the pole is
pushed from outside until it falls. Nobody touches the cart. An episode counts as started when it was handed over
upright and settled, whatever attempts that took. SIGTERM and Ctrl-C end the run early, with the figures so far.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rigs.swing_start import SwingStart, kind_of
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.start import swing_start
from cartpole_robot.terminal.interrupts import stopped_by_signals
from cartpole_robot.terminal.progress import progress_bar

SEED = 2102
_PUSH_S = 1.0  # pushes come every so many seconds until the pole falls
_MOST_PUSHES = 10
_PUSH_RAD_S = (1.8, 2.4)  # harder ones look to the firmware like a broken encoder, and it homes again


def serve(cart: CartParams, connection: Connection) -> None:
    """The cart's process: a number from the connection is a push in rad/s, None the end."""
    is_over = False

    def look(virtual: VirtualCart) -> None:
        nonlocal is_over
        if virtual.time_ms % 10 == 0 and connection.poll():
            push = connection.recv()
            if push is None:
                is_over = True
            else:
                virtual.push(push)

    with PtyCart(cart, has_hand=False) as pty_cart, punctual():
        connection.send(pty_cart.path)
        pty_cart.serve(until=lambda: is_over, on_tick=look)


@contextlib.contextmanager
def cart_to_push(cart: CartParams) -> Iterator[tuple[str, Connection]]:
    """The port of a virtual cart, and what takes pushes, while its process runs."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(cart, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send(None)
        process.join(10.0)


def fall(rig: SwingStart, regulator: LqrController, pushes: Connection, rng: np.random.Generator) -> str:
    """How an episode ended that has been handed over: "fall" or the rig's fault."""
    period_s = rig.cart.timing.control_period_s
    measurement = rig.rig.begin_episode()
    push_at = round(rng.uniform(0.5, 2.0) / period_s)
    every = round(_PUSH_S / period_s)
    regulator.reset()
    try:
        for step in range(push_at + _MOST_PUSHES * every):
            if task.is_terminated(measurement, rig.cart.limits):
                return "fall"
            if step >= push_at and (step - push_at) % every == 0:
                pushes.send(float(rng.choice((-1.0, 1.0)) * rng.uniform(*_PUSH_RAD_S)))
            measurement = rig.step(regulator.duty(task.observation(measurement)))
    except RigError as error:
        return kind_of(str(error))
    return "did not fall"


def run(cart: CartParams, episodes: int, seed: int) -> dict[str, Any]:
    """The figures of the benchmark."""
    rng, regulator = np.random.default_rng(seed), regulator_of(cart)
    starts: list[SwingUpRecord] = []
    failures: list[str] = []
    ends: dict[str, int] = {}
    began_s = time.monotonic()
    with cart_to_push(cart) as (port, pushes), contextlib.closing(SerialRig(cart, port)) as serial, punctual():
        rig = swing_start(serial)
        with (
            progress_bar(episodes, "hands-free", " episodes") as bar,
            contextlib.suppress(KeyboardInterrupt),
            stopped_by_signals(),
        ):
            for _ in range(episodes):
                try:
                    rig.reset(task.start_state(cart.start, rng), rng)
                except RigError as error:
                    failures.append(str(error))
                else:
                    assert rig.newest is not None
                    starts.append(rig.newest)
                    end = fall(rig, regulator, pushes, rng)
                    ends[end] = ends.get(end, 0) + 1
                bar.update()
                bar.set_postfix_str(f"{len(starts)} started", refresh=False)
    durations = [start.swing_up_s for start in starts]
    return {
        "cart": cart.name,
        "started": len(starts),
        "episodes": len(starts) + len(failures),
        "swing_ups": sum(start.swing_ups for start in starts),
        "median_s": float(np.median(durations)) if durations else None,
        "longest_s": max(durations, default=None),
        "farthest_m": max((start.swing_up_farthest_m for start in starts), default=None),
        "failed_attempts": [failure for start in starts for failure in start.swing_up_failures],
        "not_started": failures,
        "ends": ends,
        "cart_time_s": round(rig.cart_time_s, 1),
        "distance_m": round(rig.distance_m, 1),
        "wall_s": round(time.monotonic() - began_s, 1),
    }


def main() -> None:
    """Print the figures, one a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = run(load_cart(arguments.cart), arguments.episodes, arguments.seed)
    if arguments.json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name:<16} {value}" for name, value in found.items()))
    print(machine_line())


if __name__ == "__main__":
    main()
