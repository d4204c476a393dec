"""The policy's network in numbers: float weights, their int16 form, and who computes them.

One hidden layer of ReLU: values = W2 relu(W1 (gain * observation) + b1) + b2, and the action is the index of the
largest value, the first of equals. The arithmetic itself is C (`firmware_bridge/firmware/policy.c`); NumPy stands
in where the extension is not built. `cartpole_robot.policy.host_network` has the forms for hosts alone.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.constants import MAX_HIDDEN, MAX_INPUTS, MAX_OUTPUTS

if TYPE_CHECKING:
    from firmware_bridge._host import FloatPolicy, HostPolicy, Int16Policy

_host: Any
try:
    _host = importlib.import_module("firmware_bridge._host")
except ImportError:  # no compiled extension for this interpreter
    _host = None

Floats = NDArray[np.float32]
ActionFunction = Callable[[NDArray[Any]], int]
INPUT_ONE = 8192  # the int16 form's 1.0 of a scaled observation: it saturates at 4 times the cart's limits
_INT16_MIN, _INT16_MAX = -32768, 32767
_INT32_MAX = 2**31 - 1
_HIDDEN_HEADROOM = 1.5  # above the largest activation seen while calibrating


@dataclass(frozen=True, kw_only=True)
class Network:
    """Float weights, all float32: gain (I,), W1 (H, I), b1 (H,), W2 (O, H), b2 (O,)."""

    input_gain: Floats
    hidden_weight: Floats
    hidden_bias: Floats
    output_weight: Floats
    output_bias: Floats

    def __post_init__(self) -> None:
        """Raises ValueError for shapes that do not fit, sizes over policy.h's, or numbers that are not finite."""
        hidden, inputs = matrix_shape(self.hidden_weight, "hidden_weight")
        outputs, _ = matrix_shape(self.output_weight, "output_weight")
        _check_sizes(inputs, hidden, outputs)
        check_array(self.input_gain, "input_gain", (inputs,), np.float32)
        check_array(self.hidden_weight, "hidden_weight", (hidden, inputs), np.float32)
        check_array(self.hidden_bias, "hidden_bias", (hidden,), np.float32)
        check_array(self.output_weight, "output_weight", (outputs, hidden), np.float32)
        check_array(self.output_bias, "output_bias", (outputs,), np.float32)

    @property
    def inputs(self) -> int:
        """How many numbers it takes: an observation, or with history more."""
        return int(self.hidden_weight.shape[1])

    @property
    def outputs(self) -> int:
        """How many actions it chooses from."""
        return int(self.output_weight.shape[0])

    def values(self, observations: NDArray[Any]) -> Floats:
        """The outputs in NumPy's float32 arithmetic: (..., inputs) to (..., outputs)."""
        hidden = (np.asarray(observations, np.float32) * self.input_gain) @ self.hidden_weight.T + self.hidden_bias
        result: Floats = np.maximum(hidden, np.float32(0.0)) @ self.output_weight.T + self.output_bias
        return result


