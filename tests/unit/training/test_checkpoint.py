"""A checkpoint holds everything needed to resume the training."""

from __future__ import annotations

import dataclasses
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.training.averaging import Averaging
from cartpole_robot.training.checkpoint import Selected, TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.collecting import end_stored_episode
from cartpole_robot.training.dqn.learner import MODEL_FILE_ERRORS, load_learner, network_of, new_learner
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.log import EpisodeRow, EvaluationRow, LearningLog


def parameters(model: DQN) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in (*model.q_net.parameters(), *model.q_net_target.parameters())])


@pytest.fixture
def saved(gym_cart: CartParams, tmp_path: Path) -> tuple[TrainingState, Path, list[float]]:
    config = load_preset("recommended")
    model = new_learner(config, gym_cart, training_env(gym_cart, "sim", config), seed=3, tensorboard=None)
    model.learn(402)  # in the middle of an episode
    row = EvaluationRow(400, 123.0, 0.5)
    log = LearningLog([EpisodeRow(20, 20, 0.9)], [row])
    state = TrainingState(model, log, Selected(network_of(model), row), 12.5)
    path = save_checkpoint(tmp_path, state)
    return state, path, next_draws(model)


def next_draws(model: DQN) -> list[float]:
    """The next number of every generator that a training draws from."""
    env = cast(DummyVecEnv, model.env).envs[0].unwrapped
    start = env.reset()[0]
    return [
        float(np.random.random()),
        float(torch.rand(1)),
        *start.tolist(),
        *(float(model.action_space.sample()) for _ in range(20)),
    ]


def loaded(gym_cart: CartParams, path: Path) -> TrainingState:
    config = load_preset("recommended")
    env = training_env(gym_cart, "sim", config)
    return load_checkpoint(path, new_learner(config, gym_cart, env, seed=3, tensorboard=None))


def test_weights_optimizer_target_and_counters_come_back(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]]
) -> None:
    state, path, _ = saved
    again = loaded(gym_cart, path)
    assert (parameters(again.model) == parameters(state.model)).all()
    moments = [entry["exp_avg"] for entry in again.model.policy.optimizer.state_dict()["state"].values()]
    expected = [entry["exp_avg"] for entry in state.model.policy.optimizer.state_dict()["state"].values()]
    assert all((a == b).all() for a, b in zip(moments, expected, strict=True))
    assert moments
    for name in ("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "exploration_rate"):
        assert getattr(again.model, name) == getattr(state.model, name), name
    assert again.log == state.log
    assert again.elapsed_s == 12.5
    assert again.selected is not None
    assert state.selected is not None
    assert again.selected.row == state.selected.row
    assert (again.selected.network.hidden_weight == state.selected.network.hidden_weight).all()


def test_replay_memory_comes_back_with_its_open_episode_ended(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]]
) -> None:
    state, path, _ = saved
    before, after = state.model.replay_buffer, loaded(gym_cart, path).model.replay_buffer
    assert before is not None
    assert after is not None
    assert after.pos == before.pos
    for name in ("observations", "next_observations", "actions", "rewards"):
        assert (getattr(after, name) == getattr(before, name)).all(), name
    last = before.pos - 1
    assert (before.dones[last, 0], before.timeouts[last, 0]) == (0.0, 0.0), "the episode was open"
    assert (after.dones[last, 0], after.timeouts[last, 0]) == (1.0, 1.0)
    assert (after.dones[:last] == before.dones[:last]).all()


def test_every_generator_continues_where_it_was(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]]
) -> None:
    _, path, expected = saved
    assert next_draws(loaded(gym_cart, path).model) == expected


@pytest.mark.parametrize("preset", ["recommended", "blog"])
def test_learner_continues_bit_identical_from_its_checkpoint(gym_cart: CartParams, tmp_path: Path, preset: str) -> None:
    config = load_preset(preset)

    def new() -> DQN:
        return new_learner(config, gym_cart, training_env(gym_cart, "sim", config), seed=3, tensorboard=None)

    model = new()
    model.learn(400)
    path = save_checkpoint(tmp_path, TrainingState(model, LearningLog()))
    end_stored_episode(model)
    model._last_obs = None
    cast(DummyVecEnv, model.env)._reset_seeds()
    model.learn(300, reset_num_timesteps=False)
    again = load_checkpoint(path, new()).model
    again.learn(300, reset_num_timesteps=False)
    assert again.num_timesteps == model.num_timesteps == 700
    assert (parameters(again) == parameters(model)).all()


