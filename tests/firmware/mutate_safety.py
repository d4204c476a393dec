"""Mutation testing of the core: test cases kill every mutant, or equivalent_mutants.txt explains it.

    python -m tests.firmware.mutate_safety                  all mutants, about three minutes on two cores
    python -m tests.firmware.mutate_safety --sample 60 --seed 3

Exit code 1 when an unexplained mutant survives, or an explained one is killed or is none any more.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, CompileError, compile_c, load_library
from tests.firmware.cases import CORE_MODULES, SAFETY_MODULES, cases_of, first_failure
from tests.firmware.mutant_trials import KILLED, NOT_C, SURVIVED, Trials, run_trials
from tests.firmware.mutation import Mutant

CASES = {  # what judges each file
    "safety": SAFETY_MODULES,
    "plausibility": SAFETY_MODULES,
    "pole_zero": SAFETY_MODULES,
    "config": CORE_MODULES,
    "rail": CORE_MODULES,
}
UNCHANGED = (FIRMWARE / "framing.c", HERE / "safety_shim.c")
OPTIONS = ("-std=c11", "-w", "-O0", "-fPIC")
cached_cases = cache(cases_of)


def core_trials() -> Trials:
    sources = {name: (FIRMWARE / f"{name}.c").read_text(encoding="utf-8") for name in CASES}
    limit_s = 30.0
    return Trials(
        sources=sources, explained=HERE / "equivalent_mutants.txt", prepare=_prepare, judge=_judge, limit_s=limit_s
    )


def _prepare(folder: Path) -> None:
    for part in (*UNCHANGED, *(FIRMWARE / f"{each}.c" for each in CASES)):
        compile_c(folder / f"{part.stem}.o", [part], [*OPTIONS, "-c"])
    for modules in CASES.values():
        cached_cases(modules)


def _judge(mutant: Mutant, changed: str, folder: Path, number: int) -> int:
    text = folder / f"{number}.c"
    text.write_text(changed, encoding="utf-8")
    objects = [each for each in folder.glob("*.o") if each.stem != mutant.file]
    try:
        library = compile_c(folder / f"{number}.so", [text, *objects], [*OPTIONS, "-shared"])
    except CompileError:
        return NOT_C
    failed = first_failure(load_library(library), cached_cases(CASES[mutant.file]))
    return SURVIVED if failed is None else KILLED


if __name__ == "__main__":
    sys.exit(run_trials(core_trials(), "the core"))
