"""A policy for tests on the microcontroller that needs no training: the sign of a regulator, over 100 hidden units."""

from __future__ import annotations

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network
from cartpole_robot.rigs.firmware_rig import FirmwareRig

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
