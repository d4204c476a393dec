"""`bring-up` on hidden virtual carts: how many it takes to a balanced minute, and what that takes.

    python -m benchmarks.bring_up_hidden [--carts 20] [--seed 2121] [--rig virtual|avr|pty] [--only N,N] [--json]
    python -m benchmarks.bring_up_hidden --cart diy_stepper --carts 5
    python -m benchmarks.bring_up_hidden --known

Each cart is `diy_arduino` with force (0.4 to 2.5 times), all friction of cart and pole (0.5 to 2.5 times) and pole
length (0.6 to 1.6 times) drawn log-uniformly, and the line's latency (0 to 30 ms) and the dead zone (0.01 to 0.08)
drawn uniformly: cart N of a seed from `numpy.random.default_rng([seed, N])`. `bring-up` gets the file of
`diy_arduino` alone. Seed 7 served to tune it; the reported seed, 2121, was fixed before it was ever run.

With --cart diy_stepper cart N is drawn from the shipped ranges of that cart by the same generator, and then the signs
of its wires: motor and pole encoder are each reversed with probability 1/2, which the file does not say.

A cart that swing-up and regulator with its true parameters cannot take through a minute is no test of `bring-up`: it
is listed, and the next draw takes its place. On such a cart `bring-up` must end with a reason.

On the rigs virtual and avr the cart's time is simulated, so the wall time is that of the computation alone. With
`--rig pty` the cart is `virtual-cart --profile ideal` behind a pseudo-terminal, in real time: its wall time is that of
a bring-up. With `--known` the carts are the three of `benchmarks.identified_training`, on each of which the policy then
runs 20 episodes.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from benchmarks.identified_training import hidden_cart as known_cart
from benchmarks.machine_load import machine_line
from cartpole_robot.bring_up.cart_line import CartLine
from cartpole_robot.bring_up.cautious import FORCE, FRICTION, LENGTH, brake_of, with_brake, with_homing
from cartpole_robot.bring_up.run import BringUp, BringUpRequest, bring_up
from cartpole_robot.bring_up.stage import StageName
from cartpole_robot.bring_up.summary import cart_time_s
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import changed_cart, load_randomization
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import run_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import Board
from cartpole_robot.simulation.wired_board import EquippedBoard, WiredBoard
from cartpole_robot.start import swing_start

CART, STEPPER_CART = "diy_arduino", "diy_stepper"
SEED = 2121
LATENCY_S, DEAD_ZONE = (0.0, 0.03), (0.01, 0.08)
MOST_REPLACED = 5  # of the first 20
MINUTE_STEPS = 3000
HOMING_DUTY = 0.5  # the most that the firmware allows: a cart that does not home with it does not home at all
FRICTIONS = ("cart_viscous_n_s_m", "cart_coulomb_n", "cart_static_n", "pole_viscous_n_m_s", "pole_coulomb_n_m")


def hidden_cart(seed: int, number: int) -> tuple[CartParams, dict[str, float]]:
    """Cart `number` of a seed, and how it differs from the file."""
    rng = np.random.default_rng([seed, number])
    force, friction, length = (
        math.exp(rng.uniform(math.log(low), math.log(high))) for low, high in (FORCE, FRICTION, LENGTH)
    )
    latency_s, dead_zone = float(rng.uniform(*LATENCY_S)), float(rng.uniform(*DEAD_ZONE))
    nominal = dataclasses.replace(load_cart(CART), action_duties=(-1.0, 1.0))  # its own would be too weak for some
    values = {
        "motor.stall_force_n": nominal.motor.stall_force_n * force,
        "motor.dead_zone_duty": dead_zone,
        "pole_cart.pole_half_length_m": nominal.pole_cart.pole_half_length_m * length,
        "delay.latency_s": latency_s,
        **{f"friction.{name}": getattr(nominal.friction, name) * friction for name in FRICTIONS},
    }
    changes = {
        "force": force,
        "friction": friction,
        "length": length,
        "latency_ms": 1000.0 * latency_s,
        "dead_zone": dead_zone,
    }
    return changed_cart(nominal, values, source=f"drawn: seed {seed}, cart {number}"), changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs:
    """Which wires of a hidden cart are turned round."""

    motor: bool = False
    pole: bool = False

    def wired(self, board: EquippedBoard, cart: CartParams) -> Board:
        """`board` behind these wires."""
        return TurnedWires(board, cart, self) if self.motor or self.pole else board


class TurnedWires(WiredBoard):
    """The motor turns the other way, the pole's encoder counts the other way, or both."""

    def __init__(self, board: EquippedBoard, cart: CartParams, signs: Signs) -> None:
        super().__init__(board, cart)
        self._signs = signs

    def pulses(self, pulses: float | None) -> float | None:
        return -pulses if pulses is not None and self._signs.motor else pulses

    def pole_counts(self, counts: int) -> int:
        return -counts if self._signs.pole else counts


