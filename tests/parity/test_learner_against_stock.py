"""The lean DQN against Stable-Baselines3's: the same draws, the same updates, the same files."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import stable_baselines3.dqn.dqn
import torch
from stable_baselines3 import DQN

from cartpole_robot.cart.params import CartParams
from cartpole_robot.training.config import Loss, Optimizer, TrainingConfig, load_preset
from cartpole_robot.training.dqn import native_update
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import network_of, new_learner, set_network
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.learners import Learner


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in training: with a network this small, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def learner(cart: CartParams, kind: Learner, *, seed: int = 3, history_length: int = 1) -> DQN:
    config = dataclasses.replace(load_preset("recommended"), learner=kind, history_length=history_length)
    return new_learner(config, cart, training_env(cart, "sim", config), seed=seed, tensorboard=None)


def parameters(model: DQN) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in (*model.q_net.parameters(), *model.q_net_target.parameters())])


@pytest.mark.parametrize("history_length", [1, pytest.param(3, marks=pytest.mark.long)])
def test_stock_and_lean_walk_the_same_way_from_the_same_seed(gym_cart: CartParams, history_length: int) -> None:
    """1,200 steps with exploration, greedy actions, sampling, 250 updates and target updates."""
    stock = learner(gym_cart, Learner.STOCK, history_length=history_length).learn(1200)
    # Created only now: creating a learner seeds the global generators.
    lean = learner(gym_cart, Learner.LEAN, history_length=history_length).learn(1200)
    assert lean._n_updates == stock._n_updates == 250
    assert stock.replay_buffer is not None
    assert lean.replay_buffer is not None
    assert lean.replay_buffer.observations.shape[-1] == 5 * history_length - 1
    assert (lean.replay_buffer.observations == stock.replay_buffer.observations).all()
    assert (lean.replay_buffer.actions == stock.replay_buffer.actions).all()
    assert (lean.replay_buffer.rewards == stock.replay_buffer.rewards).all()
    assert lean.exploration_rate == stock.exploration_rate
    assert (parameters(lean) - parameters(stock)).abs().max() < 1e-5


UPDATES = 40
CLIPPED, UNCLIPPED = 0.003, 10.0


def filled(cart: CartParams, config: TrainingConfig, kind: Learner, seed: int = 3) -> DQN:
    """A learner whose replay memory has wrapped around, with falls and episodes truncated at 25 steps."""
    config = dataclasses.replace(config, learner=kind, max_steps=25, replay_memory=300)
    model = new_learner(config, cart, training_env(cart, "sim", config), seed=seed, tensorboard=None)
    return model.learn(400)


@pytest.mark.parametrize("max_grad_norm", [UNCLIPPED, CLIPPED])
@pytest.mark.parametrize("n_steps", [pytest.param(1, marks=pytest.mark.long), 5])
@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_each_update_from_the_same_weights_and_batch_agrees_to_1e_5(
    gym_cart: CartParams,
    optimizer: Optimizer,
    loss: Loss,
    n_steps: int,
    max_grad_norm: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In C and in PyTorch. Both update the learner's own tensors, with no copy elsewhere."""
    config = dataclasses.replace(
        load_preset("recommended"), optimizer=optimizer, n_steps=n_steps, optimizer_epsilon=1e-6
    )
    stock = filled(gym_cart, config, Learner.STOCK)
    native, in_torch = (filled(gym_cart, config, Learner.LEAN) for _ in range(2))
    if loss is Loss.MSE:  # the stock class has Huber's only: make it call the other
        monkeypatch.setattr(stable_baselines3.dqn.dqn.F, "smooth_l1_loss", torch.nn.functional.mse_loss)
    memory = stock.replay_buffer
    assert memory is not None
    assert memory.full
    assert 0 < (memory.dones * memory.timeouts).sum() < memory.dones.sum(), "both kinds of end are among the steps"
    for model in (native, in_torch):
        assert isinstance(model, LeanDQN)
        model.loss = loss
        model.replay_buffer = memory
    in_torch.is_native = False
    clip, norms, clipped = torch.nn.utils.clip_grad_norm_, list[float](), 0
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *given: norms.append(float(clip(*given))))
    for update in range(UPDATES):
        for model in (stock, native, in_torch):
            model.max_grad_norm = max_grad_norm
            if model is not stock:
                model.policy.load_state_dict(stock.policy.state_dict())
                model.policy.optimizer.load_state_dict(copy.deepcopy(stock.policy.optimizer.state_dict()))
        norms.clear()
        for model in (native, in_torch, stock):
            np.random.seed(update)
            model.train(gradient_steps=1, batch_size=100)
        assert len(norms) == 2, "PyTorch clips for the two that update in PyTorch"
        clipped += norms[1] > max_grad_norm
        for model in (native, in_torch):
            assert value(model, "train/loss") == pytest.approx(value(stock, "train/loss"), rel=1e-5), f"update {update}"
            assert (parameters(model) - parameters(stock)).abs().max() < 1e-5, f"update {update}"
            assert (moments(model) - moments(stock)).abs().max() < 1e-5, f"update {update}"
        for model in (stock, native, in_torch):
            model._on_step()  # updates the target network as well
    assert clipped == (UPDATES if max_grad_norm == CLIPPED else 0)


def value(model: DQN, name: str) -> float:
    return float(model.logger.name_to_value[name])


