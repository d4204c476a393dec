"""What ends homing and centring by name, through the whole firmware on a virtual cart whose wires are tampered with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.errors import RefusedError
from firmware_bridge.messages import StateMessage
from firmware_bridge.protocol import read_protocol
from tests.faults.test_virtual_cart import Tampered
from tests.virtual_cart_process import quick_cart

LEFT, RIGHT = 1, 2
STATES = read_protocol().enums["cart_state"]
Reading = tuple[int, int, int, int]


@pytest.fixture
def made() -> Iterator[Callable[[CartParams], VirtualRig]]:
    rigs: list[VirtualRig] = []

    def make(cart: CartParams) -> VirtualRig:
        rigs.append(VirtualRig(cart))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(made: Callable[[CartParams], VirtualRig]) -> VirtualRig:
    return made(quick_cart())


def carried_to(cart: VirtualCart, position_m: float) -> None:
    """A hand has brought it there and the pole hangs."""
    cart.carry(State(position_m, 0.0, math.pi, 0.0), 1.0)
    while not cart.has_hand_arrived():
        cart.pass_ms()


def homed(rig: VirtualRig) -> StateMessage:
    """The first STATE after homing or centring, which take five seconds at most here."""
    deadline_s = rig.link.clock() + 5.0
    state = rig.link.newest_state(deadline_s)
    while state is not None and state.state == STATES["HOMING"] and rig.link.clock() < deadline_s:
        state = rig.link.newest_state(deadline_s)
    assert state is not None
    return state


def fault_of_homing(rig: VirtualRig, change: Callable[[int, int, int, int], Reading]) -> str:
    rig.virtual_cart.board = Tampered(rig.virtual_cart.board, change)
    with pytest.raises(RigError) as failure:
        rig.make_ready()
    assert rig.virtual_cart.drive in (None, 0.0)
    return str(failure.value).split(" at ")[0]


def test_cart_that_counts_too_many_is_beyond_the_longest_leg(rig: VirtualRig) -> None:
    assert fault_of_homing(rig, lambda x, p, i, mv: (8 * x, p, i & ~3, mv)) == "HOMING_TRAVEL"


@pytest.mark.parametrize("stuck", [LEFT, RIGHT])
def test_switch_that_stays_closed_behind_the_cart_is_named(rig: VirtualRig, stuck: int) -> None:
    """The right one from the start on, the left one once it has closed."""
    closed = RIGHT & stuck

    def sticking(x: int, p: int, inputs: int, supply_mv: int) -> Reading:
        nonlocal closed
        closed |= inputs & stuck
        return x, p, inputs | closed, supply_mv

    assert fault_of_homing(rig, sticking) == "HOMING_SWITCH"


def test_track_shorter_than_its_travel_limits_is_named(rig: VirtualRig) -> None:
    left: list[int] = []

    def shortened(x: int, p: int, inputs: int, supply_mv: int) -> Reading:
        if inputs & LEFT:
            left.append(x)
        return x, p, inputs | (RIGHT if left and x > left[-1] + 2000 else 0), supply_mv

    assert fault_of_homing(rig, shortened) == "TRACK_SHORT"


def test_pole_that_only_swings_when_kicked_and_the_wrong_way_is_named(rig: VirtualRig) -> None:
    """While the cart creeps its encoder shows nothing, as of a pole that sticks."""
    at: list[int] = []

    def mirrored(x: int, p: int, inputs: int, supply_mv: int) -> Reading:
        if not at and (rig.virtual_cart.drive or 0.0) < 0.49:
            return x, 0, inputs, supply_mv
        at.extend([p][len(at) :])
        return x, at[0] - p, inputs, supply_mv

    assert fault_of_homing(rig, mirrored) == "POLE_SIGN"


@pytest.mark.parametrize("position_m", [-0.2, 0.2])
def test_centring_brings_the_cart_to_the_middle_from_either_side(rig: VirtualRig, position_m: float) -> None:
    rig.make_ready()
    cart = rig.virtual_cart
    carried_to(cart, position_m)
    cart.let_go()
    rig.link.mode("CENTRE")
    assert homed(rig).state == STATES["READY"]
    assert abs(cart.true_state().cart_position_m) < 0.01


def test_cart_without_zeros_is_not_centred(rig: VirtualRig) -> None:
    with pytest.raises(RefusedError, match="NOT_NOW"):
        rig.link.mode("CENTRE")
    assert homed(rig).state == STATES["DISARMED"]


def test_cart_that_overshoots_the_middle_creeps_back(rig: VirtualRig) -> None:
    """Its leg began on the other side: that is no wrong polarity."""
    rig.make_ready()
    cart = rig.virtual_cart
    carried_to(cart, 0.2)
    cart.let_go()
    (middle, _), seen = cart.raw_counts(), rig.link.newest_state(rig.link.clock() + 0.5)
    assert seen is not None
    middle -= seen.cart_counts
    overshot: list[int] = []

    def overshooting(x: int, p: int, inputs: int, supply_mv: int) -> Reading:
        if x - middle < 60 or overshot:
            overshot.append(x)
        return x - 160 * bool(overshot), p, inputs, supply_mv

    cart.board = Tampered(cart.board, overshooting)
    rig.link.mode("CENTRE")
    assert homed(rig).state == STATES["READY"]
    assert overshot[-1] - overshot[0] > 40
    assert abs(cart.raw_counts()[0] - 160 - middle) < 80


def test_cart_that_jams_while_it_is_centred_is_named(made: Callable[[CartParams], VirtualRig]) -> None:
    """By the creeping itself: it never pushes as hard as what must move the cart."""
    quick = quick_cart()
    assert quick.firmware is not None
    rig = made(dataclasses.replace(quick, firmware=dataclasses.replace(quick.firmware, moving_duty=0.6)))
    rig.make_ready()
    cart = rig.virtual_cart
    carried_to(cart, 0.2)
    stands, _ = cart.raw_counts()
    cart.board = Tampered(cart.board, lambda x, p, i, mv: (stands, p, i, mv))
    rig.link.mode("CENTRE")
    began, state = cart.time_ms, homed(rig)
    assert state.fault == read_protocol().enums["fault"]["CART_STUCK"]
    assert 950 < cart.time_ms - began < 1100
