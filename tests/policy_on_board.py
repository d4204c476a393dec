"""Policies for tests on the microcontroller that need no training: a regulator over 100 hidden units or more."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from firmware_bridge.constants import MAX_HIDDEN, MAX_OUTPUTS

HIDDEN = 100


def follow(rig: FirmwareRig, steps: int) -> None:
    """Measure for that many steps without a command. Raises `RigError`."""
    for _ in range(steps):
        rig.measure()


def regulating_policy(cart: CartParams, seed: int = 0, history_length: int = 1) -> PolicyBundle:
    """Pushes the way the regulator would, with the duty of its action table; balances `diy_arduino` for a long time.

    With history, earlier steps have a small weight too. Of a finer action table it takes the duty that is nearest to a
    multiple of the regulator's.
    """
    rng = np.random.default_rng(seed)
    scale = np.array(cart.observation_scale.as_tuple())
    gain = -design_lqr(cart).state_gain * scale
    side = np.where(np.arange(HIDDEN) % 2 == 0, 1.0, -1.0)
    size = rng.uniform(0.5, 1.5, HIDDEN)
    output = side * rng.uniform(0.5, 1.5, HIDDEN)
    output -= output.mean()
    past = 0.02 * np.random.default_rng(seed + 1).normal(size=5 * (history_length - 1))
    weight = np.concatenate([gain / np.abs(gain).max(), past])
    share = np.array(cart.action_duties) / cart.action_duties[-1]
    network = Network(
        input_gain=input_gain(cart, history_length),
        hidden_weight=((side * size)[:, None] * weight).astype(np.float32),
        hidden_bias=np.zeros(HIDDEN, np.float32),
        output_weight=(share[:, None] * output).astype(np.float32),
        output_bias=(-0.3 * (share**2 - share[0] ** 2)).astype(np.float32),
    )
    visited = (rng.normal(size=(300, network.inputs)) * 0.3 / network.input_gain).astype(np.float32)
    return bundle_of(network, cart, visited, {}, history_length=history_length)


def with_duties(cart: CartParams, outputs: int) -> CartParams:
    """`cart` with an action table of that many duties (an even number), on both sides, up to those it has."""
    most = max(map(abs, cart.action_duties))
    sizes = [most * (k + 1) / (outputs // 2) for k in range(outputs // 2)]
    return dataclasses.replace(cart, action_duties=(*(-size for size in reversed(sizes)), *sizes))


def busiest_policy(cart: CartParams, hidden: int, history_length: int = 1, shift: int | None = None) -> PolicyBundle:
    """Every unit active, none saturated, with the shift of its own int16 form or another, smaller one."""
    rng, outputs = np.random.default_rng(0), len(cart.action_duties)
    gain = -design_lqr(cart).state_gain * np.array(cart.observation_scale.as_tuple())
    past = np.full(5 * (history_length - 1), 0.02)
    side = np.where(np.arange(hidden) % 2 == 0, 1.0, -1.0)
    network = Network(
        input_gain=input_gain(cart, history_length),
        hidden_weight=(side[:, None] * np.concatenate([gain / np.abs(gain).max(), past])).astype(np.float32),
        hidden_bias=np.full(hidden, 20.0, np.float32),  # a scaled observation is at most 4 in magnitude
        output_weight=(np.linspace(-1.0, 1.0, outputs)[:, None] * side).astype(np.float32),
        output_bias=np.zeros(outputs, np.float32),
    )
    visited = (rng.normal(size=(300, network.inputs)) * 0.3 / network.input_gain).astype(np.float32)
    bundle = bundle_of(network, cart, visited, {}, history_length=history_length)
    less = 0 if shift is None else bundle.int16.hidden_shift - shift
    return _with_int16(
        bundle,
        hidden_weight=bundle.int16.hidden_weight >> less,
        hidden_bias=bundle.int16.hidden_bias >> less,
        hidden_shift=bundle.int16.hidden_shift - less,
    )


def largest_policy(cart: CartParams, hidden: int = MAX_HIDDEN, outputs: int = MAX_OUTPUTS) -> PolicyBundle:
    """The most flash that a policy can take: every unit active, without a shift."""
    if len(cart.action_duties) != outputs:
        raise ValueError(f"the cart has {len(cart.action_duties)} duties, expected {outputs}")
    bundle = busiest_policy(cart, hidden)
    return _with_int16(  # halves: room for what is added before a shift
        bundle,
        hidden_weight=bundle.int16.hidden_weight // 2,
        hidden_bias=bundle.int16.hidden_bias // 2,
        hidden_shift=0,
    )


def _with_int16(bundle: PolicyBundle, **changes: Any) -> PolicyBundle:
    """`bundle` with other integers, and golden examples of theirs."""
    int16 = dataclasses.replace(bundle.int16, **changes)
    actions = np.array([int16.act(row) for row in bundle.golden.observations], np.int32)
    golden = dataclasses.replace(bundle.golden, int16_actions=actions)
    return dataclasses.replace(bundle, int16=int16, golden=golden)
