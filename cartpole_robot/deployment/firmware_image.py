"""A policy in the form that the microcontroller stores: the bytes of `firmware/policy_image.h`, and C with them."""

from __future__ import annotations

import binascii
import math
import re
import struct
import textwrap
import zlib
from dataclasses import dataclass

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.history import input_layout
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.task import OBSERVATION_LAYOUT
from firmware_bridge._host import POLICY_FIT_SHIFT, POLICY_IMAGE_INPUTS, POLICY_IMAGE_VERSION, PolicyImage
from firmware_bridge.constants import CRC_START, SPEED_PER_COUNT
from firmware_bridge.protocol import read_protocol

_HEAD = struct.Struct("<HIII8IHBBBBBB")  # behind the CRC: policy_head_t
_INT16_MAX = 32767
_SIGNALS = len(OBSERVATION_LAYOUT)
_STEP = _SIGNALS + 1  # an earlier step has its duty, too
MOST_HISTORY = 1 + (POLICY_IMAGE_INPUTS - _SIGNALS) // _STEP
MOST_EXAMPLES = 32  # as an export has: with more, the largest network would not fit the flash
_LARGEST_MULTIPLIER = (1 << 32) - 1
_LEAST_MULTIPLIER = 128  # below, rounding it changes an observation by more than 0.4 %


@dataclass(frozen=True, kw_only=True)
class OnBoardFit:
    """The integers that fit a policy to a cart: how STATE's numbers become observations, and actions duties.

    A number's observation is number * multiplier / 2^POLICY_FIT_SHIFT, for numbers up to `largest` in magnitude.
    """

    multiplier: tuple[int, ...]
    largest: tuple[int, ...]
    duty_q15: tuple[int, ...]
    duty_input: tuple[int, ...]  # each action's duty as a policy with history sees it a step later
    control_period_ms: int

    @property
    def crc(self) -> int:
        """CRC-32 over the observations' numbers and the duties, as the POLICY message reports it."""
        numbers = (POLICY_FIT_SHIFT, *self.multiplier, *self.largest)
        duties = (*self.duty_q15, *self.duty_input)
        return zlib.crc32(struct.pack(f"<{len(numbers)}I{len(duties)}h", *numbers, *duties))


