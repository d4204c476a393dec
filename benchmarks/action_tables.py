"""Which duties a cart's action table should hold: several tables on each cart, several seeds each.

    python -m benchmarks.action_tables --cart diy_arduino --seeds 3

Each table is trained with the recommended preset; the last model is evaluated over 20 episodes on the selection
seeds. The last row is the regulator (LQR), which may use any duty.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rollout.evaluation import SELECTION_SEED, Evaluation, evaluate, evaluate_controller
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import balancing_env, training_env

TABLES = ((0.2,), (0.3,), (0.4,), (0.6,), (1.0,), (0.4, 0.0), (0.6, 0.0))
EPISODES = 20


def table_of(sizes: tuple[float, ...]) -> tuple[float, ...]:
    """The table with both signs of each size: (0.4,) gives (-0.4, 0.4); (0.4, 0.0) gives (-0.4, 0.0, 0.4)."""
    return tuple(sorted({side * size for size in sizes for side in (-1.0, 1.0)}))


def trained(cart: CartParams, seed: int) -> Evaluation:
    """The last model's evaluation after one training on `cart`."""
    config = load_preset("recommended")
    env = training_env(cart, "sim", config)
    model = new_learner(config, cart, env, seed=seed, tensorboard=None)
    model.learn(config.steps)
    env.close()
    judge = balancing_env(cart, "sim", 500, history_length=config.history_length)
    act = float_action_function(network_of(model))
    result = evaluate(act, judge, episodes=EPISODES, first_seed=SELECTION_SEED, max_steps=500)
    judge.close()
    return result


def regulated(cart: CartParams) -> Evaluation:
    """The regulator's evaluation on the same starts."""
    env = CartPoleEnv(cart=cart)
    result = evaluate_controller(regulator_of(cart), env, episodes=EPISODES, first_seed=SELECTION_SEED, max_steps=500)
    env.close()
    return result


def row(name: str, results: list[Evaluation]) -> str:
    """One line of the table: means over the seeds."""
    steps = [result.mean_steps for result in results]

    def mean(key: str) -> float:
        return float(np.mean([getattr(result, key) for result in results]))

    return (
        f"  {name:<20}{np.mean(steps):7.1f}{min(steps):8.1f}{mean('rms_position_m') * 1000.0:9.1f}"
        f"{mean('rms_angle_rad') * 1000.0:10.2f}{mean('reversals_per_s'):10.1f}{mean('mean_power_w'):9.2f}"
    )


def main() -> None:
    """Print one table per cart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cart", action="append", help="a cart (default: every cart with a motor)")
    parser.add_argument("--sizes", action="append", help="a table by its sizes, such as 0.4,0 (default: seven tables)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N-1 (default: 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.cart or [name for name in cart_names() if load_cart(name).encoders is not None]:
        cart = load_cart(name)
        print(f"{name}\n  duties               steps   least  RMS x mm  RMS mrad  reversals/s  power W", flush=True)
        tables = [tuple(map(float, sizes.split(","))) for sizes in arguments.sizes] if arguments.sizes else TABLES
        for sizes in tables:
            duties = table_of(sizes)
            try:
                tried = dataclasses.replace(cart, action_duties=duties)
            except ValueError as error:
                print(f"  {duties}: {error}")
                continue
            print(row(str(list(duties)), [trained(tried, seed) for seed in range(arguments.seeds)]), flush=True)
        print(row("LQR, any duty", [regulated(cart)]), flush=True)
    print(machine_line())


if __name__ == "__main__":
    main()
