"""A policy as a C header for `firmware_bridge/firmware/policy.h`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.history import input_layout
from cartpole_robot.policy.network import Network


def c_header(bundle: PolicyBundle) -> str:
    """The header: `policy_weights_float`, `policy_weights_int16`, and golden examples for both, as static constants.

    The golden examples of the int16 form start from quantized observations, so a microcontroller can run them without
    a floating-point number. Raises `UsageError` for a policy that only a host computes.
    """
    network, int16, golden = bundle.network, bundle.check_int16("C header"), bundle.golden
    assert isinstance(network, Network)  # for the type checker: it has an int16 form
    hidden, inputs = network.hidden_weight.shape
    observations = np.stack([int16.quantized(row) for row in golden.observations])
    arrays = (
        _array("float", "policy_input_gain", network.input_gain, _float),
        _array("float", "policy_float_hidden_weight", network.hidden_weight.T, _float),
        _array("float", "policy_float_hidden_bias", network.hidden_bias, _float),
        _array("float", "policy_float_output_weight", network.output_weight, _float),
        _array("float", "policy_float_output_bias", network.output_bias, _float),
        _array("float", "policy_int16_input_gain", int16.input_gain, _float),
        _array("int16_t", "policy_int16_hidden_weight", int16.hidden_weight, _int16),
        _array("int32_t", "policy_int16_hidden_bias", int16.hidden_bias, _int32),
        _array("int16_t", "policy_int16_output_weight", int16.output_weight, _int16),
        _array("int32_t", "policy_int16_output_bias", int16.output_bias, _int32),
        _array("float", "policy_golden_observations", golden.observations, _float),
        _array("uint8_t", "policy_golden_actions", golden.actions, _int16),
        _array("int16_t", "policy_golden_int16_observations", observations, _int16),
        _array("uint8_t", "policy_golden_int16_actions", golden.int16_actions, _int16),
    )
    sizes = f".inputs = {inputs}, .hidden = {hidden}, .outputs = {network.outputs},"
    lines = [
        "/* A cart-pole policy; generated, do not edit. Include it in one C file.",
        f" * control period {bundle.interface.control_period_s:g} s, duties {list(bundle.interface.action_duties)},",
        *_layout(bundle),
        "#ifndef POLICY_WEIGHTS_H",
        "#define POLICY_WEIGHTS_H",
        "",
        '#include "policy.h"',
        "",
        f'#define POLICY_HASH "{bundle.policy_hash()}"',
        f"#define POLICY_GOLDEN_EXAMPLES {len(golden.actions)}",
        "",
        *arrays,
        f"static const policy_float_t policy_weights_float = {{\n    {sizes}",
        "    .input_gain = policy_input_gain,",
        "    .hidden_weight = policy_float_hidden_weight,\n    .hidden_bias = policy_float_hidden_bias,",
        "    .output_weight = policy_float_output_weight,\n    .output_bias = policy_float_output_bias,\n};\n",
        f"static const policy_int16_t policy_weights_int16 = {{\n    {sizes}",
        f"    .hidden_shift = {int16.hidden_shift},",
        "    .hidden_weight = policy_int16_hidden_weight,\n    .hidden_bias = policy_int16_hidden_bias,",
        "    .output_weight = policy_int16_output_weight,\n    .output_bias = policy_int16_output_bias,\n};\n",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _layout(bundle: PolicyBundle) -> list[str]:
    """The end of the header's first comment: what an observation is, as the C functions take it."""
    interface = bundle.interface
    layout = f"observation {', '.join(input_layout(interface.history_length, interface.observation))} */"
    return textwrap.wrap(layout, width=112, initial_indent=" * ", subsequent_indent=" * ", break_on_hyphens=False)


def _array(kind: str, name: str, values: NDArray[Any], write: Callable[[Any], str]) -> str:
    numbers = ", ".join(write(value) for value in np.ravel(values))
    body = textwrap.fill(numbers, width=112, initial_indent="    ", subsequent_indent="    ")
    return f"static const {kind} {name}[{np.size(values)}] = {{\n{body}}};\n"


def _float(value: np.float32) -> str:
    return f"{float(value).hex()}f"  # hexadecimal: the same float32 in every compiler


def _int16(value: Any) -> str:
    return str(int(value))


def _int32(value: Any) -> str:
    return f"INT32_C({int(value)})"
