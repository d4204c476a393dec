"""One cell: a training in memory, with its curves and verdict as plain values."""

from __future__ import annotations

from typing import Any

from cartpole_robot.errors import RunError
from cartpole_robot.experiments.cells.cell import finished_cell
from cartpole_robot.experiments.cells.crew import Failed, Finished
from cartpole_robot.experiments.study.study import CellTask


def run_cell(task: CellTask) -> Finished | Failed:
    """Train and judge. A training that diverges counts as finished: its record has an `error` and no steps."""
    return finished_cell(task, _learned)


def _learned(task: CellTask) -> dict[str, Any]:
    from cartpole_robot.cart.params import CartParams
    from cartpole_robot.files.records import record_from_table
    from cartpole_robot.training.config import TrainingConfig
    from cartpole_robot.training.learning import learn_unrecorded  # PyTorch, only where it is needed

    config = record_from_table(TrainingConfig, task.config, where=task.label)
    cart = record_from_table(CartParams, task.cart, where=task.label)
    try:
        learned, judged = learn_unrecorded(config, cart, seed=task.seed, engine=task.engine)
    except RunError as error:
        return {"seed": task.seed, "error": str(error)}
    state, first, again = learned.state, learned.first_verified, judged.selected_on_pybullet
    return {
        "seed": task.seed,
        "engine": task.engine,
        "steps": state.model.num_timesteps,
        "episodes": len(state.log.episodes),
        "training_s": round(state.elapsed_s, 3),
        "last_mean_steps": judged.last.mean_steps,
        "selected_mean_steps": judged.selected.mean_steps,
        "on_pybullet_episodes": again and len(again.steps),
        "on_pybullet_mean_steps": again and again.mean_steps,
        "selected_at_step": learned.selected.row.step,
        "first_500_step": first and first.step,
        "first_500_s": first and first.after_s and round(first.after_s, 3),
        "episode_steps": [row.length for row in state.log.episodes],
        "evaluations": [[row.step, row.mean_steps, row.rms_position_m] for row in state.log.evaluations],
    }
