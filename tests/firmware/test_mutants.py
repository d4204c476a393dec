"""Samples of the mutants of the core and of boards/avr, others for each version; all of them: `make mutants`."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.firmware.mutant_trials import KILLED, Trials, all_mutants, complaints, read_explained, try_mutants
from tests.firmware.mutate_boards import board_trials
from tests.firmware.mutate_safety import CASES, core_trials
from tests.firmware.mutate_stepper import MUTATED, stepper_trials
from tests.firmware.mutate_stepper_board import stepper_board_trials
from tests.firmware.mutation import mutants_of

OF_THE_BOARD, EXPLAINED = 5, 3


@pytest.mark.parametrize("many", [3, pytest.param(12, marks=pytest.mark.long)])
def test_sampled_mutants_are_killed_or_explained(many: int) -> None:
    trials = core_trials()
    everything = all_mutants(trials.sources)
    assert {mutant.file for mutant in everything} == {*CASES}
    assert len(everything) > 1400
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, many), trials, processes=2)
    assert len(verdict.tried) == many
    assert len(verdict.killed) > many // 2
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


@pytest.mark.long
def test_sampled_mutants_of_the_board_are_killed_or_explained(chip_tools: None) -> None:
    trials = board_trials()
    everything = all_mutants(trials.sources)
    assert len(everything) > 900
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, OF_THE_BOARD), trials, processes=2)
    assert len(verdict.tried) == OF_THE_BOARD
    assert len(verdict.killed) > 0
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


@pytest.mark.parametrize("many", [3, pytest.param(8, marks=pytest.mark.long)])
def test_sampled_mutants_of_a_stepper_are_killed_or_explained(many: int) -> None:
    trials = stepper_trials()
    everything = all_mutants(trials.sources, trials.mutants)
    assert {mutant.file for mutant in everything} == {*MUTATED}
    assert len(everything) > 900
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, many), trials, processes=2)
    assert len(verdict.tried) == many
    assert len(verdict.killed) > many // 2
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


@pytest.mark.long
def test_sampled_mutants_of_a_stepper_s_board_are_killed_or_explained(chip_tools: None) -> None:
    trials = stepper_board_trials()
    everything = all_mutants(trials.sources, trials.mutants)
    assert {mutant.file for mutant in everything} == {"stepper", "clock", "contacts", "main"}
    assert len(everything) > 500
    seed = zlib.crc32("".join(trials.sources.values()).encode())
    verdict = try_mutants(random.Random(seed).sample(everything, OF_THE_BOARD), trials, processes=2)
    assert len(verdict.tried) == OF_THE_BOARD
    assert complaints(verdict, read_explained(trials.explained), everything) == [], f"seed {seed}"


@pytest.mark.long
def test_explained_mutants_do_survive() -> None:
    trials = core_trials()
    explained = read_explained(trials.explained)
    mutants = [mutant for mutant in all_mutants(trials.sources) if mutant.name in explained]
    verdict = try_mutants(random.Random(len(explained)).sample(mutants, EXPLAINED), trials, processes=2)
    assert verdict.killed == []


def test_same_function_in_two_files_is_an_error() -> None:
    source = "int f(int a)\n{\n    return -a;\n}\n"
    with pytest.raises(ValueError, match=r"two mutants of one name: .*returns 0"):
        all_mutants({"one": source, "other": source})


def test_journal_gives_back_the_verdicts_that_still_hold(tmp_path: Path) -> None:
    trials = Trials(
        sources={"f": "int f(int a)\n{\n    return a + 3;\n}\n"},
        explained=tmp_path / "none.txt",
        prepare=lambda _: None,
        judge=lambda trial: (KILLED, trial.ordered([("first",), ("check",), ("last",)])[0][0]),
        judged_by=lambda: 1,
        limit_s=10.0,
    )
    mutants, journal = all_mutants(trials.sources), tmp_path / "journal"

    def judge(changed: Trials) -> tuple[int, set[str]]:
        verdict = try_mutants(mutants, changed, processes=2, journal=journal)
        assert sorted(verdict.killed) == sorted(mutant.name for mutant in mutants)
        lines = journal.read_text().splitlines()[-len(mutants) :]
        return verdict.kept, {json.loads(line)["check"] for line in lines if line.endswith("}")}

    assert judge(trials) == (0, {"first"})
    journal.write_text(journal.read_text().replace("first", "last") + '{"mutant": "cut o\n')
    assert judge(trials) == (len(mutants), {"last"}), "nothing is judged"
    other = {"f": trials.sources["f"].replace("int a", "long a")}
    assert judge(replace(trials, sources=other))[0] == 0, "another text"
    assert judge(replace(trials, sources=other, judged_by=lambda: 2)) == (0, {"last"}), "another judge"


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
