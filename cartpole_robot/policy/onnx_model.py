"""A policy as an ONNX model."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.bundle import Golden, PolicyBundle
from cartpole_robot.policy.history import input_layout
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output
from cartpole_robot.policy.network import Network

if TYPE_CHECKING:
    from onnx import NodeProto

_LAYERS = ("hidden", "second", "output")


def onnx_model(bundle: PolicyBundle) -> bytes:
    """An ONNX model of the float form.

    It takes `observation`, float32 (batch, inputs) in SI units, and gives `values` (batch, outputs) and `action`,
    int64 (batch,), or for a policy that commands a duty `duty`, float32 (batch,). Its metadata has the interface, the
    names of the inputs in their order, the policy hash and the golden examples, as JSON.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = bundle.network
    layout = input_layout(bundle.interface.history_length, bundle.interface.observation)
    arrays = _arrays(network)
    commands_duty = isinstance(network, HostNetwork) and network.commands_duty
    decision = ("duty", TensorProto.FLOAT) if commands_duty else ("action", TensorProto.INT64)
    graph = helper.make_graph(
        [*_layers(network), *_decision(network)],
        "cartpole_policy",
        [
            helper.make_tensor_value_info(
                "observation", TensorProto.FLOAT, ["batch", network.inputs], doc_string=", ".join(layout)
            )
        ],
        [
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", network.outputs]),
            helper.make_tensor_value_info(*decision, ["batch"]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
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


def _arrays(network: Network | HostNetwork) -> dict[str, NDArray[Any]]:
    """The model's constants by name."""
    if isinstance(network, Network):
        return {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    found: dict[str, NDArray[Any]] = {"input_gain": network.input_gain}
    for name, weight, bias in zip(_names(network), network.weights, network.biases, strict=True):
        found |= {f"{name}_weight": weight, f"{name}_bias": bias}
    if network.input_bound is not None:
        found |= {"input_low": network.input_bound[0], "input_high": network.input_bound[1]}
    if network.commands_duty:
        found |= {"least": np.float32(-1.0), "most": np.float32(1.0), "outputs_axis": np.array([1], np.int64)}  # type: ignore[dict-item]
    return found


def _names(network: Network | HostNetwork) -> tuple[str, ...]:
    """The names of its layers, the outputs last."""
    is_deep = isinstance(network, HostNetwork) and len(network.weights) > 2
    return _LAYERS if is_deep else (_LAYERS[0], _LAYERS[2])


def _layers(network: Network | HostNetwork) -> list[NodeProto]:
    """From `observation` to `values`."""
    from onnx import helper

    nodes, seen = [], "observation"
    if isinstance(network, HostNetwork) and network.input_bound is not None:
        nodes += [
            helper.make_node("Max", [seen, "input_low"], ["raised"]),
            helper.make_node("Min", ["raised", "input_high"], ["bounded"]),
        ]
        seen = "bounded"
    nodes.append(helper.make_node("Mul", [seen, "input_gain"], ["scaled"]))
    kind = "Tanh" if isinstance(network, HostNetwork) and network.activation is Activation.TANH else "Relu"
    below = "scaled"
    for name in _names(network)[:-1]:
        summed = "summed" if name == "hidden" else f"{name}_summed"
        nodes.append(helper.make_node("Gemm", [below, f"{name}_weight", f"{name}_bias"], [summed], transB=1))
        nodes.append(helper.make_node(kind, [summed], [name]))
        below = name
    nodes.append(helper.make_node("Gemm", [below, "output_weight", "output_bias"], ["values"], transB=1))
    return nodes


def _decision(network: Network | HostNetwork) -> list[NodeProto]:
    """From `values` to `action` or `duty`."""
    from onnx import helper

    if isinstance(network, Network) or network.output is Output.TABLE:
        return [helper.make_node("ArgMax", ["values"], ["action"], axis=1, keepdims=0)]
    squashed = network.output is Output.SQUASHED
    return [
        *([helper.make_node("Tanh", ["values"], ["squashed"])] if squashed else []),
        helper.make_node("Clip", ["squashed" if squashed else "values", "least", "most"], ["duties"]),
        helper.make_node("Squeeze", ["duties", "outputs_axis"], ["duty"]),
    ]
