"""A policy on the simulated rig, where it was trained, and on the virtual rig with its real firmware: the same starts.

    python -m benchmarks.virtual_against_sim runs/recommended-diy_arduino-seed0 [--starts 100] [--steps 500] [--seed N]

Twenty episodes of 500 steps and one of 15,000 on each rig; RMS and reversals are compared over 100 starts. A stepper
holds its cart where it is: behind the firmware each episode begins where the one before has left it, and so it does on
the rig sim, once the drawn starts have been compared. The spread of a ratio is its standard error, from the episodes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.controllers import Chosen, Controller, choose_controller
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.evaluation import LONG_RUN_SEED, VERDICT_SEED, Evaluation, evaluate_controller
from cartpole_robot.signals import Measurement, State, wrap_angle_rad
from cartpole_robot.simulation.engine import Engine

EPISODES = 20
LONG_STEPS = 15_000
FIGURES = (
    ("rms_position_m", "mm", 1000.0),
    ("rms_angle_rad", "mrad", 1000.0),
    ("reversals_per_s", "/s", 1.0),
    ("mean_power_w", "W", 1.0),
)


class FromStates:
    """A simulated rig whose episodes begin at those states, one after the other, whatever start they are given."""

    def __init__(self, rig: LockstepRig, states: Sequence[State]) -> None:
        self.cart = rig.cart
        self._rig, self._states = rig, iter(states)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig, name)

    def reset(self, _: State, rng: np.random.Generator) -> Measurement:
        """The first measurement at the next state."""
        return self._rig.reset(next(self._states), rng)


class Noting:
    """A controller that notes where each of its episodes begins; implements `Controller`."""

    def __init__(self, controller: Controller, env: CartPoleEnv) -> None:
        self.duty, self.states = controller.duty, list[State]()
        self._controller, self._env = controller, env

    def reset(self) -> None:
        """An episode has begun."""
        self._controller.reset()
        state: State = self._env.rig.true_state()  # type: ignore[attr-defined]  # both rigs have it
        self.states.append(state._replace(pole_angle_rad=wrap_angle_rad(state.pole_angle_rad)))


def environment(chosen: Chosen, rig: str, states: Sequence[State] | None) -> CartPoleEnv:
    """That of the policy's cart on the rig; with `states` the rig sim, episodes beginning there."""
    if states is None:
        return CartPoleEnv(rig=rig, cart=chosen.cart, engine=Engine.NATIVE if rig == "sim" else None)
    return CartPoleEnv(rig=FromStates(simulated_rig(chosen.cart, engine=Engine.NATIVE), states))


def judged(
    chosen: Chosen,
    rig: str,
    *,
    episodes: int,
    first_seed: int,
    steps: int,
    states: Sequence[State] | None = None,
) -> tuple[list[Evaluation], list[State]]:
    """Each episode's evaluation on that rig, and where it began: at `states`, or where the rig has it."""
    with closing(environment(chosen, rig, states)) as env:
        noting = Noting(chosen.controller, env)
        found = [
            evaluate_controller(noting, env, episodes=1, first_seed=seed, max_steps=steps)
            for seed in range(first_seed, first_seed + episodes)
        ]
    return found, noting.states


def figure(found: Sequence[Evaluation], name: str) -> tuple[float, float]:
    """A figure over all steps of the episodes, the root of the mean square for an RMS, and its standard error."""
    power = 2 if name.startswith("rms") else 1
    parts = np.array([getattr(each, name) ** power for each in found])
    steps = np.array([sum(each.steps) for each in found])
    whole = float(np.average(parts, weights=steps)) ** (1.0 / power)
    error = float(parts.std()) / math.sqrt(len(parts)) / (power * whole ** (power - 1))
    return whole, error


def compared(one: list[Evaluation], other: list[Evaluation], title: str) -> None:
    """Print the table of two rigs' figures."""
    print(f"{'':<24}{'sim':>10}{'virtual':>10}{'ratio':>8}    {title}")
    for name, unit, factor in FIGURES:
        (simulated, sim_error), (virtual, virtual_error) = figure(one, name), figure(other, name)
        if math.isnan(simulated):  # the power of a stepper
            continue
        ratio = virtual / simulated
        spread = ratio * math.hypot(sim_error / simulated, virtual_error / virtual)
        print(
            f"{name + ' [' + unit + ']':<24}{simulated * factor:>10.3f}{virtual * factor:>10.3f}{ratio:>8.3f}"
            f" ± {spread:.3f}"
        )


def main() -> None:
    """Print the counts and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path, help="a policy.npz, the run folder it is in, or lqr")
    parser.add_argument("--cart", help="which cart (default: the one it was trained on)")
    parser.add_argument("--starts", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--steps", type=int, default=500, help="of each of them (default: 500)")
    parser.add_argument("--seed", type=int, default=VERDICT_SEED, help=f"of the first (default: {VERDICT_SEED})")
    arguments = parser.parse_args()
    chosen = choose_controller(arguments.policy, arguments.cart, "c")
    starts, steps = arguments.starts, arguments.steps
    found, begins = {}, []
    for rig in ("sim", "virtual"):
        begin = time.perf_counter()
        (long_run,), _ = judged(chosen, rig, episodes=1, first_seed=LONG_RUN_SEED, steps=LONG_STEPS)
        rate = sum(long_run.steps) / (time.perf_counter() - begin)
        found[rig], begins = judged(chosen, rig, episodes=starts, first_seed=arguments.seed, steps=steps)
        lasted = [sum(each.steps) == steps for each in found[rig]]
        print(
            f"{rig:<9}{sum(lasted[:EPISODES])} of {len(lasted[:EPISODES])} episodes of {steps} steps ({sum(lasted)} of "
            f"{starts}), one of {sum(long_run.steps)} of {LONG_STEPS} steps at {rate:.0f} environment steps/s"
        )
        for fault in (*(fault for each in found[rig] for fault in each.faults), *long_run.faults):
            print(f"  {fault}")
    if chosen.cart.stepper is None:
        compared(found["sim"], found["virtual"], f"on the same {starts} starts")
    else:
        compared(found["sim"], found["virtual"], f"on {starts} starts, drawn on sim and as the cart stands on virtual")
        same, _ = judged(chosen, "sim", episodes=starts, first_seed=arguments.seed, steps=steps, states=begins)
        compared(same, found["virtual"], f"on the {starts} starts of virtual")
    print(machine_line())


if __name__ == "__main__":
    main()
