"""A policy with history gets the same inputs in training, in evaluation and on every rig."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.compare.closed_loop import agreement as agreement_of_rollouts
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.controllers import HistoryController, choose_controller, policy_controller
from cartpole_robot.policy.history import input_layout
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rollout.evaluation import evaluate
from cartpole_robot.rollout.judging import JudgingRequest, judge
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob, job_from_folder
from cartpole_robot.training.run import resume_training, start_training
from tests.conftest import Completed

STEPS = 600
PRESET = resources.files("cartpole_robot.training.presets").joinpath("recommended.toml").read_text()


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recommended preset with a history, and a checkpoint in the middle of a short training."""
    path = tmp_path_factory.mktemp("preset") / "remembering.toml"
    text = PRESET.replace("hidden_units = 100", "hidden_units = 100\nhistory_length = 3")
    path.write_text(text.replace("checkpoint_every_steps = 5000", "checkpoint_every_steps = 300"))
    return path


@pytest.fixture(scope="module")
def run(preset: Path, tmp_path_factory: pytest.TempPathFactory, command_line: Callable[..., Completed]) -> Path:
    """The run folder of a short training with a history of 3 steps and four actions of its own."""
    folder = tmp_path_factory.mktemp("history") / "run"
    words = ("--preset", preset, "--cart", "diy_arduino", "--actions=-0.4,-0.2,0.2,0.4", "--steps", STEPS)
    done = command_line("train", *words, "--no-tensorboard", "--out", folder, timeout_s=300.0)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> PolicyBundle:
    return load_policy(run / "policy.npz")


def cart_of(bundle: PolicyBundle) -> CartParams:
    return dataclasses.replace(load_cart("diy_arduino"), action_duties=bundle.interface.action_duties)


def inputs_of_controller(bundle: PolicyBundle, rig: str, seed: int, steps: int) -> np.ndarray:
    """The policy's inputs in an episode that a controller drives."""
    act, seen = bundle.action_function(), list[np.ndarray]()

    def observed(inputs: np.ndarray) -> int:
        seen.append(inputs.copy())
        return act(inputs)

    controller = HistoryController(observed, bundle.interface.action_duties, bundle.interface.history_length)
    env = CartPoleEnv(rig=rig, cart=cart_of(bundle))
    try:
        for episode in (seed + 100, seed):  # the first must not affect the second
            seen.clear()
            evaluate(
                controller.duty,
                env,
                episodes=1,
                first_seed=episode,
                max_steps=steps,
                take_step=env.step_duty,
                on_reset=controller.reset,
            )
    finally:
        env.close()
    return np.array(seen)


def inputs_of_training(bundle: PolicyBundle, rig: str, seed: int, steps: int) -> np.ndarray:
    """The policy's inputs in the environment of training and its evaluations."""
    act, seen = bundle.action_function(), list[np.ndarray]()
    with balancing_env(cart_of(bundle), rig, steps, history_length=3) as env:
        observation, _ = env.reset(seed=seed)
        for _ in range(steps):
            seen.append(observation)
            observation, _, terminated, truncated, _ = env.step(act(observation))
            if terminated or truncated:
                break
    return np.array(seen)


@pytest.mark.parametrize("rig", ["sim", "virtual"])
def test_training_and_controller_see_the_same_in_every_step(bundle: PolicyBundle, rig: str) -> None:
    for seed in (1, 2):
        expected = inputs_of_training(bundle, rig, seed, 200)
        found = inputs_of_controller(bundle, rig, seed, 200)
        assert found.shape == expected.shape, f"seed {seed}"
        assert len(found) > 10
        assert (found == expected).all(), f"seed {seed}"
        assert len(np.unique(found[2:, 4])) > 1, "several duties are among them"


def test_evaluate_finds_what_training_found(run: Path, command_line: Callable[..., Completed]) -> None:
    """The training's verdict uses the environment with history, `evaluate` uses the controller."""
    summary = json.loads((run / "summary.json").read_text())
    for backend, form in (("c", "exported"), ("int16", "exported_int16")):
        done = command_line("evaluate", run, "--backend", backend, "--json")
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout)
        for key in ("mean_steps", "min_steps", "rms_position_m", "rms_angle_rad", "reversals_per_step"):
            assert record[key] == summary[form][key], f"{backend}, {key}"


