"""Mutation testing of safety.c and plausibility.c: test cases kill every mutant, or equivalent_mutants.txt explains it.

    python -m tests.firmware.mutate_safety                  all mutants, about two minutes on two cores
    python -m tests.firmware.mutate_safety --sample 60 --seed 3

Exit code 1 when an unexplained mutant survives, or an explained one is killed or is none any more.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, CompileError, compile_c, load_library
from tests.firmware.cases import SAFETY_MODULES, cases_of, first_failure
from tests.firmware.mutation import Mutant, mutants_of

MUTATED = ("safety", "plausibility")
UNCHANGED = (FIRMWARE / "framing.c", FIRMWARE / "config.c", HERE / "safety_shim.c")
EXPLAINED = HERE / "equivalent_mutants.txt"
OPTIONS = ("-std=c11", "-w", "-O0", "-fPIC")
KILLED, SURVIVED, NOT_C = 0, 1, 2
TIMEOUT_S = 30


@dataclass
class Verdict:
    """The fate of each mutant, by name."""

    tried: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    survived: list[str] = field(default_factory=list)
    not_c: list[str] = field(default_factory=list)


def read_sources() -> dict[str, str]:
    """The text of each file that is mutated, by its name without `.c`."""
    return {name: (FIRMWARE / f"{name}.c").read_text(encoding="utf-8") for name in MUTATED}


def all_mutants(sources: dict[str, str]) -> list[Mutant]:
    """Those of every file. Raises ValueError where two files' have one name: their functions must differ in theirs."""
    mutants = [mutant for name, source in sources.items() for mutant in mutants_of(source, name)]
    names = [mutant.name for mutant in mutants]
    if len(set(names)) < len(names):
        raise ValueError(f"two mutants of one name: {sorted({name for name in names if names.count(name) > 1})}")
    return mutants


def read_explained() -> dict[str, str]:
    """Mutants that no test can tell from the original, by name, and why. Raises ValueError for an odd line."""
    explained = {}
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, why = line.rpartition(" | ")
        if not separator or name.count(" | ") < 2 or len(why) < 10 or name in explained:
            raise ValueError(f"{EXPLAINED.name}: {line!r}: expected `function | line | change | why`, each mutant once")
        explained[name] = why
    return explained


def _judge(mutant: Mutant, source: str, folder: Path, number: int, cases: list) -> int:  # type: ignore[type-arg]
    """Compiles one mutant and runs the cases against it, in this process."""
    text = folder / f"{number}.c"
    text.write_text(mutant.apply(source), encoding="utf-8")
    objects = [each for each in folder.glob("*.o") if each.stem != mutant.file]
    try:
        library = compile_c(folder / f"{number}.so", [text, *objects], [*OPTIONS, "-shared"])
    except CompileError:
        return NOT_C
    return SURVIVED if first_failure(load_library(library), cases) is None else KILLED


def judge(mutants: Sequence[Mutant], sources: dict[str, str], *, processes: int) -> Verdict:
    """Each mutant in a process of its own: one that crashes or never ends is killed."""
    cases = cases_of(SAFETY_MODULES)
    verdict = Verdict()
    running: dict[int, Mutant] = {}

    def take_one() -> None:
        process, status = os.wait()
        name = running.pop(process).name
        code = os.waitstatus_to_exitcode(status)
        verdict.tried.append(name)
        {SURVIVED: verdict.survived, NOT_C: verdict.not_c}.get(code, verdict.killed).append(name)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (*UNCHANGED, *(FIRMWARE / f"{each}.c" for each in MUTATED)):
            compile_c(folder / f"{part.stem}.o", [part], [*OPTIONS, "-c"])
        for number, mutant in enumerate(mutants):
            while len(running) >= processes:
                take_one()
            sys.stdout.flush()
            process = os.fork()
            if process == 0:
                signal.alarm(TIMEOUT_S)
                code = KILLED
                try:
                    code = _judge(mutant, sources[mutant.file], folder, number, cases)
                finally:
                    os._exit(code)
            running[process] = mutant
        while running:
            take_one()
    return verdict


def complaints(verdict: Verdict, explained: dict[str, str], everything: Sequence[Mutant]) -> list[str]:
    """What is wrong, a line each; nothing where every mutant is killed or explained."""
    names = {mutant.name for mutant in everything}
    return [
        *(f"survives: {name}" for name in verdict.survived if name not in explained),
        *(f"explained as equivalent, but killed: {name}" for name in verdict.killed if name in explained),
        *(f"explained, but no mutant any more: {name}" for name in explained if name not in names),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Mutation testing of safety.c and plausibility.c")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    sources = read_sources()
    everything = all_mutants(sources)
    mutants = everything
    if chosen.sample is not None:
        mutants = random.Random(chosen.seed).sample(everything, min(chosen.sample, len(everything)))
    began = time.monotonic()
    verdict = judge(mutants, sources, processes=chosen.processes)
    explained = read_explained()
    wrong = complaints(verdict, explained, everything)
    print("\n".join(wrong))
    print(
        f"{len(mutants)} mutants of {len(everything)}: {len(verdict.killed)} killed, {len(verdict.survived)} survived, "
        f"{len([name for name in verdict.survived if name in explained])} of them explained, "
        f"{len(verdict.not_c)} do not compile, {time.monotonic() - began:.0f} s, seed {chosen.seed}"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
