"""Swinging poles on the virtual cart: no false alarm, each fault named, and homing that brakes the pole."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import pole_half_period_s
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.plausibility import MotionCheck
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.errors import RefusedError
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from tests.faults.test_virtual_cart import HANGING, Tampered, changed

SWING_UP, ANY_PERIOD, SWINGING = 32, 1, 128
READY, ARMED, HOMING = 3, 4, 2


class Bench:
    """A virtual cart and a link to it, without a rig's strategy."""

    def __init__(self, cart: CartParams, start: State = HANGING, plant: CartParams | None = None) -> None:
        self.cart = cart
        self.virtual = VirtualCart(plant or cart, start=start)
        self.link = Link(LockstepTransport(self.virtual))
        self.link.open()
        self.link.configure(cfg_message(cart))
        self.state()

    def state(self) -> StateMessage:
        state = self.link.newest_state(self.link.clock() + 0.5)
        assert state is not None
        return state

    def fault(self) -> str:
        return str(self.link.protocol.enums["fault"](self.state().fault).name)

    def home(self, options: int = 0) -> tuple[str, float]:
        """The fault that homing ended with, and how far from its place the cart went before it crept for a switch."""
        begin_m = self.virtual.true_state().cart_position_m
        self.link.mode("HOME", options)
        self.link.forget_states()
        while self.state().state == HOMING:
            pass
        return self.fault(), self.virtual.true_state().cart_position_m - begin_m

    def drive(self, seconds: float, duty: Callable[[StateMessage], float]) -> StateMessage:
        """Answer every STATE; the last one."""
        end_s = self.link.clock() + seconds
        state = self.state()
        while state.state == ARMED and self.link.clock() < end_s:
            self.link.command(state.tick, round(32767 * max(-1.0, min(1.0, duty(state)))), 60)
            state = self.state()
        return state


def pumping(cart: CartParams) -> Callable[[StateMessage], float]:
    """A crude energy law that keeps the pole swinging, and rotating at times."""
    assert cart.encoders is not None
    per_rad, per_m = cart.encoders.pole_counts_per_rad, cart.encoders.cart_counts_per_m
    body = cart.pole_cart
    square = body.coupling_kg_m * body.gravity_m_s2 / body.hinge_inertia_kg_m2

    def duty(state: StateMessage) -> float:
        angle, speed = state.pole_counts / per_rad, state.pole_speed / 16 / per_rad
        x_m, v_m_s = state.cart_counts / per_m, state.cart_speed / 16 / per_m
        energy = speed * speed / (2.0 * square) + math.cos(angle) + 1.0
        if abs(x_m + 0.1 * v_m_s) > 0.25:
            return -math.copysign(0.7, x_m)
        push = 0.7 if -speed * math.cos(angle) > 0.0 else -0.7
        return (push if energy < 2.3 else -push) - x_m

    return duty


def swinging(cart: CartParams, speed_rad_s: float = 3.0) -> Bench:
    """Homed, and armed with its pole in motion."""
    bench = Bench(cart)
    assert bench.home()[0] == "NONE"
    bench.virtual.grab(State(0.0, 0.0, math.pi, speed_rad_s))
    while not bench.virtual.has_hand_arrived():
        bench.state()
    bench.virtual.let_go()
    while bench.state().state != ARMED:  # at times it is above the horizontal, or the cart gives way
        with contextlib.suppress(RefusedError):
            bench.link.mode("ARM", SWING_UP)
    bench.link.forget_states()
    return bench


