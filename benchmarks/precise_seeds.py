"""Train many seeds of a precise preset and compare each policy with the regulator (LQR) of its cart.

    python -m benchmarks.precise_seeds --seeds 20 --keep precise.jsonl --policies runs/precise
    python -m benchmarks.precise_seeds --avr 3 --keep precise.jsonl --policies runs/precise
    python -m benchmarks.precise_seeds --ablation --seeds 10 --keep precise.jsonl

Each policy meets the 100 starts of the verdict on the rig sim, for carts with a firmware also on the rig virtual, and
one run of 15,000 steps. The regulator meets the same starts on the same rigs. Figures are the policy's divided by the
regulator's: below 1 the policy is better; "-" is the motor power of a stepper, which is unknown. --ablation removes one
element of the preset at a time, on the rig sim. With --keep a finished seed does not run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.against_regulator import NAMES, SHOWN, Figures, absolute_text, beats, known, ratio_text, ratios
from benchmarks.command_line import run_benchmark
from benchmarks.kept_records import KeptRecords, Record, code_digest, json_text
from benchmarks.machine_load import machine_line
from benchmarks.precise_ablation import ablated, ablation_rows, ablation_text
from benchmarks.precise_training import LONG_RUN_STEPS, Judging, Training, run_all
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.study.findings import wilson
from cartpole_robot.training.config import TrainingConfig, load_preset

CARTS = ("diy_arduino", "quanser_ip02", "sensorsini")
EPISODES = 100


def rigs_of(cart: CartParams) -> tuple[str, ...]:
    """The rigs on which its policies are judged next to the rig sim."""
    return () if cart.firmware is None else ("virtual",)


def compared(found: Mapping[int, Figures], reference: Figures) -> dict[str, Any]:
    """The figures of each seed against the regulator's: medians, worst seeds, how many beat it."""
    each = {seed: ratios(figures, reference) for seed, figures in found.items()}
    worst = max(each, key=lambda seed: max(known(each[seed])))
    columns = list(zip(*each.values(), strict=True))
    return {
        "median": [statistics.median(column) for column in columns],
        "worst": [max(column) for column in columns],
        "seeds": len(found),
        "beat": sum(beats(figures, reference) for figures in found.values()),
        "survived": sum(figures["survived"] == figures["episodes"] for figures in found.values()),
        "worst_seed": worst,
        "largest_ratio": max(known(each[worst])),
        "largest_of": NAMES[each[worst].index(max(known(each[worst])))],
        "faults": {seed: fault for seed, figures in found.items() for fault in figures["faults"][:1]},
        "medians": {name: statistics.median(figures[name] for figures in found.values()) for name in SHOWN},
        "lqr": {name: reference[name] for name in (*SHOWN, "survived", "episodes")},
    }


def findings(trainings: Sequence[Training], judgings: Sequence[Judging], kept: KeptRecords) -> dict[str, Any]:
    """Of one cart: the comparison on each rig, long runs, extensions and training times."""
    records = {training.seed: kept.get(training.key) or {} for training in trainings}
    good = {seed: record for seed, record in records.items() if record.get("is_exported")}
    rigs: dict[str, Any] = {}
    for judging in judgings:
        reference = kept.get(judging.key)
        if judging.policy is not None or reference is None:
            continue
        rig = judging.rig
        policies = {seed: record["rigs"][rig] for seed, record in good.items() if rig in record["rigs"]}
        for each in judgings:
            if each.rig == rig and each.seed in good and (record := kept.get(each.key)) is not None:
                policies[each.seed] = record["rigs"][rig]
        if policies:
            rigs[rig] = compared(policies, reference["rigs"][rig])
            if rig in trainings[0].rigs or rig == "sim":  # a seed without a policy counts as one that is worse
                rigs[rig]["seeds"] = len(records)
    return {
        "seeds": len(records),
        "diverged": [seed for seed, record in records.items() if "failed" in record],
        "without_policy": [seed for seed, record in records.items() if record.get("is_exported") is False],
        "rigs": rigs,
        "long_runs": sum(bool(record["long_run"]) for record in good.values()),
        "extension_steps": {seed: r["extension_steps"] for seed, r in good.items() if r["extension_steps"]},
        "training_s": statistics.median(record["training_s"] for record in good.values()) if good else None,
    }


def findings_text(cart: str, found: Mapping[str, Any]) -> str:
    """The comparison for a person."""
    seeds, lines = found["seeds"], []
    for rig, on_rig in found["rigs"].items():
        lqr = on_rig["lqr"]
        episodes = lqr["episodes"]
        lines += [
            f"{cart}, rig {rig}, {episodes} starts{'':<{24 - len(cart) - len(rig)}}"
            + "".join(f"{name:>14}" for name in NAMES),
            f"  {'policy / LQR, median seed':<42}{ratio_text(on_rig['median'])}",
            f"  {'policy / LQR, worst seed of each figure':<42}{ratio_text(on_rig['worst'])}",
            f"  {'policies, median':<42}{absolute_text(on_rig['medians'])}",
            f"  {'LQR':<42}{absolute_text(lqr)}",
            f"  below 1 in all {len(known(on_rig['median']))}: {on_rig['beat']} of {on_rig['seeds']} seeds; "
            f"every episode survived: {on_rig['survived']}; LQR survived {lqr['survived']} of {episodes} episodes",
            f"  largest ratio: {on_rig['largest_ratio']:.2f} ({on_rig['largest_of']}, seed {on_rig['worst_seed']})",
            *(f"  seed {seed}: {fault}" for seed, fault in on_rig["faults"].items()),
        ]
    low, high = wilson(found["long_runs"], seeds)
    extended = found["extension_steps"]
    lines.append(
        f"{cart}: long runs of {LONG_RUN_STEPS:,} steps survived: {found['long_runs']} of {seeds} "
        f"(95 %: {low:.1%} to {high:.1%})"
    )
    lines.append(
        f"{cart}: extended: {len(extended)} of {seeds} seeds"
        + (f", by {max(extended.values()):,} steps at most" if extended else "")
        + ("" if found["training_s"] is None else f"; training {found['training_s']:.1f} s, median")
    )
    for name, text in (("diverged", "diverged"), ("without_policy", "passed no network through every trial")):
        if found[name]:
            lines.append(f"{cart}: {text}: seeds {', '.join(map(str, found[name]))}, counted as failures")
    return "\n".join(lines)


