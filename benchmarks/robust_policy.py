"""One policy for unmeasured carts: trained on carts drawn around `diy_arduino`, evaluated on a hundred others.

    python -m benchmarks.robust_policy --seeds 3

Motor force, friction, pole length and latency are drawn from `cart/ranges/diy_arduino.toml` for each episode. Each draw
is a cart on the virtual rig, behind its real firmware. Three contenders run on the same 100 draws, which neither
training nor selection has used: preset `robust`, trained on drawn carts; preset `recommended`, trained on the unchanged
cart file, with its own two duties and with the four of `robust`; and the regulator, any duty allowed, which knows the
true parameters of each cart.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.experiments.study.findings import wilson
from cartpole_robot.policy.controllers import Controller, choose_controller
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rollout.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.terminal.progress import progress_bar

CART, RIG, STEPS = "diy_arduino", "virtual", 500
ACTIONS = (-0.4, -0.2, 0.2, 0.4)
ROBUST, NOMINAL, WIDER, TRUE = "robust", "recommended", "recommended, four duties", "LQR of the true cart"
WANTED = 99  # of 100

PARAMETERS: dict[str, Callable[[CartParams], float]] = {
    "latency ms": lambda cart: cart.delay.latency_s * 1000.0,
    "motor force N": lambda cart: cart.motor.stall_force_n,
    "dry friction N": lambda cart: cart.friction.cart_coulomb_n,
    "pole half length m": lambda cart: cart.pole_cart.pole_half_length_m,
}


class TrueRegulator:
    """The regulator of the drawn cart; implements `Controller`."""

    def __init__(self, env: CartPoleEnv) -> None:
        self._env = env
        self.reset()

    def reset(self) -> None:
        self._regulator = regulator_of(self._env.episode_cart)

    def duty(self, observation: Any) -> float:
        return self._regulator.duty(observation)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The result of one controller: steps survived on each drawn cart, and those carts."""

    seed: int | None
    steps: tuple[int, ...]
    rms_position_m: float
    carts: list[CartParams] = field(repr=False)

    @property
    def survived(self) -> int:
        return sum(steps >= STEPS for steps in self.steps)


def judged(env: CartPoleEnv, controller: Controller, seed: int | None, draws: int, on_episode: Any) -> Judged:
    """Evaluate the controller on the drawn carts."""
    carts: list[CartParams] = []

    def begin() -> None:
        carts.append(env.episode_cart)
        controller.reset()

    found = evaluate(
        controller.duty,
        env,
        episodes=draws,
        first_seed=VERDICT_SEED,
        max_steps=STEPS,
        take_step=env.step_duty,
        on_reset=begin,
        on_episode=on_episode,
    )
    return Judged(seed=seed, steps=found.steps, rms_position_m=found.rms_position_m, carts=carts)


def trained(kind: str, seed: int, folder: Path) -> tuple[Controller, float]:
    """A policy of that kind, and the seconds its training took."""
    options: list[object] = ["--cart", CART, "--seed", seed, "--out", folder / f"{kind}{seed}"]
    if kind != NOMINAL:
        options.append("--actions=" + ",".join(f"{duty:g}" for duty in ACTIONS))
    if kind == ROBUST:
        options += ["--preset", "robust", "--randomize", CART]
    summary = command("train", *options)
    return choose_controller(folder / f"{kind}{seed}", None, "c").controller, float(summary["training_s"])


def row(kind: str, found: Judged) -> str:
    """One line of the first table."""
    low, high = (100.0 * share for share in wilson(found.survived, len(found.steps)))
    return (
        f"{kind:<26}{'' if found.seed is None else found.seed:>4}{found.survived:>8} of {len(found.steps)}"
        f"{f'{low:.0f} to {high:.0f} %':>14}{np.mean(found.steps):>12.1f}{min(found.steps):>8}"
        f"{found.rms_position_m * 1000.0:>10.1f}"
    )


def thirds(found: Sequence[Judged], of: Callable[[CartParams], float]) -> str:
    """Survivors among the carts with the smallest, middle and largest values, over all seeds."""
    order = np.argsort([of(cart) for cart in found[0].carts], kind="stable")
    cells = []
    for part in np.array_split(order, 3):
        survived = sum(one.steps[k] >= STEPS for one in found for k in part)
        cells.append(f"{survived} of {len(part) * len(found)}")
    return "".join(f"{cell:>12}" for cell in cells)


def main() -> None:
    """Print one row per policy, then survivors by parameter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="train with seeds 0 to N-1 (default: 3)")
    parser.add_argument("--draws", type=int, default=100, help="drawn carts (default: 100)")
    arguments = parser.parse_args()
    cart = with_actions(load_cart(CART), ACTIONS, given="--actions")
    results: dict[str, list[Judged]] = {kind: [] for kind in (ROBUST, NOMINAL, WIDER, TRUE)}
    print(f"{arguments.draws} carts drawn around {CART}, rig {RIG}, {STEPS} steps")
    print(f"{'':<26}seed   survived     95 % interval  mean steps   least  RMS x mm")
    env = CartPoleEnv(rig=RIG, cart=cart, randomization=load_randomization(Path(CART), cart))
    jobs = 3 * arguments.seeds + 1
    with (
        tempfile.TemporaryDirectory() as name,
        progress_bar(jobs * arguments.draws, "judging", " episodes", quiet=True) as bar,
    ):
        seconds = []
        for kind, found in results.items():
            for seed in [None] if kind == TRUE else range(arguments.seeds):
                if seed is None:
                    controller: Controller = TrueRegulator(env)
                else:
                    controller, training_s = trained(kind, seed, Path(name))
                    if kind == ROBUST:
                        seconds.append(training_s)
                found.append(judged(env, controller, seed, arguments.draws, bar.update))
                print(row(kind, found[-1]), flush=True)
    env.close()
    for parameter, of in PARAMETERS.items():
        values = np.sort([of(one) for one in results[TRUE][0].carts])
        edges = ", ".join(f"{part[0]:.3g} to {part[-1]:.3g}" for part in np.array_split(values, 3))
        print(f"{parameter}: survivors by thirds, {edges}")
        for kind, found in results.items():
            print(f"  {kind:<26}{thirds(found, of)}")
    enough = [one.survived * 100 >= WANTED * arguments.draws for one in results[ROBUST]]
    print(f"{ROBUST}: {WANTED} % or more of the carts with {sum(enough)} of {len(enough)} seeds")
    print(f"training of {ROBUST}, evaluations included: {np.median(seconds):.1f} s median")
    print(machine_line())


if __name__ == "__main__":
    main()
