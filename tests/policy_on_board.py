"""Policies for tests on the microcontroller that need no training: a regulator over 100 hidden units or more."""

from __future__ import annotations

import dataclasses

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

    With history, earlier steps have a small weight too.
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
    network = Network(
        input_gain=input_gain(cart, history_length),
        hidden_weight=((side * size)[:, None] * weight).astype(np.float32),
        hidden_bias=np.zeros(HIDDEN, np.float32),
        output_weight=np.stack([-output, output]).astype(np.float32),
        output_bias=np.zeros(2, np.float32),
    )
    visited = (rng.normal(size=(300, network.inputs)) * 0.3 / network.input_gain).astype(np.float32)
    return bundle_of(network, cart, visited, {}, history_length=history_length)


def with_duties(cart: CartParams, outputs: int) -> CartParams:
    """`cart` with an action table of that many duties (an even number), on both sides, up to those it has."""
    most = max(map(abs, cart.action_duties))
    sizes = [most * (k + 1) / (outputs // 2) for k in range(outputs // 2)]
    return dataclasses.replace(cart, action_duties=(*(-size for size in reversed(sizes)), *sizes))


def largest_policy(cart: CartParams, hidden: int = MAX_HIDDEN, outputs: int = MAX_OUTPUTS) -> PolicyBundle:
    """The most work and flash that a policy can be: every unit active and shifted the farthest."""
    rng = np.random.default_rng(0)
    gain = -design_lqr(cart).state_gain * np.array(cart.observation_scale.as_tuple())
    side = np.where(np.arange(hidden) % 2 == 0, 1.0, -1.0)
    network = Network(
        input_gain=input_gain(cart, 1),
        hidden_weight=(side[:, None] * gain / np.abs(gain).max()).astype(np.float32),
        hidden_bias=np.full(hidden, 20.0, np.float32),  # a scaled observation is at most 4 in magnitude
        output_weight=(np.linspace(-1.0, 1.0, outputs)[:, None] * side).astype(np.float32),
        output_bias=np.zeros(outputs, np.float32),
    )
    visited = (rng.normal(size=(300, 4)) * 0.3 / network.input_gain).astype(np.float32)
    bundle = bundle_of(network, cart, visited, {})
    int16 = dataclasses.replace(
        bundle.int16,
        hidden_weight=bundle.int16.hidden_weight // 2,  # room for what is added before a shift
        hidden_bias=bundle.int16.hidden_bias // 2,
        hidden_shift=0,
    )
    actions = np.array([int16.act(row) for row in bundle.golden.observations], np.int32)
    golden = dataclasses.replace(bundle.golden, int16_actions=actions)
    return dataclasses.replace(bundle, int16=int16, golden=golden)
