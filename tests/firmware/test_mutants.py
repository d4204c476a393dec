"""A sample of the mutants of safety.c and plausibility.c, another for each version; all: mutate_safety.py."""

from __future__ import annotations

import random
import zlib

import pytest

from tests.firmware.mutate_safety import all_mutants, complaints, judge, read_explained, read_sources
from tests.firmware.mutation import mutants_of

SAMPLE = 40


def test_sampled_mutants_are_killed_or_explained() -> None:
    sources = read_sources()
    everything = all_mutants(sources)
    assert {mutant.file for mutant in everything} == {"safety", "plausibility"}
    assert len(everything) > 1000
    seed = zlib.crc32("".join(sources.values()).encode())
    verdict = judge(random.Random(seed).sample(everything, SAMPLE), sources, processes=2)
    assert len(verdict.tried) == SAMPLE
    assert len(verdict.killed) > SAMPLE // 2
    assert complaints(verdict, read_explained(), everything) == [], f"seed {seed}"


def test_explained_mutants_do_survive() -> None:
    sources = read_sources()
    explained = read_explained()
    mutants = [mutant for mutant in all_mutants(sources) if mutant.name in explained]
    verdict = judge(random.Random(len(explained)).sample(mutants, 6), sources, processes=2)
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