@dataclass(frozen=True, kw_only=True)
class Int16Network:
    """The integers of the int16 form; see `policy_int16_t` in policy.h. Gain (I,) is float32, for hosts."""

    input_gain: Floats
    hidden_weight: NDArray[np.int16]
    hidden_bias: NDArray[np.int32]
    output_weight: NDArray[np.int16]
    output_bias: NDArray[np.int32]
    hidden_shift: int

    def __post_init__(self) -> None:
        """Raises ValueError like `Network`, and where some observation could overflow a 32-bit sum."""
        hidden, inputs = matrix_shape(self.hidden_weight, "hidden_weight")
        outputs, _ = matrix_shape(self.output_weight, "output_weight")
        _check_sizes(inputs, hidden, outputs)
        check_array(self.input_gain, "input_gain", (inputs,), np.float32)
        check_array(self.hidden_weight, "hidden_weight", (hidden, inputs), np.int16)
        check_array(self.hidden_bias, "hidden_bias", (hidden,), np.int32)
        check_array(self.output_weight, "output_weight", (outputs, hidden), np.int16)
        check_array(self.output_bias, "output_bias", (outputs,), np.int32)
        if not 0 <= self.hidden_shift <= 30:
            raise ValueError(f"hidden_shift = {self.hidden_shift}, expected 0 to 30")
        rounding = (1 << self.hidden_shift) >> 1
        worst = max(
            int(_largest_sums(self.hidden_weight, self.hidden_bias).max()) + rounding,
            int(_largest_sums(self.output_weight, self.output_bias).max()),
        )
        if worst > _INT32_MAX:
            raise ValueError(f"the int16 weights can sum to {worst}, expected at most {_INT32_MAX}; quantize again")

    def quantized(self, observation: NDArray[Any]) -> NDArray[np.int64]:
        """One observation in SI units as the integers the network sees; not a number becomes 0."""
        scaled = np.nan_to_num(np.asarray(observation, np.float32).reshape(-1) * self.input_gain)
        rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
        result: NDArray[np.int64] = np.clip(rounded, -_INT16_MAX, _INT16_MAX).astype(np.int64)
        return result

    def act(self, observation: NDArray[Any]) -> int:
        """The action for one observation, in NumPy integers: the same as the C, bit for bit."""
        sums = np.maximum(self.hidden_weight.astype(np.int64) @ self.quantized(observation) + self.hidden_bias, 0)
        hidden = np.minimum((sums + ((1 << self.hidden_shift) >> 1)) >> self.hidden_shift, _INT16_MAX)
        return int((self.output_weight.astype(np.int64) @ hidden + self.output_bias).argmax())


def has_extension() -> bool:
    """Whether the compiled C is there; without it NumPy stands in."""
    return _host is not None


def host_extension() -> Any:
    """The compiled extension, None where it is not built."""
    return _host


def compiled_policy(act: object) -> FloatPolicy | Int16Policy | HostPolicy | None:
    """The policy in C whose method `act` is; None for any other function."""
    owner: Any = getattr(act, "__self__", None)
    if _host is None or type(owner) not in (_host.FloatPolicy, _host.Int16Policy, _host.HostPolicy) or act != owner.act:
        return None
    found: FloatPolicy | Int16Policy | HostPolicy = owner
    return found


def float_action_function(network: Network, *, use_numpy: bool = False) -> ActionFunction:
    """The fastest callable for the float form: a contiguous observation (inputs,), float32 or float64, to an action.

    It is a method of a C object; without the extension, or on request, NumPy's twin.
    """
    if _host is None or use_numpy:
        return _numpy_action(network)
    act: ActionFunction = _host.FloatPolicy(
        inputs=network.inputs,
        hidden=network.hidden_weight.shape[0],
        outputs=network.outputs,
        input_gain=network.input_gain,
        hidden_weight=np.ascontiguousarray(network.hidden_weight.T),
        hidden_bias=network.hidden_bias,
        output_weight=network.output_weight,
        output_bias=network.output_bias,
    ).act
    return act


def int16_action_function(network: Int16Network) -> ActionFunction:
    """The same for the int16 form."""
    if _host is None:
        return network.act
    act: ActionFunction = _host.Int16Policy(
        inputs=network.hidden_weight.shape[1],
        hidden=network.hidden_weight.shape[0],
        outputs=network.output_weight.shape[0],
        **{field.name: getattr(network, field.name) for field in fields(network)},
    ).act
    return act


def _numpy_action(network: Network) -> ActionFunction:
    gain, weight = network.input_gain, network.hidden_weight
    bias, output_weight, output_bias = network.hidden_bias, network.output_weight, network.output_bias
    zero = np.float32(0.0)

    def act(observation: NDArray[Any]) -> int:
        if np.shape(observation) != gain.shape:
            raise ValueError(f"expected an observation of {len(gain)} numbers, got shape {np.shape(observation)}")
        hidden = weight.dot(np.asarray(observation, np.float32) * gain) + bias
        return int((output_weight.dot(np.maximum(hidden, zero)) + output_bias).argmax())

    return act


