"""What the firmware remembers for a policy with history: the steps that `cartpole_robot.policy.history` would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_image_bytes
from cartpole_robot.deployment.on_board import on_board_policy
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge._host import Firmware, PolicyImage
from tests.policy_on_board import regulating_policy
from tests.virtual_cart_process import quick_cart

ON_BOARD, HOST_MAY_LEAVE = 4, 8
COUNTS = ("cart_counts", "cart_speed", "pole_counts", "pole_speed")


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return dataclasses.replace(quick_cart(), action_duties=(-0.3, -0.15, 0.15, 0.3))


class Remembered:
    """The int16 model in NumPy on a list of integers, newest first."""

    def __init__(self, bundle: PolicyBundle, policy: PolicyImage) -> None:
        self._network, self._policy = bundle.int16, policy
        self._duties, self._steps = bundle.interface.action_duties, bundle.interface.history_length
        self._inputs: list[int] = []
        self._duty = 0

    def act(self, counts: tuple[int, int, int, int]) -> int:
        observation = list(self._policy.observe(*counts))
        if not self._inputs:
            self._inputs = [*observation, *([0, *observation] * (self._steps - 1))]
        else:
            self._inputs = [*observation, self._duty, *self._inputs][: 5 * self._steps - 1]
        network = self._network
        sums = network.hidden_weight.astype(np.int64) @ self._inputs + network.hidden_bias
        rounded = (np.maximum(sums, 0) + (1 << network.hidden_shift >> 1)) >> network.hidden_shift
        values = network.output_weight.astype(np.int64) @ np.minimum(rounded, 32767) + network.output_bias
        action = int(values.argmax())
        self._duty = round(self._duties[action] * float(network.input_gain[4]))
        return action


@pytest.mark.parametrize("history", [2, 3])
def test_actions_are_those_of_the_int16_model_on_what_it_remembers(cart: CartParams, history: int) -> None:
    bundle = regulating_policy(cart, history_length=history)
    weight = bundle.int16.hidden_weight.copy()
    weight[:, 4:] *= 20  # the steps before matter
    bundle = dataclasses.replace(bundle, int16=dataclasses.replace(bundle.int16, hidden_weight=weight // 8))
    policy, rng = PolicyImage(policy_image_bytes(bundle, cart)), np.random.default_rng(history)
    differs = 0
    for _ in range(20):
        policy.reset()
        model, newest = Remembered(bundle, policy), PolicyImage(policy_image_bytes(bundle, cart))
        for _ in range(12):
            a, b, c, d = (int(each) for each in rng.normal(size=4) * (1500, 60000, 80, 12000))
            action = policy.act(a, b, c, d)
            assert action == model.act((a, b, c, d))
            newest.reset()
            differs += newest.act(a, b, c, d) != action
    assert differs > 10


@pytest.mark.parametrize("history", [1, 2, 3])
def test_firmware_remembers_as_its_twin_from_each_arming_on(cart: CartParams, history: int) -> None:
    bundle = regulating_policy(cart, history_length=history)
    policy, board = on_board_policy(bundle, cart), Firmware(policy=PolicyImage(policy_image_bytes(bundle, cart)))
    rig = VirtualRig(cart, board=board, options=FirmwareOptions(arm=ON_BOARD | HOST_MAY_LEAVE))
    try:
        for seed in range(3):
            start_rollout(rig, seed)
            states = [rig.state]
            for _ in range(200):
                rig.measure()
                states.append(rig.state)
            policy.reset()
            decided = [policy.duty_q15(policy.act(*(getattr(state, name) for name in COUNTS))) for state in states]
            assert decided[:-2] == [state.applied_q15 for state in states[2:]]
            assert len(set(decided)) > 2
    finally:
        rig.close()


def test_image_of_another_number_of_inputs_is_none(cart: CartParams) -> None:
    image = policy_image_bytes(regulating_policy(cart, history_length=2), cart)
    for inputs in (0, 3, 5, 8, 10, 14, 19, 255):
        with pytest.raises(ValueError, match="no policy image"):
            PolicyImage(image[:51] + bytes([inputs]) + image[52:])
