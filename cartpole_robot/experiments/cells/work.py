"""Runs the tasks of cells on a crew until each is finished or given up."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Protocol, TypeVar

from cartpole_robot.experiments.cells.crew import AnyTask, Crashed, Crew, Failed, Result, Task
from cartpole_robot.experiments.cells.folder import CellFolder
from cartpole_robot.files.provenance import commit
from cartpole_robot.terminal.progress import progress_bar

RETRIES = 2


class Keyed(Protocol):
    """A cell before it becomes a task."""

    @property
    def key(self) -> str:
        """The key of its task."""


AnyCell = TypeVar("AnyCell", bound=Keyed)


def finish_cells(
    folder: CellFolder,
    cells: Iterable[AnyCell],
    task_of: Callable[[AnyCell], AnyTask],
    crew_for: Callable[[int], Crew[AnyTask]],
    say: Callable[[str], object],
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Run unfinished cells with a progress bar; returns every record by key, and the failures.

    `crew_for` creates the crew for a number of cells and is not called if all are finished. Each record is saved on
    completion. `say` receives crashes, failures, and a line about cells made by other code.
    """
    here = commit()
    records = folder.finished()
    for line in folder.of_other_code(records, here):
        say(line)
    missing = {cell.key: cell for cell in cells if cell.key not in records}
    if not missing:
        return records, []
    total = len(set(folder.whole.keys))
    with (
        closing(crew_for(len(missing))) as crew,
        progress_bar(total, folder.whole.name, " cells", initial=len(records)) as bar,
    ):
        bar.refresh()

        def keep(record: dict[str, Any]) -> None:
            records[record["key"]] = folder.keep(record, here)
            bar.update()

        return records, run_tasks(map(task_of, missing.values()), crew, keep, say)


def run_tasks(
    tasks: Iterable[AnyTask],
    crew: Crew[AnyTask],
    keep: Callable[[dict[str, Any]], object],
    say: Callable[[str], object],
) -> list[str]:
    """Run every task, and again up to `RETRIES` times if its process died; returns the failures.

    `keep` receives each record on completion; `say` receives crashes and failures.
    """
    fresh = iter(tasks)
    again: collections.deque[AnyTask] = collections.deque()
    crashes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    under_way = 0
    while True:
        while under_way < crew.slots:
            task = next(fresh, None)
            if task is None:
                if not again:
                    break
                task = again.popleft()
            crew.submit(task)
            under_way += 1
        if not under_way:
            return failures
        for task, result in crew.results():
            under_way -= 1
            why = _what_failed(task, result, crashes, say)
            if why is None and isinstance(result, Crashed):
                again.append(task)
            elif why is not None:
                failures.append(why)
                say(why)
            elif not isinstance(result, Crashed | Failed):
                keep(result.record)


def _what_failed(
    task: Task, result: Result, crashes: collections.Counter[str], say: Callable[[str], object]
) -> str | None:
    """Why a cell is given up, or None."""
    if isinstance(result, Failed):
        return f"{task.label}: {result.why}"
    if isinstance(result, Crashed):
        crashes[task.key] += 1
        if crashes[task.key] > RETRIES:
            return f"{task.label}: {result.why}, {RETRIES + 1} times; it is left out"
        say(f"{task.label}: {result.why}; it is tried again ({crashes[task.key]} of {RETRIES})")
    return None
