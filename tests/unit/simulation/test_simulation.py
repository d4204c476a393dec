from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.closed_forms import FIGURES
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, Encoders, Friction, Motor, Timing
from cartpole_robot.rigs.pybullet_rigs import IdealSimRig, SimRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.delay import CommandDelay
from cartpole_robot.simulation.motor import driving_force, electrical_power
from cartpole_robot.simulation.plant import Plant

CARTS_WITH_A_MOTOR = ("diy_arduino", "quanser_ip02", "sensorsini")
TIMING = Timing(physics_step_s=0.001, control_period_s=0.02)


@pytest.mark.parametrize("name", CARTS_WITH_A_MOTOR)
@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.pybullet
def test_cart_keeps_its_closed_forms_within_one_per_cent(name: str, figure: str) -> None:
    found, expected = FIGURES[figure][1](load_cart(name))
    assert found == pytest.approx(expected, rel=0.01)


def lagrange_step(cart: CartParams, state: State, force_n: float, step_s: float) -> tuple[float, ...]:
    """One semi-implicit step with dry friction on the cart solved as the force, at most Coulomb's, that stops it."""
    body, friction = cart.pole_cart, cart.friction
    coupling = body.pole_mass_kg * body.pole_half_length_m
    hinge = body.pole_inertia_kg_m2 + coupling * body.pole_half_length_m
    x, v, angle, rate = state
    mass = np.array(
        [[body.cart_mass_kg + body.pole_mass_kg, coupling * math.cos(angle)], [coupling * math.cos(angle), hinge]]
    )
    inverse = np.linalg.inv(mass)
    forces = np.array(
        [
            force_n + coupling * math.sin(angle) * rate**2 - friction.cart_viscous_n_s_m * v,
            coupling * body.gravity_m_s2 * math.sin(angle) - friction.pole_viscous_n_m_s * rate,
        ]
    )
    acceleration = inverse @ forces
    stopping_n = -(v + step_s * acceleration[0]) / (step_s * inverse[0, 0])
    dry_n = max(-friction.cart_coulomb_n, min(friction.cart_coulomb_n, stopping_n))
    acceleration = acceleration + inverse[:, 0] * dry_n
    v, rate = v + step_s * acceleration[0], rate + step_s * acceleration[1]
    return x + step_s * v, v, angle + step_s * rate, rate


@pytest.mark.pybullet
def test_friction_in_the_engine_is_coulombs_and_stokes_to_rounding(gym_cart: CartParams) -> None:
    """Three seconds of pushes that stop, hold and release the cart, against the friction solved by hand."""
    friction = Friction(cart_viscous_n_s_m=5.0, cart_coulomb_n=0.5, cart_static_n=0.5, pole_viscous_n_m_s=0.002)
    cart = dataclasses.replace(gym_cart, friction=friction)
    plant = Plant(cart.pole_cart, 0.001, friction=friction)
    expected = State(0.0, 0.3, 2.0, 1.0)
    plant.place(expected)
    rng = np.random.default_rng(0)
    force_n = 0.0
    stood = 0
    for step in range(3000):
        if step % 50 == 0:
            force_n = rng.uniform(-2.0, 2.0)
        plant.advance(force_n, 1)
        expected = State(*lagrange_step(cart, expected, force_n, 0.001))
        stood += abs(expected.cart_speed_m_s) < 1e-9
        assert list(plant.state()) == pytest.approx(list(expected), abs=1e-11), f"step {step}"
    assert stood > 100, "the pushes did hold the cart still now and then"
    plant.close()


@pytest.mark.pybullet
def test_resting_cart_holds_up_to_static_friction_and_slides_at_coulombs(gym_cart: CartParams) -> None:
    cart = load_cart("diy_arduino")
    held = dataclasses.replace(cart, friction=dataclasses.replace(cart.friction, cart_coulomb_n=1.0, cart_static_n=2.0))
    assert held.encoders is not None
    per_newton = (1.0 - held.motor.dead_zone_duty) / held.motor.stall_force_n
    for force_n, moves in ((1.9, False), (2.1, True)):
        rig = SimRig(held, held.encoders)
        rig.reset(State(0.0, 0.0, math.pi, 0.0), np.random.default_rng(0))
        for _ in range(10):
            rig.step(held.motor.dead_zone_duty + force_n * per_newton)
        assert (rig.true_state().cart_speed_m_s > 0.02) is moves, force_n
        if moves:
            speed = (force_n - 1.0) / (held.motor.back_emf_n_s_m + held.friction.cart_viscous_n_s_m)
            for _ in range(50):
                rig.step(held.motor.dead_zone_duty + force_n * per_newton)
            assert rig.true_state().cart_speed_m_s == pytest.approx(speed, rel=0.05)
        rig.close()