def on_board_fit(bundle: PolicyBundle, cart: CartParams) -> OnBoardFit:
    """The fit of `bundle` to `cart`. Raises `UsageError` if it does not fit, or no firmware can drive the cart."""
    int16 = bundle.check_int16("on board")
    bundle.check_fits(cart, name="on board")
    if bundle.interface.history_length > MOST_HISTORY:
        raise UsageError(
            f"on board: the policy's history_length is {bundle.interface.history_length}, expected at most "
            f"{MOST_HISTORY}: the microcontroller remembers no more steps; run it on a host"
        )
    if bundle.interface.observation != OBSERVATION_LAYOUT:
        raise UsageError(
            f"on board: the policy takes {', '.join(bundle.interface.observation)}, "
            f"expected {', '.join(OBSERVATION_LAYOUT)}: the microcontroller has no sine; run it on a host"
        )
    _check_one_scale(bundle)
    encoders, _ = encoders_and_settings(cart)
    protocol = read_protocol()
    per_count = np.array([1.0 / encoders.cart_counts_per_m] * 2 + [1.0 / encoders.pole_counts_per_rad] * 2)
    per_count[1::2] /= SPEED_PER_COUNT
    gain = int16.input_gain[:_SIGNALS].astype(np.float64) * per_count
    multiplier = tuple(round(float(each) * 2**POLICY_FIT_SHIFT) for each in gain)
    for name, number in zip(OBSERVATION_LAYOUT, multiplier, strict=True):
        if number < _LEAST_MULTIPLIER:
            raise UsageError(
                f"on board: a count of {name} is worth {number}, expected at least {_LEAST_MULTIPLIER}; "
                f"the encoder of cart {cart.name!r} is too fine for the microcontroller, run the policy on a host"
            )
        if number > _LARGEST_MULTIPLIER:
            raise UsageError(
                f"on board: a count of {name} is worth {number}, expected at most {_LARGEST_MULTIPLIER}; the "
                f"encoder of cart {cart.name!r} is too coarse for the microcontroller, run the policy on a host"
            )
    most = (_INT16_MAX << POLICY_FIT_SHIFT) + (1 << (POLICY_FIT_SHIFT - 1)) - 1
    one = protocol.constants["PROTOCOL_DUTY_ONE"]
    return OnBoardFit(
        multiplier=multiplier,
        largest=tuple(most // number for number in multiplier),
        duty_q15=tuple(round(duty * one) for duty in cart.action_duties),
        duty_input=_duty_inputs(bundle),
        control_period_ms=cfg_message(cart).control_period_ms,
    )


def _check_one_scale(bundle: PolicyBundle) -> None:
    """Raise `UsageError` unless each number of an earlier step has the scale that it has in the newest one."""
    interface, gain = bundle.interface, bundle.check_int16("on board").input_gain
    names = input_layout(interface.history_length, interface.observation)
    for k in range(_STEP, len(gain)):
        if gain[k] != gain[k - _STEP]:
            raise UsageError(
                f"on board: the network takes {names[k]} times {gain[k]:g} and {names[k - _STEP]} times "
                f"{gain[k - _STEP]:g}, expected one factor: the microcontroller remembers integers; run it on a host"
            )


def _duty_inputs(bundle: PolicyBundle) -> tuple[int, ...]:
    """Each action's duty as the network sees it a step later, all 0 for a policy without history."""
    network, duties = bundle.check_int16("on board"), bundle.interface.action_duties
    if len(network.input_gain) == _SIGNALS:
        return (0,) * len(duties)
    inputs = np.zeros(len(network.input_gain), np.float32)
    found = []
    for duty in duties:
        inputs[_SIGNALS] = duty
        found.append(int(network.quantized(inputs)[_SIGNALS]))
    return tuple(found)


def policy_image_bytes(bundle: PolicyBundle, cart: CartParams, most_examples: int = MOST_EXAMPLES) -> bytes:
    """The image of `bundle` for `cart`, with that many golden examples. Raises `UsageError` as `on_board_fit` does."""
    fit, network, golden = on_board_fit(bundle, cart), bundle.check_int16("on board"), bundle.golden
    hidden, inputs = network.hidden_weight.shape
    outputs = len(network.output_weight)
    examples = np.stack([network.quantized(row) for row in golden.observations[:most_examples]])
    unit = np.dtype([("bias", "<i4"), ("weight", "<i2", (inputs,)), ("output", "<i2", (outputs,))])
    units = np.zeros(hidden, unit)
    units["bias"], units["weight"], units["output"] = (
        network.hidden_bias,
        network.hidden_weight,
        network.output_weight.T,
    )
    body = b"".join(
        (
            network.output_bias.astype("<i4").tobytes(),
            np.array(fit.duty_q15, "<i2").tobytes(),
            np.array(fit.duty_input, "<i2").tobytes(),
            units.tobytes(),
            examples.astype("<i2").tobytes(),
            golden.int16_actions[: len(examples)].astype(np.uint8).tobytes(),
        )
    )
    digest = bytes.fromhex(bundle.policy_hash())
    head = _HEAD.pack(
        2 + _HEAD.size + len(body),
        *struct.unpack(">II", digest[:8]),
        fit.crc,
        *(number for pair in zip(fit.multiplier, fit.largest, strict=True) for number in pair),
        *(hidden, POLICY_IMAGE_VERSION, inputs, outputs),
        *(network.hidden_shift, len(examples), fit.control_period_ms),
    )
    return struct.pack("<H", binascii.crc_hqx(head + body, CRC_START)) + head + body


def on_board_policy(bundle: PolicyBundle, cart: CartParams) -> PolicyImage:
    """The microcontroller's own C policy: `act(cart_counts, cart_speed, pole_counts, pole_speed)`, and `reset()`.

    With history `act` takes each step's STATE, in order, and `reset` begins an episode.

    `firmware_bridge._host.Firmware` accepts it, too. Raises `UsageError`.
    """
    return PolicyImage(policy_image_bytes(bundle, cart))


def _comment(text: str) -> str:
    """`text` for a C comment, which nothing in it can end."""
    return re.sub(r"[^A-Za-z0-9 _.,+()=-]", "?", text)


def policy_header(bundle: PolicyBundle, cart: CartParams, most_examples: int = MOST_EXAMPLES) -> str:
    """The text of policy_bytes.h, for `firmware_bridge.build.build_firmware`. Raises `UsageError`."""
    image = policy_image_bytes(bundle, cart, most_examples)
    facts = PolicyImage(image).facts
    body = textwrap.fill(
        ", ".join(map(str, image)), width=112, initial_indent="    ", subsequent_indent="    ", break_long_words=False
    )
    period_s = bundle.interface.control_period_s
    if not math.isclose(period_s * 1000.0, facts["control_period_ms"]):
        raise UsageError(f"on board: a control period of {period_s:g} s, expected whole milliseconds")
    return "\n".join(
        (
            "/* A cart-pole policy in the bytes of policy_image.h; generated, do not edit.",
            f" * policy {bundle.policy_hash()}",
            f" * control period {period_s:g} s, duties {list(bundle.interface.action_duties)},",
            f" * cart {_comment(cart.name)} */",
            f"#define POLICY_INPUTS {facts['inputs']}u",
            f"#define POLICY_HIDDEN {facts['hidden']}u",
            f"#define POLICY_OUTPUTS {facts['outputs']}u",
            f"#define POLICY_HIDDEN_SHIFT {facts['hidden_shift']}",
            "",
            f"static const uint8_t policy_bytes[{len(image)}] PROGMEM = {{\n{body}}};",
            "",
        )
    )
