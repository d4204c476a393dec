"""Control steps of the avr rig on both engines, alternating, and how long the emulated chip's process computes in each.

    python -m benchmarks.chip_speed [--rounds 20]

One regulated episode of the DIY cart on each engine, in blocks of steps. Where the chip's process computes all the
time, simavr is the limit. Run with `chrt -f 20` as root it shows what a machine does that has nothing else to do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from benchmarks.machine_load import machine_line
from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.terminal.progress import progress_bar

BLOCK_STEPS = 100


def busy_s(process_id: int) -> float:
    """The processor time of that process, in seconds."""
    return int(Path(f"/proc/{process_id}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def main() -> None:
    """Print a line per engine, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="blocks of 100 steps on each engine (default: 20)")
    rounds = parser.parse_args().rounds
    cart = quickly_homing(load_cart("diy_arduino"))
    regulator = regulator_of(cart)
    rigs = {engine: AvrRig(cart, engine=engine) for engine in Engine}
    measured = {engine: start_rollout(rig, 0) for engine, rig in rigs.items()}
    wall_s: dict[Engine, list[float]] = {engine: [] for engine in Engine}
    chip_s: dict[Engine, list[float]] = {engine: [] for engine in Engine}
    with progress_bar(rounds, "rounds", "", quiet=True) as bar:
        for _ in range(rounds):
            for engine, rig in rigs.items():
                found, began_s, chip_began_s = measured[engine], time.perf_counter(), busy_s(rig.chip.process_id)
                for _ in range(BLOCK_STEPS):
                    found = rig.step(regulator.duty(task.observation(found)))
                measured[engine] = found
                wall_s[engine].append((time.perf_counter() - began_s) / BLOCK_STEPS)
                chip_s[engine].append((busy_s(rig.chip.process_id) - chip_began_s) / BLOCK_STEPS)
            bar.update()
    for engine, rig in rigs.items():
        rig.close()
        step_s = statistics.median(wall_s[engine])
        print(
            f"{engine:<9} {step_s * 1e6:6.0f} us a step, {cart.timing.control_period_s / step_s:5.1f} times real time; "
            f"the chip's process computes {statistics.median(chip_s[engine]) * 1e6:.0f} us"
        )
    ratio = statistics.median(p / n for p, n in zip(wall_s[Engine.PYBULLET], wall_s[Engine.NATIVE], strict=True))
    print(f"PyBullet takes {ratio:.2f} times as long; {machine_line()}")


if __name__ == "__main__":
    main()