@pytest.mark.pybullet
def test_end_stop_stops_the_cart() -> None:
    cart = load_cart("quanser_ip02")
    assert cart.encoders is not None
    rig = SimRig(cart, cart.encoders)
    rig.reset(State(0.3, 0.0, math.pi, 0.0), np.random.default_rng(0))
    places = [rig.step(1.0).cart_position_m for _ in range(100)]
    assert max(places) == pytest.approx(0.407, abs=0.005)
    rig.close()


@pytest.mark.parametrize(
    ("duty", "level"), [(0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.55, 0.5), (-0.55, -0.5), (1.0, 1.0), (-1.0, -1.0)]
)
def test_dead_zone_takes_the_small_duties_and_leaves_full_drive(duty: float, level: float) -> None:
    assert Motor(stall_force_n=2.0, dead_zone_duty=0.1).level(duty) == pytest.approx(level)


@pytest.mark.parametrize("saturation", [0.0, 0.1, 0.198])
def test_saturation_takes_from_the_slope_and_leaves_full_drive(saturation: float) -> None:
    motor = Motor(stall_force_n=2.0, dead_zone_duty=0.1, saturation=saturation)
    duties = np.linspace(0.1, 1.0, 50)
    levels = [motor.level(duty) for duty in duties]
    assert levels[0] == 0.0
    assert levels[-1] == pytest.approx(1.0)
    assert min(np.diff(levels)) > 0.0
    drive = (duties - 0.1) / 0.9
    np.testing.assert_allclose(levels, (drive - saturation * drive**5) / (1.0 - saturation), atol=1e-12)
    assert motor.level(0.101) * motor.stall_force_n / 0.001 == pytest.approx(motor.slope_n, rel=1e-4)
    for duty, level in zip(duties[1:], levels[1:], strict=True):
        assert motor.level(-duty) == -level
        assert motor.duty_for(level) == pytest.approx(duty, abs=1e-12)
        assert motor.duty_for(-level) == pytest.approx(-duty, abs=1e-12)


@pytest.mark.parametrize("saturation", [0.0, 0.15])
def test_asymmetric_motor_pushes_each_side_as_a_symmetric_one_of_that_force_and_dead_zone(saturation: float) -> None:
    motor = Motor(
        stall_force_n=2.0,
        dead_zone_duty=0.1,
        saturation=saturation,
        gain_asymmetry=0.25,
        dead_zone_asymmetry_duty=-0.05,
    )
    right = Motor(stall_force_n=2.5, dead_zone_duty=0.05, saturation=saturation)
    left = Motor(stall_force_n=1.5, dead_zone_duty=0.15, saturation=saturation)
    for duty in (0.04, 0.06, 0.14, 0.16, 0.7, 1.0):
        assert 2.0 * motor.level(duty) == pytest.approx(2.5 * right.level(duty))
        assert 2.0 * motor.level(-duty) == pytest.approx(-1.5 * left.level(duty))
        for side in (duty, -duty):
            if motor.level(side) != 0.0:
                assert motor.duty_for(motor.level(side)) == pytest.approx(side, abs=1e-12)
    assert (motor.right_slope_n, motor.left_slope_n) == (pytest.approx(right.slope_n), pytest.approx(left.slope_n))