def hidden_stepper(seed: int, number: int) -> tuple[CartParams, dict[str, float], Signs]:
    """Cart `number` of a seed, how it differs from the file, and the signs of its wires."""
    rng = np.random.default_rng([seed, number])
    nominal = load_cart(STEPPER_CART)
    ranges = load_randomization(Path(STEPPER_CART), nominal)
    plant = ranges.draw(rng)
    changes = {}
    for key in ranges.ranges:
        section, name = key.split(".")
        drawn, file = (getattr(getattr(cart, section), name) for cart in (plant, nominal))
        changes[name] = drawn / file if file else 1000.0 * drawn
    signs = Signs(motor=bool(rng.integers(2)), pole=bool(rng.integers(2)))
    return plant, {**changes, "motor_reversed": float(signs.motor), "pole_reversed": float(signs.pole)}, signs


def problem_with_true_parameters(plant: CartParams) -> str | None:
    """What keeps swing-up and regulator with the true parameters from a balanced minute; None if nothing does."""
    motor, static_n = plant.motor, plant.friction.cart_static_n
    moving = max(0.15, min(1.0, 2.0 * motor.duty_for(static_n / motor.stall_force_n)))
    cart = with_homing(plant, homing_duty=HOMING_DUTY, moving_duty=round(moving, 3), latency_s=plant.delay.latency_s)
    if cart.stepper is None:
        cart = with_brake(cart, brake_of(cart), "true")
    problem: str | None = None
    for seed in range(2):  # as often as `bring-up` begins a swing-up that the firmware ends for a still pole
        problem = _minute_problem(cart, seed)
        if problem is None or not problem.startswith("POLE_STILL"):
            break
    return problem


def _minute_problem(cart: CartParams, seed: int) -> str | None:
    try:
        with contextlib.closing(VirtualRig(cart)) as rig:
            rig.takes_any_pole_period = True
            swung = swing_start(rig)
            first = swung.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(seed))
            done = run_rollout(swung, SinglePilot(regulator_of(cart)), first, max_steps=MINUTE_STEPS)
    except (RigError, UsageError) as error:
        return str(error)
    if done.end is RolloutEnd.DURATION:
        return None
    return f"the regulator balanced {done.steps} of {MINUTE_STEPS} steps: {done.reason or 'it fell'}"


