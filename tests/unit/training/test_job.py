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


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("config", "name"), "x" * 3_000_000, "name has 3000000 characters, expected at most 131072"),
        (("config", "name"), "x" * 256, "name has 256 characters, expected 1 to 255"),
        (("commit",), 5, "commit = 5, expected a text"),
        (("commit",), "c" * 3_000_000, "commit has 3000000 characters"),
        (("commit",), "c" * 1001, "commit has 1001 characters, expected at most 1000"),
        (("rig",), "s" * 3_000_000, "rig has 3000000 characters"),
        (("versions", "python"), "3" * 1001, "python has 1001 characters"),
        (("rig",), None, "rig = None, expected a text"),
        (("versions",), [], r"versions = \[\], expected a table"),
        (("versions", "python"), 3.11, r"\[versions\] python = 3.11, expected a text"),
        (("cart_sources", "motor"), {}, r"\[cart_sources\] motor = {}, expected a text"),
    ],
)
def test_record_of_absurd_length_or_type_is_refused(
    tmp_path: Path, keys: tuple[str, ...], value: object, message: str
) -> None:
    job = TrainingJob(
        config=load_preset("on_cart"),
        cart=load_cart("gym"),
        rig="sim",
        seed=5,
        folder=tmp_path / "run",
        tensorboard=True,
    )
    record = job.as_dict()
    at = record
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    new_run_folder(job.folder, record)
    with pytest.raises(UsageError, match=message):
        job_from_folder(job.folder)


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


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (("motor", "stepper"), r"has both \[motor\] \(stall_force_n = .*\) and \[stepper\] \(steps_per_m = 20000"),
        ((), r"has neither the section \[motor\] nor \[stepper\]"),
    ],
)
def test_run_folder_whose_cart_has_both_drives_or_none_is_refused(
    tmp_path: Path, kept: tuple[str, ...], message: str
) -> None:
    job = TrainingJob(
        config=load_preset("recommended"),
        cart=load_cart("diy_stepper"),
        rig="sim",
        seed=0,
        folder=tmp_path / "run",
        tensorboard=False,
    )
    record = json.loads(json.dumps(job.as_dict()))
    drives = {"motor": load_cart("diy_arduino").as_dict()["motor"], "stepper": record["cart"].pop("stepper")}
    record["cart"].update({name: drives[name] for name in kept})
    new_run_folder(job.folder, record)
    with pytest.raises(UsageError, match=rf"run\.json: cart: {message}"):
        job_from_folder(job.folder)
