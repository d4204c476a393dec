"""Mutation testing of a stepper's core: test cases kill every mutant, or equivalent_stepper.txt explains it.

    python -m tests.firmware.mutate_stepper                  all mutants, some minutes on two cores
    python -m tests.firmware.mutate_stepper --sample 60 --seed 3

Mutated are the files that only a stepper has, and of those that both drives share the lines that do something else for
a stepper. Exit code 1 when an unexplained mutant survives, or an explained one is killed or is none any more.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE
from tests.firmware.cases import STEPPER_MODULES, cases_of, first_failure
from tests.firmware.linked_mutants import compile_objects, linked, number_of_judges
from tests.firmware.mutant_trials import KILLED, NOT_C, SURVIVED, Trial, Trials, run_trials
from tests.firmware.mutation import Mutant, mutants_of
from tests.firmware.stepper_core import CHECKS, StepperCore, load_stepper

OWN = ("drive_stepper", "ramp", "homing_stepper")
SHARED = {  # of what both drives have: the functions or lines that do something else for a stepper
    "safety": r"^.* \| .*(\bdrive_(?!commanded)|\bis_changed = )",
    "plausibility": r"\bDRIVE_|\bcart_speeds\b",
    "homing": r"^(has_fallen|begin_again) |^homing_leg \| .*!DRIVE_",
}
MUTATED = (*OWN, *SHARED)
MUTATED_FILES = tuple(FIRMWARE / f"{name}.c" for name in MUTATED)
UNCHANGED = (*(FIRMWARE / f"{name}.c" for name in CHECKS if name not in MUTATED), HERE / "safety_shim.c")
OPTIONS = ("-std=c11", "-w", "-O0", "-fPIC", "-DFIRMWARE_STEPPER")


@cache
def cached_cases() -> list[tuple[str, object, dict[str, object]]]:
    return list(cases_of(STEPPER_MODULES, "stepper"))


def stepper_trials() -> Trials:
    return Trials(
        sources={name: (FIRMWARE / f"{name}.c").read_text(encoding="utf-8") for name in MUTATED},
        explained=HERE / "equivalent_stepper.txt",
        prepare=_prepare,
        judge=_judge,
        judged_by=_judged_by,
        limit_s=60.0,
        mutants=stepper_mutants,
    )


def stepper_mutants(source: str, file: str) -> list[Mutant]:
    """Those of a file of its own, or of a shared one's lines that concern it."""
    mutants = mutants_of(source, file)
    return [each for each in mutants if file not in SHARED or re.search(SHARED[file], each.name)]


def _judged_by() -> int:
    return number_of_judges((*MUTATED_FILES, *UNCHANGED), OPTIONS)


def _prepare(folder: Path) -> None:
    compile_objects(folder, (*UNCHANGED, *MUTATED_FILES), OPTIONS)
    cached_cases()


def _judge(trial: Trial) -> tuple[int, str]:
    library = linked(trial, OPTIONS)
    if library is None:
        return NOT_C, ""
    failed = first_failure(load_stepper(library), trial.ordered(cached_cases()), "stepper", StepperCore)
    return (SURVIVED, "") if failed is None else (KILLED, failed)


if __name__ == "__main__":
    sys.exit(run_trials(stepper_trials(), "a stepper's core"))
