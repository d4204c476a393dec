"""A network for hosts alone as arrays of a policy bundle of `FORMAT`, which earlier versions refuse by its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.host_network import Activation, HostNetwork, Output

FORMAT = 3
NAMES = ("second_weight", "second_bias", "input_bound")  # besides the names that each bundle has; empty if absent
_NONE = np.zeros(0, np.float32)


def arrays_of(network: HostNetwork) -> dict[str, NDArray[Any]]:
    """The arrays of a bundle, with empty ones in place of the int16 form: earlier versions look for their names."""
    is_deep = len(network.weights) > 2
    found: dict[str, NDArray[Any]] = {
        "input_gain": network.input_gain,
        "hidden_weight": network.weights[0],
        "hidden_bias": network.biases[0],
        "output_weight": network.weights[-1],
        "output_bias": network.biases[-1],
    }
    found |= {f"int16_{name}": _NONE for name in found}
    return found | {
        "second_weight": network.weights[1] if is_deep else _NONE,
        "second_bias": network.biases[1] if is_deep else _NONE,
        "input_bound": _NONE if network.input_bound is None else network.input_bound,
    }


def form_of(network: HostNetwork) -> dict[str, str]:
    """What the arrays do not show, for the header."""
    return {"activation": network.activation.value, "output": network.output.value}


def network_of(arrays: Mapping[str, NDArray[Any]], form: Mapping[str, Any]) -> HostNetwork:
    """The network in a bundle's arrays and header. Raises ValueError and KeyError."""
    parts = ("hidden", "second", "output") if arrays["second_weight"].size else ("hidden", "output")
    return HostNetwork(
        input_gain=arrays["input_gain"],
        weights=tuple(arrays[f"{part}_weight"] for part in parts),
        biases=tuple(arrays[f"{part}_bias"] for part in parts),
        activation=Activation(form["activation"]),
        output=Output(form["output"]),
        input_bound=arrays["input_bound"] if arrays["input_bound"].size else None,
    )
