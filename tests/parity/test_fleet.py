"""A fleet moves every cart as the native engine moves it alone, with the same bits."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import numpy as np
import pytest

from benchmarks.engine_equality import randomised
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation._native import Fleet, NativeCart

COUNT = 130  # two full blocks and a part of one
DUTIES = np.linspace(-1.2, 1.2, 9)
UPRIGHT = State(0.3, 0.5, 0.2, 1.0)
ANYWHERE = State(0.4, 0.8, 4.0, 8.0)  # hanging, rotating, and at the end of the track
FAR = State(4.0, 5.0, 40.0, 80.0)

# latency in s, jitter in s, share of losses
CERTAIN = [(latency_s, 0.0, 0.0) for latency_s in (0.0005, 0.003, 0.02, 0.0204, 0.0851, 1.1)]
UNCERTAIN = [(0.055, 0.031, 0.0), (0.001, 0.09, 0.3), (0.01, 0.0, 0.5)]


class Carts:
    """A fleet, and the same carts alone."""

    def __init__(self, carts: list[CartParams], spread: State, seed: int = 0, most_steps: int = 10**6) -> None:
        count = len(carts)
        self.fleet = Fleet(carts[0], count, DUTIES, (0.4, 0.2), most_steps)
        self.observations = np.zeros((count, 4), np.float32)
        self.flags = np.zeros((3, count), np.bool_)
        self.figures = np.zeros((4, count))
        self.resting = np.zeros(count, np.bool_)
        self.single = []
        starts = np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 4)) * spread
        bits = []
        for number, cart in enumerate(carts):
            if cart is not carts[0]:
                self.fleet.change(number, cart)
            bits.append(np.random.PCG64(number))
            self.single.append(NativeCart(cart, Measurement()))
            self.single[-1].place(State(*starts[number].tolist()), np.random.PCG64(number))
        self.fleet.place(np.arange(count), starts, bits, self.observations)

    def step(self, actions: np.ndarray) -> int:
        return self.fleet.step(actions, self.resting, self.observations, self.flags, self.figures)


def compare(carts: list[CartParams], spread: State, periods: int = 60) -> None:
    both = Carts(carts, spread)
    rng = np.random.default_rng(1)
    for _ in range(periods):
        actions = rng.integers(len(DUTIES), size=len(carts))
        assert both.step(actions) == 0
        for number, cart in enumerate(both.single):
            one = cart.step(DUTIES[actions[number]])
            assert both.fleet.measured(number) == one.state()
            assert both.observations[number].tolist() == np.array(one.state(), np.float32).tolist()
            assert both.fleet.state(number) == cart.state()
            assert both.figures[2, number] == one.applied_duty
            np.testing.assert_equal(both.figures[3, number], one.motor_power_w)


@pytest.mark.parametrize("spread", [UPRIGHT, ANYWHERE, FAR], ids=["upright", "anywhere", "far"])
@pytest.mark.parametrize("name", cart_names())
def test_shipped_carts(name: str, spread: State) -> None:
    compare([load_cart(name)] * COUNT, spread)


@pytest.mark.parametrize("apply", [Apply.NEXT_TICK, Apply.ON_ARRIVAL])
@pytest.mark.parametrize("numbers", CERTAIN + UNCERTAIN, ids=str)
def test_delays_jitter_and_losses(apply: Apply, numbers: tuple[float, float, float]) -> None:
    latency_s, jitter_s, drop = numbers
    delay = Delay(apply=apply, latency_s=latency_s, jitter_s=jitter_s, drop_probability=drop)
    compare([dataclasses.replace(load_cart("diy_arduino"), delay=delay)] * 70, ANYWHERE, periods=90)


def test_carts_that_differ_in_everything_but_their_period() -> None:
    base = load_cart("diy_arduino")
    drawn = [dataclasses.replace(randomised(number, 3), timing=base.timing) for number in range(60)]
    with_encoders = [cart for cart in drawn if cart.encoders is not None]
    assert len(with_encoders) > 30
    compare([base, *with_encoders], ANYWHERE, periods=120)


@pytest.mark.parametrize("period_s", [0.005, 0.015, 0.016, 0.017, 0.04])
def test_control_periods_around_the_estimators_window(period_s: float) -> None:
    base = load_cart("quanser_ip02")
    compare(
        [dataclasses.replace(base, timing=dataclasses.replace(base.timing, control_period_s=period_s))] * 9, ANYWHERE
    )


def test_ends_of_episodes_are_the_tasks() -> None:
    both = Carts([load_cart("diy_arduino")] * COUNT, ANYWHERE, most_steps=3)
    for step in range(1, 5):
        both.step(np.full(COUNT, 4))
        for number in range(COUNT):
            position_m, _, angle_rad, _ = both.fleet.measured(number)
            is_past = abs(position_m) > 0.4 or abs(angle_rad) > 0.2
            assert both.flags[:, number].tolist() == [is_past, step >= 3, False]
    assert 10 < both.flags[0].sum() < COUNT
    assert both.figures[0].tolist() == [1.0] * COUNT


def test_resting_carts_keep_their_observation_and_draw_nothing() -> None:
    delay = Delay(apply=Apply.ON_ARRIVAL, latency_s=0.001, jitter_s=0.09, drop_probability=0.3)
    both = Carts([dataclasses.replace(load_cart("diy_arduino"), delay=delay)] * 4, UPRIGHT)
    both.step(np.full(4, 7))
    before = both.observations.copy()
    for cart in both.single:
        cart.step(DUTIES[7])
    both.resting[1:3] = True
    both.step(np.array([7, -1, 99, 7]))
    assert (both.observations == before).all(axis=1).tolist() == [False, True, True, False]
    assert both.figures[:, 1].tolist() == [0.0] * 4
    both.resting[:] = False
    both.step(np.full(4, 2))
    for number in (1, 2):
        assert both.fleet.measured(number) == both.single[number].step(DUTIES[2]).state()


@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_diverging_cart_is_faulty_alone_and_keeps_its_last_observation(name: str) -> None:
    both = Carts([load_cart(name)] * 3, UPRIGHT)
    bits = [np.random.PCG64(0)]
    both.fleet.place(np.array([1]), np.array([[0.0, 0.0, 0.1, 1e200]]), bits, both.observations)
    before = both.observations.copy()
    assert both.step(np.full(3, 4)) == 1
    assert both.flags[2].tolist() == [False, True, False]
    assert both.flags[1, 1]
    assert both.figures[:, 1].tolist() == [0.0] * 4
    assert both.observations[1].tolist() == before[1].tolist()
    assert both.fleet.measured(0) == both.single[0].step(DUTIES[4]).state()
    with pytest.raises(ArithmeticError, match=r"the simulation diverged at"):
        both.fleet.place(np.array([2]), np.array([[0.0, 0.0, math.inf, math.nan]]), bits, both.observations)
    with pytest.raises(RuntimeError, match="cart 2 has not been placed yet"):
        both.step(np.full(3, 4))


def test_wrong_actions_and_arrays_are_refused_and_nothing_moves() -> None:
    both = Carts([load_cart("diy_arduino")] * 3, UPRIGHT)
    before = [both.fleet.state(number) for number in range(3)]
    with pytest.raises(ValueError, match="action 9 of environment 2, expected a whole number from 0 to 8"):
        both.step(np.array([0, 8, 9]))
    with pytest.raises(ValueError, match="action -1 of environment 0"):
        both.step(np.array([-1, 8, 8]))
    arrays = [np.zeros(3, np.int64), both.resting, both.observations, both.flags, both.figures]
    for wrong in range(len(arrays)):
        for other in (arrays[wrong][:-1].copy(), arrays[wrong].astype(np.int16)):
            with pytest.raises(ValueError, match="bytes, expected"):
                both.fleet.step(*arrays[:wrong], other, *arrays[wrong + 1 :])
    with pytest.raises((ValueError, BufferError)):
        both.fleet.step(*arrays[:-1], np.zeros((3, 4)).T)
    with pytest.raises(IndexError, match="cart 3 of a fleet of 3"):
        both.fleet.state(3)
    with pytest.raises(IndexError, match="cart -1 of a fleet of 3"):
        both.fleet.change(-1, load_cart("diy_arduino"))
    with pytest.raises(ValueError, match="does not fit the fleet"):
        both.fleet.change(0, load_cart("gym"))
    assert before == [both.fleet.state(number) for number in range(3)]


def test_fleet_of_no_carts_or_made_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one cart"):
        Fleet(load_cart("gym"), 0, DUTIES, (1.0, 1.0), 1)
    fleet = Fleet(load_cart("gym"), 1, DUTIES, (1.0, 1.0), 1)
    with pytest.raises(ValueError, match="made once"):
        fleet.__init__(load_cart("gym"), 1, DUTIES, (1.0, 1.0), 1)  # type: ignore[misc]


def test_fleet_holds_its_generators_and_lets_them_go() -> None:
    class Bits(np.random.PCG64):
        pass

    fleet = Fleet(load_cart("gym"), 1, DUTIES, (1.0, 1.0), 1)
    bits = Bits(0)
    alive = weakref.ref(bits)
    fleet.place(np.array([0]), np.zeros((1, 4)), [bits], np.zeros((1, 4), np.float32))
    del bits
    gc.collect()
    assert alive() is not None
    del fleet
    gc.collect()
    assert alive() is None
