"""Mutants on trial: each is built and tested in its own process, and killed, or explained in a table of survivors.

A journal keeps the verdicts. One is taken from it as long as neither the mutant's text nor anything that judged it has
changed, so that a run that was stopped goes on where it was. Where something has changed, it only says which checks are
tried first: the one that killed the mutant the last time, then those that kill the most.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.firmware.mutation import Mutant, mutants_of

T = TypeVar("T", bound=tuple[Any, ...])
KILLED, SURVIVED, NOT_C, SAME = 0, 1, 2, 3  # SAME: the compiler makes the original's image of it


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Of one mutant: its text, a folder to build it in, a number to name files by, and the checks to try first."""

    mutant: Mutant
    changed: str
    folder: Path
    number: int
    first: Sequence[str]

    def ordered(self, checks: Sequence[T]) -> list[T]:
        """Checks, each a tuple that begins with its name, in the order they are to be tried."""
        rank = {name: place for place, name in reversed(list(enumerate(self.first)))}
        return sorted(checks, key=lambda check: rank.get(check[0], len(rank)))


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is mutated and how a mutant is judged.

    `prepare` is called once with an empty folder, `judge` with a mutant's trial; it returns one of the verdicts above,
    and the name of the check that failed. `limit_s` is the time that one may take of a processor. `judged_by` is called
    after `prepare`: a number that differs where anything that judges does. `mutants` makes them of a text.
    """

    sources: dict[str, str]
    explained: Path
    prepare: Callable[[Path], None]
    judge: Callable[[Trial], tuple[int, str]]
    judged_by: Callable[[], int]
    limit_s: float
    mutants: Callable[[str, str], list[Mutant]] = mutants_of


@dataclass
class Verdict:
    """The fate of each mutant, by name."""

    tried: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    survived: list[str] = field(default_factory=list)
    not_c: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: int = 0  # that the journal had

    def add(self, name: str, code: int) -> None:
        self.tried.append(name)
        {SURVIVED: self.survived, NOT_C: self.not_c, SAME: self.same}.get(code, self.killed).append(name)


class Journal:
    """Verdicts in a file, a line of JSON each; without a file, none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[str, tuple[int, int, int, str]] = {}
        self._kills: Counter[str] = Counter()
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    name, crc, judged_by, code, check = (entry[key] for key in _KEYS)
                except (ValueError, KeyError):
                    continue  # cut off where a run was stopped
                self._found[name] = crc, judged_by, code, check
        self._kills.update(check for *_, check in self._found.values() if check)

    def verdict(self, name: str, crc: int, judged_by: int) -> int | None:
        """That of the same text by the same checks; None where there is none."""
        found = self._found.get(name)
        return found[2] if found is not None and found[:2] == (crc, judged_by) else None

    def killers(self, name: str) -> list[str]:
        """The check that killed it the last time, and those that kill the most, in this order."""
        last = [self._found[name][3]] if name in self._found else []
        return last + [check for check, _ in self._kills.most_common()]

    def write(self, *entry: str | int) -> None:
        """Name, CRC of the text, number of what judged, verdict, check."""
        if entry[-1]:
            self._kills[str(entry[-1])] += 1
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dict(zip(_KEYS, entry, strict=True))) + "\n")


_KEYS = ("mutant", "text", "judged_by", "verdict", "check")


def number_of(files: Iterable[Path], *words: str) -> int:
    """The CRC of those files' contents and of words."""
    crc = 0
    for path in sorted(set(files)):
        crc = zlib.crc32(path.read_bytes(), zlib.crc32(path.name.encode(), crc))
    return zlib.crc32("\n".join(words).encode(), crc)


def loaded_from(*folders: Path) -> list[Path]:
    """The files of those folders that this process has imported."""
    places = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return [
        Path(place)
        for place in places
        if place is not None and any(folder in Path(place).parents for folder in folders)
    ]


def all_mutants(sources: dict[str, str], mutate: Callable[[str, str], list[Mutant]] = mutants_of) -> list[Mutant]:
    """Those of every file. Raises ValueError where two files' have one name: their functions must differ in theirs."""
    mutants = [mutant for name, source in sources.items() for mutant in mutate(source, name)]
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


def try_mutants(
    mutants: Sequence[Mutant], trials: Trials, *, processes: int, journal: Path | None = None, reports: bool = False
) -> Verdict:
    """Each mutant in a process of its own: one that crashes, or never ends, is killed.

    With `reports` each survivor is printed as it is found.
    """
    verdict, written = Verdict(), Journal(journal)
    running: dict[int, Trial] = {}
    judged_by = 0

    def take_one() -> None:
        process, status = os.wait()
        trial = running.pop(process)
        name, check = trial.mutant.name, _said(trial)
        code = os.waitstatus_to_exitcode(status)
        verdict.add(name, code)
        if code == SURVIVED and reports:
            print(f"survives ({len(verdict.tried)} tried): {name}", flush=True)
        written.write(
            name, zlib.crc32(trial.changed.encode()), judged_by, code, check.read_text() if check.exists() else ""
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trials.prepare(folder)
        judged_by = trials.judged_by()
        for number, mutant in enumerate(mutants):
            changed = mutant.apply(trials.sources[mutant.file])
            known = written.verdict(mutant.name, zlib.crc32(changed.encode()), judged_by)
            if known is not None:
                verdict.add(mutant.name, known)
                verdict.kept += 1
                continue
            while len(running) >= processes:
                take_one()
            sys.stdout.flush()
            first = written.killers(mutant.name)
            trial = Trial(mutant=mutant, changed=changed, folder=folder, number=number, first=first)
            process = os.fork()
            if process == 0:
                signal.setitimer(signal.ITIMER_PROF, trials.limit_s)  # of a processor: a busy machine kills no mutant
                code = KILLED
                try:
                    code, check = trials.judge(trial)
                    _said(trial).write_text(check, encoding="utf-8")
                finally:
                    os._exit(code)
            running[process] = trial
        while running:
            take_one()
    return verdict


def _said(trial: Trial) -> Path:
    """Where a trial's process leaves the name of the check that failed."""
    return trial.folder / f"{trial.number}.check"


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
    parser.add_argument("--only", metavar="FILE", type=Path, help="only the mutants named in FILE, a line each")
    parser.add_argument(
        "--journal", metavar="FILE", type=Path, help="keep verdicts there, and take from there those that hold"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    everything = all_mutants(trials.sources, trials.mutants)
    mutants = [mutant for mutant in everything if chosen.file in (None, mutant.file)]
    if chosen.only is not None:
        names = set(chosen.only.read_text(encoding="utf-8").splitlines())
        mutants = [mutant for mutant in mutants if mutant.name in names]
    if chosen.sample is not None:
        mutants = random.Random(chosen.seed).sample(mutants, min(chosen.sample, len(mutants)))
    began = time.monotonic()
    verdict = try_mutants(mutants, trials, processes=chosen.processes, journal=chosen.journal, reports=True)
    explained = read_explained(trials.explained)
    wrong = complaints(verdict, explained, everything)
    print("\n".join(wrong))
    print(
        f"{what}: {len(mutants)} mutants of {len(everything)}: {len(verdict.killed)} killed, "
        f"{len(verdict.survived)} survived, {len([name for name in verdict.survived if name in explained])} of them "
        f"explained, {len(verdict.same)} make the same image, {len(verdict.not_c)} do not compile, "
        f"{verdict.kept} known from before, {time.monotonic() - began:.0f} s, seed {chosen.seed}"
    )
    return bool(wrong)
