"""Training steps per second of this package's DQN against Stable-Baselines3's, at equal updates, in one run.

    python -m benchmarks.learner_throughput --rounds 5
    python -m benchmarks.learner_throughput --seeds 3 --json

Both learn with the recommended preset in the training environment (`gym` cart in PyBullet, its cost included) on one
torch thread, alternating: rounds of `--steps` steps with an update every step, and every fourth step as in the preset.
Ratios are taken within a round; the table has their median. The collapse guard is off: both make every update. `in
PyTorch` is the learner without the extension. With `--seeds` each learner trains the whole preset from each seed, and
the last models are evaluated on the same 100 fresh episodes; the table has the number of episodes that are identical
step for step before the first that differs, and the largest difference of the last weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from contextlib import closing
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.files.provenance import machine
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rollout.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.task import SUCCESS_STEPS
from cartpole_robot.training.config import TrainingConfig, load_preset
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.dqn.native_update import NativeUpdate
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.learners import Learner

STOCK, LEAN, IN_PYTORCH = "stock SB3", "ours", "ours, in PyTorch"
UPDATE_EVERY_STEPS = (1, 4)


def learned(name: str, config: TrainingConfig, seed: int, steps: int) -> tuple[DQN, float, float]:
    """The learner after `steps` steps, and the wall and CPU seconds that `learn` took."""
    cart = load_cart("gym")
    config = dataclasses.replace(config, learner=Learner.STOCK if name == STOCK else Learner.LEAN)
    with closing(training_env(cart, "sim", config)) as env:
        model = new_learner(config, cart, env, seed=seed, tensorboard=None)
        if isinstance(model, LeanDQN):
            model.is_native = name == LEAN
        wall, processor = time.perf_counter(), time.process_time()
        model.learn(steps)
        return model, time.perf_counter() - wall, time.process_time() - processor


def throughput(rounds: int, steps: int) -> list[dict[str, Any]]:
    """One row per update rate and learner: medians over the rounds."""
    rows = []
    for every in UPDATE_EVERY_STEPS:
        config = dataclasses.replace(load_preset("recommended"), train_every_steps=every)
        names = (STOCK, LEAN, IN_PYTORCH)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        updates = {}
        for seed in range(rounds):
            for name in names:
                model, wall, processor = learned(name, config, seed, steps)
                seconds[name].append((wall, processor))
                updates[name] = model._n_updates
        assert len(set(updates.values())) == 1, updates
        for name in names:
            times, stock = np.array(seconds[name]), np.array(seconds[STOCK])
            rows.append(
                {
                    "update_every_steps": every,
                    "learner": name,
                    "updates": updates[name],
                    "steps_per_s": steps / float(np.median(times[:, 0])),
                    "steps_per_cpu_s": steps / float(np.median(times[:, 1])),
                    "times_stock": float(np.median(stock[:, 0] / times[:, 0])),
                    "times_stock_cpu": float(np.median(stock[:, 1] / times[:, 1])),
                    "rounds": rounds,
                }
            )
    return rows


def whole_trainings(seeds: range) -> list[dict[str, Any]]:
    """One row per seed: the whole preset by both learners, how the last models do, where the runs diverge."""
    config = load_preset("recommended")
    rows = []
    with closing(balancing_env(load_cart("gym"), "sim", 500, history_length=config.history_length)) as env:
        for seed in seeds:
            row: dict[str, Any] = {"seed": seed, "steps": config.steps}
            steps, weights = [], []
            for name in (STOCK, LEAN):
                model, wall, processor = learned(name, config, seed, config.steps)
                act = float_action_function(network_of(model))
                result = evaluate(act, env, episodes=100, first_seed=VERDICT_SEED, max_steps=500)
                row[name] = {"mean_steps": result.mean_steps, "wall_s": wall, "cpu_s": processor}
                steps.append(cast(DummyVecEnv, model.env).envs[0].get_wrapper_attr("get_episode_lengths")())
                weights.append(torch.cat([tensor.detach().flatten() for tensor in model.q_net.parameters()]))
            same = [a == b for a, b in zip(*steps, strict=False)]
            row["episodes"] = len(steps[0])
            row["episodes_alike"] = same.index(False) if False in same else len(same)
            row["weights_differ_by"] = float((weights[1] - weights[0]).abs().max())
            rows.append(row)
    return rows


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each learner (default: 5)")
    parser.add_argument("--steps", type=int, default=3000, help="training steps in a round (default: 3000)")
    parser.add_argument("--seeds", type=int, default=0, help="also train this many seeds whole (default: 0)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of these seeds (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    learned(STOCK, load_preset("recommended"), 0, 300)  # loads what the first update imports
    rows = throughput(arguments.rounds, arguments.steps) if arguments.rounds else []
    whole = whole_trainings(range(arguments.first_seed, arguments.first_seed + arguments.seeds))
    with closing(training_env(load_cart("gym"), "sim", load_preset("recommended"))) as env:
        is_native = NativeUpdate.fits(
            new_learner(load_preset("recommended"), load_cart("gym"), env, seed=0, tensorboard=None)
        )
    if arguments.json:
        print(json.dumps({"is_native": is_native, "rates": rows, "trainings": whole, "machine": machine()}, indent=2))
        return
    if not is_native:
        print("the extension is missing: ours updates in PyTorch")
    if rows:
        print("update every   learner            updates   steps/s   a CPU second   times stock   by CPU time")
    for row in rows:
        print(
            f"{row['update_every_steps']:>8} steps   {row['learner']:<17}{row['updates']:>9}{row['steps_per_s']:>10.0f}"
            f"{row['steps_per_cpu_s']:>15.0f}{row['times_stock']:>14.1f}{row['times_stock_cpu']:>14.1f}"
        )
    if whole:
        print(
            "seed   episodes   alike from the first on   weights differ by   learner     mean steps   seconds   CPU s"
        )
    for row in whole:
        for name in (STOCK, LEAN):
            print(
                f"{row['seed']:>4}{row['episodes']:>11}{row['episodes_alike']:>26}{row['weights_differ_by']:>20.1e}   "
                f"{name:<10}{row[name]['mean_steps']:>12.1f}{row[name]['wall_s']:>10.2f}{row[name]['cpu_s']:>9.2f}"
            )
    for name in (STOCK, LEAN) if whole else ():
        balanced = sum(row[name]["mean_steps"] >= SUCCESS_STEPS for row in whole)
        print(f"{name:<10} last model at least {SUCCESS_STEPS:.0f}: {balanced} of {len(whole)} seeds")
    print(machine_line())


if __name__ == "__main__":
    main()
