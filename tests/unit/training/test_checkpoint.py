"""A checkpoint holds everything needed to resume the training."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.cart.params import CartParams
from cartpole_robot.training.checkpoint import Selected, TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.learner import network_of, new_learner
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
