"""Greedy evaluation: episodes in C, the same episodes step by step in Python on the native engine, and on PyBullet.

    python -m benchmarks.evaluation_speed [--rounds 10] [--json]

The policy pushes to the side to which the cart's regulator does, so that most episodes are long. The three alternate in
one process, resets included; a ratio is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import time

import gymnasium
import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import MAKE_ID
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import ActionFunction, Network, float_action_function
from cartpole_robot.rollout.evaluation import evaluate
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.terminal.progress import progress_bar

EPISODES = 10
MAX_STEPS = 500
WAYS = ("in C", "native", "pybullet")


def following_network(cart: CartParams) -> Network:
    """100 hidden units, of which two tell the side to which the regulator pushes."""
    gain = input_gain(cart, 1)
    toward = -design_lqr(cart).state_gain / gain
    hidden, output = np.zeros((100, 4), np.float32), np.zeros((len(cart.action_duties), 100), np.float32)
    hidden[0], hidden[1] = toward, -toward
    output[:, 0] = cart.action_duties
    output[:, 1] = -output[:, 0]
    return Network(
        input_gain=gain,
        hidden_weight=hidden,
        hidden_bias=np.zeros(100, np.float32),
        output_weight=output,
        output_bias=np.zeros(len(cart.action_duties), np.float32),
    )


def seconds_per_step(act: ActionFunction, env: gymnasium.Env) -> float:
    """Seconds of an evaluation over the steps survived."""
    began_s = time.perf_counter()
    found = evaluate(act, env, episodes=EPISODES, first_seed=0, max_steps=MAX_STEPS)
    return (time.perf_counter() - began_s) / sum(found.steps)


def main() -> None:
    """Print microseconds a step and the ratios for each cart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help=f"rounds of {EPISODES} episodes for each (10)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with progress_bar(arguments.rounds * len(cart_names()), "rounds", "", quiet=True) as bar:
        for name in cart_names():
            cart = load_cart(name)
            act = float_action_function(following_network(cart))
            native = gymnasium.make(MAKE_ID, cart=cart, engine=Engine.NATIVE, disable_env_checker=True)
            pybullet = gymnasium.make(MAKE_ID, cart=cart, engine=Engine.PYBULLET, disable_env_checker=True)
            runs = {
                "in C": (act, native),
                "native": (lambda observation, act=act: act(observation), native),
                "pybullet": (act, pybullet),
            }
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(arguments.rounds):
                for way, (chosen, env) in runs.items():
                    times[way].append(1e6 * seconds_per_step(chosen, env))
                bar.update()
            native.close()
            pybullet.close()
            found[name] = {f"{way}, us a step": float(np.median(times[way])) for way in WAYS}
            for way in WAYS[1:]:
                found[name][f"{way} over in C"] = float(np.median(np.divide(times[way], times["in C"])))
    if arguments.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(f"{name:<14}" + ", ".join(f"{what} {value:.2f}" for what, value in row.items()))
    print(machine_line())


if __name__ == "__main__":
    main()
