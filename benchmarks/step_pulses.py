"""STEP pulses of the emulated chip at the pin, while both encoders turn: jitter, rates, shortest times, interrupts.

    python -m benchmarks.step_pulses [--edges-per-s 20000]

The board's own files run around a program that only accelerates (`tests/hil/steps.c`), on simavr, with the edges of
both encoders spread over each millisecond. A period is timed from one rising edge of STEP to the next, and the longest
at each speed compared with the shortest; below 2,000 steps a second pulses come in slots of a quarter millisecond.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cartpole_robot.campaign.pin_events import PinEvents, read_pin_events
from firmware_bridge.build import CLOCK_HZ
from firmware_bridge.emulator import DriverWiring, EmulatedChip
from tests.hil.step_train import GAIN_Q4, compile_steps

DRIVER = DriverWiring(has_cart_encoder=True)
US_PER_CYCLE = 1e6 / CLOCK_HZ
ONE_Q15 = 32_767
START_MS, STEADY_MS, SETTLING_MS = 20, 300, 5
ACCELERATION_MS = 100
SPEEDS = (150, 1_000, 1_999, 2_001, 3_333, 7_000, 12_345, 19_999, 20_000)
SHORTEST = ("high_cycles", "low_cycles", "period_cycles", "setup_cycles", "hold_cycles")
LONGEST = ("longest_write_cycles", "lost_bottoms", "longest_interrupt_cycles")
# What the drivers ask for, in microseconds: STEP high, STEP low, DIR before a rising edge.
DATA_SHEETS = {
    "DM542T (manual, sequence chart)": (2.5, 2.5, 5.0),
    "TB6600HG (data sheet, 2.2 us CLK)": (2.2, 2.2, 2.2),
    "TMC2209 (data sheet, 0.1 us filter)": (0.1, 0.1, 0.02),
}


@dataclass(frozen=True)
class Steady:
    """The pulses at one speed."""

    asked_steps_s: int
    steps_s: float
    shortest_cycles: int
    longest_cycles: int

    @property
    def jitter_cycles(self) -> int:
        """The distance between the shortest and the longest period."""
        return self.longest_cycles - self.shortest_cycles


Moments = list[tuple[int, int]]  # an acceleration as steps.c takes it, and for how many milliseconds
Figures = dict[str, int | None]


def run(image: Path, moments: Moments, edges_per_ms: int) -> tuple[PinEvents, list[int], Figures]:
    """The pins' events, the tick at which each moment began, and what the emulator counted."""
    events = image.with_suffix(".events")
    counts, begun = 0, []
    with EmulatedChip(image, events, driver=DRIVER) as chip:
        ticks = 0
        for asked, milliseconds in moments:
            begun.append(ticks)
            ticks += milliseconds
            for _ in range(milliseconds):
                counts += edges_per_ms
                chip.feed(bytes([asked & 0xFF, asked >> 8 & 0xFF, 1]))
                chip.tick(counts, -counts, 0, 24_000)
                chip.take()
        figures = {**chip.figures(), **chip.step_figures()}
    return read_pin_events(events), begun, figures


def at_speed(image: Path, speed: int, edges_per_ms: int) -> tuple[Steady, Figures]:
    """Accelerate to `speed` and keep it."""
    acceleration = round(speed / ACCELERATION_MS * 16 * ONE_Q15 / GAIN_Q4)
    moments = [(0, START_MS), (acceleration, ACCELERATION_MS), (0, STEADY_MS)]
    seen, begun, figures = run(image, [*moments, (0, SETTLING_MS)], edges_per_ms)
    cycles, kinds = seen.edges["PB2"]
    rises = cycles[(kinds & 1) == 1]
    first, last = seen.tick_cycles[begun[2] + SETTLING_MS], seen.tick_cycles[begun[3] - SETTLING_MS]
    periods = np.diff(rises[(rises >= first) & (rises < last)])
    return Steady(speed, CLOCK_HZ / float(periods.mean()), int(periods.min()), int(periods.max())), figures


def turning(image: Path, edges_per_ms: int) -> Figures:
    """Turn back every few milliseconds, as hard as the program can."""
    to_either_side = ((1, 2), (-1, 4), (1, 4), (-1, 2))
    back_and_forth = [(sign * (ONE_Q15 - 701 * k), ticks) for k in range(40) for sign, ticks in to_either_side]
    return run(image, [(0, START_MS), *back_and_forth], edges_per_ms)[2]


def main() -> None:
    """Print a line per speed, then the shortest times of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges-per-s", type=int, default=20_000, help="of each encoder (default: 20000)")
    edges_per_ms = parser.parse_args().edges_per_s // 1000
    shortest: dict[str, int] = {}
    longest = dict.fromkeys(LONGEST, 0)

    def note(figures: Figures) -> None:
        for name in SHORTEST:
            found = figures[name]
            if found is not None:
                shortest[name] = min(found, shortest.get(name, found))
        for name in LONGEST:
            longest[name] = max(longest[name], figures[name] or 0)

    print(f"{edges_per_ms * 1000} edges a second of each encoder\n")
    print("  asked  steps/s at the pin   period in cycles   largest difference of two periods")
    with tempfile.TemporaryDirectory(prefix="steps-") as folder:
        image = compile_steps(Path(folder))
        for speed in SPEEDS:
            steady, figures = at_speed(image, speed, edges_per_ms)
            note(figures)
            print(
                f"  {speed:5d}  {steady.steps_s:18.1f}   {steady.shortest_cycles:6d} to {steady.longest_cycles:6d}   "
                f"{steady.jitter_cycles} cycles ({steady.jitter_cycles * US_PER_CYCLE:.2f} us)"
            )
        note(turning(image, edges_per_ms))
    print("\nshortest at the pins:")
    for name, found in shortest.items():
        print(f"  {name.removesuffix('_cycles'):<7} {found:6d} cycles, {found * US_PER_CYCLE:8.3f} us")
    print("\nthe interrupt:")
    for name, found in longest.items():
        print(f"  {name}: {found}")
    print("\nagainst the drivers' data sheets (us: STEP high, STEP low, DIR before an edge):")
    have = [shortest[name] * US_PER_CYCLE for name in ("high_cycles", "low_cycles", "setup_cycles")]
    for name, asked in DATA_SHEETS.items():
        verdict = "kept" if all(own >= least for own, least in zip(have, asked, strict=True)) else "NOT KEPT"
        print(f"  {name:<36} {asked[0]:4} {asked[1]:4} {asked[2]:5}  {verdict}")


if __name__ == "__main__":
    main()
