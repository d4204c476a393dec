"""A stepper's cart on the virtual rig with its wires: what the tests of it share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand, VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge import _stepper
from firmware_bridge.link import Link
from firmware_bridge.protocol import read_protocol

STEPS_PER_M, SWITCH_M, TRAVEL_LIMIT_M = 20_000, 0.47, 0.43
LEFT, RIGHT, LATE_BRAKES, SWING_UP = 1, 2, 1, 32
ENUMS = read_protocol().enums
HANGING = State(0.0, 0.0, math.pi, 0.0)


class Wired:
    """A board behind wires: what the plant gets of its count, and what it gets of the plant's inputs.

    From `is_stalled` on the motor stands; from `is_backwards` on the pole's encoder counts the other way.
    """

    def __init__(
        self,
        pulses: Callable[[float | None], float | None] = lambda count: count,
        inputs: Callable[[int], int] = lambda inputs: inputs,
    ) -> None:
        self._board = _stepper.Firmware()
        self._pulses, self._inputs = pulses, inputs
        self.is_stalled = self.is_backwards = False
        self._count: float | None = None
        self._pole = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        if not self.is_backwards:
            self._pole = pole_counts
        seen = 2 * self._pole - pole_counts
        count = self._pulses(self._board.tick(cart_counts, seen, self._inputs(inputs), supply_mv))
        if not self.is_stalled:
            self._count = count
        return self._count


def rig_on(virtual: VirtualCart, cart: CartParams | None = None) -> FirmwareRig:
    hand = SimulatedHand(virtual, 20, brings_cart=False)
    return FirmwareRig(cart or load_cart("diy_stepper"), Link(LockstepTransport(virtual)), hand)


def fault_at_start(virtual: VirtualCart, cart: CartParams | None = None) -> str:
    with contextlib.closing(rig_on(virtual, cart)) as rig:
        with pytest.raises(RigError) as failure:
            start_rollout(rig, 0)
        for _ in range(600):
            virtual.pass_ms()
        assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-6)
        assert abs(virtual.true_state().cart_position_m) < 0.4801
        return str(failure.value)


def state_of(rig: FirmwareRig) -> Any:
    state = rig.link.newest_state(rig.link.clock() + 0.1)
    assert state is not None
    return state


def drive_on(rig: VirtualRig, duty: float) -> None:
    for _ in range(100):
        rig.step(duty)


def lost_steps(rig: VirtualRig) -> int:
    return round(rig.true_state().cart_position_m * STEPS_PER_M) - int(state_of(rig).cart_counts)
