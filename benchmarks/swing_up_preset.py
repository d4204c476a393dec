"""Train the preset `swing_up` with several seeds, vary it, and compare one policy with a hand-over between two.

    python -m benchmarks.swing_up_preset                  # ten seeds, each judged over 100 swing-ups that hold a minute
    python -m benchmarks.swing_up_preset --ablation       # what each choice of the preset is for
    python -m benchmarks.swing_up_preset --hand-over      # the last policy against swing-up plus balancing policy

Training is on the rig sim with the native engine, where the firmware's limits end an episode. Verdicts are on the rig
virtual, behind the firmware, and on sim, there in both forms of the exported policy; --ablation and --hand-over judge
on sim alone. Starts are those of no training and no selection. "CPU s" is the processor time of one training.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import (
    Controller,
    PolicyController,
    SwingUpPolicyController,
    open_policy,
    policy_controller,
)
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.network import ActionFunction, Network, float_action_function
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, VERDICT_SEED, visited_observations
from cartpole_robot.rollout.swing_up_evaluation import HELD, SwingUpEvaluation, evaluate_swing_up
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.config import TrainingConfig, load_preset
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import swing_up_env, training_env
from cartpole_robot.training.learning import Learned, learn, learn_unrecorded
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.parity import PARITY_STATES
from cartpole_robot.training.swing_up_trials import HOLD_STEPS

_PRESET = load_preset("swing_up")
_LAST = 20  # swing-ups of the last network, which is not exported
_VARIANTS: tuple[tuple[str, dict[str, Any], tuple[float, ...] | None], ...] = (
    ("the preset", {}, None),
    ("replay memory 1000, as the blog", {"replay_memory": 1000}, None),
    ("replay memory 10,000", {"replay_memory": 10_000}, None),
    ("epsilon to 0.01 over half, as the blog", {"epsilon_end": 0.01, "epsilon_fraction": 0.5}, None),
    ("one-step returns", {"n_steps": 1}, None),
    ("an update in four steps", {"train_every_steps": 4}, None),
    ("64 hidden units", {"hidden_units": 64}, None),
    ("128 hidden units", {"hidden_units": 128}, None),
    ("the newest network, no mean", {"averaged_steps": None}, None),
    ("no practice of hard starts", {"hard_start_share": 0.0}, None),
    ("duties ±0.2, the cart's for balancing", {}, (-0.2, 0.2)),
    ("duties ±0.4, ±0.15, 0", {}, (-0.4, -0.15, 0.0, 0.15, 0.4)),
    ("duties ±0.8, ±0.2, 0", {}, (-0.8, -0.2, 0.0, 0.2, 0.8)),
)


class Trained(NamedTuple):
    """What a training left, the processor time it took, and its verdicts: of the last network, of the selected one."""

    learned: Learned
    cpu_s: float
    last: SwingUpEvaluation
    selected: SwingUpEvaluation


def trained(config: TrainingConfig, cart: CartParams, seed: int, episodes: int) -> Trained:
    """Train once, and judge the selected network over `episodes` swing-ups."""
    torch.set_num_threads(1)
    begin_s = time.process_time()
    with (
        closing(training_env(cart, "sim", config, engine=Engine.NATIVE)) as env,
        closing(swing_up_env(cart, "sim", config.max_steps, engine=Engine.NATIVE)) as selecting,
    ):
        state = TrainingState(new_learner(config, cart, env, seed=seed, tensorboard=None), LearningLog())
        learned = learn(state, config, selecting, name=config.name)
    assert learned is not None  # no callback stops it
    cpu_s = time.process_time() - begin_s
    last, selected = (
        judged(_swinging(float_action_function(network), cart), cart, count)
        for network, count in ((network_of(learned.state.model), _LAST), (learned.selected.network, episodes))
    )
    return Trained(learned, cpu_s, last, selected)


def judged(controller: Controller, cart: CartParams, episodes: int, *, rig_name: str = "sim") -> SwingUpEvaluation:
    """The verdict on a controller: a minute each, from the first seeds of the verdict."""
    with closing(open_rig(rig_name, cart, engine=Engine.NATIVE if rig_name == "sim" else None)) as rig:
        return evaluate_swing_up(controller, rig, episodes=episodes, first_seed=VERDICT_SEED, hold_steps=HOLD_STEPS)


class HandOver:
    """One policy swings up and another balances; implements `Controller`.

    The second takes over where the pole is within the angle at which balancing ends and slower than it starts there,
    and gives back where it leaves that angle.
    """

    def __init__(self, swinging: Controller, balancing: Controller, cart: CartParams, most_rad_s: float) -> None:
        self._swinging, self._balancing = swinging, balancing
        self._angle_rad, self._rate_rad_s = cart.limits.pole_angle_rad, most_rad_s
        self._balances = False

    def reset(self) -> None:
        """The first policy drives again."""
        self._balances = False

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty of whichever policy drives; the balancing one sees the angle modulo a turn."""
        seen = observation.copy()
        seen[2] = (seen[2] + torch.pi) % (2.0 * torch.pi) - torch.pi
        is_near = abs(seen[2]) <= self._angle_rad
        self._balances = is_near and (self._balances or abs(seen[3]) <= self._rate_rad_s)
        return (self._balancing if self._balances else self._swinging).duty(seen)


def _swinging(act: ActionFunction, cart: CartParams) -> SwingUpPolicyController:
    return SwingUpPolicyController(act, cart.swing_up_table)


