"""The learner: Stable-Baselines3's DQN with this project's network, and a leaner subclass of it.

The network is 4 -> 100 ReLU -> actions. Where the preset asks for it, observations are divided by the cart's scales
in front of the first layer, inside the model, so that a saved model takes observations in SI units.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy

from cartpole_robot.network import Network
from cartpole_robot.params import CartParams
from cartpole_robot.training.config import EpsilonClock, Learner, Loss, Optimizer, TrainingConfig
from cartpole_robot.training.epsilon import annealed_epsilon

# What SB3's load raises for a file that it cannot read; the assertion is its own "No data found in the saved file".
MODEL_FILE_ERRORS = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, AssertionError),
    zipfile.BadZipFile,
)
_OPTIMIZERS: dict[Optimizer, type[torch.optim.Optimizer]] = {
    Optimizer.ADAMW: torch.optim.AdamW,
    Optimizer.ADAGRAD: torch.optim.Adagrad,
}


class ScaledObservation(BaseFeaturesExtractor):
    """Observations times a fixed gain, (batch, 4) to (batch, 4)."""

    gain: torch.Tensor

    def __init__(self, observation_space: gymnasium.spaces.Box, gain: tuple[float, ...]) -> None:
        """`gain` has one factor for each number of an observation."""
        super().__init__(observation_space, features_dim=len(gain))
        self.register_buffer("gain", torch.tensor(gain, dtype=torch.float32))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """The scaled observations."""
        return observations * self.gain


class _PlainPolicy(DQNPolicy):
    """SB3's policy without the walk through all modules that switches modes: this network has none that differ."""

    def set_training_mode(self, mode: bool) -> None:
        pass


class LeanDQN(DQN):
    """SB3's DQN with the same arithmetic in fewer calls, and what the blog's preset needs beside it.

    Greedy actions are computed in NumPy on views of the torch weights; one update is a handful of tensor
    operations. Losses and parameters follow the stock class (the tests hold both side by side). Files are SB3's:
    plain `DQN.load` opens them.
    """

    loss: Loss = Loss.HUBER
    epsilon_episodes: int | None = None  # episodes in the whole training, where epsilon counts episodes

    def _excluded_save_params(self) -> list[str]:
        # SB3 sets the replay class up from n_steps; saved, it would be taken for a caller's own at the next load.
        own = ["_greedy_weights", "_pairs", "replay_buffer_class", "replay_buffer_kwargs"]
        return [*super()._excluded_save_params(), *own]

    def _greedy_action(self) -> int:
        weights = self.__dict__.get("_greedy_weights")
        if weights is None:
            weights = self._greedy_weights = tuple(t.detach().numpy() for t in _network_tensors(self))
        gain, hidden_weight, hidden_bias, output_weight, output_bias = weights
        last = self._last_obs
        assert isinstance(last, np.ndarray)  # a Box observation, one environment
        hidden = hidden_weight.dot(last[0] * gain)
        hidden += hidden_bias
        np.maximum(hidden, 0.0, out=hidden)
        return int((output_weight.dot(hidden) + output_bias).argmax())

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        # The draws of SB3's predict(), in its order: the stock class and this one explore alike from the same seed.
        if self.num_timesteps < learning_starts or np.random.rand() < self.exploration_rate:
            action = np.array([self.action_space.sample()])
        else:
            action = np.array([self._greedy_action()])
        return action, action

    def _on_step(self) -> None:
        self._n_calls += 1
        if self._n_calls % self.target_update_interval == 0:
            pairs = self.__dict__.get("_pairs")
            if pairs is None:
                pairs = self._pairs = (
                    [p.detach() for p in self.q_net_target.parameters()],
                    [p.detach() for p in self.q_net.parameters()],
                )
            torch._foreach_lerp_(pairs[0], pairs[1], self.tau)
        if self.epsilon_episodes is None:
            self.exploration_rate = self.exploration_schedule(self._current_progress_remaining)
        else:
            self.exploration_rate = annealed_epsilon(
                self._episode_num / self.epsilon_episodes,
                start=self.exploration_initial_eps,
                end=self.exploration_final_eps,
                fraction=self.exploration_fraction,
            )

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """`gradient_steps` updates on batches of the memory, as in the stock class but with a choice of loss."""
        optimizer = self.policy.optimizer
        self._update_learning_rate(optimizer)
        assert self.replay_buffer is not None
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        loss = torch.zeros(())
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            discounts = self.gamma if batch.discounts is None else batch.discounts
            with torch.no_grad():
                following = self.q_net_target(batch.next_observations).amax(dim=1, keepdim=True)
                target = batch.rewards + (1 - batch.dones) * discounts * following
            current = self.q_net(batch.observations).gather(1, batch.actions)
            if self.loss is Loss.MSE:
                loss = torch.nn.functional.mse_loss(current, target)
            else:
                loss = torch.nn.functional.smooth_l1_loss(current, target)
            for parameter in parameters:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
            optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", loss.item())
        self.logger.record("rollout/exploration_rate", self.exploration_rate)


