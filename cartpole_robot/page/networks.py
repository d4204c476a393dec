"""The network of a policy bundle as the contents of a page."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output
from cartpole_robot.policy.network import Network
from cartpole_robot.task import Task


def network_contents(name: str, bundle: PolicyBundle) -> dict[str, Any]:
    """What `add_network` of the page's module takes: sizes, form and the numbers in base64, float32 and little-endian.

    The arrays follow each other in the order in which the C points into them. Raises `UsageError` for a form that a
    page cannot run.
    """
    network, interface = bundle.network, bundle.interface
    found: dict[str, Any] = {
        "name": f"policy:{name}",
        "hash": bundle.policy_hash(),
        "history_length": interface.history_length,
        "swings_up": interface.task is Task.SWING_UP,
        "duties": list(interface.action_duties),
        "inputs": network.inputs,
        "outputs": network.outputs,
        "activation": 0,
        "output": 0,
        "has_bound": False,
    }
    if isinstance(network, Network):
        found |= {"form": 0, "hidden": [len(network.hidden_bias)]}
        arrays = [
            network.input_gain,
            network.hidden_weight.T,  # [inputs][hidden], as policy.h has it
            network.hidden_bias,
            network.output_weight,
            network.output_bias,
        ]
    elif isinstance(network, HostNetwork):
        found |= {
            "form": 1,
            "hidden": list(network.hidden_units),
            "activation": list(Activation).index(network.activation),
            "output": list(Output).index(network.output),
            "has_bound": network.input_bound is not None,
        }
        arrays = [network.input_gain]
        if network.input_bound is not None:
            arrays.append(network.input_bound)
        for weight, bias in zip(network.weights, network.biases, strict=True):
            arrays += [weight.T, bias]
    else:
        raise UsageError(
            f"{name}: a page runs networks of one or two hidden layers, not {type(network).__name__}; "
            "choose another policy"
        )
    return {**found, "numbers": _base64(arrays)}


def _base64(arrays: list[NDArray[np.float32]]) -> str:
    numbers = np.concatenate([np.ascontiguousarray(array, "<f4").reshape(-1) for array in arrays])
    return base64.b64encode(numbers.tobytes()).decode()
