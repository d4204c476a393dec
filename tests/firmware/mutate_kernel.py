"""Mutation testing of boards/avr/policy_image.c, the inference on the chip: its values kill every mutant.

    python -m tests.firmware.mutate_kernel                  all mutants

Its assembly is mutated by the instruction, too: each is deleted in turn, in the macros and in the functions. Exit code
1 when an unexplained mutant survives, or one that equivalent_kernel.txt explains is killed or is none any more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from firmware_bridge import build
from tests.firmware.c_core import FIRMWARE, HERE
from tests.firmware.kernel import KERNEL, KERNELS, chip_values, kernel_case
from tests.firmware.mutant_trials import KILLED, NOT_C, SURVIVED, Trial, Trials, loaded_from, number_of, run_trials
from tests.firmware.mutation import Mutant, mutants_of
from tests.virtual_cart_process import quick_cart

# In a string or over several, with a macro's parameters between them, to the end of its line of assembly.
INSTRUCTION = re.compile(r'(?:(?<=")|(?<=\\t))[a-z.][a-z]* ?(?:[^"\\\n]|" \w+ ")*\\n(?:\\t)?')


@cache
def kernel_cases() -> list[tuple[str, str, list[list[int]]]]:
    """Name, header and expected values."""
    return [(str(shape), *kernel_case(quick_cart(), *shape)) for shape in KERNELS]


def kernel_trials() -> Trials:
    return Trials(
        sources={"policy_image": (FIRMWARE / KERNEL).read_text(encoding="utf-8")},
        explained=HERE / "equivalent_kernel.txt",
        prepare=_prepare,
        judge=_judge,
        judged_by=_judged_by,
        limit_s=120.0,
        mutants=kernel_mutants,
    )


def kernel_mutants(source: str, file: str) -> list[Mutant]:
    """Those of C, and each instruction deleted."""
    return [*mutants_of(source, file), *without_an_instruction(source, file)]


def without_an_instruction(source: str, file: str) -> Iterator[Mutant]:
    """A mutant of each instruction of inline assembly, deleted."""
    for number, found in enumerate(INSTRUCTION.finditer(source), start=1):
        line = source.count("\n", 0, found.start()) + 1
        text = " ".join(source.splitlines()[line - 1].strip(" \\").split())
        instruction = re.sub(r'\\[nt]|"', "", found[0]).strip()
        name = f"{file} | {text} | {instruction} deleted (instruction {number})"
        yield Mutant(file, found.start(), found.end(), "", line, name)


def _prepare(folder: Path) -> None:
    for name, header, expected in kernel_cases():
        if _values(folder, header) != expected:
            raise ValueError(f"the kernel itself fails {name}")


def _judged_by() -> int:
    compiler = subprocess.run(["avr-gcc", "--version"], capture_output=True, text=True, check=True).stdout
    sources = [FIRMWARE / "hal.h", FIRMWARE / "policy.h", FIRMWARE / "policy_image.h", HERE / "kernel.c"]
    loaded = loaded_from(HERE.parent, Path(build.__file__).parent, HERE.parent.parent / "cartpole_robot")
    return number_of([*sources, *loaded], compiler)


def _values(folder: Path, header: str, kernel: str | None = None) -> list[list[int]]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        return chip_values(Path(name), header, kernel)


def _judge(trial: Trial) -> tuple[int, str]:
    for name, header, expected in trial.ordered(kernel_cases()):
        try:
            if _values(trial.folder, header, trial.changed) != expected:
                return KILLED, name
        except subprocess.CalledProcessError:
            return NOT_C, name
    return SURVIVED, ""


if __name__ == "__main__":
    sys.exit(run_trials(kernel_trials(), "the inference on the chip"))
