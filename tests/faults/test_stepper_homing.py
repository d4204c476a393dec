"""A stepper's cart homes on the virtual rig: wherever it is, with wrong wires, lost steps and bouncing contacts."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand, VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import WORKBENCH, fitting, load_profile
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge import _host, _stepper
from firmware_bridge.link import Link
from tests.faults.stepper_wires import (
    HANGING,
    LEFT,
    RIGHT,
    STEPS_PER_M,
    Wired,
    fault_at_start,
    lost_steps,
    rig_on,
    state_of,
)


@pytest.mark.parametrize("position_m", [0.0, -0.3, 0.3, 0.44, -0.474, 0.474])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_cart_finds_both_zeros_wherever_it_is_switched_on(position_m: float, is_reversed: bool) -> None:
    cart = load_cart("diy_stepper")
    assert cart.firmware is not None
    cart = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, is_motor_reversed=is_reversed))
    board = Wired(pulses=lambda count: -count if count is not None and is_reversed else count)
    virtual = VirtualCart(cart, start=HANGING._replace(cart_position_m=position_m), board=board)
    with contextlib.closing(rig_on(virtual, cart)) as rig:
        measured, true = start_rollout(rig, 1), virtual.true_state()
        assert abs(true.cart_position_m) <= 0.03
        assert measured.cart_position_m == pytest.approx(true.cart_position_m, abs=0.0002)
        off_rad = math.remainder(measured.pole_angle_rad - true.pole_angle_rad, 2.0 * math.pi)
        assert off_rad == pytest.approx(0.0, abs=0.004)


class IdleHand(SimulatedHand):
    """One that does not stop the pole's swing before the cart homes."""

    def let_hang(self) -> None: ...


@pytest.mark.parametrize(("angle_rad", "speed_rad_s"), [(0.3, 0.0), (math.pi, 12.0), (math.pi, -25.0)])
def test_pole_that_swings_or_rotates_is_braked_before_it_homes(angle_rad: float, speed_rad_s: float) -> None:
    """The cart stays within an eighth of its travel limit of its place, but for what a pole threw it before."""
    virtual = VirtualCart(load_cart("diy_stepper"), start=State(0.0, 0.0, angle_rad, speed_rad_s))
    transport = Link(LockstepTransport(virtual))
    with contextlib.closing(FirmwareRig(load_cart("diy_stepper"), transport, IdleHand(virtual, 20))) as rig:
        rig.make_ready()
        assert virtual.time_ms < 120_000
        measured_rad = state_of(rig).pole_counts * 2.0 * math.pi / 2400
        off_rad = math.remainder(measured_rad - virtual.true_state().pole_angle_rad, 2.0 * math.pi)
        assert off_rad == pytest.approx(0.0, abs=0.02)
        assert abs(round(virtual.true_state().cart_position_m * STEPS_PER_M) - state_of(rig).cart_counts) <= 2


@pytest.mark.parametrize("angle_rad", [0.0, 0.0015, -0.0015])
def test_pole_that_stands_by_its_friction_falls_and_is_homed_hanging(angle_rad: float) -> None:
    """A cart that has balanced holds still for a minute, and then loses its zeros; the pole may still stand."""
    virtual = VirtualCart(load_cart("diy_stepper"), start=State(0.0, 0.0, angle_rad, 0.0))
    for _ in range(1000):
        virtual.pass_ms()
    assert virtual.true_state().pole_angle_rad == pytest.approx(angle_rad, abs=1e-6), "it stands"
    transport = Link(LockstepTransport(virtual))
    with contextlib.closing(FirmwareRig(load_cart("diy_stepper"), transport, IdleHand(virtual, 20))) as rig:
        rig.make_ready()
        assert abs(virtual.true_state().pole_angle_rad) > 1.0
        measured_rad = state_of(rig).pole_counts * 2.0 * math.pi / 2400
        off_rad = math.remainder(measured_rad - virtual.true_state().pole_angle_rad, 2.0 * math.pi)
        assert off_rad == pytest.approx(0.0, abs=0.02)
        assert abs(round(virtual.true_state().cart_position_m * STEPS_PER_M) - state_of(rig).cart_counts) <= 2


