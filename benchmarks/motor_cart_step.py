"""Environment steps per second for each cart with a motor (20 physics steps each), and where the time goes.

python -m benchmarks.motor_cart_step
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.signals import State
from cartpole_robot.simulation.estimator import Estimator
from cartpole_robot.simulation.motor import driving_force
from cartpole_robot.simulation.plant import Plant

ROUNDS = 40
STEPS = 50


def main() -> None:
    """Print one line per cart with the shares of its parts, medians over alternating rounds."""
    for name in cart_names():
        cart = load_cart(name)
        if cart.encoders is None:
            continue
        env = CartPoleEnv(cart=cart)
        plant = Plant(cart.pole_cart, 0.001, friction=cart.friction, end_stop_m=cart.limits.end_stop_m)
        force, update = driving_force(cart), Estimator(cart.encoders, 0.001).update
        plant.place(State(0.0, 0.0, 0.02, 0.0))
        parts: dict[str, Callable[[], object]] = {
            "PyBullet": lambda plant=plant: plant.advance(0.1, 1),
            "motor": lambda force=force: force(0.3, 0.1),
            "estimator": lambda update=update: update(1, 2),
            "nothing": lambda: None,
        }
        times: dict[str, list[float]] = {key: [] for key in ("step", *parts)}
        for round_number in range(ROUNDS):
            env.reset(seed=round_number)
            begin = time.perf_counter()
            for step in range(STEPS):
                env.step_duty(0.1 if step % 2 else -0.1)
                env._needs_reset = False  # continue past the limits: only time is measured
            times["step"].append((time.perf_counter() - begin) / STEPS)
            plant.place(State(0.0, 0.0, 0.02, 0.0))
            for key, part in parts.items():
                begin = time.perf_counter()
                for _ in range(20 * STEPS):
                    part()
                times[key].append((time.perf_counter() - begin) / STEPS)
        medians = {key: float(np.median(values)) for key, values in times.items()}
        call = medians.pop("nothing")
        whole = medians.pop("step")
        shares = {key: (value - call) / whole for key, value in medians.items()}
        text = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
        rest = 1.0 - sum(shares.values())
        print(f"{name:<14}{1.0 / whole:7.0f} environment steps/s; {text}, encoders, loop and environment {rest:.0%}")
        env.close()
        plant.close()
    print(machine_line())


if __name__ == "__main__":
    main()
