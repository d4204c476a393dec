"""A stepper's pole that begins to count backwards while armed: cart and pole follow the pulses 8 ms late, two looks.

Limits are literals, those of the test cart. Speeds are in 1/16 count per second. The pole may gain 44,800 along with
the cart (four times its 700 counts in a second), where the cart gains at least 3125 a look (a 128th of its 400,000
steps / s^2). The steps may gain 32,000 against a push (a quarter of the 8000 steps of travel in a second).
"""

from __future__ import annotations

import pytest

from tests.firmware.c_core import FAULT, STATE
from tests.firmware.stepper_core import StepperCore

PUSH_Q15 = 8000
GARBAGE = (2**31 - 1, -(2**31), 98_765)


class Cart:
    """An armed cart that shows the core what a test says, each time the core looks."""

    def __init__(self, core: StepperCore) -> None:
        core.to_armed()
        core.moves = False
        self.core = core
        self.looks(5)

    def look(self, push: int = 0, cart_speed: int = 0, pole_speed: int = 0, pole_counts: int = 0) -> int:
        """The fault after four ticks of a push to that side; only the last one looks."""
        state = self.core.state
        for speed in GARBAGE:
            assert not self.core.is_pole_speed_due
            self.core.fed_tick(push * PUSH_Q15, cart_speed=speed, pole_speed=speed, pole_counts=pole_counts)
            assert self.core.state == state, "it only looks every 4th ms"
        self.core.fed_tick(push * PUSH_Q15, cart_speed=cart_speed, pole_speed=pole_speed, pole_counts=pole_counts)
        return self.core.fault

    def looks(self, many: int, push: int = 0, cart_speed: int = 0, pole_speed: int = 0) -> None:
        """As many looks, without a fault."""
        for _ in range(many):
            assert self.look(push, cart_speed, pole_speed) == FAULT.NONE


@pytest.mark.parametrize("side", [1, -1])
def test_pole_of_a_stepper_that_falls_along_with_its_cart_is_pole_sign(stepper: StepperCore, side: int) -> None:
    cart = Cart(stepper)
    cart.looks(5, side)
    cart.looks(2, side, side * 3125)
    assert cart.look(side, side * 3125, side * 44_800) == FAULT.NONE
    cart.looks(1, side, side * 6250, side * 44_800)
    cart.looks(1, side, side * 6250, side * 44_800)
    assert cart.look(side, side * 6250, side * 44_801) == FAULT.POLE_SIGN


@pytest.mark.parametrize("side", [1, -1])
def test_pole_of_a_stepper_whose_cart_hardly_gains_is_not_looked_at(stepper: StepperCore, side: int) -> None:
    cart = Cart(stepper)
    cart.looks(5, side)
    cart.looks(2, side, side * 3124)
    assert cart.look(side, side * 3124, side * 100_000) == FAULT.NONE


@pytest.mark.parametrize("late", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("side", [1, -1])
def test_pole_of_a_stepper_answers_two_looks_after_the_steps(stepper: StepperCore, side: int, late: int) -> None:
    cart = Cart(stepper)
    cart.looks(5, side)
    for look in range(5):
        fault = cart.look(side, side * 20_000, side * 50_000 if look >= late else 0)
        assert fault == (FAULT.POLE_SIGN if look == late == 2 else FAULT.NONE)
        if fault:
            break
    assert stepper.state == (STATE.FAULT if late == 2 else STATE.ARMED)


@pytest.mark.parametrize("since", [3, 4, 5, 6, 7])
def test_steps_of_a_stepper_belong_to_the_push_of_three_looks_before(stepper: StepperCore, since: int) -> None:
    """A push of two looks, in force between them; what the pole shows five looks after it began is its answer."""
    cart = Cart(stepper)
    cart.looks(2, 1)
    for look in range(2, 9):
        faulty = cart.look(0, 20_000 if look >= since - 2 else 0, 50_000 if look >= since else 0)
        assert faulty == (FAULT.POLE_SIGN if look == since == 5 else FAULT.NONE), look
        if faulty:
            break


@pytest.mark.parametrize("side", [1, -1])
def test_steps_of_a_stepper_that_gain_against_the_push_are_polarity(stepper: StepperCore, side: int) -> None:
    cart = Cart(stepper)
    cart.looks(5, side)
    cart.looks(2, side, -side * 32_000)
    assert cart.look(side, -side * 32_001) == FAULT.NONE  # the gain of 32,000 is seen
    cart.looks(1, side, -side * 32_001)
    assert cart.look(side, -side * 32_001) == FAULT.POLARITY
