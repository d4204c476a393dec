"""One cell: a training in memory, its course and its verdict as plain values."""

from __future__ import annotations

import socket
import time
from typing import Any

from cartpole_robot import __version__
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.experiments.cells.crew import Failed, Finished
from cartpole_robot.experiments.study.study import CellTask


def run_cell(task: CellTask) -> Finished | Failed:
    """Train and judge. A training that diverges is a finished one: its record has an `error` and no turns."""
    if task.package_version != __version__:
        return Failed(
            why=f"{socket.gethostname()} has cartpole-robot {__version__}, the driver {task.package_version}; "
            "install the same on both"
        )
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    try:
        course = _learned(task)
    except RunError as error:
        course = {"error": str(error)}
    except (UsageError, ValueError, OSError, ImportError) as error:
        return Failed(why=f"{type(error).__name__}: {error}")
    return Finished(
        record={
            "key": task.key,
            "label": task.label,
            "seed": task.seed,
            "error": None,
            **course,
            "wall_s": round(time.monotonic() - began_s, 3),
            "cpu_s": round(time.process_time() - cpu_began_s, 3),
            "host": socket.gethostname(),
        }
    )


def _learned(task: CellTask) -> dict[str, Any]:
    from cartpole_robot.cart.params import CartParams
    from cartpole_robot.files.records import record_from_table
    from cartpole_robot.training.config import TrainingConfig
    from cartpole_robot.training.learning import learn_unrecorded  # PyTorch, only where it is needed

    config = record_from_table(TrainingConfig, task.config, where=task.label)
    learned = learn_unrecorded(config, record_from_table(CartParams, task.cart, where=task.label), seed=task.seed)
    first = learned.first_balanced
    return {
        "steps": learned.steps,
        "episodes": len(learned.log.episodes),
        "training_s": round(learned.training_s, 3),
        "last_mean_turns": learned.last.mean_turns,
        "selected_mean_turns": learned.selected.mean_turns,
        "selected_at_step": learned.selected_at_step,
        "first_500_step": first and first.step,
        "first_500_s": first and round(first.wall_s, 3),
        "episode_turns": [row.turns for row in learned.log.episodes],
        "evaluations": [[row.step, row.mean_turns, row.rms_position_m] for row in learned.log.evaluations],
    }
