"""The record in a run folder is the provenance of its policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.errors import UsageError
from cartpole_robot.files.run_folder import new_run_folder, read_run
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.job import InitialPolicy, TrainingJob, job_from_folder


def test_job_read_from_its_folder_has_the_record_it_was_written_with(tmp_path: Path) -> None:
    """Also when another version of the package resumes it; the sources of the cart's numbers are kept."""
    cart = with_actions(load_cart("diy_arduino"), (-1.0, 0.0, 1.0), given="--actions")
    job = TrainingJob(
        config=load_preset("on_cart"),
        cart=cart,
        rig="virtual",
        seed=5,
        folder=tmp_path / "run",
        tensorboard=True,
        randomization=load_randomization(Path("diy_arduino"), cart),
        init=InitialPolicy(path="somewhere/policy.npz", policy_hash="c0ffee"),
        versions={"cartpole-robot": "0.0.1"},
        commit="c0ffee+changes",
    )
    new_run_folder(job.folder, job.as_dict())
    found = job_from_folder(job.folder)
    assert (found.config, found.cart, found.init, found.folder) == (job.config, job.cart, job.init, job.folder)
    assert found.cart.sources == cart.sources != {}
    assert json.loads(json.dumps(found.as_dict())) == read_run(job.folder)


@pytest.mark.parametrize("name", ["init", "randomization"])
@pytest.mark.parametrize("value", [False, 0, "", []])
def test_empty_value_of_another_type_is_refused(tmp_path: Path, name: str, value: object) -> None:
    job = TrainingJob(
        config=load_preset("on_cart"),
        cart=load_cart("gym"),
        rig="sim",
        seed=5,
        folder=tmp_path / "run",
        tensorboard=True,
    )
    new_run_folder(job.folder, {**job.as_dict(), name: value})
    with pytest.raises(UsageError, match=name):
        job_from_folder(job.folder)
