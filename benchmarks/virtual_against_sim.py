"""A policy on the simulated rig, where it was trained, and on the virtual rig with its real firmware: the same starts.

    python -m benchmarks.virtual_against_sim runs/recommended-diy_arduino-seed0

Twenty episodes of 500 steps and one of 15,000 on each rig; RMS and reversals are compared over 100 starts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.machine_load import machine_line
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.rollout.evaluation import LONG_RUN_SEED, VERDICT_SEED, Evaluation, evaluate_controller

EPISODES = 20
STARTS = 100
LONG_STEPS = 15_000


def judged(policy: Path, cart: str | None, rig: str, *, episodes: int, first_seed: int, steps: int) -> Evaluation:
    """The policy's evaluation on that rig."""
    chosen = choose_controller(policy, cart, "c")
    env = CartPoleEnv(rig=rig, cart=chosen.cart)
    try:
        return evaluate_controller(chosen.controller, env, episodes=episodes, first_seed=first_seed, max_steps=steps)
    finally:
        env.close()


def main() -> None:
    """Print the counts and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path, help="a policy.npz, the run folder it is in, or lqr")
    parser.add_argument("--cart", help="which cart (default: the one it was trained on)")
    arguments = parser.parse_args()
    found = {}
    for rig in ("sim", "virtual"):
        begin = time.perf_counter()
        long_run = judged(arguments.policy, arguments.cart, rig, episodes=1, first_seed=LONG_RUN_SEED, steps=LONG_STEPS)
        rate = sum(long_run.steps) / (time.perf_counter() - begin)
        found[rig] = judged(arguments.policy, arguments.cart, rig, episodes=STARTS, first_seed=VERDICT_SEED, steps=500)
        first = found[rig].steps[:EPISODES]
        survived = [sum(steps == 500 for steps in some) for some in (first, found[rig].steps)]
        print(
            f"{rig:<9}{survived[0]} of {EPISODES} episodes of 500 steps ({survived[1]} of {STARTS}), "
            f"one of {long_run.steps[0]} of {LONG_STEPS} steps at {rate:.0f} environment steps/s"
        )
        for fault in (*found[rig].faults, *long_run.faults):
            print(f"  {fault}")
    print(f"{'':<24}{'sim':>10}{'virtual':>10}{'ratio':>8}   on the same {STARTS} starts")
    for name, unit, factor in (
        ("rms_position_m", "mm", 1000.0),
        ("rms_angle_rad", "mrad", 1000.0),
        ("reversals_per_s", "/s", 1.0),
        ("mean_power_w", "W", 1.0),
    ):
        simulated, virtual = (getattr(found[rig], name) for rig in ("sim", "virtual"))
        print(
            f"{name + ' [' + unit + ']':<24}{simulated * factor:>10.3f}{virtual * factor:>10.3f}"
            f"{virtual / simulated:>8.3f}"
        )
    print(machine_line())


if __name__ == "__main__":
    main()
