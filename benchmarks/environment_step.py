"""One environment step through `gymnasium.make` against Gymnasium's CartPole-v1 and the bare PyBullet calls.

    python -m benchmarks.environment_step

Only steps are timed, not resets: the same random actions in one process, in short alternating blocks. The ratio is the
median over rounds of the ratio within a round, so it holds on a machine whose speed drifts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import gymnasium
import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import MAKE_ID
from cartpole_robot.signals import State
from cartpole_robot.simulation.plant import Plant

BLOCK_STEPS = 1000


def environment_seconds(env: gymnasium.Env, actions: list[int]) -> float:
    """Seconds spent in `env.step` over all actions, without resets."""
    clock = time.perf_counter
    step = env.step
    total = 0.0
    remaining = iter(actions)
    while True:
        env.reset()
        ended = False
        begin = clock()
        for action in remaining:
            if step(action)[2]:
                ended = True
                break
        total += clock() - begin
        if not ended:
            return total


def plant_seconds(plant: Plant, actions: list[int]) -> float:
    """Seconds spent in the PyBullet calls of the same number of steps: torque, step, read."""
    clock = time.perf_counter
    total = 0.0
    for first in range(0, len(actions), 20):
        plant.place(State(0.0, 0.0, 0.02, 0.0))
        block = actions[first : first + 20]
        begin = clock()
        for action in block:
            plant.advance(10.0 if action else -10.0, 1)
        total += clock() - begin
    return total


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=150, help="blocks of 1000 steps for each (default: 150)")
    rounds = parser.parse_args().rounds
    ours, peer = gymnasium.make(MAKE_ID, rig="sim", cart="gym"), gymnasium.make("CartPole-v1")
    ours.reset(seed=0)
    peer.reset(seed=0)
    plant = Plant(load_cart("gym").pole_cart, 0.02)
    rng = np.random.default_rng(0)
    runners: dict[str, Callable[[list[int]], float]] = {
        "ours": lambda actions: environment_seconds(ours, actions),
        "CartPole-v1": lambda actions: environment_seconds(peer, actions),
        "PyBullet calls": lambda actions: plant_seconds(plant, actions),
    }
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        actions = rng.integers(2, size=BLOCK_STEPS).tolist()
        for name, run in runners.items():
            times[name].append(run(actions) / BLOCK_STEPS * 1e6)
    for name, values in times.items():
        low, middle, high = np.percentile(values, (25, 50, 75))
        print(f"{name:<16} {middle:6.2f} us per step, median of {rounds} blocks (quartiles {low:.2f} to {high:.2f})")
    for name in ("CartPole-v1", "PyBullet calls"):
        ratios = np.array(times["ours"]) / np.array(times[name])
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        print(f"ours / {name:<14} {middle:.3f} (quartiles {low:.3f} to {high:.3f})")
    print(machine_line())


if __name__ == "__main__":
    main()
