"""Mutants on trial: each is built and tested in its own process, and killed, or explained in a table of survivors."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.firmware.mutation import Mutant, mutants_of

KILLED, SURVIVED, NOT_C, SAME = 0, 1, 2, 3  # SAME: the compiler makes the original's image of it


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is mutated and how a mutant is judged.

    `prepare` is called once with an empty folder, `judge` with a mutant's number and changed text and that folder; it
    returns one of the verdicts above. `limit_s` is the time that one may take of a processor.
    """

    sources: dict[str, str]
    explained: Path
    prepare: Callable[[Path], None]
    judge: Callable[[Mutant, str, Path, int], int]
    limit_s: float


@dataclass
class Verdict:
    """The fate of each mutant, by name."""

    tried: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    survived: list[str] = field(default_factory=list)
    not_c: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)


def all_mutants(sources: dict[str, str]) -> list[Mutant]:
    """Those of every file. Raises ValueError where two files' have one name: their functions must differ in theirs."""
    mutants = [mutant for name, source in sources.items() for mutant in mutants_of(source, name)]
    names = [mutant.name for mutant in mutants]
    if len(set(names)) < len(names):
        raise ValueError(f"two mutants of one name: {sorted({name for name in names if names.count(name) > 1})}")
    return mutants


def read_explained(path: Path) -> dict[str, str]:
    """Mutants that no test can tell from the original, by name, and why. Raises ValueError for an odd line."""
    explained = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, why = line.rpartition(" | ")
        if not separator or name.count(" | ") < 2 or len(why) < 10 or name in explained:
            raise ValueError(f"{path.name}: {line!r}: expected `function | line | change | why`, each mutant once")
        explained[name] = why
    return explained


def try_mutants(mutants: Sequence[Mutant], trials: Trials, *, processes: int, reports: bool = False) -> Verdict:
    """Each mutant in a process of its own: one that crashes, or never ends, is killed.

    With `reports` each survivor is printed as it is found.
    """
    verdict = Verdict()
    running: dict[int, Mutant] = {}

    def take_one() -> None:
        process, status = os.wait()
        name = running.pop(process).name
        code = os.waitstatus_to_exitcode(status)
        verdict.tried.append(name)
        if code == SURVIVED and reports:
            print(f"survives ({len(verdict.tried)} tried): {name}", flush=True)
        {SURVIVED: verdict.survived, NOT_C: verdict.not_c, SAME: verdict.same}.get(code, verdict.killed).append(name)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trials.prepare(folder)
        for number, mutant in enumerate(mutants):
            while len(running) >= processes:
                take_one()
            sys.stdout.flush()
            process = os.fork()
            if process == 0:
                signal.setitimer(signal.ITIMER_PROF, trials.limit_s)  # of a processor: a busy machine kills no mutant
                code = KILLED
                try:
                    code = trials.judge(mutant, mutant.apply(trials.sources[mutant.file]), folder, number)
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


def run_trials(trials: Trials, what: str, arguments: Sequence[str] | None = None) -> int:
    """The command: 1 when an unexplained mutant survives, or an explained one is killed or is none any more."""
    parser = argparse.ArgumentParser(description=f"Mutation testing of {what}")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    parser.add_argument("--file", help="only those of this file, without .c")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    everything = all_mutants(trials.sources)
    mutants = [mutant for mutant in everything if chosen.file in (None, mutant.file)]
    if chosen.sample is not None:
        mutants = random.Random(chosen.seed).sample(mutants, min(chosen.sample, len(mutants)))
    began = time.monotonic()
    verdict = try_mutants(mutants, trials, processes=chosen.processes, reports=True)
    explained = read_explained(trials.explained)
    wrong = complaints(verdict, explained, everything)
    print("\n".join(wrong))
    print(
        f"{what}: {len(mutants)} mutants of {len(everything)}: {len(verdict.killed)} killed, "
        f"{len(verdict.survived)} survived, {len([name for name in verdict.survived if name in explained])} of them "
        f"explained, {len(verdict.same)} make the same image, {len(verdict.not_c)} do not compile, "
        f"{time.monotonic() - began:.0f} s, seed {chosen.seed}"
    )
    return bool(wrong)
