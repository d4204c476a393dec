"""One cell in its worker process: its results and run times, or the reason for a failure."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.crew import AnyTask, Failed, Finished


def finished_cell(task: AnyTask, work: Callable[[AnyTask], dict[str, Any]]) -> Finished | Failed:
    """Run a cell; returns its record with the results of `work`, or a failure.

    A driver of another version is a failure, and so is an error that `work` raises for a wrong task or machine.
    """
    if task.package_version != __version__:
        return Failed(
            why=f"{socket.gethostname()} has cartpole-robot {__version__}, the driver {task.package_version}; "
            "install the same on both and start again"
        )
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    try:
        found = work(task)
    except (UsageError, ValueError, OSError, ImportError) as error:
        return Failed(why=f"{type(error).__name__}: {error}")
    return Finished(
        record={
            "key": task.key,
            "label": task.label,
            "error": None,
            **found,
            "wall_s": round(time.monotonic() - began_s, 3),
            "cpu_s": round(time.process_time() - cpu_began_s, 3),
            "host": socket.gethostname(),
        }
    )
