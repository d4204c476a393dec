"""The learner: Stable-Baselines3's DQN with this project's network, and a leaner subclass of it.

The network is 4 -> 100 ReLU -> actions; a history adds inputs. If the preset asks for it, the model itself divides
observations by the cart's scales before the first layer, so that a saved model takes observations in SI units.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.utils import LinearSchedule, polyak_update
from stable_baselines3.dqn.policies import DQNPolicy

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.history import input_gain as gain_of_inputs
from cartpole_robot.policy.network import Network
from cartpole_robot.swing_up_task import observation_scale
from cartpole_robot.task import Task
from cartpole_robot.training.config import EpsilonClock, Optimizer, Symmetry, TrainingConfig
from cartpole_robot.training.dqn import optimizers
from cartpole_robot.training.dqn.lean_dqn import LeanDQN, network_tensors
from cartpole_robot.training.dqn.scaling import ScaledObservation
from cartpole_robot.training.dqn.symmetry import make_odd
from cartpole_robot.training.learners import Learner

# What SB3's load raises for an unreadable file; the AssertionError is its "No data found in the saved file".
MODEL_FILE_ERRORS = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, AssertionError),
    *(TypeError, AttributeError, ImportError, IndexError, pickle.UnpicklingError),  # of objects in it that do not fit
    zipfile.BadZipFile,
)
_OPTIMIZERS: dict[Optimizer, type[torch.optim.Optimizer]] = {
    Optimizer.ADAMW: optimizers.AdamW,
    Optimizer.ADAGRAD: optimizers.Adagrad,
}


class _PlainPolicy(DQNPolicy):
    """SB3's policy without switching all modules between training and evaluation mode, which changes nothing here."""

    def set_training_mode(self, mode: bool) -> None:
        pass


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
    if config.scale_observations or config.history_length > 1:
        gain = _gain(config, cart)
        policy_options["features_extractor_class"] = ScaledObservation
        policy_options["features_extractor_kwargs"] = {"gain": tuple(gain.tolist())}
    kind, policy = (LeanDQN, _PlainPolicy) if config.learner is Learner.LEAN else (DQN, DQNPolicy)
    model = kind(
        policy,
        env,
        learning_rate=_learning_rate(config),
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
        model.symmetry = symmetry_of(config, cart)
        if model.symmetry is Symmetry.ODD:
            make_odd(model)
        if config.epsilon_clock is EpsilonClock.EPISODES:
            model.epsilon_episodes = config.episodes
    return model


def symmetry_of(config: TrainingConfig, cart: CartParams) -> Symmetry:
    """The symmetry that `config` asks for; none for a cart that is not its own mirror image.

    Raises `UsageError` for an action table that is not.
    """
    if config.symmetry is Symmetry.NONE or not cart.is_mirror_image:
        return Symmetry.NONE
    table = cart.action_duties
    if table != tuple(-duty for duty in reversed(table)):
        raise UsageError(
            f"preset {config.name}: symmetry = {str(config.symmetry)!r} with the action table "
            f"[{', '.join(f'{duty:g}' for duty in table)}], expected each duty's opposite at the other end; change one"
        )
    return config.symmetry


def _gain(config: TrainingConfig, cart: CartParams) -> NDArray[np.float32]:
    """What the network multiplies its inputs by; called for inputs that are scaled, or a history."""
    if config.task is Task.SWING_UP:
        return np.array([1.0 / size for size in observation_scale(cart)], np.float32)
    return gain_of_inputs(
        cart, config.history_length, scale_observations=config.scale_observations, gain=config.input_gain
    )


def _learning_rate(config: TrainingConfig) -> float | LinearSchedule:
    if config.learning_rate_end is None:
        return config.learning_rate
    return LinearSchedule(config.learning_rate, config.learning_rate_end, config.learning_rate_fraction)


def load_learner(path: Path, config: TrainingConfig, env: gymnasium.Env[Any, Any] | None) -> DQN:
    """Load a learner of the class that `config` names from an SB3 file.

    Raises one of `MODEL_FILE_ERRORS` for a file that is missing, truncated or not SB3's.
    """
    kind = LeanDQN if config.learner is Learner.LEAN else DQN
    stored: dict[str, Any] = {"replay_buffer_class": None, "replay_buffer_kwargs": {}}
    if env is not None:  # CartPole-v0 had finite bounds for the speeds; no network depends on them
        stored["observation_space"] = env.observation_space
    return kind.load(path, env=env, device="cpu", custom_objects=stored)


def follow_target(model: DQN) -> None:
    """Move the target network by the share `tau` towards the network."""
    if isinstance(model, LeanDQN):
        model.follow_target()
    else:
        polyak_update(model.q_net.parameters(), model.q_net_target.parameters(), model.tau)


def network_of(model: DQN) -> Network:
    """A copy of the model's greedy network as plain arrays."""
    gain, hidden_weight, hidden_bias, output_weight, output_bias = (
        tensor.detach().numpy().astype(np.float32, copy=True) for tensor in network_tensors(model)
    )
    return Network(
        input_gain=gain,
        hidden_weight=hidden_weight,
        hidden_bias=hidden_bias,
        output_weight=output_weight,
        output_bias=output_bias,
    )


def set_network(model: DQN, network: Network) -> None:
    """Copy the weights of `network` into the model, which keeps its own input gain."""
    arrays = (network.hidden_weight, network.hidden_bias, network.output_weight, network.output_bias)
    with torch.no_grad():
        for tensor, array in zip(network_tensors(model)[1:], arrays, strict=True):
            tensor.copy_(torch.from_numpy(array))
