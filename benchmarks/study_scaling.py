"""Study cells per second: two processes against one, and a local Ray cluster where Ray is installed.

    python -m benchmarks.study_scaling --rounds 5

Each cell is one whole training of the recommended preset with its verdicts. In every round one process and two run the
same cells, one crew after the other, in alternating order; both crews have imported everything before, and the ratio is
taken within a round. On a loaded machine two processes get less than two cores, and the ratio only describes the
machine; so each round prints the load and the cores that a crew got: CPU seconds of its cells per second of wall time.
`by CPU time` is what two idle cores would give: twice the ratio of CPU seconds per cell.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.machine_load import machine_line
from cartpole_robot import __version__
from cartpole_robot.experiments.cells.crew import Crew, Finished
from cartpole_robot.experiments.cells.processes import ProcessCrew
from cartpole_robot.experiments.cells.ray_cluster import LOCAL, RayCrew
from cartpole_robot.experiments.study.cell import run_cell
from cartpole_robot.experiments.study.study import CellTask, task_of
from cartpole_robot.experiments.study.study_file import load_study

REQUIRED = 1.8
STUDY = """
format = 1
title = "Scaling"
presets = ["recommended"]
seeds = {seeds}

[grid]
replay_memory = [1000]
"""


def tasks(count: int) -> list[CellTask]:
    """That many trainings, one per seed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scaling.toml")
        path.write_text(STUDY.format(seeds=count))
        study = load_study(path)
    return [task_of(study, cell, __version__) for cell in study.cells]


@dataclass(frozen=True)
class Taken:
    """Seconds of wall and of CPU for a round's cells."""

    wall_s: float
    cpu_s: float


def taken_by(crew: Crew[CellTask], waiting: list[CellTask]) -> Taken:
    """The time the crew takes for all of them."""
    began, cpu_s = time.perf_counter(), 0.0
    waiting, under_way = list(waiting), 0
    while waiting or under_way:
        while waiting and under_way < crew.slots:
            crew.submit(waiting.pop())
            under_way += 1
        for task, result in crew.results():
            under_way -= 1
            if not isinstance(result, Finished):
                raise RuntimeError(f"{task.label}: {result.why}")
            cpu_s += result.record["cpu_s"]
    return Taken(time.perf_counter() - began, cpu_s)


def main() -> None:
    """Print a row a round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--cells", type=int, default=8, help="cells in a round, an even number (default: 8)")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    arguments = parser.parse_args()
    work = tasks(arguments.cells)
    with ExitStack() as stack:
        crews: dict[str, Crew[CellTask]] = {
            "one process": stack.enter_context(closing(ProcessCrew(1, run_cell))),
            "two processes": stack.enter_context(closing(ProcessCrew(2, run_cell))),
        }
        if find_spec("ray") is not None and not arguments.no_ray:
            crews["Ray, two CPUs"] = stack.enter_context(closing(RayCrew(LOCAL, 2, run_cell)))
        for crew in crews.values():
            taken_by(crew, work[:2])  # imports
        rounds: list[dict[str, Taken]] = []
        heads = "".join(f"{name + ' [s], cores':>26}" for name in crews)
        print(f"{arguments.cells} cells {heads}{'ratio':>8}{'load':>7}")
        for number in range(arguments.rounds):
            names = list(crews) if number % 2 == 0 else list(reversed(crews))
            taken = {name: taken_by(crews[name], work) for name in names}
            rounds.append(taken)
            ratio = taken["one process"].wall_s / taken["two processes"].wall_s
            row = "".join(f"{one.wall_s:>20.2f}{one.cpu_s / one.wall_s:>6.2f}" for one in map(taken.get, crews) if one)
            print(f"round {number + 1} {row}{ratio:>8.2f}{os.getloadavg()[0]:>7.1f}", flush=True)
    for name in list(crews)[1:]:
        ratios = [taken["one process"].wall_s / taken[name].wall_s for taken in rounds]
        by_cpu = statistics.median(2.0 * taken["one process"].cpu_s / taken[name].cpu_s for taken in rounds)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"{name}: {statistics.median(ratios):.2f} times one process (median; {spread}), required is {REQUIRED}; "
            f"by CPU time {by_cpu:.2f}"
        )
    print(machine_line())


if __name__ == "__main__":
    main()
