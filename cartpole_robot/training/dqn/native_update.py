"""A learner's update in C, in place on its PyTorch tensors and its replay memory.

Parameters, optimizer state and stored steps stay where PyTorch and Stable-Baselines3 keep them. Nothing is copied, so
saving, loading and reading a learner work as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.torch_layers import FlattenExtractor

from cartpole_robot.training.config import Symmetry
from cartpole_robot.training.dqn import optimizers
from cartpole_robot.training.dqn.scaling import ScaledObservation

try:
    from cartpole_robot.training.dqn import _update
except ImportError:  # built without a C compiler: the learner updates in PyTorch
    _update = None  # type: ignore[assignment]

_SYMMETRIES = (Symmetry.NONE, Symmetry.MIRRORED, Symmetry.ODD)  # in the order of update.h
Lesson = tuple[int, int, tuple[int, float, bool, float], tuple[bool, float, float, float, float, float]]
MEMORY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_ADAMW = (optimizers.AdamW, torch.optim.AdamW)
_ADAGRAD = (optimizers.Adagrad, torch.optim.Adagrad)


class NativeUpdate:
    """The C update of one learner, valid while weights, optimizer state and memory are those it was made for."""

    act: Callable[[NDArray[np.float32]], int]  # greedy, with the current weights
    follow: Callable[[float], None]  # moves the target network by that share towards the network

    def __init__(self, model: DQN) -> None:
        """The learner must be one that `fits`."""
        memory = _memory_of(model)
        optimizer = model.policy.optimizer
        parameters, targets = _layers(model.q_net), _layers(model.q_net_target)
        _begin_state(optimizer, parameters)
        self._weights = tuple((tensor, tensor.data_ptr()) for tensor in (*parameters, *targets))
        self._symmetry = getattr(model, "symmetry", Symmetry.NONE)
        self._model, self._optimizer, self._state, self.memory = model, optimizer, optimizer.state, memory
        self._arrays = tuple(getattr(memory, name) for name in MEMORY_ARRAYS)
        self._is_adagrad = type(optimizer) in _ADAGRAD
        states = [optimizer.state[parameter] for parameter in parameters]
        means, squares = ("sum", "sum") if self._is_adagrad else ("exp_avg", "exp_avg_sq")
        update = _update.Update(
            inputs=parameters[0].shape[1],
            hidden=parameters[0].shape[0],
            outputs=parameters[2].shape[0],
            capacity=memory.buffer_size,
            parameters=_arrays(parameters),
            targets=_arrays(targets),
            first=_arrays([state[means] for state in states]),
            second=_arrays([state[squares] for state in states]),
            steps=_arrays([state["step"] for state in states]),
            gain=input_gain(model).detach().numpy(),
            memory=self._arrays,
            symmetry=_SYMMETRIES.index(self._symmetry),
        )
        self.object, self._learn, self.act, self.follow = update, update.learn, update.act, update.follow

    @staticmethod
    def fits(model: DQN) -> bool:
        """Whether the extension exists and supports the network, optimizer and replay memory of `model`."""
        return _update is not None and has_one_hidden_layer(model) and _optimizer_fits(model) and _memory_fits(model)

    def is_current(self) -> bool:
        """Whether the learner still has the symmetry, weights, optimizer state and memory that this update holds."""
        model, memory = self._model, self.memory
        optimizer = model.policy.optimizer
        if optimizer is not self._optimizer or optimizer.state is not self._state or model.replay_buffer is not memory:
            return False
        for tensor, at in self._weights:
            if tensor.data_ptr() != at:
                return False  # moved, as by Module.to()
        a, b, c, d, e, f = self._arrays
        return (
            getattr(model, "symmetry", Symmetry.NONE) is self._symmetry
            and memory.observations is a
            and memory.next_observations is b
            and memory.actions is c
            and memory.rewards is d
            and memory.dones is e
            and memory.timeouts is f
        )

    def learn(self, times: int, batch_size: int, *, is_mse: bool) -> tuple[float, ...]:
        """Update on batches drawn as SB3's buffers draw them; returns the loss before each update."""
        bits, memory = global_bits(), self.memory
        with bits.lock:  # another thread may draw from them while this one has the GIL
            return self._learn(self.lesson(times, batch_size, is_mse=is_mse), bits, memory.size(), memory.pos)

    def lesson(self, times: int, batch_size: int, *, is_mse: bool) -> Lesson:
        """What C needs for `times` updates, with the optimizer's learning rate."""
        model, memory, group = self._model, self.memory, self._optimizer.param_groups[0]
        n_steps, gamma = (memory.n_steps, memory.gamma) if isinstance(memory, NStepReplayBuffer) else (1, model.gamma)
        betas = (group["lr_decay"], 0.0) if self._is_adagrad else group["betas"]
        loss = (n_steps, gamma, is_mse, model.max_grad_norm)
        return times, batch_size, loss, (self._is_adagrad, group["lr"], group["eps"], group["weight_decay"], *betas)


