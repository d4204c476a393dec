"""One trained policy in all its forms, on states it visits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest
from stable_baselines3 import DQN

from cartpole_robot.env import ENV_ID
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.rollout.evaluation import visited_observations
from cartpole_robot.training.parity import agreement
from tests.conftest import Completed


@pytest.fixture(scope="module")
def bundle(trained_run: Path) -> PolicyBundle:
    return load_policy(trained_run / "policy.npz")


@pytest.fixture(scope="module")
def visited(bundle: PolicyBundle) -> np.ndarray:
    env = gymnasium.make(ENV_ID, disable_env_checker=True)
    return visited_observations(bundle.action_function(), env, count=10_000, first_seed=5_000_000)


def test_every_float_form_chooses_as_pytorch_does(bundle: PolicyBundle, trained_run: Path, visited: np.ndarray) -> None:
    model = DQN.load(trained_run / "model_selected.zip", device="cpu")
    found = agreement(bundle, trained_run / "policy.onnx", model.q_net, visited)
    print(found)
    assert {name: found[name] for name in ("states", "c", "numpy", "onnxruntime")} == {
        "states": 10_000,
        "c": 10_000,
        "numpy": 10_000,
        "onnxruntime": 10_000,
    }
    assert found["int16"] >= 9_800


def test_stable_baselines_predict_is_among_the_forms(
    bundle: PolicyBundle, trained_run: Path, visited: np.ndarray
) -> None:
    model = DQN.load(trained_run / "model_selected.zip", device="cpu")
    act = bundle.action_function()
    assert model.predict(visited, deterministic=True)[0].tolist() == [act(row) for row in visited]


def test_onnx_file_has_its_golden_examples_and_interface(bundle: PolicyBundle, trained_run: Path) -> None:
    path = trained_run / "policy.onnx"
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert properties["policy_hash"] == bundle.policy_hash()
    assert json.loads(properties["interface"])["control_period_s"] == 0.02
    golden = json.loads(properties["golden"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    values, actions = session.run(None, {"observation": np.array(golden["observations"], np.float32)})
    assert actions.tolist() == golden["actions"]
    assert values == pytest.approx(np.array(golden["values"]), abs=1e-4)


def test_int16_form_survives_as_the_float_form_does(trained_run: Path, command_line: Callable[..., Completed]) -> None:
    for backend in ("c", "int16", "numpy"):
        done = command_line("evaluate", trained_run, "--backend", backend, "--episodes", 20, "--json")
        record = json.loads(done.stdout)
        assert record["mean_steps"] == 500.0, backend
        assert record["episodes_survived"] == 20


def test_golden_examples_of_the_bundle_hold(bundle: PolicyBundle) -> None:
    act = bundle.action_function(Backend.C)
    assert [act(row) for row in bundle.golden.observations] == bundle.golden.actions.tolist()
    assert set(bundle.golden.actions.tolist()) == {0, 1}, "both actions are among the examples"
