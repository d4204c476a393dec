"""Deployments on a virtual cart that is harmed while it balances, and the replay of each black box.

    python -m tests.faults.struck_deployment POLICY FOLDER RIG:FAULT,FAULT,... ...

prints one JSON object, by fault. Each group of faults has a cart, and all groups run at the same time, in processes
that are forked once everything is imported. The cart stands behind a pseudo-terminal in a process of its own, as a real
one would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.black_box import load_black_box
from cartpole_robot.deployment.replay import replay
from cartpole_robot.deployment.run import DeployRequest, deploy
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.rigs.open_rig import open_board
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.simulation.line import Line, LineFaults
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.emulator import EmulatedChip

STRIKE_MS = 1200  # armed
LATER_MS = 70
ATTEMPTS = 5  # the host ends the episode of a pole that falls, now and then before the firmware has named the fault
HANG_S = 1.0


def _press(cart: VirtualCart) -> None:
    cart.is_estop_pressed = True


def _close_left(cart: VirtualCart) -> None:
    cart.inputs_set = 1


def _sag(cart: VirtualCart) -> None:
    cart.supply_mv = round(0.7 * cart.nominal_mv)


def _break_line(cart: VirtualCart, **faults: Any) -> None:
    cart.line = Line(LineFaults(**faults))


def _freeze(which: int) -> Callable[[VirtualCart], None]:
    """A strike that cuts both wires of the encoder: its count stands still."""

    def strike(cart: VirtualCart) -> None:
        board = cart.board

        class Frozen:
            feed, take, has_sent, restart = board.feed, board.take, board.has_sent, board.restart  # type: ignore[attr-defined]
            at: int | None = None

            @property
            def time_us(self) -> int:
                return board.time_us

            def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> int | None:
                counts = [cart_counts, pole_counts]
                if self.at is None:
                    self.at = counts[which]
                counts[which] = self.at
                return board.tick(*counts, inputs, supply_mv)

        cart.board = Frozen()

    return strike


def _board(call: str, *arguments: Any, **named: Any) -> Callable[[VirtualCart], None]:
    return lambda cart: getattr(cart.board, call)(*arguments, **named)


STRIKES: dict[str, Callable[[VirtualCart], None]] = {
    "e-stop": _press,
    "switch": _close_left,
    "droop": _sag,
    "reset": _board("restart", 4),
    "cart spikes": _board("disturb", 12, 0, 0),
    "pole spikes": _board("disturb", 0, 12, 0),
    "missed ticks": _board("disturb", 0, 0, 20),
    "cart encoder cut": _freeze(0),
    "pole encoder cut": _freeze(1),
    "flipped bytes": lambda cart: _break_line(cart, flipped=0.03),
    "slow line": lambda cart: _break_line(cart, delay_ms=60),
    "dead line": lambda cart: _break_line(cart, is_dead_to_cart=True),
    "port gone": lambda cart: os._exit(0),
    "program hangs": _board("hang", True),
    "tick lost": _board("hang", False),
    "cart wire cut": _board("wire", cut=2),
    "pole wire cut": _board("wire", cut=4),
    "cart wires swapped": _board("wire", swapped=1),
    "pole wires swapped": _board("wire", swapped=2),
}


def _serve(connection: Connection, others: Connection, cart: CartParams, rig: str, strike_ms: int) -> None:
    """The cart's process: each fault received strikes once, in the next run, after everything is repaired."""
    others.close()  # or it would never see the other end closed
    with open_board(rig, cart) as board, PtyCart(cart, board=board) as pty_cart:
        assert pty_cart.person is not None
        person, whole, fault, armed_ms = pty_cart.person, pty_cart.cart.board, None, 0

        def strike(virtual: VirtualCart) -> None:
            nonlocal armed_ms, fault
            armed_ms = armed_ms + 1 if person.sees_armed else 0
            if fault is not None and armed_ms == strike_ms:
                STRIKES[fault](virtual)
                fault = None

        def is_over() -> bool:
            nonlocal fault
            if not connection.poll():
                return False
            try:
                fault = connection.recv()
            except EOFError:
                return True
            virtual = pty_cart.cart
            virtual.board, virtual.line = whole, None
            virtual.inputs_set, virtual.is_estop_pressed, virtual.supply_mv = 0, False, virtual.nominal_mv
            if isinstance(whole, EmulatedChip):
                whole.wire()
            virtual.hang()
            connection.send("repaired")
            return False

        connection.send(pty_cart.path)
        pty_cart.serve(until=is_over, on_tick=strike)


def struck(rig: str, policy: Path, folder: Path, faults: list[str], strike_ms: int = STRIKE_MS) -> dict[str, Any]:
    """For each fault, the result and files of the deployment, and the outcome of its replay."""
    cart = quickly_homing(load_cart("diy_arduino"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{faults[0]}.toml"
    write_cart(file, cart)
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_serve, args=(theirs, ours, cart, rig, strike_ms), daemon=True)
    process.start()
    theirs.close()
    port = ours.recv()
    outcomes: dict[str, dict[str, Any]] = {}
    for fault in faults:
        ours.send(fault)
        ours.recv()
        time.sleep(HANG_S)  # a pole that still swings fails the homing
        request = DeployRequest(
            policy=policy,
            cart=str(file) if rig == "virtual" else "diy_arduino",
            rig=f"serial:{port}",
            duration_s=20.0,
            record=folder / f"{fault}.parquet",
            is_viewed=False,
        )
        with contextlib.redirect_stderr(io.StringIO()):
            done = deploy(request)
        found: dict[str, Any] = {"fault": done.fault, "steps": done.rollout.steps, "reason": done.rollout.reason}
        if done.black_box is not None:
            found["replayed"] = dataclasses.asdict(replay(load_black_box(done.black_box), "virtual"))
        outcomes[fault] = found
    ours.close()
    process.join(5.0)
    return outcomes


def struck_in_turn(rig: str, policy: Path, folder: Path, faults: list[str]) -> dict[str, Any]:
    """As `struck`, on one virtual cart or on a new chip for each fault."""
    if rig == "virtual":
        return struck(rig, policy, folder, faults)
    outcomes: dict[str, Any] = {}
    for fault in faults:
        for attempt in range(ATTEMPTS):
            strike_ms = STRIKE_MS + attempt * LATER_MS  # another push, another lean
            outcomes |= struck(rig, policy, folder / str(attempt), [fault], strike_ms)
            if outcomes[fault]["fault"] is not None:
                break
    return outcomes


def main(policy: Path, folder: Path, groups: list[str]) -> None:
    design_lqr(load_cart("diy_arduino"))  # loads SciPy
    with ProcessPoolExecutor(len(groups), mp_context=multiprocessing.get_context("fork")) as pool:
        runs = []
        for number, group in enumerate(groups):
            rig, _, faults = group.partition(":")
            runs.append(pool.submit(struck_in_turn, rig, policy, folder / str(number), faults.split(",")))
        print(json.dumps({fault: found for run in runs for fault, found in run.result().items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
