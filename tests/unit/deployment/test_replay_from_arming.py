"""A box that begins where the cart was armed is replayed to the millisecond: stillness counts from the tick before."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.deployment.black_box import BlackBox, samples_of
from cartpole_robot.deployment.replay import replay
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.task import observation
from firmware_bridge.protocol import read_protocol
from tests.faults.struck_deployment import STRIKES
from tests.policy_on_board import regulating_policy

CART = quickly_homing(load_cart("diy_arduino"))


def box_of_a_cut_wire(cut_at_step: int) -> BlackBox:
    """An encoder wire of the cart is cut while a policy balances; the firmware stops with CART_STUCK."""
    traces: deque[bytes] = deque()
    options = FirmwareOptions(arm=read_protocol().enums["arm_option"]["TRACE"], traces=traces)
    controller = policy_controller(regulating_policy(CART))
    with contextlib.closing(VirtualRig(CART, options=options)) as rig:
        measured = rig.reset(State(-0.01, 0.0, 0.02, 0.0), np.random.default_rng(1))
        with contextlib.suppress(RigError):
            for step in range(10 * cut_at_step):
                if step == cut_at_step:
                    STRIKES["cart encoder cut"](rig.virtual_cart)
                measured = rig.step(controller.duty(observation(measured)))
        assert rig.fault == "CART_STUCK"
    traced = samples_of(traces)
    return BlackBox(
        samples=traced.samples,
        cart=CART,
        fault="CART_STUCK",
        message="",
        warmth=traced.warmth,
        options=options.arm,
        since_armed_ms=0,
        counts_before=traced.counts_before,
        provenance={},
    )


@pytest.mark.parametrize("cut_at_step", [57, 60, 66])
def test_stuck_cart_is_found_in_the_same_millisecond(cut_at_step: int) -> None:
    """With one count more before the box the fault would come elsewhere: the steps are chosen for that."""
    box = box_of_a_cut_wire(cut_at_step)
    found = replay(box, "virtual")
    assert (found.fault, found.fault_ms) == ("CART_STUCK", found.kept_ms)
    assert (found.lost_ms, found.duty_differences) == (0, 0)
    cart, pole = box.counts_before
    elsewhere = replay(dataclasses.replace(box, counts_before=(cart + 1, pole)), "virtual")
    assert elsewhere.fault_ms != found.kept_ms
