"""What a learner does with the mirror image of a cart: inputs negated, the action at the other end of the table.

An odd network has pairs of hidden units: the second half of them mirrors the first, unit by unit, and each output has
the weights of the opposite output with the halves exchanged. Its values in a mirrored state are then those of the state
in reverse order. An update with the mean of the gradient and its mirror image keeps it so. The arithmetic in C is in
`native/update.c`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.type_aliases import ReplayBufferSamples


def make_odd(model: DQN) -> None:
    """Let the second half of the hidden units of network and target network mirror the first."""
    with torch.no_grad():
        hidden, output = _layers(model.q_net)
        half = hidden.out_features // 2
        hidden.weight[half:] = -hidden.weight[:half]
        hidden.bias[half:] = hidden.bias[:half]
        output.weight[:, half:] = output.weight[:, :half].flip(0)
        output.bias.copy_(0.5 * (output.bias + output.bias.flip(0)))
    model.q_net_target.load_state_dict(model.q_net.state_dict())


def make_gradient_odd(network: Any) -> None:
    """Replace the gradient of an odd network by the mean of it and of its mirror image."""
    hidden, output = _layers(network)
    half = hidden.out_features // 2
    weight, bias, out, out_bias = (
        cast(torch.Tensor, tensor.grad) for tensor in (hidden.weight, hidden.bias, output.weight, output.bias)
    )
    weight[:half] = 0.5 * (weight[:half] - weight[half:])
    weight[half:] = -weight[:half]
    bias[:half] = 0.5 * (bias[:half] + bias[half:])
    bias[half:] = bias[:half]
    out[:, :half] = 0.5 * (out[:, :half] + out[:, half:].flip(0))
    out[:, half:] = out[:, :half].flip(0)
    out_bias.copy_(0.5 * (out_bias + out_bias.flip(0)))


def half_mirrored(batch: ReplayBufferSamples, actions: int) -> ReplayBufferSamples:
    """`batch` with every second step mirrored; `actions` is the size of the action table."""
    observations, following, taken = batch.observations.clone(), batch.next_observations.clone(), batch.actions.clone()
    observations[1::2] *= -1.0
    following[1::2] *= -1.0
    taken[1::2] = actions - 1 - taken[1::2]
    return batch._replace(observations=observations, next_observations=following, actions=taken)


def _layers(network: Any) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    hidden, _, output = network.q_net
    return hidden, output