def quantized(network: Network, calibration: NDArray[Any]) -> Int16Network:
    """The int16 form of `network`.

    It is scaled by what the hidden units do on `calibration`, observations of shape (N, inputs) in SI units. Each
    layer gets the largest scale at which nothing overflows. The outputs are taken relative to their mean over the
    actions first: the action stays the same, and the bits go to the differences that decide it.
    """
    weight, bias = network.hidden_weight.astype(np.float64), network.hidden_bias.astype(np.float64)
    hidden_scale = _largest_scale(weight, bias * INPUT_ONE)
    scaled_inputs = np.asarray(calibration, np.float64) * network.input_gain
    seen = np.maximum(scaled_inputs @ weight.T + bias, 0.0)
    largest = max(float(seen.max(initial=0.0)) * _HIDDEN_HEADROOM, 1e-6) * hidden_scale * INPUT_ONE
    shift = max(0, int(np.ceil(np.log2(largest / _INT16_MAX))))
    output = network.output_weight.astype(np.float64)
    output_bias = network.output_bias.astype(np.float64)
    output = output - output.mean(axis=0)
    output_bias = (output_bias - output_bias.mean()) * hidden_scale * INPUT_ONE / 2**shift
    output_scale = _largest_scale(output, output_bias)
    return Int16Network(
        input_gain=(network.input_gain * np.float32(INPUT_ONE)).astype(np.float32),
        hidden_weight=np.rint(weight * hidden_scale).astype(np.int16),
        hidden_bias=np.rint(bias * INPUT_ONE * hidden_scale).astype(np.int32),
        output_weight=np.rint(output * output_scale).astype(np.int16),
        output_bias=np.rint(output_bias * output_scale).astype(np.int32),
        hidden_shift=shift,
    )


def _largest_scale(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
    """The scale at which every weight fits 16 bits and no row's sum can pass 32, rounding of each term included."""
    terms = weight.shape[1]
    room = _INT32_MAX + (terms + 1) * _INT16_MIN - 2**30 // 256  # half a unit a weight, and the shift's rounding
    worst_row = float((np.abs(weight).sum(axis=1) * -_INT16_MIN + np.abs(bias)).max())
    largest = float(np.abs(weight).max())
    return float(min(room / max(worst_row, 1e-9), (_INT16_MAX - 1) / max(largest, 1e-9)))


def _largest_sums(weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = np.abs(weight.astype(np.int64)).sum(axis=1) * -_INT16_MIN + np.abs(bias.astype(np.int64))
    return sums


def arrays_digest(*arrays: NDArray[Any]) -> bytes:
    """SHA-256 over type, shape and bytes of the arrays, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def matrix_shape(array: NDArray[Any], name: str) -> tuple[int, int]:
    """The rows and columns of a matrix. Raises ValueError for another array."""
    if array.ndim != 2:
        raise ValueError(f"{name} has {array.ndim} dimensions, expected 2")
    return int(array.shape[0]), int(array.shape[1])


def _check_sizes(inputs: int, hidden: int, outputs: int) -> None:
    for name, size, least, most in (
        ("inputs", inputs, 1, MAX_INPUTS),
        ("hidden units", hidden, 1, MAX_HIDDEN),
        ("outputs", outputs, 2, MAX_OUTPUTS),
    ):
        if not least <= size <= most:
            raise ValueError(f"the network has {size} {name}, expected {least} to {most}")


def check_array(array: NDArray[Any], name: str, shape: tuple[int, ...], kind: type[np.generic]) -> None:
    """Raise ValueError for an array of another shape or type, or with a number that is not finite."""
    if array.shape != shape or array.dtype != kind:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected {kind.__name__} of shape {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a number that is not finite")
