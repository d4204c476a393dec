"""Networks of the forms that only a host computes, and untrained Stable-Baselines3 models that balance all the same."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import A2C, PPO, SAC

from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import MAKE_ID
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output
from cartpole_robot.policy.lqr_design import design_lqr

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
FORMS = [
    (activation, output, hidden, is_bounded)
    for activation in Activation
    for output in Output
    for hidden in ((7,), (256, 19))
    for is_bounded in (False, True)
    if not (activation is Activation.RELU and output is Output.TABLE and len(hidden) == 1 and not is_bounded)
]
_SMALL = 0.05  # hidden sums at which tanh is almost a line


def random_host_network(
    activation: Activation, output: Output, hidden: tuple[int, ...], is_bounded: bool, *, seed: int = 3
) -> HostNetwork:
    """A network of that form with weights from that seed, of 4 inputs; over a table of 3 actions."""
    rng = np.random.default_rng(seed)
    sizes = (4, *hidden, 3 if output is Output.TABLE else 1)
    pairs = list(itertools.pairwise(sizes))
    return HostNetwork(
        input_gain=rng.uniform(0.3, 5.0, 4).astype(np.float32),
        weights=tuple((rng.normal(size=(o, i)) / np.sqrt(i)).astype(np.float32) for i, o in pairs),
        biases=tuple((0.1 * rng.normal(size=o)).astype(np.float32) for _, o in pairs),
        activation=activation,
        output=output,
        input_bound=np.array([[-0.4] * 4, [0.3] * 4], np.float32) if is_bounded else None,
    )


def balancing_layers(cart: CartParams, activation: Activation, output: Output, hidden: tuple[int, ...]) -> Layers:
    """Layers that ask for the regulator's duty, or for the action on its side; all but two units do nothing."""
    toward = -design_lqr(cart).state_gain * _SMALL
    layers: Layers = []
    inputs = 4
    for number, units in enumerate(hidden):
        weight = np.zeros((units, inputs), np.float32)
        if number == 0:
            weight[0], weight[1] = toward, -toward
        else:
            weight[0, 0] = weight[1, 1] = 1.0
        layers.append((weight, np.zeros(units, np.float32)))
        inputs = units
    duties = np.array(cart.action_duties if output is Output.TABLE else (1.0,))
    scale = 1.0 / (_SMALL * (2.0 if activation is Activation.TANH else 1.0))
    weight = np.zeros((len(duties), inputs), np.float32)
    weight[:, 0], weight[:, 1] = scale * duties, -scale * duties
    return [*layers, (weight, np.zeros(len(duties), np.float32))]


def balancing_network(
    cart: CartParams, activation: Activation, output: Output, hidden: tuple[int, ...] = (8, 8)
) -> HostNetwork:
    """The network of `balancing_layers`."""
    weights, biases = zip(*balancing_layers(cart, activation, output, hidden), strict=True)
    return HostNetwork(
        input_gain=np.ones(4, np.float32), weights=weights, biases=biases, activation=activation, output=output
    )


def balancing_model(
    algorithm: type[PPO] | type[A2C] | type[SAC],
    cart: CartParams,
    *,
    commands_duty: bool,
    activation: Activation = Activation.TANH,
    hidden: tuple[int, ...] = (8, 8),
    env: Any = None,
    **options: Any,
) -> Any:
    """A model of Stable-Baselines3 with the weights of `balancing_layers`."""
    modules = {Activation.TANH: torch.nn.Tanh, Activation.RELU: torch.nn.ReLU}
    if env is None:
        env = gymnasium.make(MAKE_ID, cart=cart, engine="native", action="duty" if commands_duty else "table")
    kwargs = {"net_arch": list(hidden), "activation_fn": modules[activation], **options.pop("policy_kwargs", {})}
    model: Any = algorithm("MlpPolicy", env, policy_kwargs=kwargs, device="cpu", **options)
    is_sac = algorithm is SAC
    output = Output.TABLE if not commands_duty else Output.SQUASHED if is_sac else Output.CLIPPED
    prefix, last = ("actor.latent_pi", "actor.mu") if is_sac else ("mlp_extractor.policy_net", "action_net")
    names = [*(f"{prefix}.{2 * number}" for number in range(len(hidden))), last]
    state = model.policy.state_dict()
    for name, (weight, bias) in zip(names, balancing_layers(cart, activation, output, hidden), strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.from_numpy(weight), torch.from_numpy(bias)
    model.policy.load_state_dict(state)
    return model
