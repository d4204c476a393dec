"""A stepper's cart on both engines, against what pulses and torque make of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, Friction
from cartpole_robot.cart.stepper import Stepper
from cartpole_robot.rigs.engine_choice import LARGEST_DIFFERENCE
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.native_cart import native_cart

HANGING = State(0.0, 0.0, math.pi, 0.0)
Floats = NDArray[np.float64]


def each_millisecond(cart: CartParams) -> CartParams:
    """`cart` with a control period of one tick, in which a duty takes effect at once."""
    timing = dataclasses.replace(cart.timing, control_period_s=cart.timing.physics_step_s)
    scale = dataclasses.replace(cart.observation_scale, pole_speed_rad_s=10.0)
    return dataclasses.replace(cart, delay=Delay(apply=Apply.AT_ONCE), timing=timing, observation_scale=scale)


def stepper_of(cart: CartParams) -> Stepper:
    assert cart.stepper is not None
    return cart.stepper


class Bench:
    """A cart on the native engine, a millisecond at a time."""

    def __init__(self, cart: CartParams, start: State = HANGING) -> None:
        self.measured = Measurement()
        self._native = native_cart(each_millisecond(cart), self.measured)
        self._native.place(start, np.random.default_rng(0).bit_generator)

    def run(self, duties: Floats, push_n: float = 0.0) -> tuple[Floats, Floats]:
        """True positions and steps after each millisecond."""
        self._native.push(push_n, 0.0)
        positions, steps = [], []
        for duty in duties.tolist():
            self._native.step(duty)
            positions.append(self._native.state()[0])
            steps.append(self.measured.cart_counts)
        return np.array(positions), np.array(steps, float)


def back_and_forth(ticks: int = 1200, size: float = 0.3) -> Floats:
    """Duties that return the cart to rest where it was."""
    quarter = np.full(ticks // 8, size)
    return np.concatenate((quarter, -quarter, -quarter, quarter, -quarter, quarter, quarter, -quarter))


def test_steps_are_the_double_integral_of_the_duties() -> None:
    cart = load_cart("diy_stepper")
    duties = back_and_forth()
    _, steps = Bench(cart).run(duties)
    speeds = 15.0 * 20_000.0 * np.round(duties * 32767.0) / 32768.0 * 1e-3
    speed = np.concatenate(([0.0], np.cumsum(speeds)[:-1]))  # in force one tick later
    expected = np.cumsum(speed) * 1e-3
    assert np.abs(expected).max() > 1000.0
    assert np.abs(steps - expected).max() <= 8.0  # of pulses under way, and where their period changes


def test_speed_ends_at_the_largest_and_duty_zero_keeps_it() -> None:
    cart = load_cart("diy_stepper")
    far = dataclasses.replace(cart.limits, end_stop_m=5.0)
    bench = Bench(dataclasses.replace(cart, limits=far))
    _, steps = bench.run(np.concatenate((np.full(300, 1.0), np.zeros(200))))
    assert steps[-1] - steps[-101] == pytest.approx(20_000.0 * 0.1, abs=1.0)
    assert steps[400] - steps[300] == pytest.approx(20_000.0 * 0.1, abs=1.0)


def test_cart_follows_its_pulses_late_by_twice_the_settling_time() -> None:
    """The mean count of each millisecond through two first-order lags, in steps of a fiftieth of it."""
    cart = load_cart("diy_stepper")
    positions, steps = Bench(cart).run(np.concatenate((back_and_forth(), np.zeros(100))))
    settling = stepper_of(cart).settling_s
    counts = np.concatenate(([0.0], steps)) / 20_000.0
    mean = np.repeat(0.5 * (counts[1:] + counts[:-1]), 50)
    keep = math.exp(-1e-3 / 50 / settling)
    for _ in range(2):
        lagged, level = np.empty_like(mean), 0.0
        for k, value in enumerate(mean):
            level = value + keep * (level - value)
            lagged[k] = level
        mean = lagged
    assert np.abs(positions - mean[49::50]).max() < 0.5 / 20_000.0
    assert positions[-1] == pytest.approx(counts[-1], abs=1e-9 + 0.05 / 20_000.0)


def test_steps_alone_move_the_cart_below_its_torque() -> None:
    """Friction, pole and pushes that it can bear change nothing of the motion, but for the engine's order of joints."""
    cart = load_cart("diy_stepper")
    free = dataclasses.replace(cart, friction=Friction())
    heavy = dataclasses.replace(cart, pole_cart=dataclasses.replace(cart.pole_cart, cart_mass_kg=0.7))
    duties = back_and_forth()
    reference, _ = Bench(cart).run(duties)
    for other, start, push_n in ((free, HANGING, 0.0), (heavy, State(0.0, 0.0, 1.0, 3.0), 0.0), (cart, HANGING, -4.0)):
        positions, _ = Bench(other, start).run(duties, push_n)
        np.testing.assert_allclose(positions, reference, rtol=0.0, atol=1e-8)


def test_jerk_is_bounded_when_a_duty_is_reversed() -> None:
    cart = load_cart("diy_stepper")
    stepper = stepper_of(cart)
    positions, _ = Bench(cart).run(np.concatenate((np.full(50, 1.0), np.full(100, -1.0), np.full(50, 1.0))))
    jerk = np.abs(np.diff(positions, 3)) / 1e-9
    of_duty = 2.0 * stepper.maximum_acceleration_m_s2 / (math.e * stepper.settling_s)
    of_a_step = 1.0 / stepper.steps_per_m / stepper.settling_s**3
    assert 0.5 * of_duty < jerk.max() <= of_duty + of_a_step