class Bomb:
    """A pickle that leaves a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_checkpoint_holds_no_code_and_pickles_in_it_are_not_opened(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]], tmp_path: Path
) -> None:
    _, path, _ = saved
    assert {file.suffix for file in path.iterdir()} == {".json", ".npz", ".csv"}
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for name in ("generators.pkl", "replay_memory.pkl", "model.zip"):
        (path / name).write_bytes(bomb)
    loaded(gym_cart, path)
    for name in ("learner.npz", "replay_memory.npz", "selected.npz"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(bomb)
        with pytest.raises(UsageError, match="this checkpoint is damaged"):
            loaded(gym_cart, path)
        np.savez(path / name, observations=np.array([Bomb(tmp_path / "exploded")], object))
        with pytest.raises(UsageError, match="this checkpoint is damaged"):
            loaded(gym_cart, path)
        (path / name).write_bytes(whole)
    (path / "learner.json").unlink()
    with pytest.raises(UsageError, match="in a form that may run code, and it is not opened"):
        loaded(gym_cart, path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_timesteps", -1),
        ("num_timesteps", 2**52),
        ("_n_calls", 1e300),
        ("exploration_rate", 7.0),
        ("memory_at", 10**9),
        ("is_memory_full", 1),
        ("recent_episodes", [["x", 1]]),
        ("generators", {"python": {}}),
        ("starts_and_actions", []),
        ("elapsed_s", "long"),
    ],
)
def test_impossible_numbers_in_a_checkpoint_are_refused(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]], name: str, value: object
) -> None:
    _, path, _ = saved
    record = json.loads((path / "learner.json").read_text())
    (path / "learner.json").write_text(json.dumps({**record, name: value}))
    with pytest.raises(UsageError, match="this checkpoint is damaged"):
        loaded(gym_cart, path)


def test_selected_network_and_its_row_of_the_log_belong_together(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]]
) -> None:
    _, path, _ = saved
    log = (path / "evaluations.csv").read_text()
    head = log.splitlines()[0]
    for changed, message in (
        (log.replace("400,", "401,"), "the step of selected.json is not in evaluations.csv"),
        (f"{head}\n", "only one of selected.npz and an evaluation is there"),
        (log.replace(",,", ",nan,", 1), "row 2 is damaged .nan is not finite"),
        (log.replace(",,", ",inf,", 1), "row 2 is damaged .inf is not finite"),
    ):
        (path / "evaluations.csv").write_text(changed)
        with pytest.raises(UsageError, match=message):
            loaded(gym_cart, path)
    (path / "evaluations.csv").write_text(log)
    loaded(gym_cart, path)
    (path / "selected.npz").unlink()
    with pytest.raises(UsageError, match=r"only one of selected\.npz and an evaluation is there"):
        loaded(gym_cart, path)


def test_training_that_lost_the_mean_of_its_network_does_not_begin_another(gym_cart: CartParams) -> None:
    config = dataclasses.replace(load_preset("recommended"), averaged_steps=2000)
    model = new_learner(config, gym_cart, training_env(gym_cart, "sim", config), seed=3, tensorboard=None)
    Averaging(TrainingState(model, LearningLog()), 2000)
    model.num_timesteps = 500
    with pytest.raises(UsageError, match=r"checkpoint of step 500 is damaged: averaged\.npz is missing"):
        Averaging(TrainingState(model, LearningLog()), 2000)


def test_place_of_a_generator_outside_its_table_is_refused(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]]
) -> None:
    """NumPy does not check it and would read beyond its memory."""
    _, path, _ = saved
    record = json.loads((path / "learner.json").read_text())
    record["generators"]["numpy"]["state"]["pos"] = 10**6
    (path / "learner.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="at no possible place"):
        loaded(gym_cart, path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("actions", lambda array: array + 9),
        ("observations", lambda array: array[:-1]),
        ("rewards", lambda array: array * np.nan),
        ("dones", lambda array: array.astype(np.float64)),
    ],
)
def test_steps_that_no_learner_stored_are_refused(
    gym_cart: CartParams, saved: tuple[TrainingState, Path, list[float]], name: str, change: Any
) -> None:
    _, path, _ = saved
    with np.load(path / "replay_memory.npz") as archive:
        arrays = dict(archive)
    np.savez(path / "replay_memory.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(UsageError, match="this checkpoint is damaged"):
        loaded(gym_cart, path)


@pytest.mark.parametrize(
    "data", ["[]", "{}", '{"policy_class": {":type:": "x", ":serialized:": "AAAA"}}', '{"policy": 1}']
)
def test_zip_with_other_contents_is_no_model(tmp_path: Path, data: str) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", data)
    with pytest.raises(MODEL_FILE_ERRORS):
        load_learner(path, load_preset("blog"), None)
