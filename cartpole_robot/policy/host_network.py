"""A policy's network in the forms that only a host computes: a second hidden layer, tanh, a duty in place of actions.

values = W3 f(W2 f(W1 (gain * observation) + b1) + b2) + b3, or without the middle part, with f ReLU or tanh. The output
is the index of the largest value, or one duty. `cartpole_robot.policy.network` has the form that a microcontroller
computes too. The arithmetic is C (`firmware_bridge/firmware/boards/host/host_network.c`); NumPy stands in where the
extension is not built.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.network import Floats, check_array, host_extension, matrix_shape
from firmware_bridge.constants import MAX_HIDDEN, MAX_INPUTS, MAX_OUTPUTS

DecisionFunction = Callable[[NDArray[Any]], float]
SAME_DUTY = 1e-4  # by which two computations of one duty may differ: rounding, and that of two tanh


class Activation(enum.StrEnum):
    """What a hidden unit does to its sum."""

    RELU = "relu"
    TANH = "tanh"


class Output(enum.StrEnum):
    """What the outputs are: a value per action, or a duty, clipped to [-1, 1] or squashed into it by tanh."""

    TABLE = "table"
    CLIPPED = "clipped"
    SQUASHED = "squashed"


@dataclass(frozen=True, kw_only=True)
class HostNetwork:
    """Float weights, all float32: gain (I,), then for each layer, the outputs last, a weight (O, I) and a bias (O,).

    `input_bound`, shape (2, I), clips observations to its first row from below and its second from above, before the
    gain; None clips nothing.
    """

    input_gain: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    activation: Activation
    output: Output
    input_bound: Floats | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for shapes and sizes that do not fit, numbers that are not finite, and `Network`'s form."""
        if len(self.weights) not in (2, 3) or len(self.biases) != len(self.weights):
            raise ValueError(
                f"the network has {len(self.weights) - 1} hidden layers with {len(self.biases)} biases, "
                "expected 1 or 2 and one bias for each layer and the outputs"
            )
        sizes = [matrix_shape(weight, "a weight") for weight in self.weights]
        inputs = sizes[0][1]
        _check_sizes(inputs, [rows for rows, _ in sizes[:-1]], sizes[-1][0], self.output)
        check_array(self.input_gain, "input_gain", (inputs,), np.float32)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = sizes[number][0]
            check_array(weight, f"weight {number}", (rows, inputs), np.float32)
            check_array(bias, f"bias {number}", (rows,), np.float32)
            inputs = rows
        if self.input_bound is not None:
            check_array(self.input_bound, "input_bound", (2, self.inputs), np.float32)
            if not (self.input_bound[0] <= self.input_bound[1]).all():
                raise ValueError("input_bound has a low above its high")
        if not self.differences:
            raise ValueError("one hidden layer of ReLU and an action table: this form has its own class, Network")

    @property
    def inputs(self) -> int:
        """How many numbers it takes."""
        return int(self.weights[0].shape[1])

    @property
    def outputs(self) -> int:
        """How many actions it chooses from; 1 for a duty."""
        return int(self.weights[-1].shape[0])

    @property
    def hidden_units(self) -> tuple[int, ...]:
        """The size of each hidden layer."""
        return tuple(int(weight.shape[0]) for weight in self.weights[:-1])

    @property
    def commands_duty(self) -> bool:
        """Whether its output is a duty."""
        return self.output is not Output.TABLE

    @property
    def differences(self) -> tuple[str, ...]:
        """What keeps it from a microcontroller, each as a phrase."""
        return tuple(
            phrase
            for phrase, is_so in (
                ("two hidden layers", len(self.weights) > 2),
                ("tanh", self.activation is Activation.TANH),
                ("clipped observations", self.input_bound is not None),
                ("a duty as output", self.commands_duty),
            )
            if is_so
        )

    def values(self, observations: NDArray[Any]) -> Floats:
        """The outputs in NumPy's float32 arithmetic, a duty before it is clipped: (..., inputs) to (..., outputs)."""
        layer: Floats = np.asarray(observations, np.float32)
        if self.input_bound is not None:
            layer = np.clip(layer, self.input_bound[0], self.input_bound[1])
        layer = layer * self.input_gain
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            sums = layer @ weight.T + bias
            layer = np.tanh(sums) if self.activation is Activation.TANH else np.maximum(sums, np.float32(0.0))
        result: Floats = layer @ self.weights[-1].T + self.biases[-1]
        return result

    def decisions(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The actions (int64) or duties (float32) of observations, in NumPy: (..., inputs) to (...)."""
        values = self.values(observations)
        if self.output is Output.TABLE:
            actions: NDArray[Any] = values.argmax(axis=-1)
            return actions
        duties = values[..., 0]
        if self.output is Output.SQUASHED:
            duties = np.tanh(duties)
        return np.nan_to_num(np.clip(duties, np.float32(-1.0), np.float32(1.0)), nan=0.0)


def host_decision_function(network: HostNetwork, *, use_numpy: bool = False) -> DecisionFunction:
    """The fastest callable from a contiguous observation (inputs,), float32 or float64, to an action or a duty.

    It is a method of a C object; without the extension, or on request, NumPy's twin.
    """
    host = host_extension()
    if host is None or use_numpy:
        return _numpy_decision(network)
    arrays: list[NDArray[Any] | None] = [network.input_gain, network.input_bound]
    for weight, bias in zip(network.weights, network.biases, strict=True):
        arrays += [np.ascontiguousarray(weight.T), bias]
    act: DecisionFunction = host.HostPolicy(
        sizes=(network.inputs, *network.hidden_units, network.outputs),
        activation=list(Activation).index(network.activation),
        output=list(Output).index(network.output),
        arrays=tuple(arrays),
    ).act
    return act


def _numpy_decision(network: HostNetwork) -> DecisionFunction:
    shape = network.input_gain.shape

    def act(observation: NDArray[Any]) -> float:
        if np.shape(observation) != shape:
            raise ValueError(f"expected an observation of {shape[0]} numbers, got shape {np.shape(observation)}")
        decided = network.decisions(observation)
        return float(decided) if network.commands_duty else int(decided)

    return act


def _check_sizes(inputs: int, hidden: list[int], outputs: int, output: Output) -> None:
    least, most = (2, MAX_OUTPUTS) if output is Output.TABLE else (1, 1)
    for name, size, low, high in (
        ("inputs", inputs, 1, MAX_INPUTS),
        *(("hidden units in a layer", size, 1, MAX_HIDDEN) for size in hidden),
        ("outputs", outputs, least, most),
    ):
        if not low <= size <= high:
            raise ValueError(f"the network has {size} {name}, expected {low} to {high}")
