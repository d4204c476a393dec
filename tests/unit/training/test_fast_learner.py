"""The fast path from a step to an update: what callbacks see, what the C code refuses, and when SB3's path is used."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from cartpole_robot.cart.params import CartParams
from cartpole_robot.training.callbacks import TrainingCallbacks
from cartpole_robot.training.config import Symmetry, TrainingConfig, load_preset
from cartpole_robot.training.dqn import optimizers
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import load_learner, network_of, new_learner
from cartpole_robot.training.dqn.native_update import NativeUpdate, _update
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.learners import Learner


def learner(cart: CartParams, config: TrainingConfig | None = None) -> DQN:
    config = config or load_preset("recommended")
    return new_learner(config, cart, training_env(cart, "sim", config), seed=4, tensorboard=None)


class Witness(BaseCallback):
    """Records what it sees; ends the training at a step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []
        self._last = last

    def _on_rollout_start(self) -> None:
        self.seen.append(("start", self.num_timesteps))

    def _on_rollout_end(self) -> None:
        self.seen.append(("end", self.num_timesteps))

    def _on_step(self) -> bool:
        found = self.locals
        (info,) = found["infos"]
        terminal = info.get("terminal_observation")
        episode = info.get("episode", {})
        self.seen.append(
            (
                self.num_timesteps,
                *(found[name].tolist() for name in ("actions", "buffer_actions", "new_obs", "rewards", "dones")),
                *(found[name].dtype for name in ("actions", "new_obs", "rewards", "dones")),
                None if terminal is None else terminal.tolist(),
                (info["TimeLimit.truncated"], episode.get("l"), episode.get("r")),
                (found["num_collected_steps"], found["num_collected_episodes"]),
                found["replay_buffer"].pos,
            )
        )
        return self.num_timesteps < self._last


@pytest.mark.parametrize("train_freq", [3, (2, "episode")])
def test_callbacks_see_what_they_see_in_the_stock_class(gym_cart: CartParams, train_freq: Any) -> None:
    """The steps include falls and time limits, and the callback ends the training."""
    witnesses = []
    models = []
    for kind in (Learner.STOCK, Learner.LEAN):
        config = dataclasses.replace(load_preset("recommended"), learner=kind, max_steps=25, learning_starts=1000)
        model = learner(gym_cart, config)
        model.train_freq = train_freq
        model._convert_train_freq()
        witnesses.append(Witness(200))
        model.learn(500, callback=witnesses[-1], log_interval=2)
        models.append(model)
    stock, lean = models
    assert witnesses[1].seen == witnesses[0].seen
    assert any(row[-3][0] for row in witnesses[0].seen if len(row) > 2), "an episode was cut"
    assert lean.num_timesteps == stock.num_timesteps == 200
    assert (lean._episode_num, lean.exploration_rate) == (stock._episode_num, stock.exploration_rate)
    assert [info["l"] for info in lean.ep_info_buffer] == [info["l"] for info in stock.ep_info_buffer]
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "pos", "full"):
        found, expected = (np.asarray(getattr(model.replay_buffer, name)) for model in (lean, stock))
        assert (found == expected).all(), name
        assert found.dtype == expected.dtype, name


def test_callbacks_are_called_at_ends_of_episodes_and_at_regular_steps(gym_cart: CartParams) -> None:
    config = dataclasses.replace(load_preset("recommended"), evaluate_every_steps=30)
    model = learner(gym_cart, config)
    calls: list[tuple[int, bool]] = []

    class CallRecorder(BaseCallback):
        def _on_step(self) -> bool:
            calls.append((self.num_timesteps, bool(self.locals["dones"][0])))
            return self.num_timesteps < 150

    model.learn(300, callback=TrainingCallbacks([CallRecorder()], config))
    assert [step for step, has_ended in calls if not has_ended or step % 10 == 0] == list(range(10, 151, 10))
    ends = [step for step, has_ended in calls if has_ended]
    assert len(ends) == model._episode_num > 0
    assert model.num_timesteps == 150


@pytest.mark.parametrize("kind", list(Learner))
def test_learning_rate_falls_linearly_to_its_end_also_after_a_resume(
    gym_cart: CartParams, tmp_path: Path, kind: Learner
) -> None:
    config = dataclasses.replace(load_preset("recommended"), learner=kind, steps=400, learning_rate_end=2e-4)
    model = learner(gym_cart, config)
    model.learn(400, callback=Witness(300))
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(4.0e-4, rel=0.05)
    model.save(tmp_path / "model.zip")
    resumed = load_learner(tmp_path / "model.zip", config, training_env(gym_cart, "sim", config))
    resumed.learn(100, reset_num_timesteps=False)
    assert resumed.num_timesteps == 400
    assert resumed.policy.optimizer.param_groups[0]["lr"] == pytest.approx(2.0e-4, rel=0.05)