@pytest.mark.parametrize("asymmetry", [{}, {"gain_asymmetry": -0.1, "dead_zone_asymmetry_duty": 0.005}], ids=str)
def test_motor_that_saturates_pushes_as_its_level_says(gym_cart: CartParams, asymmetry: dict[str, float]) -> None:
    motor = Motor(stall_force_n=10.0, back_emf_n_s_m=3.0, dead_zone_duty=0.1, saturation=0.15, brakes_at_zero=False)
    motor = dataclasses.replace(motor, **asymmetry)
    timing = Timing(physics_step_s=1e-6, control_period_s=1e-6)
    force = driving_force(dataclasses.replace(gym_cart, motor=motor, timing=timing))
    for duty in (-1.0, -0.7, -0.11, 0.2, 0.5, 1.0):
        assert force(duty, 0.0) == pytest.approx(10.0 * motor.level(duty), rel=1e-5)
        assert force(duty, 1.0) == pytest.approx(10.0 * motor.level(duty) - 3.0, abs=1e-4)
    assert force(0.1, 1.0) == 0.0


def test_bridge_that_coasts_has_no_back_emf_at_zero(gym_cart: CartParams) -> None:
    for brakes, expected in ((True, -3.0), (False, 0.0)):
        motor = Motor(stall_force_n=10.0, back_emf_n_s_m=3.0, brakes_at_zero=brakes)
        timing = Timing(physics_step_s=1e-6, control_period_s=1e-6)
        cart = dataclasses.replace(gym_cart, motor=motor, timing=timing)
        assert driving_force(cart)(0.0, 1.0) == pytest.approx(expected, abs=1e-5)
        assert driving_force(cart)(0.5, 1.0) == pytest.approx(2.0, abs=1e-5)


def test_lag_reaches_63_per_cent_after_one_time_constant(gym_cart: CartParams) -> None:
    motor = Motor(stall_force_n=10.0, lag_s=0.01)
    timing = Timing(physics_step_s=0.001, control_period_s=0.02)
    force = driving_force(dataclasses.replace(gym_cart, motor=motor, timing=timing))
    forces = [force(1.0, 0.0) for _ in range(10)]
    assert forces[-1] == pytest.approx(10.0 * (1.0 - math.exp(-1.0)))


def test_power_is_the_stall_current_at_stall_and_little_at_no_load() -> None:
    motor = Motor(stall_force_n=25.7, supply_voltage_v=12.0, stall_current_a=5.5, back_emf_n_s_m=13.4)
    no_load_m_s = 25.7 / 13.4
    power_w = electrical_power(motor)
    assert power_w(1.0, 0.0) == pytest.approx(66.0)
    assert power_w(-1.0, 0.0) == pytest.approx(66.0)
    assert power_w(1.0, no_load_m_s) == pytest.approx(0.0, abs=1e-9)
    assert power_w(1.0, -no_load_m_s) == pytest.approx(132.0)
    assert power_w(0.0, 1.0) == 0.0
    assert math.isnan(electrical_power(Motor(stall_force_n=1.0))(1.0, 0.0))


def sent(delay: Delay, requests: list[float], *, seed: int = 0) -> list[float]:
    """The duty of each millisecond for those requests, one a period."""
    queue = CommandDelay(delay, TIMING)
    queue.reset(np.random.default_rng(seed))
    return [duty for request in requests for duty in queue.duties(request)]


def test_command_at_once_next_tick_and_two_ticks_late() -> None:
    requests = [0.1, 0.2, 0.3]
    assert sent(Delay(apply=Apply.AT_ONCE), requests) == [0.1] * 20 + [0.2] * 20 + [0.3] * 20
    for latency_s in (0.0, 0.004, 0.02):
        assert sent(Delay(apply=Apply.NEXT_TICK, latency_s=latency_s), requests) == [0.0] * 20 + [0.1] * 20 + [0.2] * 20
    late = Delay(apply=Apply.NEXT_TICK, latency_s=0.0201)
    assert sent(late, requests) == [0.0] * 40 + [0.1] * 20


@pytest.mark.parametrize("latency_s", [0.003, 0.0035, 0.0199, 0.02, 0.0275, 0.068])
def test_command_on_arrival_works_from_its_latency_on_to_a_fraction_of_a_step(latency_s: float) -> None:
    duties = sent(Delay(apply=Apply.ON_ARRIVAL, latency_s=latency_s), [1.0] * 6)
    assert sum(duties) * 0.001 == pytest.approx(6 * 0.02 - latency_s)
    assert sorted(duties) == duties
    assert sum(0.0 < duty < 1.0 for duty in duties) <= 1


