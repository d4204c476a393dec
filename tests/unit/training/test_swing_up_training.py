from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task
from cartpole_robot.training import reexport, swing_up
from cartpole_robot.training.config import TrainingConfig, load_preset
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.job import TrainingJob, job_from_folder
from cartpole_robot.training.learning import learn_unrecorded
from cartpole_robot.training.reexport import export_run
from cartpole_robot.training.run import start_training
from cartpole_robot.training.swing_up import SwingUpSummary

CART = load_cart("diy_arduino")


def short() -> TrainingConfig:
    return dataclasses.replace(
        load_preset("swing_up"),
        steps=400,
        learning_starts=100,
        replay_memory=1000,
        hidden_units=16,
        evaluate_every_steps=400,
        evaluation_episodes=1,
    )


def job(folder: Path, rig: str = "sim") -> TrainingJob:
    return TrainingJob(
        config=short(), cart=CART, rig=rig, seed=0, folder=folder, tensorboard=False, engine=Engine.NATIVE
    )


def test_training_ends_in_a_policy_that_swings_up_by_its_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (("VERDICT_EPISODES", 1), ("PARITY_STATES", 50), ("_PYBULLET_EPISODES", 1)):
        monkeypatch.setattr(swing_up, name, few)
    monkeypatch.setattr(reexport, "PARITY_STATES", 50)
    summary = start_training(job(tmp_path / "run")).summary
    assert isinstance(summary, SwingUpSummary)
    assert summary.agreement["c"] == summary.agreement["states"] == 50
    assert "1 of 1 swung up" in summary.text() or "0 of 1 swung up" in summary.text()
    bundle = load_policy(tmp_path / "run" / "policy.npz")
    assert bundle.interface.task is Task.SWING_UP
    assert bundle.network.input_gain == pytest.approx([1 / 0.4, 1 / 1.5, 1.0, 1.0, 1 / 9.0])
    assert job_from_folder(tmp_path / "run").config == short()
    again = export_run(tmp_path / "run", tmp_path / "again", which="selected")
    assert again.bundle.policy_hash() == bundle.policy_hash()


def test_learner_sees_returns_below_one_and_the_firmwares_limits() -> None:
    env = training_env(CART, "sim", short(), engine=Engine.NATIVE)
    env.reset(seed=0, options={"state": [0.0, 0.0, 0.0, 0.0]})
    _, reward, terminated, *_ = env.step(CART.swing_up_table.index(0.0))
    assert float(reward) == pytest.approx(0.01, rel=1e-3)  # 1 - gamma of the best reward there is
    assert not terminated
    full, steps = CART.swing_up_table.index(0.8), 1
    observation, _ = env.reset(seed=0, options={"state": [0.25, 1.4, math.pi, 0.0]})
    while not (taken := env.step(full))[2]:
        steps += 1
    observation, reward, _, _, info = taken
    assert observation[0] < 0.40, "too fast to stop before the firmware's limit"
    assert float(reward) == 0.0
    assert info["limit"] == "TRAVEL_LIMIT"
    assert info["episode"]["l"] == steps
    assert np.abs(env.observation_space.high[2:4]).tolist() == [1.0, 1.0]


def test_what_a_swing_up_cannot_have_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is learned on the rig sim"):
        start_training(job(tmp_path / "run", rig="virtual"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="a study trains policies that balance"):
        learn_unrecorded(short(), CART, seed=0, engine=Engine.NATIVE)
    for change in ({"history_length": 2}, {"collapse_guard": "hold"}, {"learner_reward": "fall"}):
        with pytest.raises(ValueError, match="expected"):
            dataclasses.replace(short(), **change)  # type: ignore[arg-type]