@pytest.mark.parametrize("name", ["diy_arduino", "quanser_ip02"])
def test_rotating_pole_raises_no_alarm_and_no_doubt_of_the_host(name: str) -> None:
    cart = changed("firmware", name, upright_s=2.0)  # a slow turn past upright is none
    bench = swinging(cart, 13.0)
    check, law = MotionCheck(cart, cfg_message(cart)), pumping(cart)
    angles: list[int] = []
    problems: list[str | None] = []

    def duty(state: StateMessage) -> float:
        problems.append(check.problem(state))
        angles.append(state.pole_counts)
        assert state.inputs & SWINGING
        return law(state)

    state = bench.drive(8.0, duty)
    assert state.state == ARMED, bench.fault()
    assert set(problems) == {None}
    turn = cfg_message(cart).pole_counts_per_turn
    assert any(abs(b - a) > turn // 2 for a, b in itertools.pairwise(angles)), "it passed where it hangs"
    assert min(map(abs, angles)) < turn // 16, "and upright"


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda x, p, i, mv: (-x, p, i, mv), ("POLARITY", "TRAVEL_LIMIT", "CART_ENCODER")),
        (lambda x, p, i, mv: (x & ~63, p, i, mv), ("CART_STUCK", "CART_ENCODER", "POLE_SIGN", "POLARITY")),
        (lambda x, p, i, mv: (0, p, i, mv), ("CART_STUCK", "CART_ENCODER")),
        (lambda x, p, i, mv: (x, 0, i, mv), ("POLE_STILL", "POLE_ENCODER", "SWING_TIMEOUT")),
        (lambda x, p, i, mv: (x, -p, i, mv), ("POLE_SIGN", "POLE_ENCODER", "SWING_TIMEOUT")),
        (lambda x, p, i, mv: (x, p, i | 1, mv), ("END_SWITCH",)),
        (lambda x, p, i, mv: (x, p, i | 4, mv), ("ESTOP",)),
        (lambda x, p, i, mv: (x, p, i, 3000), ("SUPPLY_LOW",)),
        (lambda x, p, i, mv: (x, p, i, 29000), ("SUPPLY_HIGH",)),
    ],
)
def test_fault_in_mid_swing_is_named_and_the_motor_off(
    change: Callable[[int, int, int, int], tuple[int, int, int, int]], faults: tuple[str, ...]
) -> None:
    cart = changed("firmware", swing_timeout_s=6.0)
    bench = swinging(cart)
    bench.drive(0.7, pumping(cart))
    bench.virtual.board = Tampered(bench.virtual.board, change)
    state = bench.drive(8.0, pumping(cart))
    assert state.state != ARMED
    assert bench.fault() in faults
    assert bench.state().applied_q15 == 0
    assert abs(bench.virtual.true_state().cart_position_m) < 0.47, "short of the switches"


def test_host_that_falls_silent_in_mid_swing_stops_the_motor() -> None:
    bench = swinging(load_cart("diy_arduino"))
    bench.drive(0.5, pumping(bench.cart))
    for _ in range(70):
        bench.virtual.pass_ms()
    assert bench.fault() == "COMMAND_TIMEOUT"


def test_swing_up_that_never_gets_there_times_out() -> None:
    bench = swinging(changed("firmware", swing_timeout_s=1.0))
    bench.drive(2.0, lambda state: 0.0)
    assert bench.fault() == "SWING_TIMEOUT"


# ---- homing ----


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("diy_arduino", State(0.0, 0.0, math.pi - 2.9, 0.0)),
        ("diy_arduino", State(0.3, 0.0, math.pi, 12.0)),
        ("diy_arduino", State(-0.474, 0.0, math.pi - 1.0, 0.0)),
        ("quanser_ip02", State(0.0, 0.0, 0.1, -2.0)),
    ],
)
def test_homing_brakes_a_pole_that_swings_or_rotates(name: str, start: State) -> None:
    """Within an eighth of the travel limit of where it began, or away from a closed switch, until it creeps."""
    bench = Bench(load_cart(name), start)
    begun_s = bench.link.clock()
    assert bench.home()[0] == "NONE"
    assert bench.link.clock() - begun_s < 60.0
    assert bench.cart.encoders is not None
    seen_rad = bench.state().pole_counts / bench.cart.encoders.pole_counts_per_rad
    true_rad = bench.virtual.true_state().pole_angle_rad
    assert math.remainder(seen_rad - true_rad, 2.0 * math.pi) == pytest.approx(0.0, abs=0.01)


def test_cart_stays_near_its_place_while_it_brakes_the_pole() -> None:
    bench = Bench(load_cart("diy_arduino"), State(0.1, 0.0, math.pi - 2.9, 0.0))
    bench.link.mode("HOME")
    turns, side = 0, 0
    for _ in range(500):
        bench.state()
        assert abs(bench.virtual.true_state().cart_position_m - 0.1) < 0.43 / 8 + 0.02
        drive = bench.virtual.drive or 0.0
        now = (drive > 0.0) - (drive < 0.0)
        turns, side = turns + (now == -side != 0), now or side
    assert turns < 100, "ten seconds without chattering"


@pytest.mark.parametrize(
    ("wired", "fault"),
    [
        ({"is_motor_reversed": True}, "POLARITY"),
        ({"is_cart_reversed": True}, "POLARITY"),
        ({"is_pole_reversed": True}, "POLE_SIGN"),
    ],
)
def test_wrong_sign_while_braking_is_named(wired: dict[str, bool], fault: str) -> None:
    bench = Bench(changed("firmware", **wired), State(0.0, 0.0, math.pi - 2.0, 0.0), load_cart("diy_arduino"))
    assert bench.home()[0] == fault
    assert abs(bench.virtual.true_state().cart_position_m) < 0.25