def new_learner(
    config: TrainingConfig, cart: CartParams, env: gymnasium.Env[Any, Any], *, seed: int, tensorboard: str | None
) -> DQN:
    """A fresh learner on `env`, on the CPU."""
    optimizer_options: dict[str, Any] = {"eps": config.optimizer_epsilon, "weight_decay": config.weight_decay}
    if config.learner is Learner.LEAN:
        optimizer_options["fused"] = True
    policy_options: dict[str, Any] = {
        "net_arch": [config.hidden_units],
        "optimizer_class": _OPTIMIZERS[config.optimizer],
        "optimizer_kwargs": optimizer_options,
    }
    if config.scale_observations:
        policy_options["features_extractor_class"] = ScaledObservation
        policy_options["features_extractor_kwargs"] = {
            "gain": tuple(1.0 / size for size in cart.observation_scale.as_tuple())
        }
    kind, policy = (LeanDQN, _PlainPolicy) if config.learner is Learner.LEAN else (DQN, DQNPolicy)
    model = kind(
        policy,
        env,
        learning_rate=config.learning_rate,
        buffer_size=config.replay_memory,
        batch_size=config.batch_size,
        learning_starts=config.learning_starts,
        train_freq=config.train_every_steps,
        gradient_steps=config.gradient_steps,
        gamma=config.gamma,
        n_steps=config.n_steps,
        tau=config.tau,
        target_update_interval=config.target_update_every_steps,
        exploration_fraction=config.epsilon_fraction,
        exploration_initial_eps=config.epsilon_start,
        exploration_final_eps=config.epsilon_end,
        policy_kwargs=policy_options,
        tensorboard_log=tensorboard,
        seed=seed,
        device="cpu",
    )
    if isinstance(model, LeanDQN):
        model.loss = config.loss
        if config.epsilon_clock is EpsilonClock.EPISODES:
            model.epsilon_episodes = config.episodes
    return model


def load_learner(path: Path, config: TrainingConfig, env: gymnasium.Env[Any, Any] | None) -> DQN:
    """The learner saved in that SB3 file, of the class that `config` names.

    Raises one of `MODEL_FILE_ERRORS` for a file that is missing, truncated or none of SB3's.
    """
    kind = LeanDQN if config.learner is Learner.LEAN else DQN
    return kind.load(
        path, env=env, device="cpu", custom_objects={"replay_buffer_class": None, "replay_buffer_kwargs": {}}
    )


def network_of(model: DQN) -> Network:
    """A copy of the model's greedy network as plain arrays."""
    gain, hidden_weight, hidden_bias, output_weight, output_bias = (
        tensor.detach().numpy().astype(np.float32, copy=True) for tensor in _network_tensors(model)
    )
    return Network(
        input_gain=gain,
        hidden_weight=hidden_weight,
        hidden_bias=hidden_bias,
        output_weight=output_weight,
        output_bias=output_bias,
    )


def set_network(model: DQN, network: Network) -> None:
    """Put the weights of `network` into the model (the input gain stays the model's own)."""
    arrays = (network.hidden_weight, network.hidden_bias, network.output_weight, network.output_bias)
    with torch.no_grad():
        for tensor, array in zip(_network_tensors(model)[1:], arrays, strict=True):
            tensor.copy_(torch.from_numpy(array))


def _network_tensors(model: DQN) -> tuple[torch.Tensor, ...]:
    """Input gain, hidden weight and bias, output weight and bias: the model's own tensors."""
    hidden, _, output = (cast(torch.nn.Linear, layer) for layer in model.q_net.q_net.children())
    extractor = model.q_net.features_extractor
    gain = extractor.gain if isinstance(extractor, ScaledObservation) else torch.ones(hidden.in_features)
    return (gain, hidden.weight, hidden.bias, output.weight, output.bias)