@pytest.mark.parametrize("angle_rad", [0.0, math.pi])
def test_pole_that_counts_backwards_is_named_whether_it_hangs_or_stands(angle_rad: float) -> None:
    board = Wired()
    board.is_backwards = True
    cart = load_cart("diy_stepper")
    virtual = VirtualCart(cart, start=State(0.0, 0.0, angle_rad, 0.0), board=board)
    with contextlib.closing(FirmwareRig(cart, Link(LockstepTransport(virtual)), IdleHand(virtual, 20))) as rig:
        with pytest.raises(RigError, match="POLE_SIGN at "):
            rig.make_ready()
        assert virtual.time_ms < 90_000


def once(steps: float, after: int) -> Callable[[float | None], float | None]:
    """Wires that lose `steps` once the cart has passed a count going right."""
    lost, before = 0.0, 0.0

    def pulses(count: float | None) -> float | None:
        nonlocal lost, before
        if count is None:
            return None
        if before < after <= count:
            lost = steps
        before = count
        return count - lost

    return pulses


@pytest.mark.parametrize(
    ("wires", "fault"),
    [
        ({"pulses": lambda count: None if count is None else -count}, "POLARITY"),  # DIR inverted
        ({"inputs": lambda inputs: inputs & ~3 | (inputs & 1) << 1 | (inputs & 2) >> 1}, "POLARITY"),
        ({"pulses": lambda _: None}, "HOMING_TRAVEL"),  # the driver is not enabled
        ({"inputs": lambda inputs: inputs | LEFT}, "HOMING_SWITCH"),  # its wire is cut
        ({"inputs": lambda inputs: inputs | RIGHT}, "HOMING_SWITCH"),
        ({"inputs": lambda inputs: inputs & ~LEFT}, "HOMING_TRAVEL"),
        ({"pulses": once(16, 0)}, "STEPS_LOST"),  # an electrical period
        ({"pulses": once(-16, 0)}, "STEPS_LOST"),
    ],
)
def test_wrong_wires_and_lost_steps_are_named_while_homing(wires: dict[str, Any], fault: str) -> None:
    cart = load_cart("diy_stepper")
    assert fault_at_start(VirtualCart(cart, board=Wired(**wires))).startswith(f"{fault} at ")


@pytest.mark.parametrize("seed", range(4))
def test_contacts_that_bounce_cost_no_steps(seed: int) -> None:
    cart = load_cart("diy_stepper")
    with contextlib.closing(VirtualRig(cart)) as rig:
        spoil(rig.virtual_cart, cart, fitting(load_profile(WORKBENCH), cart.motor)[0], seed)
        rig.make_ready()
        assert abs(lost_steps(rig)) <= 8


@pytest.mark.parametrize("steps", [3, -3])
def test_steps_within_the_tolerance_are_no_fault(steps: int) -> None:
    with contextlib.closing(rig_on(VirtualCart(load_cart("diy_stepper"), board=Wired(pulses=once(steps, 0))))) as rig:
        start_rollout(rig, 1)


def stalled(leg: int) -> Callable[[float | None], float | None]:
    """A motor that stalls for good in the middle of that leg of homing: 0 to the left, 1 to the right, 2 back."""
    at, before, turns, side = None, 0.0, 0, 0

    def pulses(count: float | None) -> float | None:
        nonlocal at, before, turns, side
        if count is None:
            return None
        now = 0 if abs(count - before) < 0.5 else 1 if count > before else -1
        if now == -side != 0:
            turns += 1
        side, before = now or side, count
        if at is None and turns == leg and side == (1 if leg == 1 else -1) and abs(count) > 1000 and count * side > 0:
            at = count
        return count if at is None else at

    return pulses


@pytest.mark.parametrize(("leg", "fault"), [(0, "HOMING_TRAVEL"), (1, "HOMING_TRAVEL"), (2, "STEPS_LOST")])
def test_motor_that_stalls_while_homing_is_named(leg: int, fault: str) -> None:
    assert fault_at_start(VirtualCart(load_cart("diy_stepper"), board=Wired(pulses=stalled(leg)))).startswith(fault)


def test_drive_of_the_firmware_and_of_the_cart_file_must_agree() -> None:
    stepper, dc = load_cart("diy_stepper"), load_cart("diy_arduino")
    with pytest.raises(RigError, match="the cart's firmware drives a DC motor, the cart file has a stepper"):
        rig_on(VirtualCart(stepper, board=_host.Firmware()))
    virtual = VirtualCart(dc, board=_stepper.Firmware())
    with pytest.raises(RigError, match="the cart's firmware drives a stepper, the cart file has a DC motor"):
        FirmwareRig(dc, Link(LockstepTransport(virtual)), SimulatedHand(virtual, 20))
