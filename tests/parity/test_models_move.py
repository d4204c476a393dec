"""Models of Stable-Baselines3 move between CartPole-v1 and this environment, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.env import MAKE_ID
from cartpole_robot.simulation.engine import reference_engine
from cartpole_robot.training.vec_env import CartPoleVecEnv

OURS = {"id": MAKE_ID, "engine": "native"}
GYMNASIUMS = {"id": "CartPole-v1"}


def mean_steps(model: DQN, env: gymnasium.Env, episodes: int = 20) -> float:
    found, _ = evaluate_policy(model, env, episodes, warn=False)
    return float(np.mean(found))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks on busy cores: more threads take twenty times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(env: gymnasium.Env, steps: int) -> DQN:
    """An SB3 model that balances for a while, not for an episode: a shift of what it sees or does would show."""
    model = DQN(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        learning_starts=500,
        train_freq=4,
        gradient_steps=4,
        batch_size=64,
        target_update_interval=100,
        exploration_fraction=0.3,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [64, 64]},
        seed=2,
        device="cpu",
    )
    return model.learn(steps)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        pytest.param(GYMNASIUMS, OURS, id="in", marks=pytest.mark.long),
        pytest.param(OURS, GYMNASIUMS, id="out", marks=pytest.mark.long),
    ],
)
def test_model_trained_there_runs_and_learns_here(
    tmp_path: Path, one_thread: None, there: dict[str, str], here: dict[str, str]
) -> None:
    first, second = Monitor(gymnasium.make(**there)), Monitor(gymnasium.make(**here))
    model = trained(first, 2500)
    model.save(tmp_path / "model.zip")
    moved = DQN.load(tmp_path / "model.zip", env=second, device="cpu")
    first.reset(seed=7), second.reset(seed=7)
    before, after = mean_steps(model, first), mean_steps(moved, second)
    assert before > 80.0, "a random policy falls after 22 steps"
    assert after == pytest.approx(before, rel=0.15)
    moved.learn(300)  # with what it brought along
    model.set_env(second)


def test_trainings_own_file_balances_in_cartpole_v1(trained_run: Path) -> None:
    env = Monitor(gymnasium.make("CartPole-v1"))
    model = DQN.load(trained_run / "model_selected.zip", env=env)
    env.reset(seed=7)
    assert mean_steps(model, env) >= 475.0


def test_spaces_equal_cartpole_v1s_and_only_limits_differ_for_other_carts() -> None:
    theirs = gymnasium.make("CartPole-v1")
    for engine in (reference_engine(), "native"):
        env = gymnasium.make(MAKE_ID, engine=engine)
        assert env.observation_space == theirs.observation_space
        assert env.action_space == theirs.action_space
    many = gymnasium.make_vec(MAKE_ID, num_envs=3, autoreset_mode="SameStep")
    assert CartPoleVecEnv(many).observation_space == theirs.observation_space
    bound = gymnasium.make(MAKE_ID, cart="diy_arduino", engine="native").observation_space.high  # type: ignore[attr-defined]
    assert np.isinf(bound).tolist() == [False, True, False, True]


def test_version_0_has_bounds_for_the_speeds_and_names_version_1() -> None:
    old = MAKE_ID.replace("-v1", "-v0")
    with pytest.warns(DeprecationWarning, match="out of date.*version `v1`"):
        one, new = gymnasium.make(old), gymnasium.make(MAKE_ID)
    with pytest.warns(DeprecationWarning, match="out of date.*version `v1`"):
        many = gymnasium.make_vec(old, num_envs=2, autoreset_mode="SameStep")
    assert np.isfinite(one.observation_space.high).all()  # type: ignore[attr-defined]
    assert one.observation_space == many.single_observation_space != new.observation_space
    assert one.reset(seed=4)[0].tolist() == new.reset(seed=4)[0].tolist() == many.reset(seed=[4, 5])[0][0].tolist()
