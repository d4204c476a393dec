"""The end of a training: save models, log and learning curve, and export the policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import DQN

from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.export import ExportedFiles, bundle_of, write_export
from cartpole_robot.policy.network import Network
from cartpole_robot.policy.network_file import write_network
from cartpole_robot.rollout.trials import TrialsRecord
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.curve import draw_learning_curve
from cartpole_robot.training.dqn.learner import network_of, set_network
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.parity import Values, agreement

WEIGHTS_SUFFIX = ".npz"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported policy, its files, and the agreement of its forms with the trained model (`parity.agreement`)."""

    bundle: PolicyBundle
    files: ExportedFiles
    agreement: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {
            **{name: str(path) for name, path in dataclasses.asdict(self.files).items()},
            "policy_hash": self.bundle.policy_hash(),
            "agreement": dict(self.agreement),
        }


def finish(
    job: TrainingJob,
    state: TrainingState,
    visited: NDArray[np.float32],
    *,
    evaluation: Mapping[str, Any],
    trials: TrialsRecord | None = None,
    unchanged: PolicyBundle | None = None,
) -> Exported:
    """As `save_run`, and export the selected network.

    `evaluation` and `trials` go into the policy's provenance; `visited` and `unchanged` are those of `export_network`.
    """
    save_run(job, state)
    assert state.selected is not None
    found = {"selected_at_step": state.selected.row.step, "evaluation": evaluation}
    if trials is not None:
        found["trials"] = trials.as_dict()
    model = state.model
    return export_network(
        job, network_of(model), visited, job.folder, values=model.q_net, provenance=found, unchanged=unchanged
    )


def save_run(job: TrainingJob, state: TrainingState) -> None:
    """Save the last and the selected model and the log, and draw the learning curve.

    Afterwards `state.model` has the selected network.
    """
    assert state.selected is not None
    folder, model = job.folder, state.model
    _save_model(model, folder / "model_last.zip")
    set_network(model, state.selected.network)
    _save_model(model, folder / "model_selected.zip")
    state.log.save(folder)
    draw_learning_curve(state.log, job.config, folder / "learning_curve.png", title=job.title)


def _save_model(model: DQN, path: Path) -> None:
    """Write Stable-Baselines3's file, for its users, and next to it the weights, which `export` reads."""
    with atomic_file(path, may_replace=True) as file:
        model.save(file)
    with atomic_file(path.with_suffix(WEIGHTS_SUFFIX), may_replace=True) as file:
        write_network(file, network_of(model))


def export_network(
    job: TrainingJob,
    network: Network,
    visited: NDArray[np.float32],
    folder: Path,
    *,
    values: Values,
    provenance: Mapping[str, Any],
    unchanged: PolicyBundle | None = None,
) -> Exported:
    """Write the network as a policy into `folder`. Raises `UsageError`.

    `visited`, shape (N, inputs), are inputs that the policy met; `values` computes the network in PyTorch.
    The policy's provenance is the job's record and `provenance`. Pass a policy that training has not changed as
    `unchanged`: it is exported bit-identical, including its int16 form.
    """
    record = {**job.as_dict(), **provenance}
    if unchanged is not None:
        bundle = dataclasses.replace(unchanged, provenance=record)
    else:
        past = job.config.history_length
        bundle = bundle_of(network, job.cart, visited, record, history_length=past, task=job.config.task)
    files = write_export(bundle, folder)
    return Exported(bundle=bundle, files=files, agreement=agreement(bundle, files.onnx, values, visited))