def test_model_of_cartpole_v0_resumes(gym_cart: CartParams, tmp_path: Path) -> None:
    model = learner(gym_cart)
    bound = np.array([4.8, 5.2, 0.42, 6.4], np.float32)  # the speeds had bounds
    model.observation_space = gymnasium.spaces.Box(-bound, bound)
    model.save(tmp_path / "model.zip")
    config = load_preset("recommended")
    env = training_env(gym_cart, "sim", config)
    assert load_learner(tmp_path / "model.zip", config, env).observation_space == env.observation_space


def test_training_updates_in_c_and_does_not_load_pytorchs_compiler(gym_cart: CartParams) -> None:
    """The extension exists, the presets' learners fit it, and none of them imports torch._dynamo."""
    assert _update is not None, "build the extension: pip install -e ."
    for preset in ("recommended", "blog", "on_cart"):
        model = learner(gym_cart, load_preset(preset))
        assert isinstance(model, LeanDQN)
        assert NativeUpdate.fits(model), preset
    for method in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        for kind in (optimizers.AdamW, optimizers.Adagrad):
            assert getattr(kind, method) is getattr(torch.optim.Optimizer, method).__wrapped__, method


def test_two_hidden_layers_learn_in_pytorch(gym_cart: CartParams) -> None:
    env = training_env(gym_cart, "sim", load_preset("recommended"))
    model = LeanDQN("MlpPolicy", env, learning_starts=50, policy_kwargs={"net_arch": [16, 16]}, seed=0, device="cpu")
    assert not NativeUpdate.fits(model)
    before = [parameter.detach().clone() for parameter in model.q_net.parameters()]
    env_two = DummyVecEnv([lambda: training_env(gym_cart, "sim", load_preset("recommended")) for _ in range(2)])
    for now in (env, VecNormalize(DummyVecEnv([lambda: env]))):
        model.set_env(now)
        model.learn(120)
    assert model._n_updates > 0
    assert any((a != b).any() for a, b in zip(before, model.q_net.parameters(), strict=True))
    several = LeanDQN("MlpPolicy", env_two, learning_starts=50, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")
    several.learn(120)
    assert several.num_timesteps >= 120


def test_update_follows_its_learner_to_another_memory_and_another_optimizer_state(gym_cart: CartParams) -> None:
    one, other = learner(gym_cart).learn(260), learner(gym_cart).learn(260)
    assert isinstance(one, LeanDQN)
    first = one._native_update()
    assert one._native_update() is first, "made once"
    one.replay_buffer = other.replay_buffer
    second = one._native_update()
    assert second is not first
    one.policy.optimizer.load_state_dict(copy.deepcopy(other.policy.optimizer.state_dict()))
    assert one._native_update() is not second
    third = one._native_update()
    with torch.no_grad():
        for tensor in one.q_net.parameters():
            tensor.data = tensor.data.clone()
    assert one._native_update() is not third
    for network in (one.q_net, one.q_net_target):
        for tensor in network.parameters():
            before = one._native_update()
            tensor.data = tensor.data.clone()
            assert one._native_update() is not before
    before = one._native_update()
    one.symmetry = Symmetry.MIRRORED
    assert one._native_update() is not before
    assert isinstance(one.replay_buffer, NStepReplayBuffer)
    one.replay_buffer.n_steps += 1
    assert one.lesson()[2][0] == one.replay_buffer.n_steps
    one.train(1, 100)
    step = next(iter(one.policy.optimizer.state.values()))["step"]
    assert step == next(iter(other.policy.optimizer.state.values()))["step"] + 1


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.AdamW, {"eps": 1e-6, "betas": (0.8, 0.95), "weight_decay": 0.3}),
        (torch.optim.Adagrad, {"eps": 1e-6, "lr_decay": 0.2, "weight_decay": 0.3}),
    ],
)
def test_other_shapes_of_network_agree_with_pytorch(
    optimizer: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    """Inputs other than four, hidden units that do not or do fill whole lanes, one to five actions."""
    rng = np.random.default_rng(0)
    for inputs, hidden, actions in ((1, 1, 1), (3, 7, 5), (4, 16, 3), (4, 33, 2), (6, 100, 4), (4, 128, 2)):
        box = gymnasium.spaces.Box(-1.0, 1.0, (inputs,), np.float32)
        models = []
        for kind in (DQN, LeanDQN):
            env = gymnasium.Env()
            env.observation_space, env.action_space = box, gymnasium.spaces.Discrete(actions)
            models.append(
                kind("MlpPolicy", env, buffer_size=50, n_steps=3, policy_kwargs={"net_arch": [hidden]}, device="cpu")
            )
        stock, lean = models
        memory = stock.replay_buffer
        assert memory is not None
        for _ in range(70):
            rows = rng.normal(size=(2, 1, inputs)).astype(np.float32)
            action = rng.integers(actions, size=(1, 1))
            memory.add(rows[0], rows[1], action, rng.normal(size=1), rng.random(1) < 0.2, [{}])
        lean.replay_buffer = memory
        lean.policy.load_state_dict(stock.policy.state_dict())
        for model in (stock, lean):
            model.set_logger(Logger(None, []))
            model.policy.optimizer = optimizer(model.q_net.parameters(), lr=1e-3, **options)
        assert isinstance(lean, LeanDQN)
        assert lean._native_update() is not None
        for update in range(5):
            for model in (stock, lean):
                np.random.seed(update)
                model.train(1, 32)
            for a, b in zip(stock.q_net.parameters(), lean.q_net.parameters(), strict=True):
                assert (a - b).abs().max() < 1e-5, (inputs, hidden, actions, update)
        row = rng.normal(size=inputs).astype(np.float32)
        assert lean.greedy_action()(row) == stock.predict(row, deterministic=True)[0]


def test_diverged_weights_stay_diverged_and_are_reported(gym_cart: CartParams) -> None:
    """A ReLU that turned NaN into zero would hide the divergence."""
    for tensor in range(4):
        model = learner(gym_cart).learn(260)
        with torch.no_grad():
            list(model.q_net.parameters())[tensor].view(-1)[1] = float("nan")
        model.train(1, 100)
        assert np.isnan(model.logger.name_to_value["train/loss"])
        with pytest.raises(ValueError, match="finite"):
            network_of(model)


def test_c_refuses_arrays_and_steps_that_do_not_fit(gym_cart: CartParams) -> None:
    model = learner(gym_cart).learn(260)
    assert isinstance(model, LeanDQN)
    update = model._native_update()
    assert update is not None
    loss, rule = (1, 0.99, False, 10.0), (False, 1e-3, 1e-5, 0.1, 0.9, 0.999)
    before = network_of(model)
    bits = np.random.PCG64(0)
    for times, batch, stored, message in (
        (1, 100, 1001, "updates on 1001 steps, expected 1 to 1000"),
        (1, 100, 0, "on 0 steps"),
        (1, 0, 7, "1 updates on batches of 0, expected 0 to 1048576 on 1 to 1048576"),
        (-1, 100, 7, "-1 updates"),
    ):
        with pytest.raises(ValueError, match=message):
            update._learn((times, batch, loss, rule), bits, stored, 0)
    with pytest.raises(ValueError, match="n_steps = 0"):
        update._learn((1, 100, (0, *loss[1:]), rule), bits, 7, 0)
    with pytest.raises(AttributeError, match="capsule"):
        update._learn((1, 100, loss, rule), np.random, 7, 0)
    memory = model.replay_buffer
    assert memory is not None
    memory.actions[7] = 2
    with pytest.raises(IndexError, match="action 2, expected 0 to 1"):
        update._learn((1, 100, loss, rule), bits, 8, 0)
    with pytest.raises(ValueError, match="4 numbers, float32"):
        update.act(np.zeros(4))
    assert (network_of(model).hidden_weight == before.hidden_weight).all()
    array = np.zeros(4, np.float32)
    quads = dict.fromkeys(("parameters", "targets", "first", "second", "steps"), (array,) * 4)
    sizes = {"inputs": 4, "hidden": 1, "outputs": 2, "capacity": 3, "gain": array, "memory": (array,) * 6}
    with pytest.raises(ValueError, match="parameters: expected 1 numbers of float32, got 16 bytes"):
        _update.Update(**sizes, **quads)
    with pytest.raises(ValueError, match="expected 1 to"):
        _update.Update(**{**sizes, "hidden": 0}, **quads)
    with pytest.raises(RuntimeError, match="never given"):
        _update.Update.__new__(_update.Update).follow(0.5)