def test_policy_with_other_actions_runs_on_the_hidden_cart_and_not_on_the_cart_by_name(
    run: Path, command_line: Callable[..., Completed]
) -> None:
    done = command_line("evaluate", run, "--rig", "virtual:diy_arduino", "--episodes", 3, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["faults"] == []
    done = command_line("evaluate", run, "--cart", "diy_arduino")
    assert done.returncode == 2
    assert "action_duties is [-0.4, -0.2, 0.2, 0.4], the cart 'diy_arduino' has [-0.2, 0.2]" in done.stderr


def test_actions_given_are_kept_in_the_run_with_their_source(run: Path, bundle: PolicyBundle) -> None:
    record = json.loads((run / "run.json").read_text())
    assert record["cart"]["action_duties"] == [-0.4, -0.2, 0.2, 0.4]
    assert record["cart_sources"]["actions.duty"] == "given: --actions"
    assert record["config"]["history_length"] == 3
    assert bundle.interface.action_duties == (-0.4, -0.2, 0.2, 0.4)
    assert choose_controller(run, None, "c").cart.action_duties == (-0.4, -0.2, 0.2, 0.4)


def test_every_form_agrees_on_the_golden_inputs(run: Path, bundle: PolicyBundle) -> None:
    golden = bundle.golden
    assert golden.observations.shape == (32, 14)
    assert len(np.unique(golden.observations[:, 4])) > 1, "past duties are among them"
    for backend, expected in (
        (Backend.C, golden.actions),
        (Backend.NUMPY, golden.actions),
        (Backend.INT16, golden.int16_actions),
    ):
        act = bundle.action_function(backend)
        assert [act(row) for row in golden.observations] == expected.tolist(), backend
    session = onnxruntime.InferenceSession(str(run / "policy.onnx"), providers=["CPUExecutionProvider"])
    values, actions = session.run(None, {"observation": golden.observations})
    assert actions.tolist() == golden.actions.tolist()
    assert values == pytest.approx(golden.values, abs=1e-4)
    counts = json.loads((run / "summary.json").read_text())["agreement"]
    assert counts["c"] == counts["numpy"] == counts["onnxruntime"] == counts["states"] == 10_000
    assert counts["int16"] >= 9_800


def test_onnx_file_says_what_each_input_is(run: Path) -> None:
    model = onnx.load(run / "policy.onnx")
    properties = {item.key: item.value for item in model.metadata_props}
    assert tuple(json.loads(properties["inputs"])) == input_layout(3)
    assert json.loads(properties["interface"])["history_length"] == 3
    assert model.graph.input[0].doc_string == ", ".join(input_layout(3))
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 14


def test_stopped_training_continues_with_its_history(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    (again / "summary.json").unlink()
    for checkpoint in (again / "checkpoints").glob("step_*"):
        if checkpoint.name > "step_00000400":
            shutil.rmtree(checkpoint)
    assert len(list((again / "checkpoints").glob("step_*"))) == 1
    outcome = resume_training(again)
    assert outcome.summary is not None
    assert outcome.summary.steps == STEPS
    resumed = load_policy(again / "policy.npz")
    assert (resumed.interface.history_length, resumed.network.inputs) == (3, 14)
    gain = load_policy(run / "policy.npz").network.input_gain
    assert (resumed.network.input_gain == gain).all()


def test_last_model_is_exported_again_with_its_history(
    run: Path, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    done = command_line("export", run, "--model", "last", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["agreement"]
    assert counts["c"] == counts["states"]
    assert load_policy(tmp_path / "out" / "policy.npz").interface.history_length == 3


def test_rollout_is_explained_by_its_policy_even_where_another_drove(
    run: Path, bundle: PolicyBundle, tmp_path: Path
) -> None:
    """The policy is evaluated again with the recorded duties, on both rigs."""
    recordings = []
    for rig in ("sim", "virtual"):
        request = RolloutRequest(
            policy=run, rig=rig, cart=None, backend="c", seed=3, duration_s=5.0, out=tmp_path / f"{rig}.parquet"
        )
        recordings.append(record_rollout(request))
    found = agreement_of_rollouts(recordings[0], recordings[1], policy_controller(bundle))
    assert found is not None
    assert (found.simulated, found.recorded) == (1.0, 1.0)
    rows = read_recording(tmp_path / "sim.parquet").rows.copy()
    sent = np.random.default_rng(0).choice(bundle.interface.action_duties, len(rows) - 1)
    rows["requested_duty"][:-1] = sent  # as if another controller had driven
    states = np.column_stack([rows[name] for name in bundle.interface.observation]).astype(np.float32)
    act, agreed = bundle.action_function(), 0
    for step, duty in enumerate(sent):
        before = [max(0, step - 1), max(0, step - 2)]
        past = [sent[step - 1] if step >= 1 else 0.0, sent[step - 2] if step >= 2 else 0.0]
        inputs = [*states[step], past[0], *states[before[0]], past[1], *states[before[1]]]
        agreed += bundle.interface.action_duties[act(np.array(inputs, np.float32))] == duty
    other = agreement_of_rollouts(
        dataclasses.replace(recordings[0], rows=rows), recordings[1], policy_controller(bundle)
    )
    assert other is not None
    assert other.simulated == pytest.approx(agreed / len(sent))


def test_foreign_environment_is_judged_with_history(tmp_path: Path) -> None:
    """CartPole-v1 has no duties: an action's duty is its entry in the policy's table."""
    config = dataclasses.replace(load_preset("recommended"), history_length=2).changed(steps=1500)
    job = TrainingJob(
        config=config, cart=load_cart("gym"), rig="sim", seed=0, folder=tmp_path / "run", tensorboard=False
    )
    assert start_training(job).summary is not None
    assert job_from_folder(tmp_path / "run").config.history_length == 2
    bundle = load_policy(tmp_path / "run" / "policy.npz")
    request = JudgingRequest(
        policy=tmp_path / "run",
        env_id="CartPole-v1",
        rig="sim",
        cart=None,
        backend="c",
        episodes=5,
        max_steps=500,
        first_seed=7,
    )
    act, duties = bundle.action_function(), bundle.interface.action_duties
    steps = []
    env = gymnasium.make("CartPole-v1")
    for seed in range(7, 12):
        now, _ = env.reset(seed=seed)
        before, duty, count, ended = now, 0.0, 0, False
        while not ended:
            action = act(np.array([*now, duty, *before], np.float32))
            before, duty = now, duties[action]
            now, _, terminated, truncated, _ = env.step(action)
            count, ended = count + 1, terminated or truncated
        steps.append(count)
    assert judge(request)["mean_steps"] == np.mean(steps)
    assert len(set(steps)) > 1
