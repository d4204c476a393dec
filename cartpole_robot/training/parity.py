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
from cartpole_robot.policy.host_network import SAME_DUTY
from cartpole_robot.policy.interface import Command
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
    with torch.no_grad():
        reference = values(torch.from_numpy(observations)).argmax(dim=1).numpy()
    return agreement_with(bundle, onnx_file, reference, observations)


def agreement_with(
    bundle: PolicyBundle, onnx_file: Path, reference: NDArray[Any], observations: NDArray[np.float32]
) -> dict[str, int]:
    """As `agreement`, with the actions or duties (N,) of `reference`; a duty within `SAME_DUTY` is the same.

    There is no "int16" for a policy without that form.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(onnx_file), options, providers=["CPUExecutionProvider"])
    output = "duty" if bundle.interface.command is Command.DUTY else "action"
    chosen: dict[str, NDArray[Any]] = {
        "c": decisions(bundle, Backend.C, observations),
        "numpy": decisions(bundle, Backend.NUMPY, observations),
        "onnxruntime": session.run([output], {"observation": observations})[0],
    }
    if bundle.int16 is not None:
        chosen["int16"] = decisions(bundle, Backend.INT16, observations)
    return {"states": len(observations), **{name: same_decisions(found, reference) for name, found in chosen.items()}}


def same_decisions(found: NDArray[Any], reference: NDArray[Any]) -> int:
    """How many of two sets of actions (integers) or duties are the same."""
    most = 0.0 if reference.dtype.kind in "iu" else SAME_DUTY
    return int((np.abs(found - reference) <= most).sum())


def agreement_text(agree: Mapping[str, int]) -> str:
    """The counts of `agreement` as a line for a person."""
    forms = ", ".join(f"{name} {agree[name]}" for name in agree if name != "states")
    return f"on {agree['states']} visited states as PyTorch: {forms}"


def decisions(bundle: PolicyBundle, backend: Backend, observations: NDArray[np.float32]) -> NDArray[Any]:
    """The actions (integers) or duties of observations (N, inputs), computed one by one as a cart does."""
    decide = bundle.decision_function(backend)
    return np.array([decide(row) for row in observations])
