"""The strength of the pushes in a score: that at which swing-up plus LQR is up for 0.75 of a minute.

    python -m benchmarks.push_scale [--cart diy_arduino] [--runs 100] [--jobs 2]

The figure goes into `score_ranges.toml` once, before any policy is scored. The seeds are those for tuning; a score uses
others. The last lines show the share on fresh seeds of the same kind.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.experiments.score.parts import TUNING_SEED, Part
from cartpole_robot.experiments.score.run import run_in_memory
from cartpole_robot.experiments.score.score import Score, planned_score
from cartpole_robot.policy.backend import LQR

WANTED, CLOSE = 0.75, 0.003


def share(score: Score, scale: float, seed: int, jobs: int | None) -> tuple[float, float]:
    """Mean share of a minute upright and its standard error, of LQR under pushes of that scale."""
    scaled = dataclasses.replace(
        score, contenders=score.contenders[:1], ranges=score.ranges.with_scale(scale), seed=seed
    )
    records = run_in_memory(scaled, print, jobs=jobs)
    shares = [record["up_shares"][0] for record in records.values()]
    return float(np.mean(shares)), float(np.std(shares, ddof=1)) / len(shares) ** 0.5


def main() -> None:
    """Print each scale that is tried, and the one that is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int)
    arguments = parser.parse_args()
    print(machine_line())
    score = planned_score(Path(LQR), arguments.cart, runs=arguments.runs, parts=(Part.MINUTES,))
    low, high = 0.5, 3.0
    while True:
        scale = round(0.5 * (low + high), 3)
        found, error = share(score, scale, TUNING_SEED, arguments.jobs)
        print(f"scale {scale:.3f}: up for {found:.4f} +- {error:.4f} of a minute", flush=True)
        if abs(found - WANTED) <= CLOSE or high - low < 0.002:
            break
        low, high = (scale, high) if found > WANTED else (low, scale)
    for number in (1, 2):
        fresh, error = share(score, scale, TUNING_SEED + number, arguments.jobs)
        print(f"scale {scale:.3f}, seed {TUNING_SEED + number}: up for {fresh:.4f} +- {error:.4f}", flush=True)


if __name__ == "__main__":
    main()