def _ended(regulators: Mapping[str, Figures]) -> Any:
    """A function that describes a finished part."""

    def text(cart: str, record: Record) -> str:
        if "failed" in record:
            return str(record["failed"])
        figures = record["rigs"].get("sim")
        if figures is None or cart not in regulators:
            return "done"
        line = f"policy / LQR on sim{ratio_text(ratios(figures, regulators[cart]))}"
        return line if record.get("is_exported", True) else f"{line}, not exported: it fails a trial"

    return text


def main() -> None:
    """Train what is missing, and print the tables."""
    arguments = _arguments()
    config = load_preset(arguments.preset).changed(steps=arguments.steps)
    carts = [load_cart(name) for name in arguments.carts]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    if arguments.avr and arguments.policies is None:
        raise UsageError("--avr judges the policies in a folder; add --policies FOLDER")
    measured = {"benchmark": "precise_seeds", "config": dataclasses.asdict(config), "code": code_digest()}
    kept = KeptRecords(arguments.keep, measured)
    references = [
        Judging(cart=cart, rig=rig, episodes=EPISODES)
        for cart in carts
        for rig in ("sim", *(() if arguments.ablation else rigs_of(cart)))
    ]
    run_all(references, kept, arguments.workers, _ended({}))
    regulators: dict[str, Figures] = {}
    for judging in references:
        record = kept.get(judging.key)
        if judging.rig == "sim" and record is not None:
            regulators[judging.cart.name] = record["rigs"]["sim"]
    if arguments.ablation:
        trainings = ablated(config, carts, seeds)
        run_all(trainings, kept, arguments.workers, _ended(regulators))
        rows = ablation_rows(trainings, kept, regulators)
        print(json_text(rows) if arguments.json else ablation_text(rows, config.name))
    else:
        _compare(arguments, config, carts, seeds, kept, measured, references, regulators)
    if not arguments.json:
        print(machine_line())


def _compare(
    arguments: argparse.Namespace,
    config: TrainingConfig,
    carts: Sequence[CartParams],
    seeds: range,
    kept: KeptRecords,
    measured: Mapping[str, Any],
    references: Sequence[Judging],
    regulators: Mapping[str, Figures],
) -> None:
    trainings = [
        Training(
            name="preset",
            config=config,
            cart=cart,
            seed=seed,
            rigs=rigs_of(cart),
            is_long=True,
            policy=arguments.policies and arguments.policies / f"{cart.name}-seed{seed}" / "policy.npz",
            measured=measured,
        )
        for seed in seeds
        for cart in carts
    ]
    run_all(trainings, kept, arguments.workers, _ended(regulators))
    on_chip = []
    for cart in carts if arguments.avr else ():
        if cart.firmware is not None:
            own = [each for each in trainings if each.cart is cart and each.seed < seeds.start + arguments.avr]
            judged = {each.seed: each.policy for each in own if "failed" not in (kept.get(each.key) or {})}
            episodes = arguments.avr_episodes
            on_chip.append(Judging(cart=cart, rig="avr", episodes=episodes))
            on_chip += [
                Judging(cart=cart, rig="avr", episodes=episodes, policy=policy, seed=seed)
                for seed, policy in judged.items()
            ]
    run_all(on_chip, kept, arguments.workers, _ended(regulators))
    found = {
        cart.name: findings(
            [each for each in trainings if each.cart is cart],
            [each for each in (*references, *on_chip) if each.cart is cart],
            kept,
        )
        for cart in carts
    }
    if arguments.json:
        print(json_text(found))
        return
    print(f"preset {config.name}, seeds {seeds.start} to {seeds.stop - 1}")
    for cart in carts:
        print(findings_text(cart.name, found[cart.name]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", nargs="+", default=CARTS, metavar="CART", help=f"(default: {' '.join(CARTS)})")
    parser.add_argument("--seeds", type=int, help="how many (default: 20; 10 with --ablation)")
    parser.add_argument("--first-seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--preset", default="precise", metavar="NAME|FILE", help="(default: precise)")
    parser.add_argument("--steps", type=int, help="of each training, not extended (default: the preset's)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="finished seeds; the same command continues")
    parser.add_argument("--policies", type=Path, metavar="FOLDER", help="write each policy to FOLDER/CART-seedN/")
    parser.add_argument("--avr", type=int, default=0, metavar="N", help="judge the first N seeds on the rig avr too")
    parser.add_argument("--avr-episodes", type=int, default=20, help="of each on the rig avr (default: 20)")
    parser.add_argument("--ablation", action="store_true", help="remove one element of the preset at a time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = 10 if arguments.ablation else 20
    for name in ("seeds", "workers", "avr_episodes"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} {getattr(arguments, name)}: expected at least 1")
    return arguments


if __name__ == "__main__":
    run_benchmark(main)
