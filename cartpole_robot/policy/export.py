"""Exports a trained network as a bundle, ONNX and a C header, each with golden examples."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.new_file import not_written
from cartpole_robot.policy.bundle import Golden, Interface, PolicyBundle
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.history import input_layout
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network, float_action_function, int16_action_function, quantized
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.task import Task

GOLDEN_EXAMPLES = 32


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """Where an export was written."""

    bundle: Path
    onnx: Path
    header: Path


def bundle_of(
    network: Network,
    cart: CartParams,
    visited: NDArray[np.float32],
    provenance: Mapping[str, Any],
    *,
    history_length: int = 1,
    task: Task = Task.BALANCE,
) -> PolicyBundle:
    """The bundle of a network trained for `task` on `cart`, which sees `history_length` steps.

    `visited`, shape (N, inputs), are inputs the policy met: they scale the int16 form, and golden examples are
    taken evenly from them. The cart's regulator is included, and for a policy that balances behind a firmware the
    design of a swing-up. Raises ValueError if network and history do not fit.
    """
    int16 = quantized(network, visited)
    chosen = np.linspace(0, len(visited) - 1, num=min(GOLDEN_EXAMPLES, len(visited)), dtype=np.int64)
    observations = np.ascontiguousarray(visited[chosen], dtype=np.float32)
    act, int16_act = float_action_function(network), int16_action_function(int16)
    golden = Golden(
        observations=observations,
        values=network.values(observations),
        actions=np.array([act(row) for row in observations], np.int32),
        int16_actions=np.array([int16_act(row) for row in observations], np.int32),
    )
    return PolicyBundle(
        interface=Interface.of(cart, history_length, task),
        network=network,
        int16=int16,
        golden=golden,
        lqr=_regulator(cart),
        swing_up=_swing_up(cart) if task is Task.BALANCE and cart.firmware is not None else None,
        provenance=dict(provenance),
    )


def _regulator(cart: CartParams) -> Lqr | None:
    try:
        return design_lqr(cart)
    except UsageError:  # a cart that no linear regulator can balance
        return None


@functools.cache
def _swing_up(cart: CartParams) -> SwingUpDesign | None:
    try:
        return design_swing_up(cart)
    except UsageError:  # no region from which its regulator catches the pole
        return None


def write_export(bundle: PolicyBundle, folder: Path) -> ExportedFiles:
    """Write `policy.npz`, `policy.onnx` and `policy_weights.h` to `folder`; returns the paths.

    Raises `UsageError` if they cannot be written; a folder that was made for them is then removed again.
    """
    files = ExportedFiles(bundle=folder / "policy.npz", onnx=folder / "policy.onnx", header=folder / "policy_weights.h")
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bundle.save(files.bundle)
        for path, content in ((files.onnx, onnx_model(bundle)), (files.header, c_header(bundle).encode())):
            with atomic_file(path, may_replace=True) as file:
                file.write(content)
    except OSError as error:
        _remove_partial(folder, is_new)
        raise UsageError(not_written(folder, error)) from None
    except BaseException:
        _remove_partial(folder, is_new)
        raise
    return files


def _remove_partial(folder: Path, is_new: bool) -> None:
    if is_new:
        shutil.rmtree(folder, ignore_errors=True)


def onnx_model(bundle: PolicyBundle) -> bytes:
    """An ONNX model of the float form.

    It takes `observation`, float32 (batch, inputs) in SI units, and gives `values` (batch, outputs) and `action`,
    int64 (batch,). Its metadata has the interface, the names of the inputs in their order, the policy hash and the
    golden examples, as JSON.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = bundle.network
    layout = input_layout(bundle.interface.history_length, bundle.interface.observation)
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in (
            ("input_gain", network.input_gain),
            ("hidden_weight", network.hidden_weight),
            ("hidden_bias", network.hidden_bias),
            ("output_weight", network.output_weight),
            ("output_bias", network.output_bias),
        )
    ]
    nodes = [
        helper.make_node("Mul", ["observation", "input_gain"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "hidden_weight", "hidden_bias"], ["summed"], transB=1),
        helper.make_node("Relu", ["summed"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "output_weight", "output_bias"], ["values"], transB=1),
        helper.make_node("ArgMax", ["values"], ["action"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "cartpole_policy",
        [
            helper.make_tensor_value_info(
                "observation", TensorProto.FLOAT, ["batch", network.inputs], doc_string=", ".join(layout)
            )
        ],
        [
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", network.outputs]),
            helper.make_tensor_value_info("action", TensorProto.INT64, ["batch"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    golden = {f.name: getattr(bundle.golden, f.name).tolist() for f in dataclasses.fields(Golden)}
    helper.set_model_props(
        model,
        {
            "policy_hash": bundle.policy_hash(),
            "interface": json.dumps(bundle.interface.as_dict(), sort_keys=True),
            "inputs": json.dumps(layout),
            "golden": json.dumps(golden),
        },
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