@contextlib.contextmanager
def rig_of(rig: str, plant: CartParams, folder: Path) -> Iterator[str]:
    """The name of the rig; for "pty" a virtual cart in real time runs meanwhile."""
    if rig != "pty":
        yield rig
        return
    file, link = folder / "plant.toml", folder / "port"
    write_cart(file, plant)
    words = ["virtual-cart", "--cart", str(file), "--profile", "ideal", "--no-hand", "--link", str(link)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"serial:{link}"
    finally:
        process.terminate()
        process.wait(10.0)


def brought_up(
    plant: CartParams, rig: str, folder: Path, *, file: str = CART, signs: Signs = Signs()
) -> tuple[BringUp, float]:
    """The bring-up of the hidden cart behind those wires, by the cart file `file`, and its wall time."""
    with rig_of(rig, plant, folder) as name:
        began_s = time.monotonic()
        nominal = load_cart(file)
        request = BringUpRequest(rig=name, cart=nominal, out=folder / "bring_up", may_move=True, is_checked=True)
        line = None if rig == "pty" else CartLine(name, nominal, plant=plant, wires=signs.wired)
        done = bring_up(request, line=line)
        return done, time.monotonic() - began_s


def row_of(done: BringUp, wall_s: float) -> dict[str, Any]:
    """What is reported of one bring-up."""
    results, failure = done.folder.results, done.failure
    row: dict[str, Any] = {
        "balanced": StageName.BALANCE in results,
        "failed": None if failure is None else f"{failure.stage}: {failure.message}",
        "wall_s": wall_s,
        "stages_s": {name.value: result.wall_s for name, result in results.items()},
    }
    if StageName.BALANCE in results:
        row["armed_s"], row["homing_s"] = cart_time_s(done)
        row["attempts"] = results[StageName.BALANCE].figures["attempts"]
        row["trainings"] = results[StageName.TRAIN].figures["trainings"]
    return row


def hidden(seed: int, carts: int, rig: str, only: list[int] | None, file: str = CART) -> list[dict[str, Any]]:
    """A row for each cart, those that were replaced included."""
    rows: list[dict[str, Any]] = []
    number = 0
    while sum(row["replaced"] is None for row in rows) < carts and (only is None or number <= max(only)):
        if only is None or number in only:
            plant, changes, signs = (
                hidden_stepper(seed, number)
                if file == STEPPER_CART
                else (
                    *hidden_cart(seed, number),
                    Signs(),
                )
            )
            replaced = problem_with_true_parameters(plant)
            with tempfile.TemporaryDirectory() as name:
                found = row_of(*brought_up(plant, rig, Path(name), file=file, signs=signs))
            rows.append({"cart": number, **changes, "replaced": replaced, **found})
            print(row_text(rows[-1], list(changes)), file=sys.stderr, flush=True)
        number += 1
    return rows


def row_text(row: dict[str, Any], names: list[str]) -> str:
    """A cart's row of the table; `names` are those of what was drawn."""
    cart = " ".join(f"{row[name]:>6.3g}" for name in names)
    time_text = f"{row['armed_s']:>6.1f} {row['homing_s']:>6.1f}" if row["balanced"] else f"{'-':>6} {'-':>6}"
    text = "balanced" if row["balanced"] else str(row["failed"])
    replaced = "" if row["replaced"] is None else f" [true parameters: {row['replaced']}]"
    return f"{row['cart']:>4} {cart} {time_text} {row['wall_s']:>6.1f}  {text}{replaced}"


def known(rig: str) -> list[dict[str, Any]]:
    """The three carts of `benchmarks.identified_training`: 20 episodes on each after `bring-up`."""
    rows = []
    for seed in range(3):
        plant, changes = known_cart(seed)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            done, wall_s = brought_up(plant, rig, folder)
            row = {"cart": seed, **changes, **row_of(done, wall_s)}
            if done.failure is None:
                file = folder / "hidden.toml"
                write_cart(file, plant)
                policy = done.folder.path / done.folder.results[StageName.TRAIN].figures["policy"]
                words = ("--cart", done.folder.path / "identified.toml", "--rig", f"virtual:{file}", "--episodes", 20)
                row["survived"] = command("evaluate", policy, *words)["episodes_survived"]
            rows.append(row)
            print({k: v for k, v in row.items() if k != "stages_s"}, file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Print a row per cart, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", choices=(CART, STEPPER_CART), default=CART, help="the file that bring-up gets")
    parser.add_argument("--carts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rig", choices=("virtual", "avr", "pty"), default="virtual")
    parser.add_argument("--only", help="carts of the seed, by number, such as 0,3")
    parser.add_argument("--known", action="store_true", help="the three carts of benchmarks.identified_training")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.known:
        rows = known(arguments.rig)
        print(json.dumps(rows, indent=2) if arguments.json else machine_line())
        return
    only = None if arguments.only is None else [int(word) for word in arguments.only.split(",")]
    drawn = " force frict. length lat.ms dead z."
    if arguments.cart == STEPPER_CART:
        if arguments.rig == "pty":
            parser.error("--rig pty has no wires to turn round; use virtual or avr")
        names = (
            key.split(".")[1][:6] for key in load_randomization(Path(STEPPER_CART), load_cart(STEPPER_CART)).ranges
        )
        drawn = " ".join(f"{name:>6}" for name in (*names, "motor-", "pole-"))
    print(f"cart {drawn}  armed homing   wall", file=sys.stderr)
    rows = hidden(arguments.seed, arguments.carts, arguments.rig, only, arguments.cart)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    counted = [row for row in rows if row["replaced"] is None]
    good = [row for row in counted if row["balanced"]]
    print(
        f"balanced a minute: {len(good)} of {len(counted)}; replaced: {len(rows) - len(counted)} (most {MOST_REPLACED})"
    )
    for name in ("armed_s", "homing_s", "wall_s"):
        values = sorted(row[name] for row in good)
        if values:
            print(f"{name}: median {values[len(values) // 2]:.1f}, worst {values[-1]:.1f}")
    print(machine_line())


if __name__ == "__main__":
    main()
