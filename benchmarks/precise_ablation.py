"""What each element of a precise preset is for: the preset with one of them removed at a time."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.against_regulator import NAMES, Figures, beats, ratio_text, ratios
from benchmarks.kept_records import KeptRecords
from benchmarks.precise_training import Training
from cartpole_robot.cart.params import CartParams
from cartpole_robot.training.config import ActionTable, LearnerReward, Selection, Symmetry, TrainingConfig

VARIANTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("the cart's own action table", {"actions": ActionTable.DUTY}),
    ("the reward of `recommended`", {"learner_reward": LearnerReward.FALL, "cost": None, "wide_start_share": 0.0}),
    ("weights of the cost that stay", {"cost": {"adapts_from": None}}),
    ("no symmetry", {"symmetry": Symmetry.NONE}),
    ("mirrored steps, no odd network", {"symmetry": Symmetry.MIRRORED}),
    ("selection by position, weights that stay", {"selection": Selection.POSITION, "cost": {"adapts_from": None}}),
    ("replay memory 1000", {"replay_memory": 1000}),
    ("no starts as after a push", {"wide_start_share": 0.0}),
    ("history length 1", {"history_length": 1}),
    ("the newest network, no running mean", {"averaged_steps": None}),
)


def variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """`config` itself, then with one element removed at a time; a change that changes nothing is left out."""
    found = {"preset": config}
    for name, change in VARIANTS:
        varied = _changed(config, change)
        if varied != config:
            found[name] = varied
    return found


def _changed(config: TrainingConfig, change: Mapping[str, Any]) -> TrainingConfig:
    """`config` with other values; where one is a table, with those of the section of that name."""
    values = {
        name: dataclasses.replace(section, **value)
        if isinstance(value, Mapping) and (section := getattr(config, name)) is not None
        else value
        for name, value in change.items()
    }
    return dataclasses.replace(config, **values)


def ablated(config: TrainingConfig, carts: Sequence[CartParams], seeds: range) -> list[Training]:
    """The trainings of the table, those of the preset first."""
    return [
        Training(name=name, config=varied, cart=cart, seed=seed)
        for name, varied in variants(config).items()
        for cart in carts
        for seed in seeds
    ]


def ablation_rows(
    trainings: Sequence[Training], kept: KeptRecords, regulators: Mapping[str, Figures]
) -> dict[str, dict[str, dict[str, Any]]]:
    """By variant and cart: the median ratios, and how many seeds beat the regulator, diverged, or fell."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for training in trainings:
        cart = training.cart.name
        row = rows.setdefault(training.name, {}).setdefault(
            cart, {"ratios": [], "beat": 0, "of": 0, "diverged": 0, "fell": 0, "not_exported": 0}
        )
        record = kept.get(training.key)
        assert record is not None
        row["of"] += 1
        if "failed" in record:
            row["diverged"] += 1
            continue
        figures = record["rigs"]["sim"]
        row["ratios"].append(ratios(figures, regulators[cart]))
        row["beat"] += record["is_exported"] and beats(figures, regulators[cart])
        row["fell"] += figures["survived"] < figures["episodes"]
        row["not_exported"] += not record["is_exported"]
    for of_cart in rows.values():
        for row in of_cart.values():
            row["medians"] = [statistics.median(values) for values in zip(*row.pop("ratios"), strict=True)]
    return rows


def ablation_text(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], preset: str) -> str:
    """A Markdown table: a row per variant, a cell per cart."""
    carts = list(next(iter(rows.values())))
    lines = [
        f"Rig sim, medians of policy / LQR: {', '.join(NAMES)}; seeds that beat the regulator in all of them.",
        f"| | {' | '.join(carts)} |",
        "|---" * (1 + len(carts)) + "|",
    ]
    for name, of_cart in rows.items():
        cells = " | ".join(_cell(of_cart[cart]) for cart in carts)
        lines.append(f"| {f'`{preset}`' if name == 'preset' else name} | {cells} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    counts = [f"{row['beat']} of {row['of']}"]
    counts += [f"{row[name]} {text}" for name, text in _OTHERS if row[name]]
    return f"{' '.join(ratio_text(row['medians']).split())}; {', '.join(counts)}"


_OTHERS = (("diverged", "diverged"), ("fell", "fell"), ("not_exported", "without a policy"))
