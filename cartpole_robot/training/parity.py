"""Agreement of every form of an exported policy with the trained model on visited states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.network import Network

PARITY_STATES = 10_000  # visited states on which the forms are compared

Values = Callable[[torch.Tensor], torch.Tensor]


def torch_values(network: Network) -> Values:
    """A function from inputs (N, inputs) to action values (N, outputs), in PyTorch's arithmetic."""
    gain, hidden_weight, hidden_bias, output_weight, output_bias = (
        torch.from_numpy(getattr(network, field.name)) for field in dataclasses.fields(network)
    )

    def values(observations: torch.Tensor) -> torch.Tensor:
        hidden = torch.nn.functional.linear(observations * gain, hidden_weight, hidden_bias)
        return torch.nn.functional.linear(hidden.relu(), output_weight, output_bias)

    return values


def agreement(
    bundle: PolicyBundle, onnx_file: Path, values: Values, observations: NDArray[np.float32]
) -> dict[str, int]:
    """For each form, the number of observations (N, inputs) on which it takes the action of PyTorch's `values`.

    The forms are "c", "numpy", "onnxruntime" and "int16"; "states" has N.
    """
    import onnxruntime

    with torch.no_grad():
        reference = values(torch.from_numpy(observations)).argmax(dim=1).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(onnx_file), options, providers=["CPUExecutionProvider"])
    chosen: dict[str, NDArray[Any]] = {
        "c": _one_by_one(bundle, Backend.C, observations),
        "numpy": _one_by_one(bundle, Backend.NUMPY, observations),
        "onnxruntime": session.run(["action"], {"observation": observations})[0],
        "int16": _one_by_one(bundle, Backend.INT16, observations),
    }
    return {"states": len(observations), **{name: int((found == reference).sum()) for name, found in chosen.items()}}


def agreement_text(agree: Mapping[str, int]) -> str:
    """The counts of `agreement` as a line for a person."""
    forms = ", ".join(f"{name} {agree[name]}" for name in agree if name != "states")
    return f"on {agree['states']} visited states as PyTorch: {forms}"


def _one_by_one(bundle: PolicyBundle, backend: Backend, observations: NDArray[np.float32]) -> NDArray[np.int64]:
    act = bundle.action_function(backend)
    return np.array([act(row) for row in observations])
