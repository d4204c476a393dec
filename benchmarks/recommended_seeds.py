"""Train many seeds of a preset and count the successes.

    python -m benchmarks.recommended_seeds --seeds 10 --workers 2
    python -m benchmarks.recommended_seeds --seeds 50 --motor-seeds 20 --in-process

Each seed is one `cartpole-robot train` in its own process: the wall time includes imports, training, verdict and
export. With `--in-process` all are trained in this process, and nothing is exported. `--motor-seeds` trains on the
carts with a motor, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import command
from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.experiments.study.findings import wilson
from cartpole_robot.policy.backend import LQR
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rigs.engine_choice import chosen_engine
from cartpole_robot.rollout.evaluation import LONG_RUN_SEED, evaluate
from cartpole_robot.rollout.judging import JudgingRequest, judge
from cartpole_robot.task import SUCCESS_STEPS
from cartpole_robot.training.config import extended_by, load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.learning import learn_unrecorded
from cartpole_robot.training.run import LONG_RUN_STEPS

MOTOR_CARTS = ("diy_arduino", "quanser_ip02", "sensorsini")
LONG_RUNS = 10  # in this process; a training from the command line has one


def trained(preset: str, cart: str, folder: Path, seed: int) -> dict[str, Any]:
    """The summary of one training from the command line, with its wall time in `wall_s`."""
    options = ("--preset", preset, "--cart", cart, "--seed", seed, "--out", folder / f"{cart}{seed}")
    begin = time.monotonic()
    try:
        summary = command("train", *options)
    except RuntimeError as error:  # no network passed every trial
        return {"seed": seed, "error": str(error)}
    return {**summary, "wall_s": time.monotonic() - begin, "long_steps": [summary["long_run"]["steps"]]}


def learned(preset: str, cart: str, seed: int) -> dict[str, Any]:
    """The figures of one training in this process, named as in a summary."""
    config, made = load_preset(preset), load_cart(cart)
    engine, _ = chosen_engine(made)
    done, judged = learn_unrecorded(config, made, seed=seed, engine=engine)
    if config.extension_steps and not done.trials.is_passed:
        return {"seed": seed, "error": f"no network passed every trial: {done.trials.text}"}
    past = config.history_length
    with closing(balancing_env(made, "sim", LONG_RUN_STEPS, history_length=past, engine=engine)) as env:
        act = float_action_function(done.selected.network)
        found = evaluate(act, env, episodes=LONG_RUNS, first_seed=LONG_RUN_SEED, max_steps=LONG_RUN_STEPS)
    return {
        "seed": seed,
        "last_model": judged.last.as_dict(),
        "exported": judged.selected.as_dict(),
        "long_steps": found.steps,
        "selected_at_step": done.selected.row.step,
        "first_verified_step": None if done.first_verified is None else done.first_verified.step,
        "extension_steps": extended_by(config, done.state.model.num_timesteps),
        "training_s": done.state.elapsed_s,
    }


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


def all_trained(arguments: argparse.Namespace, cart: str, seeds: range) -> Iterator[dict[str, Any]]:
    """The result of each seed, as it is there."""
    if arguments.in_process:
        yield from map(partial(learned, arguments.preset, cart), seeds)
        return
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.workers) as pool:
        yield from pool.map(partial(trained, arguments.preset, cart, Path(folder)), seeds)


def report(arguments: argparse.Namespace, cart: str, seeds: range) -> None:
    """Train on one cart; print one row per seed and the counts."""
    print(f"{arguments.preset} on {cart}")
    print("seed   last model   exported   shortest long episode   of step   verified   extension   training s   wall s")
    results: list[dict[str, Any]] = []
    for result in all_trained(arguments, cart, seeds):
        if "error" in result:
            print(f"{result['seed']:>4}   {result['error']}", flush=True)
            continue
        results.append(result)
        print(
            f"{result['seed']:>4}{result['last_model']['mean_steps']:>13.1f}{result['exported']['mean_steps']:>11.1f}"
            f"{min(result['long_steps']):>24}{result['selected_at_step']:>10}"
            f"{result['first_verified_step'] or '-':>11}{result['extension_steps']:>12}"
            f"{result['training_s']:>13.1f}{result.get('wall_s', float('nan')):>9.1f}",
            flush=True,
        )
    counts(results, len(seeds))
    if not arguments.in_process:
        exports(results)
    calm(results, regulated(cart))


def counts(results: list[dict[str, Any]], seeds: int) -> None:
    """Print how many of all seeds succeeded, and how long they took."""
    last, exported = ([one[form]["mean_steps"] for one in results] for form in ("last_model", "exported"))
    long_runs = [[steps >= LONG_RUN_STEPS for steps in one["long_steps"]] for one in results]
    for name, successes in (
        ("a policy is exported", len(results)),
        (f"last model at least {SUCCESS_STEPS:.0f} mean steps over 100 fresh episodes", above(last, SUCCESS_STEPS)),
        (f"exported policy at least {SUCCESS_STEPS:.0f}", above(exported, SUCCESS_STEPS)),
        ("exported policy 500.0", above(exported, 500.0)),
        (f"exported policy, one episode of {LONG_RUN_STEPS:,} steps", sum(one[0] for one in long_runs)),
        (f"exported policy, all of {max(map(len, long_runs), default=1)} such episodes", sum(map(all, long_runs))),
    ):
        low, high = wilson(successes, seeds)
        print(f"{name}: {successes} of {seeds} seeds (95 %: {low:.1%} to {high:.1%})")
    if not results:
        return
    extensions = [one["extension_steps"] for one in results]
    print(
        f"extension: {sum(steps > 0 for steps in extensions)} seeds, median of all {np.median(extensions):,.0f} steps, "
        f"most {max(extensions):,}"
    )
    verified = [one["first_verified_step"] for one in results if one["first_verified_step"] is not None]
    if verified:
        print(
            f"steps to the first network that passed every trial: median {np.median(verified):,.0f}, "
            f"most {max(verified):,}"
        )
    seconds = [one["training_s"] for one in results]
    print(f"training, evaluations included: median {np.median(seconds):.1f} s, longest {max(seconds):.1f} s")


def exports(results: list[dict[str, Any]]) -> None:
    """Print what only a training from the command line measures: the exported forms, and the wall time."""
    states = sum(result["agreement"]["states"] for result in results)
    for form in ("c", "numpy", "onnxruntime", "int16"):
        same = sum(result["agreement"][form] for result in results)
        print(f"{form}: the action of PyTorch on {same} of {states} visited states")
    full = above([one["exported_int16"]["mean_steps"] for one in results], 500.0)
    print(f"as int16 500.0: {full} of {len(results)} seeds")
    walls = [result["wall_s"] for result in results]
    print(f"wall time per seed, imports included: median {np.median(walls):.1f} s, longest {max(walls):.1f} s")


def calm(results: list[dict[str, Any]], regulator: dict[str, Any]) -> None:
    """Print how calmly the policies balance, next to the regulator."""
    print(f"{'':<24}{'policies, median':>18}{'range':>20}{'LQR, same starts':>18}")
    for name, unit, factor in (
        ("rms_position_m", "mm", 1000.0),
        ("rms_angle_rad", "mrad", 1000.0),
        ("reversals_per_s", "/s", 1.0),
        ("mean_power_w", "W", 1.0),
    ):
        values = [result["exported"][name] for result in results]
        if values and None not in values:
            scaled = np.array(values) * factor
            print(
                f"{name + ' [' + unit + ']':<24}{np.median(scaled):>18.2f}"
                f"{f'{scaled.min():.2f} to {scaled.max():.2f}':>20}{regulator[name] * factor:>18.2f}"
            )
    print(f"LQR: {regulator['mean_steps']:.1f} mean steps over {regulator['episodes']} episodes")


def main() -> None:
    """Print one row per seed and the counts, cart by cart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="recommended")
    parser.add_argument("--cart", default="gym")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds (default: 10)")
    parser.add_argument("--motor-seeds", type=int, default=0, help="and how many on each cart with a motor")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--in-process", action="store_true", help="train in this process, and export nothing")
    arguments = parser.parse_args()
    others = [cart for cart in MOTOR_CARTS if cart != arguments.cart]
    plan = {arguments.cart: arguments.seeds, **dict.fromkeys(others, arguments.motor_seeds)}
    for cart, seeds in plan.items():
        if seeds:
            report(arguments, cart, range(arguments.first_seed, arguments.first_seed + seeds))
    print(machine_line())


if __name__ == "__main__":
    main()
