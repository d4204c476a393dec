"""How much of its chip's time and stack the firmware uses, read from the running image."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from cartpole_robot.campaign.bench import Bench, Subject
from cartpole_robot.campaign.edges import EXACT_PER_S, spin
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from firmware_bridge.build import CLOCK_HZ

_US_PER_CYCLE = 1e6 / CLOCK_HZ


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChipFigures:
    """Figures of a chip that homed, balanced for ten seconds, and counted 40,000 encoder edges a second while armed.

    `stack_free_bytes` were never touched; `longest_drive_us` is from a millisecond's tick to the bridge,
    `longest_tick_us` the whole safety tick with its report to the host, `busy_share` the time awake while balancing.
    """

    stack_free_bytes: int
    longest_interrupt_us: float
    longest_drive_us: float
    longest_tick_us: int
    missed_ticks: int
    busy_share: float


def chip_figures(image: Path | None = None) -> ChipFigures:
    """Run the image (an ELF file; None: this package's firmware) and read its figures. Raises `RigError`."""
    with Bench(Subject(policy=Path("lqr"), cart="diy_arduino", image=image)) as bench:
        bench.begin(0)
        before = bench.chip.figures()
        bench.survive(MAX_EPISODE_STEPS)
        after = bench.chip.figures()
        spin(bench, random.Random(0), EXACT_PER_S, is_exact=True)
        health, all_in_all = bench.link.health(), bench.chip.figures()
    return ChipFigures(
        stack_free_bytes=health.stack_free,
        longest_interrupt_us=round(all_in_all["longest_interrupt_cycles"] * _US_PER_CYCLE, 2),
        longest_drive_us=round(all_in_all["longest_latency_cycles"] * _US_PER_CYCLE, 1),
        longest_tick_us=health.longest_tick_us,
        missed_ticks=health.missed_ticks,
        busy_share=round(
            (after["awake_cycles"] - before["awake_cycles"]) / (after["cycles"] - before["cycles"]),
            3,
        ),
    )
