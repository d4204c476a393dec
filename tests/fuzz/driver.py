"""Feeds every reader with edited files and frames: `python -m tests.fuzz --duration-s 600 --inputs 50000`.

Worker processes take the targets in turn, a batch each time, until both the time and the number of inputs are reached.
The memory of a worker is limited; one that makes no progress is killed, which counts as a hang. What failed is kept,
an input and a traceback for each place in the code, in a new folder under runs/. Exit code 1 if anything did.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tests.fuzz.run_target import CPU_LIMIT_S, Runner, Tally
from tests.fuzz.targets import TARGETS, Target, write_files

MEMORY_BYTES = 1 << 30  # of a worker, its libraries included
SILENCE_LIMIT_S = 240.0  # of a worker, on a busy machine
WORKERS = 4
BATCH = 100
PROGRESS_S = 10.0
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # inputs are synced to disk otherwise


@dataclass
class Report:
    """What a worker reports after a batch: the whole tally of that target so far, and its own largest memory."""

    target: str
    tally: Tally
    cpu_s: float
    peak_bytes: int


@dataclass
class Totals:
    """The newest report of each target; `lost` names what killed a worker."""

    reports: dict[str, Report] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return sum(report.tally.inputs for report in self.reports.values())

    @property
    def failures(self) -> int:
        return sum(sum(report.tally.failed.values()) for report in self.reports.values())

    @property
    def hangs(self) -> int:
        return sum(report.tally.hangs for report in self.reports.values())

    @property
    def peak_mb(self) -> float:
        return max((report.peak_bytes for report in self.reports.values()), default=0) / 1e6


def work(names: list[str], first_seed: int, ends_at: float, least: int, pipe: Connection) -> None:
    """Run the targets in turn until `ends_at` (monotonic), and until they had `least` inputs together."""
    faulthandler.enable()
    logging.disable()
    targets = {target.name: target for target in TARGETS}
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_IN_MEMORY) as name, redirect_stderr(io.StringIO()):
        runners = {each: _runner(targets[each], Path(name, each.replace(" ", "-"))) for each in names}
        _limit_memory()
        spent = dict.fromkeys(names, 0.0)
        for number in range(1_000_000):
            done = sum(runner.tally.inputs for runner in runners.values())
            if time.monotonic() >= ends_at and done >= least:
                break
            each = min(names, key=lambda one: spent[one])
            began_s = time.process_time()
            pipe.send(each)
            try:
                runners[each].batch(first_seed + number, BATCH)
            except BaseException:
                sys.__stderr__.write(f"{each}, seed {first_seed + number}:\n{traceback.format_exc()}")
                raise
            spent[each] += time.process_time() - began_s
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            pipe.send(Report(each, runners[each].tally, spent[each], peak))
    pipe.close()


def _runner(target: Target, folder: Path) -> Runner:
    try:
        return Runner(target, folder)
    except BaseException:
        sys.__stderr__.write(f"the valid files of {target.name} are refused:\n{traceback.format_exc()}")
        raise


def _limit_memory() -> None:
    """Let this process have `MEMORY_BYTES` of memory in all: what it has mapped already counts only as far as used."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    mapped, used = (int(count) * os.sysconf("SC_PAGE_SIZE") for count in pages[:2])
    resource.setrlimit(resource.RLIMIT_AS, (mapped + max(MEMORY_BYTES - used, 1 << 28), resource.RLIM_INFINITY))


