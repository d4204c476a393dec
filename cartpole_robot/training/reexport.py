"""A finished training exported again, from its saved models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cartpole_robot import provenance
from cartpole_robot.errors import UsageError
from cartpole_robot.evaluation import CALIBRATION_SEED, visited_observations
from cartpole_robot.export import bundle_of, write_export
from cartpole_robot.network import float_action_function
from cartpole_robot.run_folder import SUMMARY_FILE, read_json, read_run
from cartpole_robot.training.dqn import MODEL_FILE_ERRORS, load_learner, network_of
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import job_from_folder
from cartpole_robot.training.parity import agreement
from cartpole_robot.training.run import PARITY_STATES


def export_run(run_folder: Path, out: Path, *, which: str) -> dict[str, Any]:
    """Write the policy of a run's "selected" or "last" model into the new folder `out`; returns what was written.

    Raises `UsageError` for a folder that is no finished run, a damaged model file, an `out` that exists.
    """
    job = job_from_folder(run_folder)
    summary = read_json(
        run_folder / SUMMARY_FILE,
        f"{run_folder}: this training is not finished; go on with: cartpole-robot train --resume {run_folder}",
    )
    if out.exists():
        raise UsageError(f"{out}: exists already; choose another --out")
    path = run_folder / f"model_{which}.zip"
    try:
        model = load_learner(path, job.config, None)
    except MODEL_FILE_ERRORS as error:
        raise UsageError(
            f"{path}: is not a readable model ({type(error).__name__}: {error}); "
            "train again, or export the other with --model"
        ) from None
    network = network_of(model)
    env = balancing_env(job.cart, job.rig, 500)
    try:
        act = float_action_function(network)
        visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    finally:
        env.close()
    record = read_run(run_folder)
    record["model"] = which
    record["evaluation"] = summary.get("exported" if which == "selected" else "last_model")
    record["exported_again_by"] = {"versions": provenance.versions(), "commit": provenance.commit()}
    bundle = bundle_of(network, job.cart, visited, record)
    files = write_export(bundle, out)
    same = agreement(bundle, files.onnx, model, visited)
    return {
        "bundle": str(files.bundle),
        "onnx": str(files.onnx),
        "header": str(files.header),
        "policy_hash": bundle.policy_hash(),
        "agreement": same,
    }