def test_a_slow_cart_moves_step_by_step() -> None:
    cart = load_cart("diy_stepper")
    quick = dataclasses.replace(cart, stepper=dataclasses.replace(stepper_of(cart), settling_s=0.0005))
    positions, steps = Bench(quick).run(np.concatenate((np.full(1, 0.5), np.zeros(199))))  # 150 steps a second
    assert steps[-1] == pytest.approx(150.0 * 0.2, abs=1.0)
    assert set(np.diff(steps)) == {0.0, 1.0}
    still = np.abs(positions * 20_000.0 - np.round(positions * 20_000.0)) < 0.01
    assert still.mean() > 0.3


def test_push_beyond_the_torque_loses_whole_electrical_periods_and_no_count() -> None:
    cart = load_cart("diy_stepper")
    bench = Bench(cart)
    duties = back_and_forth()
    half = len(duties) // 2
    bench.run(duties[:half])
    bench.run(np.zeros(20), push_n=-70.0)
    rest = np.concatenate((np.zeros(100), duties[half:], np.zeros(100)))
    positions, steps = bench.run(rest)
    _, untouched = Bench(cart).run(np.concatenate((duties[:half], np.zeros(20), rest)))
    assert steps[-1] == untouched[-1]  # what the board counts does not know
    lost = steps[-1] / 20_000.0 - positions[-1]
    assert lost > stepper_of(cart).full_step_m
    assert lost / 8e-4 == pytest.approx(round(lost / 8e-4), abs=1e-3)


def test_push_below_the_torque_loses_nothing() -> None:
    bench = Bench(load_cart("diy_stepper"))
    bench.run(np.zeros(200), push_n=-50.0)
    positions, steps = bench.run(np.zeros(50))
    assert steps[-1] == 0.0
    assert positions[-1] == pytest.approx(0.0, abs=1e-12)


def test_fast_cart_has_less_torque_than_a_slow_one() -> None:
    """The same push that a slow motor bears stalls a fast one."""
    cart = load_cart("diy_stepper")
    cart = dataclasses.replace(cart, limits=dataclasses.replace(cart.limits, end_stop_m=5.0))
    for ticks, is_lost in ((15, False), (66, True)):
        bench = Bench(cart)
        bench.run(np.full(ticks, 1.0))
        bench.run(np.zeros(100), push_n=-25.0)
        positions, steps = bench.run(np.concatenate((np.full(ticks, -1.0), np.zeros(300))))
        assert (abs(steps[-1] / 20_000.0 - positions[-1]) > 1e-4) == is_lost


def test_cart_stalls_at_the_end_of_its_track() -> None:
    cart = load_cart("diy_stepper")
    positions, steps = Bench(cart, State(0.45, 0.0, math.pi, 0.0)).run(np.full(200, 0.3))
    assert positions.max() < 0.48 + 0.001
    assert steps[-1] / 20_000.0 > 0.5
    assert cart.limits.end_stop_m == 0.48


def carts() -> Iterator[CartParams]:
    rng = np.random.default_rng(4)
    base = load_cart("diy_stepper")
    stepper = stepper_of(base)
    for number in range(12):
        speed = float(rng.uniform(0.3, 1.0))
        changed = dataclasses.replace(
            stepper,
            maximum_speed_m_s=speed,
            maximum_acceleration_m_s2=float(rng.uniform(5.0, 12.0)),
            pull_out_force_n=float(rng.uniform(40.0, 80.0)),
            settling_s=float(rng.uniform(0.001, 0.01)),
            pull_in_speed_m_s=float(rng.uniform(0.01, 0.2)),
        )
        friction = dataclasses.replace(base.friction, cart_static_n=float(rng.uniform(1.0, 3.0)))
        yield dataclasses.replace(
            base,
            name=f"stepper {number}",
            stepper=changed,
            friction=friction,
            action_duties=(-1.0, 1.0),
            precise_duties=None,
        )


@pytest.mark.pybullet
def test_both_engines_move_steppers_alike() -> None:
    starts = (
        State(0.0, 0.0, 0.02, 0.0),
        State(0.1, -0.2, math.pi, 3.0),
        State(0.46, 0.3, 1.0, 9.0),
        State(-0.479, 0.0, -1.0, -12.0),
    )
    lost = 0
    for number, cart in enumerate(carts()):
        rigs = [simulated_rig(each_millisecond(cart), engine=engine) for engine in Engine]
        for start in starts:
            rng = np.random.default_rng(number)
            found = [rig.reset(start, np.random.default_rng(0)) for rig in rigs]
            for duty in np.repeat(rng.uniform(-1.0, 1.0, 20), 20).tolist():
                found = [rig.step(duty) for rig in rigs]
                one, other = (np.array(rig.true_state()) for rig in rigs)
                assert np.abs(one - other).max() <= LARGEST_DIFFERENCE
                assert found[0].cart_counts == found[1].cart_counts
                assert found[0].cart_speed_m_s == found[1].cart_speed_m_s
            lost += abs(found[0].cart_position_m - one[0]) > 0.03
        for rig in rigs:
            rig.close()
    assert lost > 5  # some have met the end of the track
