"""Whether the page's WebAssembly does what the same parts do on this machine, and how fast it runs.

    python -m benchmarks.page_equality [--cart diy_arduino | diy_stepper] [--seeds 5] [--ticks 10000] [--json]

The firmware: random ticks of an armed cart with contacts, motion and frames; SHA-256 over every tick's pulses and duty,
of a stepper its steps, speed and duty, and every byte sent. The plant: the states after random duties or steps. The
controllers: the duties on the states that whole runs visit. The faults: what each intervention yields, and after how
long. The speed: times real time on one core under Node. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from benchmarks.page_interventions import UP, interventions_of
from benchmarks.page_runs import RandomRun, digest_of, firmware_lines, in_node, random_outputs, visited
from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.page.contents import page_contents, with_alarm
from cartpole_robot.page.module import module_bytes
from cartpole_robot.policy.lqr import Lqr, LqrController
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import NativeBoardCart

Contents = dict[str, Any]
PLANT_STEPS = 10_000
BALANCING_STEPS, SWING_S = 1000, 10.0
ROUNDING = 1e-12
SPEED_MS, SPEED_TIMES = 60_000, 5


def firmware_runs(contents: Contents, cart: CartParams, lqr: Lqr, seeds: int, ticks: int) -> list[dict[str, Any]]:
    """Per seed the ticks, the faults and both hashes."""
    found = []
    for seed in range(seeds):
        run = RandomRun(cart, lqr, seed)
        run.run(ticks)
        calls = run.board.calls
        answered = in_node(contents, "firmware", calls=calls, keeps_lines=False)
        host = digest_of(list(firmware_lines(calls, cart.drive)))
        found.append(
            {"seed": seed, "ticks": run.board.ticks, "faults": run.faults, "host": host, "wasm": answered["sha256"]}
        )
    return found


def plant_difference(contents: Contents, cart: CartParams, seed: int) -> float:
    """The largest difference of any state after random duties, or a stepper's counts; 0: the same bits."""
    duties = random_outputs(cart, np.random.default_rng(seed), PLANT_STEPS)
    body = NativeBoardCart(cart).body
    start = State(0.0, 0.2, 0.4, -1.0)
    body.place(start)
    expected = []
    for duty in duties:
        body.step(duty)
        expected.append(list(body.state()))
    found = in_node(contents, "plant", start=list(start), duties=duties)
    return float(np.abs(np.subtract(found, expected)).max())


def regulator_difference(contents: Contents, cart: CartParams, lqr: Lqr) -> float:
    """The largest difference of the regulator's duties on the states that it visits."""
    rig = VirtualRig(cart)
    controller = LqrController(lqr, cart.commanded_motor)
    observations, duties = visited(rig, controller.duty, State(0.01, 0.0, 0.03, 0.0), BALANCING_STEPS)
    rig.close()
    found = in_node(contents, "answers", controller="lqr", observations=observations)
    return float(np.abs(np.subtract(found, duties)).max())


def swing_up_difference(contents: Contents, cart: CartParams, design: SwingUpDesign, seed: int) -> tuple[float, int]:
    """The largest difference of the swing-up's duties over a whole one, and the steps until it first catches."""
    rng = np.random.default_rng(seed)
    start = State(rng.uniform(-0.1, 0.1), 0.0, math.pi + rng.uniform(-0.6, 0.6), rng.uniform(-1.0, 1.0))
    rig, driver = VirtualRig(cart), SwingUpController(cart, design)
    measured = rig.begin_hanging(start, rng)
    observations, duties, pumped = [], [], 0
    for _ in range(round(SWING_S / cart.timing.control_period_s)):
        seen = task.observation(measured)
        observations.append([float(number) for number in seen])
        duties.append(driver.duty(seen))
        pumped += driver.catches == 0
        measured = rig.step(duties[-1])
    rig.close()
    found = in_node(contents, "answers", controller="swing-up", observations=observations)
    return float(np.abs(np.subtract(found, duties)).max()), pumped


def fault_times(contents: Contents) -> dict[str, tuple[str, int, int, str]]:
    """Per intervention the fault that came, after how many ms, how many it might have taken, and the fault expected."""
    found = {}
    for what, (steps, fault, firmware_ms, first_ms) in interventions_of(Drive(contents["cart"]["drive"])).items():
        most_ms = firmware_ms + first_ms
        _, seen = in_node(contents, "visit", steps=[*UP, *steps, ["wait", {"state": "FAULT"}, 10_000 + most_ms]])
        found[what] = seen["fault"], seen["waited_ms"], most_ms, fault
    return found


def times_real_time(contents: Contents, controller: str) -> float:
    """How many times real time an armed cart runs, the median of some runs."""
    steps = [["setController", controller], ["arm"], ["wait", {"phase": "running"}, 60_000]]
    seconds = in_node(contents, "speed", steps=steps, ms=SPEED_MS, times=SPEED_TIMES)
    return SPEED_MS / 1000.0 / statistics.median(seconds)


def main() -> int:
    """Print the comparison; returns 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=10_000, help="of an armed cart, per seed (default: 10000)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cart = with_alarm(load_cart(arguments.cart))
    lqr, design = design_lqr(cart), design_swing_up(cart)
    contents = page_contents(cart, {}, lqr=lqr, swing_up=design)
    seeds = range(arguments.seeds)
    result = {
        "module_bytes": len(module_bytes(cart.drive)),
        "firmware": firmware_runs(contents, cart, lqr, arguments.seeds, arguments.ticks),
        "plant": max(plant_difference(contents, cart, seed) for seed in seeds),
        "lqr": regulator_difference(contents, cart, lqr),
        "swing_up": [swing_up_difference(contents, cart, design, seed) for seed in seeds],
        "faults": fault_times(contents),
        "times_real_time": {name: times_real_time(contents, name) for name in ("lqr", "swing-up")},
    }
    has_failed = _failed(result)
    print(json.dumps(result) if arguments.json else _shown(result))
    return 1 if has_failed else 0


def _failed(result: dict[str, Any]) -> bool:
    return (
        any(run["host"] != run["wasm"] for run in result["firmware"])
        or result["plant"] != 0.0
        or max(result["lqr"], *(difference for difference, _ in result["swing_up"])) > ROUNDING
        or any(fault != expected or ms > most for fault, ms, most, expected in result["faults"].values())
    )


def _shown(result: dict[str, Any]) -> str:
    lines = [machine_line(), f"module: {result['module_bytes'] / 1024:.0f} KiB"]
    for run in result["firmware"]:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(run["faults"].items()))
        lines.append(f"firmware, seed {run['seed']}: {run['ticks']} ticks; {faults}")
        lines += [f"  {side} {run[side]}" for side in ("host", "wasm")]
    lines.append(f"plant: largest difference {result['plant']:g} over {PLANT_STEPS} steps, per seed")
    lines.append(f"regulator: largest difference {result['lqr']:.1e} over {BALANCING_STEPS} steps")
    for seed, (difference, pumped) in enumerate(result["swing_up"]):
        lines.append(f"swing-up, seed {seed}: largest difference {difference:.1e}, first catch after {pumped} steps")
    for what, (fault, ms, most, _) in result["faults"].items():
        lines.append(f"{what}: {fault} after {ms} ms (at most {most})")
    for name, ratio in result["times_real_time"].items():
        lines.append(f"speed with {name}: {ratio:.0f} times real time on one core")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
