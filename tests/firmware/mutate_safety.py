"""Mutation testing of the core: test cases kill every mutant, or equivalent_mutants.txt explains it.

    python -m tests.firmware.mutate_safety                  all mutants, some ten minutes on two cores
    python -m tests.firmware.mutate_safety --sample 60 --seed 3

Exit code 1 when an unexplained mutant survives, or an explained one is killed or is none any more.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, load_library
from tests.firmware.cases import CORE_MODULES, SAFETY_MODULES, cases_of, first_failure
from tests.firmware.linked_mutants import compile_objects, linked, number_of_judges
from tests.firmware.mutant_trials import KILLED, NOT_C, SURVIVED, Trial, Trials, run_trials

CASES = {  # what judges each file
    "safety": SAFETY_MODULES,
    "drive_dc": SAFETY_MODULES,
    "stillness": SAFETY_MODULES,
    "plausibility": SAFETY_MODULES,
    "pole_zero": SAFETY_MODULES,
    "config": CORE_MODULES,
    "rail": CORE_MODULES,
}
MUTATED_FILES = tuple(FIRMWARE / f"{name}.c" for name in CASES)
UNCHANGED = (FIRMWARE / "framing.c", HERE / "safety_shim.c")
OPTIONS = ("-std=c11", "-w", "-O0", "-fPIC")
cached_cases = cache(cases_of)


def core_trials() -> Trials:
    sources = {name: (FIRMWARE / f"{name}.c").read_text(encoding="utf-8") for name in CASES}
    return Trials(
        sources=sources,
        explained=HERE / "equivalent_mutants.txt",
        prepare=_prepare,
        judge=_judge,
        judged_by=_judged_by,
        limit_s=30.0,
    )


def _judged_by() -> int:
    return number_of_judges((*MUTATED_FILES, *UNCHANGED), OPTIONS)


def _prepare(folder: Path) -> None:
    compile_objects(folder, (*UNCHANGED, *MUTATED_FILES), OPTIONS)
    for modules in CASES.values():
        cached_cases(modules)


def _judge(trial: Trial) -> tuple[int, str]:
    library = linked(trial, OPTIONS)
    if library is None:
        return NOT_C, ""
    failed = first_failure(load_library(library), trial.ordered(cached_cases(CASES[trial.mutant.file])))
    return (SURVIVED, "") if failed is None else (KILLED, failed)


if __name__ == "__main__":
    sys.exit(run_trials(core_trials(), "the core"))
