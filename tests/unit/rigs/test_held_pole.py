"""A pole that is held upright while the host waits for it to hang, and the simulated person who then lowers it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.pty_cart import SimulatedPerson
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State

UPRIGHT = State(0.0, 0.0, 0.01, 0.0)


@pytest.fixture
def homed() -> Iterator[VirtualRig]:
    with contextlib.closing(VirtualRig(load_cart("diy_arduino"))) as rig:
        rig.make_ready_to_swing()
        yield rig


def hold_upright(rig: VirtualRig) -> None:
    rig.virtual_cart.grab(UPRIGHT)
    for _ in range(2000):
        rig.virtual_cart.pass_ms()
    assert rig.virtual_cart.has_hand_arrived()


def test_held_pole_is_armed_as_it_stands_where_it_may_be(homed: VirtualRig) -> None:
    hold_upright(homed)
    assert abs(homed.begin_swing(np.random.default_rng(0)).pole_angle_rad) < 0.1
    assert not homed.is_swinging


def test_held_pole_is_not_driven_where_it_has_to_hang(homed: VirtualRig) -> None:
    hold_upright(homed)
    with pytest.raises(RigError, match="with its pole below the horizontal within 60 s"):
        homed.begin_swing(np.random.default_rng(0), may_be_held=False)
    assert not homed.is_running


def test_simulated_person_lets_a_pole_hang_that_nothing_takes_and_raises_it_again(homed: VirtualRig) -> None:
    cart = homed.virtual_cart
    person = SimulatedPerson(cart, homed.cart)
    leans = []
    for _ in range(3):
        for _ in range(7000):
            person.look(cart.pass_ms())
            person.act()
        leans.append(abs(math.remainder(cart.true_state().pole_angle_rad, 2.0 * math.pi)))
        for _ in range(1500):
            person.look(cart.pass_ms())
            person.act()
    assert leans[0] < 0.1
    assert leans[1] > 3.0
    assert leans[2] < 0.1
