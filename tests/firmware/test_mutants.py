"""Samples of the mutants of the core and of boards/avr, others for each version; all of them: `make mutants`."""

from __future__ import annotations

import random
import zlib

import pytest

from tests.firmware.mutant_trials import all_mutants, complaints, read_explained, try_mutants
from tests.firmware.mutate_boards import board_trials
from tests.firmware.mutate_safety import core_trials
from tests.firmware.mutation import mutants_of

SAMPLE, OF_THE_BOARD = 40, 16


def test_sampled_mutants_are_killed_or_explained() -> None:
    trials = core_trials()
    everything = all_mutants(trials.sources)
    assert {mutant.file for mutant in everything} == {"safety", "plausibility", "config", "rail"}
    assert len(everything) > 1400
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, SAMPLE), trials, processes=2)
    assert len(verdict.tried) == SAMPLE
    assert len(verdict.killed) > SAMPLE // 2
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


def test_sampled_mutants_of_the_board_are_killed_or_explained(chip_tools: None) -> None:
    trials = board_trials()
    everything = all_mutants(trials.sources)
    assert len(everything) > 900
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, OF_THE_BOARD), trials, processes=2)
    assert len(verdict.tried) == OF_THE_BOARD
    assert len(verdict.killed) > OF_THE_BOARD // 4
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


def test_explained_mutants_do_survive() -> None:
    trials = core_trials()
    explained = read_explained(trials.explained)
    mutants = [mutant for mutant in all_mutants(trials.sources) if mutant.name in explained]
    verdict = try_mutants(random.Random(len(explained)).sample(mutants, 6), trials, processes=2)
    assert verdict.killed == []


def test_same_function_in_two_files_is_an_error() -> None:
    source = "int f(int a)\n{\n    return -a;\n}\n"
    with pytest.raises(ValueError, match=r"two mutants of one name: .*returns 0"):
        all_mutants({"one": source, "other": source})


def test_mutants_of_a_known_function() -> None:
    source = """
    int f(int a)
    {
        if (a < 3)
            a = -a;
        return a;
    }
    """
    changes = [mutant.name.split(" | ")[2] for mutant in mutants_of(source)]
    assert sorted(changes) == [
        "3 + 1",
        "3 - 1",
        "< becomes <=",
        "< becomes >=",
        "condition always false",
        "condition always true",
        "condition negated",
        "returns 0",
        "returns 1",
        "statement deleted",
        "unary - dropped",
    ]
