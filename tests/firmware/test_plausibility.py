"""Encoders that begin to count backwards while armed: what a push does to cart and pole, looked at every 4 ms.

Limits are literals here, those of the test cart and those of limits.h alike; speeds are in 1/16 count per second. The
cart may gain 20,000 against a push (a quarter of its 5000 counts of travel in a second), the pole 22,400 along with it
(twice its 700 counts in a second), where the cart gains at least 625 a look (a 128th of its 80,000 counts / s^2).
However coarse an encoder is, 4096 is not too much yet.
"""

from __future__ import annotations

import math
import random

import pytest

from firmware_bridge._host import CartEstimator
from tests.firmware.c_core import ACK, FAULT, LIMITS, STATE, Core

PUSH_Q15 = 8000
GARBAGE = (2**31 - 1, -(2**31), 98_765)
FASTEST = 126_322_565  # the largest speed that the estimator reports


class Cart:
    """A cart near the middle whose encoder counts toward it, so that neither travel nor stillness stops it."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.duty_q15 = 0
        self._ticks = 0

    def tick(self, duty_q15: int, *, cart_speed: int, pole_speed: int, pole_counts: int = 0) -> tuple[int, bool]:
        self._ticks += 1
        counts = 2 if self._ticks % 2 else 4
        return self.core.fed_tick(
            duty_q15,
            cart_counts=counts if cart_speed <= 0 else -counts,
            cart_speed=cart_speed,
            pole_speed=pole_speed,
            pole_counts=pole_counts,
        )

    def look(
        self,
        cart_speed: int = 0,
        pole_speed: int = 0,
        *,
        pole_counts: int = 0,
        then_q15: int | None = None,
        meanwhile_q15: tuple[int, ...] | None = None,
    ) -> int:
        """The fault after three ticks whose speeds do not matter and the one that looks.

        `then_q15` drives from that one on, the duty so far unless given. `meanwhile_q15` are those of the three before.
        """
        state = self.core.state
        for garbage, duty_q15 in zip(GARBAGE, meanwhile_q15 or [self.duty_q15] * 3, strict=True):
            self.tick(duty_q15, cart_speed=garbage, pole_speed=garbage, pole_counts=pole_counts)
            assert self.core.state == state, "it only looks every 4th ms"
        if then_q15 is not None:
            self.duty_q15 = then_q15
        given = self.tick(self.duty_q15, cart_speed=cart_speed, pole_speed=pole_speed, pole_counts=pole_counts)
        if self.core.state != state:
            assert given == (0, True)
        return self.core.fault

    def push(self, duty_q15: int, cart_speed: int = 0, pole_speed: int = 0) -> None:
        """From now on; what the next look sees is the first that this push did."""
        for _ in range(3):
            assert self.look(cart_speed, pole_speed, then_q15=duty_q15) == FAULT.NONE


@pytest.mark.parametrize("ticks", [1, 2, 3, 4, 5, 8, 40])
def test_pole_speed_is_due_every_fourth_tick(core: Core, ticks: int) -> None:
    core.to_armed()
    for _ in range(ticks - 1):
        core.fed_tick()
    assert core.is_pole_speed_due == (ticks % 4 == 0)


# ---- the cart ----


@pytest.mark.parametrize("side", [1, -1])
def test_cart_that_is_pushed_to_and_fro_and_follows_is_plausible(core: Core, side: int) -> None:
    """Sixteen steps of the push, 10 s; a look's speed is that of the push two looks before."""
    core.to_armed()
    cart = Cart(core)
    pushes, cart_speed, pole_speed = [0, 0, 0], 0, 0
    for number in range(2500):
        pushes = [side if number // 150 % 2 == 0 else -side, *pushes[:3]]
        cart_speed += 1000 * pushes[3]
        pole_speed -= 1100 * pushes[3]
        assert cart.look(cart_speed, pole_speed, then_q15=PUSH_Q15 * pushes[0]) == FAULT.NONE
    assert core.state == STATE.ARMED


@pytest.mark.parametrize("side", [1, -1])
def test_cart_that_gains_against_the_push_is_polarity(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(-side * 20_000) == FAULT.NONE
    assert cart.look(-side * 20_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_gains_against_the_push_add_up(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    for number in range(1, 201):
        assert cart.look(-side * 100 * number) == FAULT.NONE
    for _ in range(20):
        assert cart.look(-side * 20_000) == FAULT.NONE
    assert cart.look(-side * 20_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_polarity_follows_the_travel_limit(core: Core, side: int) -> None:
    core.to_armed(travel_limit_counts=1_000_000)
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(-side * 4_000_000) == FAULT.NONE
    assert cart.look(-side * 4_000_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_cart_that_slows_down_on_its_way_is_plausible(core: Core, side: int) -> None:
    """An end of the track, a hand, a voltage too low for that speed: none is a wrong sign."""
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    for _ in range(5):
        for cart_speed in (100_000, 50_000, 1, 100_000, 1):
            assert cart.look(side * cart_speed) == FAULT.NONE
    assert core.state == STATE.ARMED


@pytest.mark.parametrize("side", [1, -1])
def test_cart_at_the_slowest_on_its_way_is_not_at_rest(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=side)
    assert cart.look(-side * 30_000) == FAULT.NONE
    assert cart.look(-side * 50_000) == FAULT.NONE
    assert cart.look(-side * 50_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_cart_that_already_moves_against_the_push_is_looked_at(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=-side * 30_000)
    assert cart.look(-side * 50_000) == FAULT.NONE
    assert cart.look(-side * 50_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("duty_q15", "counts"), [(5999, False), (6000, True), (20000, True), (1, False)])
def test_push_weaker_than_what_moves_the_cart_proves_nothing(
    core: Core, side: int, duty_q15: int, counts: bool
) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * duty_q15)
    assert cart.look(-side * 20_001) == (FAULT.POLARITY if counts else FAULT.NONE)


def test_cart_that_nothing_pushes_may_go_either_way(core: Core) -> None:
    core.to_armed()
    cart = Cart(core)
    for cart_speed in (100_000, -100_000, 100_000, 0):
        assert cart.look(cart_speed, cart_speed) == FAULT.NONE


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("odd_q15", [0, 5999, -6000])
@pytest.mark.parametrize("at", range(4))
def test_push_that_did_not_stay_proves_nothing(core: Core, side: int, odd_q15: int, at: int) -> None:
    """The 4 ms between two looks are of one push only where all four duties were."""
    core.to_armed()
    cart = Cart(core)
    duties = [side * (odd_q15 if tick == at else PUSH_Q15) for tick in range(4)]
    cart.look(then_q15=side * PUSH_Q15)
    cart.look()
    cart.look(then_q15=duties[0])
    cart.look(meanwhile_q15=tuple(duties[1:]), then_q15=side * PUSH_Q15)
    cart.look()
    assert cart.look(-side * 30_000) == FAULT.NONE
    assert cart.look(-side * 50_000) == FAULT.NONE
    assert cart.look(-side * 50_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("strong_at", [(1,), (2,), (3,), (1, 2, 3)])
def test_push_that_begins_late_proves_nothing(core: Core, side: int, strong_at: tuple[int, ...]) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.look()
    cart.look(meanwhile_q15=tuple(side * PUSH_Q15 * (tick in strong_at) for tick in (1, 2, 3)))
    for number in range(1, 6):
        assert cart.look(-side * 30_000 * number) == FAULT.NONE


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("number", range(1, 8))
def test_speed_belongs_to_the_push_of_two_looks_before(core: Core, side: int, number: int) -> None:
    """One push between the looks 0 and 1 shows in what the third has gained over the second."""
    core.to_armed()
    cart = Cart(core)
    cart.look(then_q15=side * PUSH_Q15)
    for each in range(1, number):
        cart.look(then_q15=0 if each == 1 else None)
    assert cart.look(-side * 20_001, then_q15=0) == (FAULT.POLARITY if number == 3 else FAULT.NONE)


@pytest.mark.parametrize("side", [1, -1])
def test_opposite_pushes_are_held_against_their_own_looks(core: Core, side: int) -> None:
    """Push and speed alternate; each look's gain is the push's of two looks before, none against it."""
    core.to_armed()
    cart = Cart(core)
    for number in range(60):
        cart_speed = side * (30_000 if number % 4 in (3, 0) else -30_000)
        assert cart.look(cart_speed, then_q15=PUSH_Q15 * (side if number % 4 < 2 else -side)) == FAULT.NONE


@pytest.mark.parametrize("side", [1, -1])
def test_evidence_is_forgotten_as_far_as_the_cart_gains_with_the_push(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    for cart_speed in (20_000, 18_000, 20_000, 0, 20_000, 19_999, 20_000):
        assert cart.look(-side * cart_speed) == FAULT.NONE
    assert cart.look(-side * 20_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("gained", [1, 19_000, 2_000_000])
def test_right_gains_are_no_credit_for_later(core: Core, side: int, gained: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=-side * gained)
    assert cart.look(0) == FAULT.NONE
    assert cart.look(-side * 20_000) == FAULT.NONE
    assert cart.look(-side * 20_001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_evidence_outlasts_a_pause_and_what_the_cart_gains_on_its_way(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    cart.look(-side * 20_000)
    for _ in range(3):
        cart.look(-side * 20_000, then_q15=0)
    for _ in range(100):
        assert cart.look(side * 10_000) == FAULT.NONE
    cart.push(side * PUSH_Q15, cart_speed=side * 10_000)
    assert cart.look(side * 50_000) == FAULT.NONE
    cart.push(0, cart_speed=side * 50_000)
    cart.push(side * PUSH_Q15)
    assert cart.look(-side) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
def test_both_sides_add_to_the_same_evidence(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(-side * 15_000) == FAULT.NONE
    cart.push(0, cart_speed=-side * 15_000)
    cart.push(-side * PUSH_Q15)
    assert cart.look(side * 5000) == FAULT.NONE
    assert cart.look(side * 5001) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("travel_limit", [5, 100, 1023, 1024])
def test_few_counts_of_a_coarse_encoder_are_no_polarity(core: Core, side: int, travel_limit: int) -> None:
    core.to_armed(travel_limit_counts=travel_limit)
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(-side * 4096) == FAULT.NONE
    assert cart.look(-side * 4097) == FAULT.POLARITY


def test_two_counts_that_flicker_read_as_less_than_that_and_three_as_more() -> None:
    for counts, gained in ((1, 1506), (2, 3012), (3, 4518)):
        estimator = CartEstimator()
        estimator.reset(0, 0)
        speeds = []
        for number in range(40):
            estimator.update(counts * (number < 20), 0)
            speeds.append(estimator.speeds()[0])
        assert (max(speeds), min(speeds)) == (gained, -gained)


# ---- the pole ----


@pytest.mark.parametrize("side", [1, -1])
def test_pole_that_gains_along_with_the_cart_is_pole_sign(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(side * 625, side * 22_400) == FAULT.NONE
    assert cart.look(side * 1250, side * 22_401) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
def test_pole_gains_add_up_whichever_way_the_cart_goes(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=-side * 10_000)
    for number in range(1, 33):
        assert cart.look(side * (625 * number - 10_000), side * 700 * number) == FAULT.NONE
    assert cart.look(side * 10_625, side * 22_401) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
def test_pole_sign_follows_the_pole_limit(core: Core, side: int) -> None:
    core.to_armed(pole_limit_counts=5000, pole_counts_per_turn=20_000, arming_angle_counts=5000)
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(side * 625, side * 160_000, pole_counts=5000) == FAULT.NONE
    assert cart.look(side * 1250, side * 160_001, pole_counts=-5000) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("pole_limit", [1, 100, 128])
def test_few_counts_of_a_coarse_encoder_are_no_pole_sign(core: Core, side: int, pole_limit: int) -> None:
    core.to_armed(pole_limit_counts=pole_limit, arming_angle_counts=1)
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(side * 625, side * 4096) == FAULT.NONE
    assert cart.look(side * 1250, side * 4097) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("pole_counts", "counts"), [(90, True), (91, False), (-90, True), (-91, False), (700, False)])
def test_pole_that_leans_farther_than_to_arm_proves_nothing(
    core: Core, side: int, pole_counts: int, counts: bool
) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    fault = FAULT.POLE_SIGN if counts else FAULT.NONE
    assert cart.look(side * 625, side * 22_401, pole_counts=pole_counts) == fault
    if not counts:
        assert cart.look(side * 1250, side * 44_802) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("gained", [624, 1, 0, -625])
def test_pole_of_a_cart_that_hardly_gains_proves_nothing(core: Core, side: int, gained: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(side * gained, side * 30_000) == FAULT.NONE
    assert cart.look(side * (gained + 624), -side * 30_000) == FAULT.NONE, "nor does it forget"
    assert cart.look(side * (gained + 1249), -side * 7600) == FAULT.NONE
    assert cart.look(side * (gained + 1874), -side * 7599) == FAULT.POLE_SIGN


@pytest.mark.parametrize(("decel", "gained"), [(80_127, 625), (80_128, 626), (79_999, 624), (2**32 - 1, 2**25 - 1)])
def test_what_a_gain_is_follows_the_braking_deceleration(core: Core, decel: int, gained: int) -> None:
    core.to_armed(brake_decel_counts_s2=decel)
    cart = Cart(core)
    cart.push(PUSH_Q15)
    assert cart.look(gained - 1, 22_401) == FAULT.NONE
    assert cart.look(2 * gained - 1, 44_802) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("number", range(1, 8))
def test_poles_gain_belongs_to_the_push_of_two_looks_before(core: Core, side: int, number: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.look(then_q15=side * PUSH_Q15)
    for each in range(1, number):
        cart.look(then_q15=0 if each == 1 else None)
    expected = FAULT.POLE_SIGN if number == 3 else FAULT.NONE
    assert cart.look(side * 1000, side * 22_401, then_q15=0) == expected


@pytest.mark.parametrize("side", [1, -1])
def test_evidence_is_forgotten_as_far_as_the_pole_falls_back(core: Core, side: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    pole_speeds = (22_400, 21_000, 22_400, 0, 22_400, 22_399, 22_400)
    for number, pole_speed in enumerate(pole_speeds, start=1):
        assert cart.look(side * 1000 * number, side * pole_speed) == FAULT.NONE
    assert cart.look(side * 8000, side * 22_401) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("back", [1, 20_000, 2_000_000])
def test_falling_back_is_no_credit_for_later(core: Core, side: int, back: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    assert cart.look(side * 1000, -side * back) == FAULT.NONE
    assert cart.look(side * 2000, side * (22_400 - back)) == FAULT.NONE
    assert cart.look(side * 3000, side * (22_401 - back)) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
def test_both_encoders_backwards_are_polarity(core: Core, side: int) -> None:
    """The pole is only looked at where the cart gains with the push."""
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    for number in range(1, 21):
        assert cart.look(-side * 1000 * number, side * 3000 * number) == FAULT.NONE
    assert cart.look(-side * 21_000, side * 63_000) == FAULT.POLARITY


# ---- arming, homing, afterwards ----


def spoil_almost(cart: Cart) -> None:
    """All the evidence of both kinds that is no fault yet."""
    cart.push(PUSH_Q15)
    assert cart.look(-20_000) == FAULT.NONE
    cart.push(0, cart_speed=-20_000)
    cart.push(PUSH_Q15, cart_speed=1)
    assert cart.look(1001, 22_400) == FAULT.NONE
    cart.push(0, cart_speed=1001, pole_speed=22_400)


def rearm(core: Core) -> None:
    core.disarm()
    core.run(101)
    assert core.arm() == (ACK.DONE, 0)


@pytest.mark.parametrize(("cart_speed", "pole_speed", "fault"), [(-1, 0, FAULT.POLARITY), (625, 1, FAULT.POLE_SIGN)])
def test_a_little_more_is_too_much_unless_rearmed(core: Core, cart_speed: int, pole_speed: int, fault: int) -> None:
    core.to_armed()
    cart = Cart(core)
    spoil_almost(cart)
    cart.push(PUSH_Q15)
    assert cart.look(cart_speed, pole_speed) == fault
    core = Core(core.library)
    core.to_armed()
    cart = Cart(core)
    spoil_almost(cart)
    rearm(core)
    cart.look()
    cart.push(PUSH_Q15)
    assert cart.look(cart_speed, pole_speed) == FAULT.NONE


@pytest.mark.parametrize("ticks", range(4))
def test_arming_forgets_the_pushes_and_begins_to_count_the_ticks(core: Core, ticks: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(PUSH_Q15)
    for _ in range(ticks):
        cart.tick(PUSH_Q15, cart_speed=0, pole_speed=0)
    rearm(core)
    for number in range(1, 4):
        assert cart.look(-20_001 * number) == FAULT.NONE
    assert cart.look(-80_004) == FAULT.POLARITY


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("cart_way", [1, -1])
def test_homing_has_its_own_checks(core: Core, side: int, cart_way: int) -> None:
    core.to_homing()
    cart = Cart(core)
    cart.push(side * PUSH_Q15)
    for number in range(1, 21):
        assert cart.look(side * cart_way * 10_000 * number, side * 10_000 * number) == FAULT.NONE
    assert core.state == STATE.HOMING


@pytest.mark.parametrize(
    ("cart_speed", "pole_speed", "fault"), [(-20_001, 0, FAULT.POLARITY), (625, 22_401, FAULT.POLE_SIGN)]
)
def test_wrong_sign_takes_the_zeros(core: Core, cart_speed: int, pole_speed: int, fault: int) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(PUSH_Q15)
    assert cart.look(cart_speed, pole_speed) == fault
    assert core.state == STATE.FAULT
    assert not core.is_homed
    assert core.clear() == (ACK.DONE, 0)
    assert core.state == STATE.DISARMED
    core.run(600, valid_ms=0)
    assert core.arm() == (ACK.NOT_HOMED, 0)


def test_fault_before_it_is_kept(core: Core) -> None:
    core.to_armed()
    cart = Cart(core)
    cart.push(PUSH_Q15)
    core.inputs.is_left_closed = True
    cart.tick(PUSH_Q15, cart_speed=-30_000, pole_speed=0)
    assert core.fault == FAULT.END_SWITCH


@pytest.mark.parametrize("side", [1, -1])
def test_fastest_speeds_are_summed_right(core: Core, side: int) -> None:
    """From one end of the estimator's range to the other: the difference and both sums fit."""
    core.to_armed(travel_limit_counts=1_000_000, brake_decel_counts_s2=2**32 - 1)
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=-side * FASTEST, pole_speed=side * FASTEST)
    assert cart.look(side * FASTEST, -side * FASTEST) == FAULT.NONE
    assert cart.look(-side * FASTEST, side * FASTEST) == FAULT.NONE, "slows down, the pole unlooked at"
    assert cart.look(0, -side * FASTEST) == FAULT.NONE
    assert cart.look(-side * 4_000_000, side * FASTEST) == FAULT.NONE
    assert cart.look(-side * FASTEST, side * FASTEST) == FAULT.POLARITY
    core = Core(core.library)
    core.to_armed()
    cart = Cart(core)
    cart.push(side * PUSH_Q15, cart_speed=-side * FASTEST, pole_speed=-side * FASTEST)
    assert cart.look(side * FASTEST, side * FASTEST) == FAULT.POLE_SIGN


# ---- anything ----


class Record:
    """A second implementation of the rule in header and limits, from all ticks since arming."""

    def __init__(self, limits: dict[str, int], *, is_swinging: bool) -> None:
        self.limits = limits
        self.is_swinging = is_swinging
        self.duties: list[int] = []
        self.looks: list[tuple[int, int, int]] = []
        self.against = self.along = 0

    def push(self) -> int:
        """The side of the push that shows now: the four duties since three looks ago, 0 where it is none."""
        duties = self.duties[-13:-9] if len(self.looks) > 3 else [0]
        strong = self.limits["moving_duty_q15"]
        return all(duty >= strong for duty in duties) - all(-duty >= strong for duty in duties)

    def fault(self, duty_q15: int, cart_speed: int, pole_speed: int, pole_counts: int) -> int:
        """After one more tick."""
        self.duties.append(duty_q15)
        if len(self.duties) % 4 != 0:
            return int(FAULT.NONE)
        self.looks.append((cart_speed, pole_speed, pole_counts))
        side = self.push()
        if side == 0:
            return int(FAULT.NONE)
        cart_before, pole_before, _ = self.looks[-2]
        gained, fallen = side * (cart_speed - cart_before), side * (pole_speed - pole_before)
        lean = abs(pole_counts)
        if self.is_swinging:
            turn = self.limits["pole_counts_per_turn"]
            lean = abs(pole_counts - math.floor(pole_speed / 2048) - math.floor(pole_speed / 8192))
            if lean > turn // 4:  # it hangs, and falls the other way
                lean, fallen = abs(lean - turn // 2), -fallen
            if lean > self.limits["arming_angle_counts"]:
                return int(FAULT.NONE)
        if not side * cart_before > 0:
            self.against = max(self.against - gained, 0)
        is_straight = lean <= self.limits["arming_angle_counts"]
        if is_straight and gained >= self.limits["brake_decel_counts_s2"] // 128:
            self.along = max(self.along + fallen, 0)
        if self.against / 16 > max(self.limits["travel_limit_counts"] / 4, 256):
            return int(FAULT.POLARITY)
        return int(FAULT.POLE_SIGN if self.along / 16 > max(2 * self.limits["pole_limit_counts"], 256) else FAULT.NONE)


def some_limits(rng: random.Random) -> dict[str, int]:
    pole_limit = rng.choice((100, 700, 5000))
    return {
        **LIMITS,
        "max_duty_q15": 32767,
        "continuous_duty_q15": 32767,
        "reversals_per_s": 500,
        "moving_duty_q15": rng.choice((1, 6000, 32767)),
        "travel_limit_counts": rng.choice((100, 5000, 1_000_000)),
        "brake_decel_counts_s2": rng.choice((8, 127, 128, 80_000, 4_000_000)),
        "pole_counts_per_turn": 20_000,
        "pole_limit_counts": pole_limit,
        "arming_angle_counts": rng.choice((1, pole_limit // 3, pole_limit)),
    }


def armed_time(core: Core, limits: dict[str, int], rng: random.Random, ticks: int, *, is_swinging: bool) -> int:
    """How a random armed run ends, by the core and by the record; speeds drift to what is too much in some looks."""
    if is_swinging:
        core.to_swinging(**limits)
    else:
        core.to_armed(**limits)
    cart, record = Cart(core), Record(limits, is_swinging=is_swinging)
    strong, arming = limits["moving_duty_q15"], limits["arming_angle_counts"]
    cart_step, pole_step = max(limits["travel_limit_counts"], 1000), max(limits["pole_limit_counts"] * 16, 1000)
    lean = rng.choice((arming, min(arming + 1, limits["pole_limit_counts"])))
    cart_speed = pole_speed = duty_q15 = 0
    for tick in range(ticks):
        if rng.random() < 0.04:
            side = rng.choice((1, -1))
            duty_q15 = side * rng.choice((0, strong - 1, strong, strong, strong, rng.randrange(strong, 32768)))
        cart_speed += rng.randrange(-cart_step, cart_step + 1) * (tick % 4 == 3)
        pole_speed += rng.randrange(-pole_step, pole_step + 1) * (tick % 4 == 3)
        if rng.random() < 0.01:
            cart_speed = rng.choice((0, 1, -1))
        pole_counts = rng.choice((lean, -lean, 0))
        if is_swinging:
            half, quarter = limits["pole_counts_per_turn"] // 2, limits["pole_counts_per_turn"] // 4
            pole_counts += rng.choice((0, half, half, -half, quarter, quarter + half // 10))
            pole_counts += math.floor(pole_speed / 2048) + math.floor(pole_speed / 8192)
        now = (cart_speed, pole_speed) if tick % 4 == 3 else (rng.choice(GARBAGE), rng.choice(GARBAGE))
        cart.tick(duty_q15, cart_speed=now[0], pole_speed=now[1], pole_counts=pole_counts)
        fault = record.fault(duty_q15, *now, pole_counts)
        assert core.fault == fault, (tick, limits)
        if fault != FAULT.NONE:
            return fault
    return int(FAULT.NONE)


@pytest.mark.parametrize("is_swinging", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_faults_where_the_rule_says_so_and_nowhere_else(core: Core, seed: int, is_swinging: bool) -> None:
    rng = random.Random(seed)
    ends = [armed_time(Core(core.library), some_limits(rng), rng, 300, is_swinging=is_swinging) for _ in range(30)]
    assert {FAULT.NONE, FAULT.POLARITY, FAULT.POLE_SIGN} <= set(ends), f"seed {seed}"
