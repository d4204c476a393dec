"""Stable-Baselines3 trains on the vector environment as on its own `DummyVecEnv` of single ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from cartpole_robot.env import MAKE_ID
from cartpole_robot.errors import UsageError
from cartpole_robot.training.vec_env import CartPoleVecEnv


def vec_env(count: int, **kwargs: Any) -> CartPoleVecEnv:
    return CartPoleVecEnv(gymnasium.make_vec(MAKE_ID, num_envs=count, autoreset_mode="SameStep", **kwargs))


def both(count: int, **kwargs: Any) -> tuple[CartPoleVecEnv, DummyVecEnv]:
    makers = [lambda: gymnasium.make(MAKE_ID, engine="native", **kwargs) for _ in range(count)]
    return vec_env(count, **kwargs), DummyVecEnv(makers)


def assert_same_infos(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert type(value) is type(other[key]), key
            np.testing.assert_array_equal(value, other[key], err_msg=key)


@pytest.mark.parametrize(("cart", "action"), [("gym", "table"), ("diy_arduino", "table"), ("diy_arduino", "duty")])
def test_equals_stable_baselines_own(cart: str, action: str) -> None:
    ours, theirs = both(6, cart=cart, action=action, max_episode_steps=40)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    for env in (ours, theirs):
        env.seed(17)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert_same_infos(ours.reset_infos, theirs.reset_infos)
    rng = np.random.default_rng(0)
    lost = cut = 0
    for _ in range(200):
        actions = rng.integers(2, size=6) if cart == "gym" else np.full(6, rng.integers(2))
        if action == "duty":
            actions = (0.5 * actions - 0.25 + rng.normal(0.0, 0.1, 6)).astype(np.float32).reshape(6, 1)
        found, expected = ours.step(actions), theirs.step(actions)
        for one, other in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert_same_infos(found[3], expected[3])
        cut += sum(info["TimeLimit.truncated"] for info in found[3])
        lost += int(found[2].sum())
    assert cut > 0
    assert lost > cut


def test_cart_that_diverges_is_cut_off_with_its_cause() -> None:
    ours, theirs = both(2, cart="diy_arduino")
    for env in (ours, theirs):
        env.seed(0)
        env.set_options([{}, {"state": [0.0, 0.0, 0.1, 1e200]}])
        env.reset()
    found, expected = (env.step(np.array([0, 1])) for env in (ours, theirs))
    np.testing.assert_array_equal(found[0], expected[0])
    assert_same_infos(found[3], expected[3])
    assert "the simulation diverged" in found[3][1]["fault"]
    assert found[3][1]["TimeLimit.truncated"]


def test_seeds_and_options_hold_for_one_reset() -> None:
    env = vec_env(3)
    env.seed(5)
    env.set_options({"low": 0.01, "high": 0.02})
    first = env.reset()
    assert (first >= 0.01).all()
    assert (first <= 0.02).all()
    assert (np.abs(env.reset()) < 0.01).any()
    env.seed(5)
    env.set_options([{"low": 0.01, "high": 0.02}] * 2 + [{"state": [0.1, 0.2, 0.3, 0.4]}])
    mixed = env.reset()
    np.testing.assert_array_equal(mixed[:2], first[:2])
    assert mixed[2].tolist() == np.array([0.1, 0.2, 0.3, 0.4], np.float32).tolist()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """More threads than free cores make small networks many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_ppo_learns_on_it() -> None:
    env = VecMonitor(vec_env(32))
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=256, n_epochs=8, learning_rate=2e-3, seed=1, device="cpu")
    model.learn(1024)
    untrained = np.mean([episode["l"] for episode in model.ep_info_buffer])
    model.learn(15_360, reset_num_timesteps=False)
    trained = np.mean([episode["l"] for episode in model.ep_info_buffer])
    assert untrained < 40.0
    assert trained > 3.0 * untrained


def test_stable_baselines_wrappers_and_queries() -> None:
    env = vec_env(2, cart="diy_arduino", render_mode="rgb_array")
    normal = VecNormalize(env)
    assert normal.reset().shape == (2, 4)
    normal.step(np.array([0, 1]))
    assert env.render().shape == (720, 640, 3)
    assert env.get_attr("render_mode") == ["rgb_array"] * 2
    assert env.get_attr("num_envs", indices=[1]) == [2]
    assert env.has_attr("spec")
    assert not env.has_attr("gravity")
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False, False]
    with pytest.raises(UsageError, match="attribute 'gravity'"):
        env.set_attr("gravity", 1.0)
    with pytest.raises(UsageError, match="method 'jump'"):
        env.env_method("jump")
    env.close()
    env.close()


def test_other_environments_are_refused() -> None:
    with pytest.raises(UsageError, match="autoreset_mode is 'NextStep', expected 'SameStep'"):
        CartPoleVecEnv(gymnasium.make_vec(MAKE_ID, num_envs=2))
    with pytest.raises(UsageError, match="is no CartPoleVectorEnv"):
        CartPoleVecEnv(gymnasium.make_vec("CartPole-v1", num_envs=2))
    env = vec_env(2)
    env.reset()
    with pytest.raises(gymnasium.error.ResetNeeded, match="step_async"):
        env.step_wait()
