"""A training that continues until a network has passed every trial: real small trainings on the native engine."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rollout.evaluation import LONG_RUN_SEED, VERDICT_SEED, evaluate
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import TrainingConfig, extended_by, extended_to, load_preset
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.learning import Learned, learn
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.trials import TRIAL_RUNS, TRIAL_STARTS, TRIAL_STEPS
from tests.conftest import Completed
from tests.stop_at import StopAt

ALL_TRIALS = 16 + TRIAL_STARTS + 16 + TRIAL_RUNS
PRESET = load_preset("recommended")
SHORT = dataclasses.replace(PRESET, steps=5000, extension_steps=75_000, learning_rate_end=5e-4)
HOPELESS = dataclasses.replace(PRESET, steps=400, extension_steps=600, evaluate_every_steps=200)


def new_state(cart: CartParams, config: TrainingConfig, seed: int) -> TrainingState:
    env = training_env(cart, "sim", config, engine=Engine.NATIVE)
    return TrainingState(new_learner(config, cart, env, seed=seed, tensorboard=None), LearningLog())


def learned(
    state: TrainingState, config: TrainingConfig, *callbacks: BaseCallback, said: list[str] | None = None
) -> Learned | None:
    cart: CartParams = state.model.get_env().get_attr("cart")[0]  # type: ignore[union-attr]
    with closing(balancing_env(cart, "sim", TRIAL_STEPS, engine=Engine.NATIVE)) as env:
        return learn(state, config, env, callbacks, name="test", on_event=None if said is None else said.append)


def test_training_continues_until_its_newest_network_has_passed_every_trial(gym_cart: CartParams) -> None:
    said: list[str] = []
    state = new_state(gym_cart, SHORT, seed=301)
    done = learned(state, SHORT, said=said)
    assert done is not None
    steps = state.model.num_timesteps
    assert 5000 < steps < 80_000
    assert done.trials.is_passed
    assert (done.trials.of, done.trials.failed) == (ALL_TRIALS, ())
    assert [row.trials == ALL_TRIALS for row in state.log.evaluations] == [False] * (steps // 1000 - 1) + [True]
    assert done.selected.row is state.log.evaluations[-1]
    assert np.array_equal(done.selected.network.hidden_weight, network_of(state.model).hidden_weight)
    extension = [row.epsilon for row in state.log.episodes if row.step > 5000]
    assert set(extension) == {0.01}, "epsilon stays at its end"
    assert state.model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)
    events = [text for text in said if "the training continues" in text]
    assert events == ["step 5000: no network has passed every trial; the training continues, up to step 80000"]
    with closing(balancing_env(gym_cart, "sim", TRIAL_STEPS, engine=Engine.NATIVE)) as env:
        act = float_action_function(done.selected.network)
        for first_seed in (VERDICT_SEED, LONG_RUN_SEED):
            found = evaluate(act, env, episodes=20, first_seed=first_seed, max_steps=TRIAL_STEPS)
            assert found.steps == (TRIAL_STEPS,) * 20, "on starts of which no trial has one"


def test_a_training_that_is_good_enough_ends_as_planned_bit_identical(gym_cart: CartParams) -> None:
    states = []
    for config in (PRESET, dataclasses.replace(PRESET, extension_steps=0)):
        states.append(new_state(gym_cart, config, seed=120))
        done = learned(states[-1], config)
        assert done is not None
        assert done.trials.is_passed
        assert states[-1].model.num_timesteps == 25_000
    one, other = states
    assert one.selected is not None
    assert other.selected is not None
    for a, b in ((one.selected.network, other.selected.network), (network_of(one.model), network_of(other.model))):
        for field in dataclasses.fields(a):
            assert np.array_equal(getattr(a, field.name), getattr(b, field.name))


def test_an_interrupted_extension_resumes_and_ends_where_it_would_have(gym_cart: CartParams, tmp_path: Path) -> None:
    state = new_state(gym_cart, HOPELESS, seed=0)
    assert learned(state, HOPELESS, StopAt(700)) is None
    assert state.model.num_timesteps == 700
    path = save_checkpoint(tmp_path, state)
    again = load_checkpoint(path, new_state(gym_cart, HOPELESS, seed=0).model)
    assert again.model._current_progress_remaining == -0.75
    done = learned(again, HOPELESS)
    assert done is not None
    assert again.model.num_timesteps == 1000
    assert not done.trials.is_passed
    assert [row.step for row in again.log.evaluations] == [200, 400, 600, 800, 1000]


def test_end_of_an_extension() -> None:
    assert [extended_to(HOPELESS, steps) for steps in (0, 400, 999, 1000, 1599, 1600)] == [
        *(1000, 1000, 1000, 1600, 1600, 2200)
    ]
    assert [extended_by(HOPELESS, steps) for steps in (399, 400, 403, 404, 1000)] == [0, 0, 0, 4, 600]
    fixed = dataclasses.replace(HOPELESS, extension_steps=0)
    assert (extended_to(fixed, 400), extended_by(fixed, 1000)) == (400, 0)


def test_a_length_that_the_user_sets_is_not_extended() -> None:
    assert PRESET.changed().extension_steps == PRESET.extension_steps > 0
    assert PRESET.changed(steps=25_000).extension_steps == 0
    assert PRESET.changed(episodes=10).extension_steps == 0
    for name in ("blog", "on_cart", "swing_up"):
        assert load_preset(name).extension_steps == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extension_steps": -1}, "extension_steps = -1"),
        ({"extension_steps": 10**10}, "expected at most 1e+09"),
        ({"episodes": 10}, "extension_steps = 75000 with episodes = 10"),
    ],
)
def test_impossible_extensions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        dataclasses.replace(PRESET, **change)


@pytest.fixture
def hopeless_file(tmp_path: Path) -> Path:
    """`recommended` with 400 steps and an extension of 600, which no seed balances after."""
    path = tmp_path / "hopeless.toml"
    known = dataclasses.asdict(PRESET)
    changed = dataclasses.asdict(HOPELESS)
    lines = [f"{name} = {json.dumps(changed[name])}" for name in known if name != "name" and known[name] is not None]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_without_a_passed_network_nothing_is_exported_and_the_run_says_what_came_closest(
    hopeless_file: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    done = command_here("train", "--preset", hopeless_file, "--out", run, "--json")
    assert done.returncode == 1
    assert "no network passed every trial in 1000 steps, so none is exported" in done.stderr
    assert f"cartpole-robot train --resume {run}" in done.stderr
    assert f"cartpole-robot export {run} --out exported --failed-trials" in done.stderr
    record = json.loads(done.stdout)
    assert record == json.loads((run / "no_policy.json").read_text())
    assert (record["steps"], record["extension_steps"], record["evaluated"], record["balanced"]) == (1000, 600, 5, 0)
    trials = record["trials"]
    assert (trials["passed"], trials["of"], len(trials["failed"])) == (0, ALL_TRIALS, ALL_TRIALS)
    assert 5 < trials["failed"][0]["steps"] < trials["failed"][0]["of"] == 500
    files = {path.name for path in run.iterdir()}
    assert {"model_last.npz", "model_selected.npz", "evaluations.csv", "learning_curve.png"} <= files
    assert not files & {"policy.npz", "policy.onnx", "policy_weights.h", "summary.json"}

    refused = command_here("export", run, "--out", out)
    assert refused.returncode == 2
    assert "no network of this training passed every trial" in refused.stderr
    assert not out.exists()
    assert command_here("export", run, "--out", out, "--failed-trials").returncode == 0
    provenance = load_policy(out / "policy.npz").provenance
    assert provenance["trials"]["passed"] == 0
    assert len(provenance["trials"]["failed"]) == ALL_TRIALS

    again = command_here("train", "--resume", run)
    assert again.returncode == 1
    assert "1600 steps, 1200 of them an extension" in again.stdout
    assert f"passed 0 of {ALL_TRIALS}; failed: corner start 1000010 (" in again.stdout


def test_a_resumed_run_with_a_policy_forgets_that_it_had_none(
    trained_run: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    for name in ("summary.json", "policy.npz"):
        (run / name).unlink()
    (run / "no_policy.json").write_text("{}")
    done = command_here("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    assert not (run / "no_policy.json").exists()
    assert load_policy(run / "policy.npz").provenance["trials"] == {
        **{"passed": ALL_TRIALS, "of": ALL_TRIALS, "failed": [], "skipped": 0}
    }


def test_a_checkpoint_from_before_extensions_resumes_and_ends_as_planned(
    trained_run: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "summary.json").unlink()
    record = json.loads((run / "run.json").read_text())
    del record["config"]["extension_steps"]
    (run / "run.json").write_text(json.dumps(record))
    for path in run.glob("checkpoints/*/selected.json"):  # all of the 17 trials that there were
        path.write_text(json.dumps({**json.loads(path.read_text()), "trials": 17}))
    done = command_here("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["steps"], summary["extension_steps"]) == (25_000, 0)
    assert summary["trials"]["of"] == ALL_TRIALS, "the trials of the selected network ran again"


def test_a_run_with_a_number_of_steps_exports_and_reports_the_failed_trials(
    tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    done = command_here("train", "--steps", 402, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "404 steps, " in done.stdout
    assert "extension" not in done.stdout
    assert f"passed 0 of {ALL_TRIALS}; failed: corner start" in done.stdout
    trials = json.loads((run / "summary.json").read_text())["trials"]
    assert load_policy(run / "policy.npz").provenance["trials"] == trials
    assert len(trials["failed"]) == ALL_TRIALS
