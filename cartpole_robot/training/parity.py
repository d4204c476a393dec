"""Agreement of every form of an exported policy with the trained model on visited states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN

from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle


def agreement(bundle: PolicyBundle, onnx_file: Path, model: DQN, observations: NDArray[np.float32]) -> dict[str, int]:
    """For each form, the number of observations (N, inputs) on which it takes the trained PyTorch model's action.

    The forms are "c", "numpy", "onnxruntime" and "int16"; "states" has N.
    """
    import onnxruntime

    with torch.no_grad():
        reference = model.q_net(torch.from_numpy(observations)).argmax(dim=1).numpy()
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
