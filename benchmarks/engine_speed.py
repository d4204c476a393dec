"""Environment steps through `gymnasium.make` on both engines, next to Gymnasium's CartPole-v1.

    python -m benchmarks.engine_speed [--rounds 30] [--json]

Only steps are timed, not resets: the same random actions in one process, in short blocks, the environments alternating.
A ratio is the median over rounds of the ratio within a round, so it holds on a machine whose speed drifts.
"""

from __future__ import annotations

import argparse
import json

import gymnasium
import numpy as np

from benchmarks.environment_step import environment_seconds
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.env import MAKE_ID
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.terminal.progress import progress_bar

BLOCK_STEPS = 300
PEER = "CartPole-v1"


def environments() -> dict[str, gymnasium.Env]:
    """By name: CartPole-v1, each cart on the rig sim and the DIY cart on the virtual rig, each on both engines."""
    made = {PEER: gymnasium.make(PEER)}
    for cart in cart_names():
        for engine in Engine:
            made[f"sim {cart} {engine}"] = gymnasium.make(MAKE_ID, cart=cart, engine=engine)
    for engine in Engine:
        rig = VirtualRig(load_cart("diy_arduino"), engine=engine)
        made[f"virtual diy_arduino {engine}"] = gymnasium.make(MAKE_ID, rig=rig)
    return made


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help=f"blocks of {BLOCK_STEPS} steps for each (30)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    envs = environments()
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in envs}
    for env in envs.values():
        env.reset(seed=0)
    with progress_bar(arguments.rounds, "rounds", "", quiet=True) as bar:
        for _ in range(arguments.rounds):
            actions = rng.integers(2, size=BLOCK_STEPS).tolist()
            for name, env in envs.items():
                times[name].append(environment_seconds(env, actions) / BLOCK_STEPS * 1e6)
            bar.update()
    found = {name: {"us_per_step": float(np.median(values))} for name, values in times.items()}
    for name, row in found.items():
        row["over_peer"] = float(np.median(np.divide(times[name], times[PEER])))
        if name.endswith(Engine.NATIVE):
            reference = times[f"{name.removesuffix(Engine.NATIVE)}{Engine.PYBULLET}"]
            row["pybullet_over_native"] = float(np.median(np.divide(reference, times[name])))
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{'':<32}{'us a step':>10}{'over CartPole-v1':>18}{'PyBullet over it':>18}")
    for name, row in found.items():
        gain = f"{row['pybullet_over_native']:.1f}" if "pybullet_over_native" in row else ""
        print(f"{name:<32}{row['us_per_step']:>10.2f}{row['over_peer']:>18.2f}{gain:>18}")
    print(machine_line())


if __name__ == "__main__":
    main()