def run(duration_s: float, inputs: int, first_seed: int, names: list[str]) -> Totals:
    """Run the targets in `WORKERS` processes at most with a line of progress every `PROGRESS_S`."""
    totals = Totals()
    began_s = time.monotonic()
    plain = [target.name for target in TARGETS if target.name in names and not target.needs_torch]
    groups = [plain[first :: WORKERS - 1] for first in range(WORKERS - 1)]
    groups.append([target.name for target in TARGETS if target.name in names and target.needs_torch])
    weights = [len(group) / len(names) for group in groups]
    workers = {}
    context = multiprocessing.get_context("spawn")
    for group, weight in zip(groups, weights, strict=True):
        if group:
            ours, theirs = context.Pipe(duplex=False)
            least = round(inputs * weight)
            process = context.Process(target=work, args=(group, first_seed, began_s + duration_s, least, theirs))
            process.start()
            theirs.close()
            workers[ours] = (process, group)
    heard_s = dict.fromkeys(workers, time.monotonic())
    at_work: dict[Connection, str] = {}
    shown_s = began_s
    while workers:
        for pipe in wait(list(workers), timeout=1.0):
            heard_s[pipe] = time.monotonic()
            try:
                message = pipe.recv()
            except EOFError:
                process, group = workers.pop(pipe)
                process.join()
                if process.exitcode:
                    totals.lost.append(f"{at_work.get(pipe, group)}: ended with status {process.exitcode}")
                    if pipe not in at_work:  # before its first input: the harness is at fault
                        for other, _ in workers.values():
                            other.kill()
                continue
            if isinstance(message, str):
                at_work[pipe] = message
            else:
                totals.reports[message.target] = message
        for pipe, (process, _) in list(workers.items()):
            if time.monotonic() - heard_s[pipe] > SILENCE_LIMIT_S:
                process.kill()
                process.join()
                workers.pop(pipe)
                totals.lost.append(f"{at_work.get(pipe)}: no progress for {SILENCE_LIMIT_S:g} s, killed")
        if time.monotonic() - shown_s >= PROGRESS_S:
            shown_s = time.monotonic()
            print(f"{shown_s - began_s:5.0f} s  {_line(totals)}", flush=True)
    return totals


def _line(totals: Totals) -> str:
    return (
        f"{totals.inputs} inputs, {totals.failures} tracebacks, {totals.hangs} hangs, {len(totals.lost)} lost workers, "
        f"at most {totals.peak_mb:.0f} MB"
    )


def _table(totals: Totals) -> str:
    lines = [
        f"{'target':<14} {'inputs':>7} {'accepted':>9} {'refused':>8} {'tracebacks':>11} {'hangs':>6} {'CPU s':>7}"
    ]
    for name, report in totals.reports.items():
        tally = report.tally
        counts = (tally.inputs, tally.accepted, tally.refused, sum(tally.failed.values()), tally.hangs)
        lines.append(f"{name:<14}" + "".join(f"{count:>11}" for count in (*counts, f"{report.cpu_s:.1f}")))
    return "\n".join(lines)


def _keep(totals: Totals) -> Path | None:
    """Write what failed into a new folder; None if nothing did."""
    kept = [(name, *item) for name, report in totals.reports.items() for item in report.tally.failures.items()]
    if not kept:
        return None
    Path("runs").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="runs"))
    for number, (name, place, (text, files)) in enumerate(kept):
        inside = folder / f"{name.replace(' ', '-')}-{number}"
        write_files(files, inside)
        (inside / "traceback.txt").write_text(f"{place}\n\n{text}", encoding="utf-8", errors="backslashreplace")
    return folder


def main() -> int:
    """Run and print the table; 0 if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--duration-s", type=float, default=600.0, help="at least (default: 600)")
    parser.add_argument("--inputs", type=int, default=50_000, help="at least (default: 50000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first batch (default: 0)")
    parser.add_argument("--target", action="append", choices=[target.name for target in TARGETS], help="only this one")
    arguments = parser.parse_args()
    names = arguments.target or [target.name for target in TARGETS]
    print(f"{len(names)} targets, at most {CPU_LIMIT_S:g} s of CPU for an input, {MEMORY_BYTES >> 20} MB of memory")
    totals = run(arguments.duration_s, arguments.inputs, arguments.seed, names)
    print(_table(totals))
    folder = _keep(totals)
    for lost in totals.lost:
        print(f"lost: {lost}")
    for name, report in totals.reports.items():
        for place, count in report.tally.failed.most_common():
            print(f"{name}: {count} times {place}")
    print(f"{_line(totals)}, seed {arguments.seed}" + (f"; inputs and tracebacks are in {folder}" if folder else ""))
    return 1 if totals.failures or totals.hangs or totals.lost or totals.peak_mb * 1e6 > MEMORY_BYTES else 0