def test_jitter_spreads_the_latency_evenly_and_repeats_by_seed() -> None:
    delay = Delay(apply=Apply.ON_ARRIVAL, latency_s=0.002, jitter_s=0.01)
    latencies = [20 - sum(sent(delay, [1.0], seed=seed)) for seed in range(400)]
    assert np.mean(latencies) == pytest.approx(7.0, abs=0.5)
    assert min(latencies) >= 2.0
    assert max(latencies) <= 12.0
    assert sent(delay, [1.0, -1.0], seed=3) == sent(delay, [1.0, -1.0], seed=3)


def test_command_overtaken_by_a_later_one_never_works() -> None:
    """With more jitter than a period commands overtake: the number of the command in force never falls."""
    delay = Delay(apply=Apply.ON_ARRIVAL, latency_s=0.001, jitter_s=0.06)
    for seed in range(50):
        duties = sent(delay, [n / 100.0 for n in range(1, 40)], seed=seed)
        whole = [round(duty * 100.0) for duty in duties if abs(duty * 100.0 - round(duty * 100.0)) < 1e-9]
        assert whole == sorted(whole), f"seed {seed}"


def test_lost_command_leaves_the_one_before_in_force() -> None:
    delay = Delay(apply=Apply.NEXT_TICK, drop_probability=0.3)
    requests = [float(n) for n in range(1, 2001)]
    duties = sent(delay, requests)[20::20]
    arrived = sum(duty == request for duty, request in zip(duties, requests, strict=False))
    assert arrived / len(duties) == pytest.approx(0.7, abs=0.03)
    assert duties == sorted(duties)


@pytest.mark.pybullet
def test_rig_measures_counts_and_a_lagging_speed() -> None:
    cart = load_cart("quanser_ip02")
    assert cart.encoders is not None
    rig = SimRig(cart, cart.encoders)
    rig.reset(State(0.0, 0.0, math.pi, 0.0), np.random.default_rng(0))
    for _ in range(40):
        measured = rig.step(0.5)
    true = rig.true_state()
    assert abs(measured.cart_position_m - true.cart_position_m) <= 0.5 * 22.75e-6 * 1.001
    counts = measured.cart_position_m * 43956.0
    assert counts == pytest.approx(round(counts), abs=1e-6)
    assert measured.cart_speed_m_s == pytest.approx(true.cart_speed_m_s, rel=0.02)
    assert measured.applied_duty == 0.5
    rig.close()


@pytest.mark.pybullet
def test_command_works_one_period_after_it_was_sent() -> None:
    cart = load_cart("quanser_ip02")
    assert cart.encoders is not None
    rig = SimRig(cart, cart.encoders)
    rig.reset(State(0.0, 0.0, math.pi, 0.0), np.random.default_rng(0))
    first = rig.step(1.0)
    assert (first.applied_duty, rig.true_state().cart_speed_m_s) == (0.0, pytest.approx(0.0, abs=1e-9))
    assert rig.step(0.0).applied_duty == 1.0
    assert rig.true_state().cart_speed_m_s > 0.1
    rig.close()


@pytest.mark.pybullet
def test_cart_with_ideal_parts_is_the_gym_cart(gym_cart: CartParams) -> None:
    """Motor without losses, fine encoders, no delay, 1 ms physics: the gym cart, but for its coarser step."""
    encoders = Encoders(cart_counts_per_m=1e7, pole_counts_per_turn=60_000_000)
    fine = dataclasses.replace(gym_cart, encoders=encoders, timing=TIMING)
    ideal = IdealSimRig(dataclasses.replace(gym_cart, timing=TIMING))
    rig = SimRig(fine, encoders)
    start, rng = State(0.01, 0.02, -0.03, 0.04), np.random.default_rng(1)
    ideal.reset(start, rng)
    rig.reset(start, rng)
    for step in range(50):
        duty = (-1.0, 1.0)[step % 2]
        expected = ideal.step(duty).state()
        rig.step(duty)
        assert list(rig.true_state()) == pytest.approx(list(expected), abs=1e-12)
    ideal.close()
    rig.close()
