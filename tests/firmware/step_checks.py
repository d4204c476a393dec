"""What judges a stepper's board code: random accelerations of steps.c against `pulse_train.c`, tick by tick."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from firmware_bridge.emulator import DriverWiring, EmulatedChip
from tests.hil.step_train import HostTrain

START_MS, MILLISECONDS = 20, 450
LET_GO, DRIVEN_LOW, DRIVEN_HIGH = 0, 1, 2
OFF, ENABLE_LOW, ENABLE_HIGH, WAITS, STRAYS = 0, 1, 3, 4, 8  # of the program's third byte
SLOW, FAST, REVERSING = 1500, 20_000, 32_767
CRUISING = 165  # full for two ticks, then this: at 2,005 steps a second two periods are a little less than a tick
HIGH_BYTE = 22_682  # full for seven ticks, then this: a period of 260 counts, whose pulse begins at less than 256
JITTER = 98  # 3 steps a second, to either side in turn


@dataclass(frozen=True)
class Expected:
    """Of each millisecond: the command, and what the driver has then seen; at its tick, the count."""

    accelerations: list[int]
    seen: list[tuple[int, int]]
    counts: list[int]


@cache
def expected_steps(most: int) -> Expected:
    """Of `most` / 32767 of 1,000 steps a second in each tick at most: a random walk, then both directions in full.

    `REVERSING` turns back at each other tick or so, `CRUISING` and `HIGH_BYTE` keep their speed.
    """
    accelerations, seen, counts = [], [], []
    random_source = random.Random(most)
    acceleration = before = 0
    with tempfile.TemporaryDirectory() as folder:
        train = HostTrain(Path(folder))
        for k in range(MILLISECONDS):
            if most == REVERSING:
                acceleration = random_source.randint(0, most) * (-1 if train.speed > 0 else 1)
            elif most == CRUISING:
                acceleration = {1: 32_767, 2: 32_767, 3: CRUISING}.get(k, JITTER if k % 2 else -JITTER)
            elif most == HIGH_BYTE:
                acceleration = 32_767 if 1 <= k <= 7 else HIGH_BYTE if k == 8 else 0
            elif k > MILLISECONDS - 160:
                acceleration = most if k > MILLISECONDS - 80 else -most
            elif random_source.random() < 0.1:
                acceleration = random_source.randint(-most, most)
            accelerations.append(acceleration)
            counts.append(train.tick(before))
            seen.append((train.steps, train.area))
            before = acceleration
    return Expected(accelerations, seen, counts)


def check_steps(elf: Path, most: int, enable: int = ENABLE_LOW) -> None:
    """Assert that an image of steps.c makes those pulses, at their counts, and counts them itself.

    With `WAITS` in `enable` the end of a period that comes shortly before a tick waits with it.
    """
    expected = expected_steps(most)
    level = {OFF: LET_GO, ENABLE_LOW: DRIVEN_LOW, ENABLE_HIGH: DRIVEN_HIGH}[enable & 3]
    other = DRIVEN_HIGH if level == DRIVEN_LOW else DRIVEN_LOW  # asked for at last
    heard = b""
    with EmulatedChip(elf, driver=DriverWiring(has_cart_encoder=True)) as chip:
        for _ in range(START_MS):
            chip.tick(0, 0, 0, 12_000)
        chip.take()
        for k, acceleration in enumerate(expected.accelerations):
            is_off, is_other = k == MILLISECONDS - 10, k >= MILLISECONDS - 5
            asked = OFF if is_off else enable ^ 2 if is_other else enable
            chip.feed(bytes([acceleration & 0xFF, acceleration >> 8 & 0xFF, asked]))
            chip.tick(20 * k, -20 * k, 0, 12_000)
            heard += chip.take()
            steps, area, _, seen_level = chip.steps()
            assert (steps, area) == expected.seen[k], f"millisecond {k}"
            is_let_go = k in (0, MILLISECONDS - 9)
            assert seen_level == (LET_GO if is_let_go else other if k > MILLISECONDS - 5 else level), f"millisecond {k}"
        figures = chip.step_figures()
    found = [int.from_bytes(heard[k : k + 4], "little", signed=True) for k in range(0, len(heard) // 4 * 4, 4)]
    assert found[1:] == expected.counts[:-1]
    assert figures["high_cycles"] == 80
    assert figures["lost_bottoms"] == 0
    assert (figures["period_cycles"] or 0) >= 800
    assert (figures["setup_cycles"] or 0) >= 720


def check_stray_interrupt(elf: Path, enable: int) -> None:
    """Assert that a program that gets lost lets go of a moving driver, and that no pulse comes after that."""
    with EmulatedChip(elf, driver=DriverWiring()) as chip:
        for _ in range(START_MS):
            chip.tick(0, 0, 0, 12_000)
        for _ in range(20):
            chip.feed(bytes([0xFF, 0x7F, enable]))
            chip.tick(0, 0, 0, 12_000)
        assert chip.steps()[0] > 100
        assert chip.steps()[3] != LET_GO
        chip.feed(bytes([0, 0, enable | STRAYS]))
        for _ in range(3):
            chip.tick(0, 0, 0, 12_000)
        steps = chip.steps()[0]
        for _ in range(30):
            assert chip.steps()[3] == LET_GO
            chip.tick(0, 0, 0, 12_000)
        assert chip.steps()[0] == steps
