"""Train many seeds of a preset from the command line and count the successes.

    python -m benchmarks.recommended_seeds --seeds 10 --workers 2

Each seed is one `cartpole-robot train` in its own process: the wall time includes imports, training, verdict and
export.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from benchmarks.machine_load import machine_line
from cartpole_robot.experiments.study.findings import wilson
from cartpole_robot.policy.backend import LQR
from cartpole_robot.rollout.judging import JudgingRequest, judge
from cartpole_robot.task import SUCCESS_STEPS


def train_one(preset: str, cart: str, seed: int, *, folder: Path) -> dict[str, Any]:
    """The summary of one training, with its wall time in `wall_s`."""
    options = ("--preset", preset, "--cart", cart, "--seed", seed, "--out", folder / f"seed{seed}")
    begin = time.monotonic()
    summary = command("train", *options)
    return {**summary, "wall_s": time.monotonic() - begin}


def regulated(cart: str) -> dict[str, Any]:
    """The evaluation of the cart's regulator on the starts of the verdict."""
    return judge(
        JudgingRequest(
            policy=Path(LQR),
            env_id=None,
            rig="sim",
            cart=cart,
            backend="c",
            episodes=100,
            max_steps=500,
            first_seed=None,
        )
    )


def above(steps: list[float], least: float) -> int:
    """How many are at least `least`."""
    return sum(number >= least for number in steps)


def main() -> None:
    """Print one row per seed and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="recommended")
    parser.add_argument("--cart", default="gym")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 to N-1 (default: 10)")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time (default: 1)")
    arguments = parser.parse_args()
    print(f"{arguments.preset} on {arguments.cart}")
    print("seed   last model   exported   as int16   long episode   of step   verified   held   training s   wall s")
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.workers) as pool:
        one = partial(train_one, arguments.preset, arguments.cart, folder=Path(folder))
        runs = pool.map(one, range(arguments.seeds))
        for result in runs:
            results.append(result)
            print(
                f"{result['seed']:>4}{result['last_model']['mean_steps']:>13.1f}"
                f"{result['exported']['mean_steps']:>11.1f}{result['exported_int16']['mean_steps']:>11.1f}"
                f"{result['long_run']['steps']:>15}{result['selected_at_step']:>10}"
                f"{result['first_verified_step'] or '-':>11}{result['collapse_guard']['steps_settled']:>7}"
                f"{result['training_s']:>13.1f}{result['wall_s']:>9.1f}",
                flush=True,
            )
    last, exported = ([one[form]["mean_steps"] for one in results] for form in ("last_model", "exported"))
    long_runs = [one["long_run"] for one in results]
    for name, successes in (
        (f"last model at least {SUCCESS_STEPS:.0f} mean steps over 100 fresh episodes", above(last, SUCCESS_STEPS)),
        (f"exported policy at least {SUCCESS_STEPS:.0f}", above(exported, SUCCESS_STEPS)),
        ("exported policy 500.0", above(exported, 500.0)),
        ("one episode of 15,000 steps", sum(one["steps"] == one["of"] for one in long_runs)),
    ):
        low, high = wilson(successes, len(results))
        print(f"{name}: {successes} of {len(results)} seeds (95 %: {low:.1%} to {high:.1%})")
    states = sum(result["agreement"]["states"] for result in results)
    for form in ("c", "numpy", "onnxruntime", "int16"):
        same = sum(result["agreement"][form] for result in results)
        print(f"{form}: the action of PyTorch on {same} of {states} visited states")
    verified = [one["first_verified_step"] for one in results if one["first_verified_step"] is not None]
    if verified:
        print(
            f"steps of training to the first verified 500: median {np.median(verified):,.0f}, "
            f"most {max(verified):,} ({len(verified)} of {len(results)} seeds)"
        )
    walls = [result["wall_s"] for result in results]
    regulator = regulated(arguments.cart)
    print(f"{'':<24}{'policies, median':>18}{'range':>20}{'LQR, same starts':>18}")
    for name, unit, factor in (
        ("rms_position_m", "mm", 1000.0),
        ("rms_angle_rad", "mrad", 1000.0),
        ("reversals_per_s", "/s", 1.0),
        ("mean_power_w", "W", 1.0),
    ):
        values = [result["exported"][name] for result in results]
        if None not in values:
            scaled = np.array(values) * factor
            print(
                f"{name + ' [' + unit + ']':<24}{np.median(scaled):>18.2f}"
                f"{f'{scaled.min():.2f} to {scaled.max():.2f}':>20}{regulator[name] * factor:>18.2f}"
            )
    print(f"LQR: {regulator['mean_steps']:.1f} mean steps over {regulator['episodes']} episodes")
    print(f"wall time per seed, imports included: median {np.median(walls):.1f} s, longest {max(walls):.1f} s")
    print(machine_line())


if __name__ == "__main__":
    main()
