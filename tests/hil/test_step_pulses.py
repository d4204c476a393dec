"""A stepper's pulses: both emulated chips make those of `pulse_train.c`, at the pin and in their own count."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.emulator import DriverWiring, EmulatedChip
from firmware_bridge.second_emulator import Chip, SecondChip
from tests.hil.step_train import HostTrain, compile_buffered, compile_steps

DRIVER = DriverWiring(has_cart_encoder=True)
START_MS = 20
ENABLED = 1
LET_GO, DRIVEN_LOW = 0, 1
STEP_HIGH_CYCLES, SHORTEST_PERIOD_CYCLES = 80, 800  # 5 us, and 20,000 steps a second
STEP_PIN, CONNECTED = 2, 6  # enum pin_event
SLOW, FAST = 1500, 20_000


@pytest.fixture(scope="module")
def image(chip_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_steps(tmp_path_factory.mktemp("steps"))


def drive(chip: Chip, train: HostTrain, most: int, edges: int, milliseconds: int) -> tuple[list[int], list[int]]:
    """Random accelerations; checks the pins at every millisecond, returns the counts of the train and of the chip.

    A command is used at the tick after the one of its millisecond, and a count is heard a millisecond after its tick.
    """
    random_source = random.Random(most)
    for _ in range(START_MS):
        chip.tick(0, 0, 0, 12_000)
    chip.take()
    counts, heard = [], b""
    acceleration = before = 0
    for k in range(1, milliseconds + 1):
        if k > milliseconds - 200:
            acceleration = most if k > milliseconds - 100 else -most
        elif random_source.random() < 0.1:
            acceleration = random_source.randint(-most, most)
        chip.feed(bytes([acceleration & 0xFF, acceleration >> 8 & 0xFF, ENABLED]))
        chip.tick(k * edges, -k * edges, 0, 12_000)
        heard += chip.take()
        counts.append(train.tick(before))
        before = acceleration
        steps, area, _, enable = chip.steps()
        assert (steps, area) == (train.steps, train.area), f"millisecond {k}, {train.speed} steps/s"
        assert enable == (DRIVEN_LOW if k > 1 else LET_GO)
    chips = [int.from_bytes(heard[k : k + 4], "little", signed=True) for k in range(0, len(heard) // 4 * 4, 4)]
    return counts[:-1], chips[1:]


def make(emulator: str, request: pytest.FixtureRequest) -> Callable[..., Chip]:
    if emulator == "simavr":
        return EmulatedChip
    request.getfixturevalue("second_emulator_tools")
    return SecondChip


@pytest.mark.parametrize("emulator", ["simavr", "avr8js"])
def test_compare_registers_hold_from_the_next_bottom_on(
    chip_tools: None, emulator: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Edges of OC1B, in counts since the timer began; a pulse begins a count after its match, and ends at BOTTOM."""
    events = tmp_path / "events"
    with make(emulator, request)(compile_buffered(tmp_path), events, driver=DRIVER) as chip:
        for _ in range(8):
            chip.tick(0, 0, 0, 12_000)
    records = np.fromfile(events, np.dtype([("cycle", "<u8"), ("what", "u1"), ("kind", "u1")]))
    (begun, *_) = records["cycle"][records["what"] == CONNECTED]
    edges = records[records["what"] == STEP_PIN]
    found = [(round((int(cycle) - int(begun)) / 8), int(kind) & 1) for cycle, kind in edges[["cycle", "kind"]]]
    wide = [(950, 1), (1000, 0), (1950, 1), (2000, 0), (2950, 1), (3000, 0), (3950, 1), (4000, 0)]
    after_three_without = [(6750, 1), (7000, 0), (7950, 1), (8200, 0), (9300, 1), (9400, 0), (10_500, 1), (10_600, 0)]
    assert found == [*wide, *after_three_without]


@pytest.mark.parametrize("most", [pytest.param(SLOW, marks=pytest.mark.long), FAST])
@pytest.mark.parametrize("emulator", ["simavr", "avr8js"])
def test_chip_makes_the_steps_of_the_train_and_counts_them(
    image: Path, emulator: str, most: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With 20,000 edges a second of both encoders; at every tick, for as long as it runs."""
    milliseconds = 1500
    with make(emulator, request)(image, driver=DRIVER) as chip:
        train = HostTrain(tmp_path)
        expected, found = drive(chip, train, most, 20, milliseconds)
        assert len(found) == milliseconds - 1
        assert found == expected
        assert max(expected) - min(expected) > 500
        if isinstance(chip, EmulatedChip):
            figures = chip.step_figures()
            assert figures["high_cycles"] == STEP_HIGH_CYCLES
            assert figures["lost_bottoms"] == 0
            assert figures["longest_write_cycles"] < SHORTEST_PERIOD_CYCLES
            assert figures["period_cycles"] >= SHORTEST_PERIOD_CYCLES
            assert figures["setup_cycles"] >= SHORTEST_PERIOD_CYCLES - STEP_HIGH_CYCLES