def global_bits() -> np.random.BitGenerator:
    """What `np.random.rand` and `np.random.randint` draw from."""
    bits: np.random.BitGenerator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    return bits


def input_gain(model: DQN) -> torch.Tensor:
    """The gain by which the network multiplies observations: the model's own tensor, or ones."""
    extractor = model.q_net.features_extractor
    if isinstance(extractor, ScaledObservation):
        return extractor.gain
    return torch.ones(cast(torch.nn.Linear, next(iter(model.q_net.q_net.children()))).in_features)


def _layers(network: Any) -> tuple[torch.Tensor, ...]:
    hidden, _, output = network.q_net
    return (hidden.weight, hidden.bias, output.weight, output.bias)


def _arrays(tensors: Any) -> tuple[NDArray[np.float32], ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


def _memory_of(model: DQN) -> ReplayBuffer:
    assert model.replay_buffer is not None
    return model.replay_buffer


def has_one_hidden_layer(model: DQN) -> bool:
    """Whether the network is inputs -> hidden ReLU -> actions in float32 on the CPU, with or without scaled inputs."""
    for network in (model.q_net, model.q_net_target):
        kinds = [type(layer) for layer in network.q_net.children()]
        if kinds != [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]:
            return False
        if type(network.features_extractor) not in (FlattenExtractor, ScaledObservation):
            return False
        for tensor in network.q_net.parameters():
            if tensor.dtype != torch.float32 or tensor.device.type != "cpu" or not tensor.is_contiguous():
                return False
    return len(list(model.q_net.q_net.parameters())) == 4


def _optimizer_fits(model: DQN) -> bool:
    optimizer = model.policy.optimizer
    if type(optimizer) not in (*_ADAMW, *_ADAGRAD) or len(optimizer.param_groups) != 1:
        return False
    group = optimizer.param_groups[0]
    if any(group.get(name) for name in ("amsgrad", "maximize", "capturable", "differentiable")):
        return False
    own = list(model.q_net.q_net.parameters())
    return len(group["params"]) == len(own) and all(a is b for a, b in zip(group["params"], own, strict=True))


def _memory_fits(model: DQN) -> bool:
    memory = model.replay_buffer
    return (
        memory is not None
        and type(memory) in (ReplayBuffer, NStepReplayBuffer)
        and memory.n_envs == 1
        and not memory.optimize_memory_usage
        and len(memory.obs_shape) == 1
        and memory.observations.dtype == np.float32
        and memory.actions.dtype == np.int64
        and model.get_vec_normalize_env() is None
    )


def _begin_state(optimizer: torch.optim.Optimizer, parameters: tuple[torch.Tensor, ...]) -> None:
    """Create AdamW's state as PyTorch does at the first update; Adagrad creates its own when constructed."""
    for parameter in parameters:
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
