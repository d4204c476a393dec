"""Steps a second of vector environments, autoreset and infos included, one core.

    python -m benchmarks.vector_env [--num-envs 1024] [--rounds 20] [--json]

This package's vector environment with each cart, next to the same cart in Gymnasium's SyncVectorEnv, Gymnasium's
CartPoleVectorEnv, and, where they are installed, EnvPool's CartPole-v1 (one thread) and MuJoCo's InvertedPendulum-v5 in
a SyncVectorEnv. A step of a cart with a motor has 20 physics steps, of `gym` and CartPole-v1 one, of the pendulum two.
Random actions in one process, in short blocks, the environments alternating; steps in which an episode begins count. A
ratio is the median over rounds of the ratio within a round, so it holds on a machine whose speed drifts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart, with_actions
from cartpole_robot.env import MAKE_ID
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.vec_env import CartPoleVecEnv

REFERENCE = "diy_arduino"
BLOCK_S = 0.05  # what a block takes at least
NOT_INSTALLED = "not installed"


def environments(count: int) -> dict[str, Any]:
    """By name: `step(actions)` after a reset with `actions` for it, or None for what is not installed."""
    rng = np.random.default_rng(0)
    two = [rng.integers(2, size=count) for _ in range(64)]
    made: dict[str, tuple[Callable[[Any], Any], list[Any]] | None] = {}
    for cart in cart_names():
        made[cart] = _begun(gymnasium.make_vec(MAKE_ID, num_envs=count, cart=cart)), two
    four = with_actions(load_cart(REFERENCE), (-0.4, -0.2, 0.2, 0.4), given="the benchmark")
    drawn = gymnasium.make_vec(MAKE_ID, num_envs=count, cart=four, randomization=REFERENCE)
    made[f"{REFERENCE}, a new cart each episode"] = _begun(drawn), [1 + actions for actions in two]  # -0.2 and 0.2
    for name in ("SameStep", "as Stable-Baselines3's VecEnv"):
        env = gymnasium.make_vec(MAKE_ID, num_envs=count, cart=REFERENCE, autoreset_mode="SameStep")
        made[f"{REFERENCE}, {name}"] = _begun(env) if name == "SameStep" else _begun(CartPoleVecEnv(env)), two
    single = {"num_envs": count, "cart": REFERENCE, "engine": "native", "vectorization_mode": "sync"}
    made[f"{REFERENCE} in SyncVectorEnv"] = _begun(gymnasium.make_vec(MAKE_ID, **single)), two
    made["Gymnasium CartPoleVectorEnv"] = _begun(gymnasium.make_vec("CartPole-v1", num_envs=count)), two
    made["EnvPool CartPole-v1"] = made["MuJoCo InvertedPendulum-v5 in SyncVectorEnv"] = None
    if importlib.util.find_spec("envpool") is not None:
        import envpool

        pool = envpool.make_gymnasium("CartPole-v1", num_envs=count, num_threads=1)
        made["EnvPool CartPole-v1"] = _begun(pool), two
    if importlib.util.find_spec("mujoco") is not None:
        pendulum = gymnasium.make_vec("InvertedPendulum-v5", num_envs=count, vectorization_mode="sync")
        pushes = [rng.uniform(-1.0, 1.0, (count, 1)).astype(np.float32) for _ in range(64)]
        made["MuJoCo InvertedPendulum-v5 in SyncVectorEnv"] = _begun(pendulum), pushes
    return made


def _begun(env: Any) -> Callable[[Any], Any]:
    env.reset()
    return env.step


def seconds_a_step(step: Callable[[Any], Any], actions: list[Any]) -> float:
    """Seconds of one call, over a block of them."""
    clock, calls = time.perf_counter, 0
    begin = clock()
    while (passed := clock() - begin) < BLOCK_S or calls < 2:
        step(actions[calls % len(actions)])
        calls += 1
    return passed / calls


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-envs", type=int, default=1024, help="environments in each vector (1024)")
    parser.add_argument("--rounds", type=int, default=20, help=f"blocks of {BLOCK_S} s for each (20)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    envs = environments(arguments.num_envs)
    installed = {name: found for name, found in envs.items() if found is not None}
    times: dict[str, list[float]] = {name: [] for name in installed}
    for step, actions in installed.values():
        seconds_a_step(step, actions)
    with progress_bar(arguments.rounds, "rounds", "", quiet=True) as bar:
        for _ in range(arguments.rounds):
            for name, (step, actions) in installed.items():
                times[name].append(seconds_a_step(step, actions))
            bar.update()
    found: dict[str, dict[str, float] | None] = dict.fromkeys(envs)
    for name, values in times.items():
        found[name] = {
            "steps_per_s": float(arguments.num_envs / np.median(values)),
            "over_reference": float(np.median(np.divide(times[REFERENCE], values))),
        }
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{f'{arguments.num_envs} environments':<48}{'steps/s':>12}{f'over {REFERENCE}':>20}")
    for name, row in found.items():
        if row is None:
            print(f"{name:<48}{NOT_INSTALLED:>32}")
        else:
            print(f"{name:<48}{row['steps_per_s']:>12,.0f}{row['over_reference']:>20.2f}")
    print(machine_line())


if __name__ == "__main__":
    main()