def shown_pole(bench: Bench, counts: Callable[[float], float]) -> None:
    """From now on the firmware reads a pole at so many counts, by the seconds since."""
    ticks = itertools.count()

    def change(x: int, _: int, inputs: int, supply_mv: int) -> tuple[int, int, int, int]:
        return x, round(counts(next(ticks) / 1000.0)), inputs, supply_mv

    bench.virtual.board = Tampered(bench.virtual.board, change)


@pytest.mark.parametrize("wire", [1, 2, 3])
@pytest.mark.parametrize("after_ms", [0, 3000])
def test_switch_wire_that_is_cut_while_the_pole_is_braked_is_named_near_by(wire: int, after_ms: int) -> None:
    cart = load_cart("diy_arduino")
    bench = Bench(cart, State(0.0, 0.0, math.pi - 2.5, 0.0))
    places: list[int] = []

    def cut(x: int, pole: int, inputs: int, supply_mv: int) -> tuple[int, int, int, int]:
        places.append(x)
        return x, pole, inputs | (wire if len(places) > after_ms else 0), supply_mv

    bench.virtual.board = Tampered(bench.virtual.board, cut)
    assert bench.home()[0] == "HOMING_SWITCH"
    assert cart.encoders is not None
    assert (max(places) - min(places)) / cart.encoders.cart_counts_per_m < 0.25


def test_pole_that_never_comes_to_rest_ends_homing() -> None:
    """After a minute; it swings too little for a wrong sign to show."""
    bench = Bench(load_cart("diy_arduino"))
    shown_pole(bench, lambda now_s: 30.0 * math.sin(6.0 * now_s))
    begun_s = bench.link.clock()
    assert bench.home()[0] == "HOMING_TIMEOUT"
    assert 59.0 < bench.link.clock() - begun_s < 62.0
    assert bench.virtual.drive in (None, 0.0)


@pytest.mark.parametrize(("swings_s", "waits_ms"), [(0.0, 500), (math.pi, 1158)])
def test_pole_that_was_braked_must_rest_for_a_whole_period(swings_s: float, waits_ms: int) -> None:
    """It may only be turning back; one that hung still before needs half a second. Then the cart creeps to the left."""
    bench = Bench(load_cart("diy_arduino"))
    shown_pole(bench, lambda now_s: 300.0 * math.sin(6.0 * now_s) if now_s < swings_s else 0.0)
    bench.link.mode("HOME")
    begun_s = bench.link.clock() + swings_s
    while bench.virtual.true_state().cart_position_m > -0.08:
        assert bench.fault() == "NONE", bench.link.clock() - begun_s
    creeps_ms = 840
    assert 1000.0 * (bench.link.clock() - begun_s) == pytest.approx(waits_ms + creeps_ms, abs=80)


@pytest.mark.parametrize("half_length_m", [0.6, 0.4])
def test_other_period_is_reported_when_asked_for(half_length_m: float) -> None:
    body = load_cart("diy_arduino").pole_cart
    times = (half_length_m / body.pole_half_length_m) ** 2
    other = changed("pole_cart", pole_half_length_m=half_length_m, pole_inertia_kg_m2=body.pole_inertia_kg_m2 * times)
    refused = Bench(load_cart("diy_arduino"), plant=other)
    assert refused.link.health().pole_half_period_ms == 0
    assert refused.home()[0] == "POLE_PERIOD"
    bench = Bench(load_cart("diy_arduino"), plant=other)
    assert bench.home(ANY_PERIOD)[0] == "NONE"
    assert bench.link.health().pole_half_period_ms == pytest.approx(1000.0 * pole_half_period_s(other), rel=0.04)


def test_slipped_coupling_is_found_while_the_pole_swings_by_itself() -> None:
    cart = load_cart("diy_arduino")
    bench = Bench(cart)
    assert bench.home()[0] == "NONE"
    slip = round(2.0 / 360.0 * cfg_message(cart).pole_counts_per_turn)
    bench.virtual.board = Tampered(bench.virtual.board, lambda x, p, i, mv: (x, p + slip, i, mv))
    bench.virtual.grab(State(0.0, 0.0, math.pi - 0.7, 0.0))
    while not bench.virtual.has_hand_arrived():
        bench.state()
    bench.virtual.let_go()
    end_s = bench.link.clock() + 5.0
    while bench.state().state == READY and bench.link.clock() < end_s:
        pass
    assert bench.fault() == "POLE_ZERO"
    assert bench.link.mode("CLEAR").code == 0
    bench.link.forget_states()
    assert not bench.state().inputs & 8, "home again"