def exported(network: Network, cart: CartParams) -> PolicyBundle:
    """The policy as `cartpole-robot train` exports it."""
    act = float_action_function(network)
    with closing(swing_up_env(cart, "sim", _PRESET.max_steps, engine=Engine.NATIVE)) as env:
        visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    return bundle_of(network, cart, visited, {}, task=Task.SWING_UP)


def _row(found: SwingUpEvaluation) -> str:
    median_s, longest_s = found.up_s
    return (
        f"{found.successes:>6} of {len(found.episodes):<4}{median_s:>8.2f}{longest_s:>8.2f}"
        f"{found.rms_position_m * 1000.0:>9.1f}{found.reversals_per_step / found.control_period_s:>8.1f}"
    )


def _failures(found: SwingUpEvaluation) -> str:
    ends = Counter(episode.end for episode in found.episodes if episode.end != HELD)
    return "".join(f", {count} {end}" for end, count in ends.most_common()) + "".join(f"; {f}" for f in found.faults)


_COLUMNS = "held a min   median   longest up s   RMS mm   reversals/s"


def _seeds(cart: CartParams, seeds: range, episodes: int) -> None:
    print(f"preset swing_up on {cart.name}: {_COLUMNS}")
    good = 0
    for seed in seeds:
        found = trained(_PRESET, cart, seed, episodes)
        bundle = exported(found.learned.selected.network, cart)
        behind = judged(policy_controller(bundle), cart, episodes, rig_name="virtual")
        int16 = judged(policy_controller(bundle, Backend.INT16), cart, episodes)
        good += behind.successes == episodes
        first, row = found.learned.first_verified, found.learned.selected.row
        print(
            f"seed {seed}: virtual {_row(behind)}{_failures(behind)}\n"
            f"    sim {found.selected.successes} of {episodes}{_failures(found.selected)}; as int16 there "
            f"{int16.successes} of {episodes}{_failures(int16)}; of step {row.step}, {row.trials} trials, verified at "
            f"{first and first.step}; last network on sim {found.last.successes} of {_LAST}; CPU s {found.cpu_s:.0f}",
            flush=True,
        )
    print(f"seeds whose exported policy held in {episodes} of {episodes} on virtual: {good} of {len(seeds)}")


def _ablation(cart: CartParams, seeds: range, episodes: int, only: str, steps: int) -> None:
    print(f"{cart.name}, seeds {list(seeds)}, {steps} steps: swing-ups that held a minute, exported | last networks")
    print(f"(of {episodes} | of {_LAST})")
    for name, change, duties in _VARIANTS:
        if only not in name:
            continue
        config = dataclasses.replace(_PRESET, steps=steps, **change)
        driven = cart if duties is None else with_actions(cart, duties, given="variant", swings_up=True)
        runs = [trained(config, driven, seed, episodes) for seed in seeds]
        exported = " ".join(f"{run.selected.successes:>3}" for run in runs)
        last = " ".join(f"{run.last.successes:>3}" for run in runs)
        up_s = " ".join(f"{run.selected.up_s[0]:.1f}" for run in runs)
        cpu_s = sum(run.cpu_s for run in runs) / len(runs)
        print(f"{name:<42}{exported} | {last}; median up s {up_s}; CPU s {cpu_s:.0f}", flush=True)


def _hand_over(cart: CartParams, seeds: range, episodes: int, policies: list[Path]) -> None:
    """Compare, for each exported policy, or where there are none for each seed trained here."""
    print(f"one policy, and the same until the preset recommended takes over, on {cart.name}: {_COLUMNS}")
    balance = load_preset("recommended")
    named = [(str(path), path) for path in policies] or [(f"seed {seed}", None) for seed in seeds]
    for seed, (name, path) in enumerate(named, seeds.start):
        if path is None:
            act = float_action_function(trained(_PRESET, cart, seed, 1).learned.selected.network)
        else:
            act = open_policy(path)[0].action_function()
        learned, _ = learn_unrecorded(balance, cart, seed=seed, engine=Engine.NATIVE)
        balancing = PolicyController(float_action_function(learned.selected.network), cart.action_duties)
        print(f"{name}: one policy           {_row(judged(_swinging(act, cart), cart, episodes))}")
        for rate_rad_s in (0.5, 1.5, 10.0):
            both = HandOver(_swinging(act, cart), balancing, cart, rate_rad_s)
            print(f"  hand-over below {rate_rad_s:>4} rad/s {_row(judged(both, cart, episodes))}", flush=True)


def main() -> None:
    """Print one of the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--seeds", type=int, help="how many (default: 10, or 3 with an option below)")
    parser.add_argument("--first-seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--episodes", type=int, default=100, help="of each verdict (default: 100)")
    parser.add_argument(
        "--steps", type=int, default=_PRESET.steps, help="of each training of --ablation (default: the preset's)"
    )
    parser.add_argument("--ablation", action="store_true", help="vary the preset")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the variants, those with this in their name")
    parser.add_argument("--hand-over", action="store_true", help="compare with a hand-over between two policies")
    parser.add_argument(
        "--policy", type=Path, nargs="+", default=[], help="run folders that --hand-over takes, instead of training"
    )
    arguments = parser.parse_args()
    is_varied = arguments.ablation or arguments.hand_over
    count, first = arguments.seeds or (3 if is_varied else 10), arguments.first_seed
    cart, seeds, episodes = load_cart(arguments.cart), range(first, first + count), arguments.episodes
    if arguments.ablation:
        _ablation(cart, seeds, episodes, arguments.only, arguments.steps)
    elif arguments.hand_over:
        _hand_over(cart, seeds, episodes, arguments.policy)
    else:
        _seeds(cart, seeds, episodes)
    print(machine_line())


if __name__ == "__main__":
    main()