def moments(model: DQN) -> torch.Tensor:
    """The optimizer's whole state in one vector."""
    states = model.policy.optimizer.state_dict()["state"].values()
    return torch.cat([tensor.flatten() for state in states for tensor in state.values()])


@pytest.mark.parametrize("history_length", [*(pytest.param(length, marks=pytest.mark.long) for length in (1, 6)), 3])
def test_updates_in_a_row_stay_together(gym_cart: CartParams, history_length: int) -> None:
    """300 updates from one start, on the same batches, never synchronised; with 4, 14 and 29 inputs."""
    config = dataclasses.replace(load_preset("recommended"), history_length=history_length)
    stock, lean = (filled(gym_cart, config, kind) for kind in (Learner.STOCK, Learner.LEAN))
    assert isinstance(lean, LeanDQN)
    assert lean._native_update() is not None
    assert network_of(stock).inputs == network_of(lean).inputs == 5 * history_length - 1
    assert (network_of(stock).input_gain == network_of(lean).input_gain).all()
    lean.policy.load_state_dict(stock.policy.state_dict())
    lean.policy.optimizer.load_state_dict(copy.deepcopy(stock.policy.optimizer.state_dict()))
    lean.replay_buffer = stock.replay_buffer
    for update in range(300):
        for model in (stock, lean):
            np.random.seed(update)
            model.train(gradient_steps=1, batch_size=100)
            model._on_step()
    assert (parameters(lean) - parameters(stock)).abs().max() < 1e-4


def test_without_the_extension_it_walks_the_same_way(gym_cart: CartParams, monkeypatch: pytest.MonkeyPatch) -> None:
    native = learner(gym_cart, Learner.LEAN).learn(600)
    monkeypatch.setattr(native_update, "_update", None)
    in_torch = learner(gym_cart, Learner.LEAN).learn(600)
    assert isinstance(in_torch, LeanDQN)
    assert in_torch._native_update() is None
    assert in_torch._n_updates == native._n_updates == 100
    assert in_torch.replay_buffer is not None
    assert native.replay_buffer is not None
    assert (in_torch.replay_buffer.actions == native.replay_buffer.actions).all()
    assert (parameters(in_torch) - parameters(native)).abs().max() < 1e-5


def test_mean_squared_error_is_what_the_blog_preset_minimises(gym_cart: CartParams) -> None:
    """One update against the gradient written out: d/dQ mean((Q - target)²), through Adagrad's first step."""
    config = load_preset("blog")
    env = training_env(gym_cart, "sim", config)
    model = new_learner(config, gym_cart, env, seed=0, tensorboard=None)
    model.learn(100)
    np.random.seed(1)
    assert model.replay_buffer is not None
    batch = model.replay_buffer.sample(100)
    with torch.no_grad():
        target = batch.rewards + (1 - batch.dones) * 0.5 * model.q_net(batch.next_observations).max(1, keepdim=True)[0]
    expected = torch.nn.functional.mse_loss(model.q_net(batch.observations).gather(1, batch.actions), target)
    np.random.seed(1)
    model.train(gradient_steps=1, batch_size=100)
    assert model.logger.name_to_value["train/loss"] == pytest.approx(expected.item(), rel=1e-6)


def test_blog_counts_epsilon_in_episodes_and_has_no_target_network(gym_cart: CartParams) -> None:
    config = load_preset("blog")
    model = new_learner(config, gym_cart, training_env(gym_cart, "sim", config), seed=0, tensorboard=None)
    model.learn(2000)
    expected = 1.0 - 0.99 * (model._episode_num / 10_000) / 0.5
    # Each step sets the rate before it counts an episode that it ends.
    assert model.exploration_rate == pytest.approx(expected, abs=0.99 / 5000 + 1e-12)
    model._on_step()
    for online, target in zip(model.q_net.parameters(), model.q_net_target.parameters(), strict=True):
        assert (online == target).all()


def test_plain_dqn_loads_what_the_lean_one_saves(gym_cart: CartParams, tmp_path: Path) -> None:
    lean = learner(gym_cart, Learner.LEAN)
    lean.learn(500)
    lean.save(tmp_path / "model.zip")
    plain = DQN.load(tmp_path / "model.zip", device="cpu")
    assert type(plain) is DQN
    assert not isinstance(plain, LeanDQN)
    rows = np.random.default_rng(0).normal(scale=0.2, size=(200, 4)).astype(np.float32)
    expected = network_of(lean).values(rows).argmax(axis=1)
    assert plain.predict(rows, deterministic=True)[0].tolist() == expected.tolist()


def test_network_goes_out_of_a_model_and_back_in(gym_cart: CartParams) -> None:
    one, other = learner(gym_cart, Learner.LEAN, seed=1), learner(gym_cart, Learner.LEAN, seed=2)
    network = network_of(one)
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert not np.allclose(network_of(other).values(rows), network.values(rows))
    set_network(other, network)
    with torch.no_grad():
        assert other.q_net(torch.from_numpy(rows)).numpy() == pytest.approx(network.values(rows), abs=1e-5)


def test_learner_sees_minus_one_for_a_fall_while_steps_are_counted(gym_cart: CartParams) -> None:
    config: TrainingConfig = load_preset("recommended")
    env = training_env(gym_cart, "sim", config)
    env.reset(seed=0)
    rewards = []
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(1)
        rewards.append(reward)
    assert rewards == [0.0] * (len(rewards) - 1) + [-1.0]
    assert info["episode"]["l"] == len(rewards)
    assert info["episode"]["r"] == len(rewards)
