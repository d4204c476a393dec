"""Training with the recommended preset against SB3's DQN with rl-zoo3's values for CartPole: success and wall time.

    python -m benchmarks.training_against_zoo --seeds 5

Both learn on this package's `gym` cart, one torch thread, the two in turn; both last models are judged on the same
100 fresh episodes. The zoo's values (rl-baselines3-zoo, hyperparams/dqn.yml, CartPole-v1) have a replay memory of
100,000; the same with the blog's 1000 is the third row.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN

from benchmarks.machine_load import machine_line
from cartpole_robot.cart_files import load_cart
from cartpole_robot.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.network import ActionFunction, float_action_function
from cartpole_robot.training.config import Learner, load_preset
from cartpole_robot.training.dqn import network_of, new_learner
from cartpole_robot.training.environment import balancing_env, training_env

ZOO_STEPS = 50_000
SUCCESS_TURNS = 475.0


def train_recommended(seed: int, learner: Learner) -> ActionFunction:
    """The last model's action function after the preset's 25,000 steps."""
    cart, config = load_cart("gym"), load_preset("recommended").changed(learner=learner)
    env = training_env(cart, "sim", config)
    model = new_learner(config, cart, env, seed=seed, tensorboard=None)
    model.learn(config.steps)
    env.close()
    return float_action_function(network_of(model))


def train_zoo(seed: int, replay_memory: int) -> ActionFunction:
    """The last model's action function after the zoo's 50,000 steps."""
    env = balancing_env(load_cart("gym"), "sim", 500)
    model = DQN(
        "MlpPolicy",
        env,
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=replay_memory,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )
    model.learn(ZOO_STEPS)
    env.close()

    def act(observation: Any) -> int:
        return int(model.predict(observation, deterministic=True)[0])

    return act


def main() -> None:
    """Print a row for each way of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default: 5)")
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    ways = {
        "recommended": lambda seed: train_recommended(seed, Learner.LEAN),
        "recommended, stock DQN": lambda seed: train_recommended(seed, Learner.STOCK),
        "zoo, memory 100,000": lambda seed: train_zoo(seed, 100_000),
        "zoo, memory 1000": lambda seed: train_zoo(seed, 1000),
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {name: [] for name in ways}
    env = balancing_env(load_cart("gym"), "sim", 500)
    for seed in range(seeds):
        for name, way in ways.items():
            begin = time.monotonic()
            act = way(seed)
            walls[name].append(time.monotonic() - begin)
            result = evaluate(act, env, episodes=100, first_seed=VERDICT_SEED, max_turns=500)
            scores[name].append(result.mean_turns)
            print(f"seed {seed}: {name}: {result.mean_turns:.1f} mean turns, {walls[name][-1]:.1f} s", flush=True)
    first = np.median(walls["recommended"])
    print(f"{'':<24} last model >= {SUCCESS_TURNS:.0f}   median turns   median s   ratio of time")
    for name in ways:
        successes = sum(score >= SUCCESS_TURNS for score in scores[name])
        print(
            f"{name:<24} {f'{successes} of {seeds}':>17}{np.median(scores[name]):>15.1f}"
            f"{np.median(walls[name]):>11.1f}{np.median(walls[name]) / first:>16.2f}"
        )
    print(machine_line())


if __name__ == "__main__":
    main()
