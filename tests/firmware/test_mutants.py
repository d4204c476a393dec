"""A sample of the mutants of safety.c, another one for each version of it; all of them: mutate_safety.py."""

from __future__ import annotations

import random
import zlib

from tests.firmware.c_core import FIRMWARE
from tests.firmware.mutate_safety import complaints, judge, read_explained
from tests.firmware.mutation import mutants_of

SAMPLE = 40


def test_sampled_mutants_are_killed_or_explained() -> None:
    source = (FIRMWARE / "safety.c").read_text(encoding="utf-8")
    everything = mutants_of(source)
    assert len(everything) > 800
    seed = zlib.crc32(source.encode())
    verdict = judge(random.Random(seed).sample(everything, SAMPLE), source, processes=2)
    assert len(verdict.tried) == SAMPLE
    assert len(verdict.killed) > SAMPLE // 2
    assert complaints(verdict, read_explained(), everything) == [], f"seed {seed}"


def test_explained_mutants_do_survive() -> None:
    source = (FIRMWARE / "safety.c").read_text(encoding="utf-8")
    explained = read_explained()
    mutants = [mutant for mutant in mutants_of(source) if mutant.name in explained]
    verdict = judge(random.Random(len(explained)).sample(mutants, 6), source, processes=2)
    assert verdict.killed == []


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
