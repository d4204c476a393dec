from __future__ import annotations

import dataclasses
import functools
import math
import subprocess
import sys

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.pole_estimate import PoleEstimate
from cartpole_robot.policy.swing_model import SwingModel
from cartpole_robot.policy.swing_up import Phase, SwingUpController, SwingUpDesign, is_within
from cartpole_robot.policy.swing_up_design import catches_on_all, design_swing_up, swing_up_of
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import observation

HANGING = State(0.1, 0.0, math.pi + 0.05, 0.0)
ROTATING = State(-0.12, 0.0, 2.5, 14.0)


@functools.cache
def designed(name: str) -> SwingUpDesign:
    return design_swing_up(load_cart(name))


@pytest.fixture
def diy_controller() -> SwingUpController:
    return SwingUpController(load_cart("diy_arduino"), designed("diy_arduino"))


def swing(
    controller: SwingUpController, plant: CartParams, start: State, *, duration_s: float = 10.0
) -> tuple[list[State], list[float], list[Phase]]:
    """True states, duties and phases until the pole is settled or time is up."""
    rig = simulated_rig(plant, engine=Engine.NATIVE)
    measurement = rig.reset(start, np.random.default_rng(1))
    controller.reset()
    states, duties, phases = [], [], []
    for _ in range(round(duration_s / plant.timing.control_period_s)):
        duties.append(controller.duty(observation(measurement)))
        phases.append(controller.phase)
        measurement = rig.step(duties[-1])
        states.append(rig.true_state())
        if controller.is_settled():
            break
    return states, duties, phases


@pytest.mark.parametrize(
    ("name", "limit_m", "start"),
    [
        ("diy_arduino", 0.40, HANGING),
        ("diy_arduino", 0.40, ROTATING),
        ("quanser_ip02", 0.35, HANGING),
        ("sensorsini", 0.17, HANGING),
    ],
)
def test_every_motor_cart_swings_up_at_the_first_catch_inside_its_track(
    name: str, limit_m: float, start: State
) -> None:
    cart = load_cart(name)
    controller = SwingUpController(cart, designed(name))
    states, _, phases = swing(controller, cart, start)
    assert controller.is_settled()
    assert max(abs(state.cart_position_m) for state in states) < limit_m
    assert controller.catches == 1
    assert phases == sorted(phases, key=list(Phase).index)


@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_pole_of_another_length_is_measured_while_it_swings(diy_controller: SwingUpController, scale: float) -> None:
    cart = load_cart("diy_arduino")
    body = cart.pole_cart
    other = dataclasses.replace(
        body,
        pole_half_length_m=scale * body.pole_half_length_m,
        pole_inertia_kg_m2=scale**2 * body.pole_inertia_kg_m2,
    )
    swing(diy_controller, dataclasses.replace(cart, pole_cart=other), HANGING)
    assert diy_controller.is_settled()
    assert diy_controller.pole_scale == pytest.approx(scale, rel=0.08)


def test_commands_20_ms_later_than_expected_still_swing_up_inside_the_track(diy_controller: SwingUpController) -> None:
    cart = load_cart("diy_arduino")
    late = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=0.03))
    states, _, _ = swing(diy_controller, late, HANGING)
    assert diy_controller.is_settled()
    assert max(abs(state.cart_position_m) for state in states) < 0.40


def test_command_applied_on_arrival_and_weaker_to_the_right_swings_up() -> None:
    cart = load_cart("quanser_ip02")
    cart = dataclasses.replace(
        cart,
        delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.006),
        motor=dataclasses.replace(
            cart.motor, dead_zone_duty=0.06, dead_zone_asymmetry_duty=0.02, gain_asymmetry=-0.1, saturation=0.1
        ),
    )
    controller = swing_up_of(cart)
    swing(controller, cart, HANGING)
    assert controller.is_settled()
    assert controller.catches == 1


def test_same_start_gives_the_same_duties(diy_controller: SwingUpController) -> None:
    cart = load_cart("diy_arduino")
    diy_controller.rest(math.inf)
    first = swing(diy_controller, cart, HANGING, duration_s=1.0)
    diy_controller.rest(math.inf)
    assert swing(diy_controller, cart, HANGING, duration_s=1.0) == first


def test_angle_counts_modulo_a_turn(diy_controller: SwingUpController) -> None:
    seen = np.array((0.1, 0.0, 2.8, 1.0))
    duties = []
    for turns in (-3, 0, 2):
        diy_controller.rest(math.inf)
        diy_controller.reset()
        duties.append([diy_controller.duty(seen + np.array((0.0, 0.0, 2.0 * math.pi * turns, 0.0))) for _ in range(5)])
    assert duties[0] == pytest.approx(duties[1])
    assert duties[2] == pytest.approx(duties[1])


def test_warm_motor_is_driven_no_harder_than_it_bears_for_ever(diy_controller: SwingUpController) -> None:
    """Full drives heat it to its limit within seconds; a limit of 0.5 is that of the cart file."""
    swung = diy_controller
    swung.rest(math.inf)
    for _ in range(400):  # the encoders stand still: the controller pumps on
        swung.duty(np.array((0.0, 0.0, math.pi, 0.0)))
    hot = swung.most_duty()
    swung.rest(60.0)
    assert hot < 1.0
    assert swung.most_duty() > hot
    swung._heat = 0.25
    assert swung.most_duty() == pytest.approx(0.5)
    swung.rest(math.inf)


def test_every_sampled_state_in_the_region_is_caught_on_wrong_carts_too() -> None:
    cart, design = load_cart("quanser_ip02"), designed("quanser_ip02")
    rng = np.random.default_rng(77)  # others than those of the design
    directions = rng.normal(size=(len(design.catch_cost), 200))
    directions /= np.sqrt((directions**2).sum(axis=0))
    states = np.linalg.cholesky(np.linalg.inv(design.catch_cost)) @ directions
    assert catches_on_all(cart, design.lqr, states).all()
    assert not catches_on_all(cart, design.lqr, 4.0 * states).all()
    assert np.sqrt(np.linalg.inv(design.catch_cost)[2, 2]) > 0.15  # radians: a region that a swing can hit


def test_model_follows_the_native_engine_through_a_swing() -> None:
    cart = load_cart("sensorsini")
    model, rig = (
        SwingModel(cart),
        simulated_rig(dataclasses.replace(cart, delay=Delay(apply=Apply.AT_ONCE)), engine=Engine.NATIVE),
    )
    start = state = State(0.0, 0.0, 2.5, 1.0)
    rig.reset(start, np.random.default_rng(0))
    drives = [0.6] * 12 + [-0.8] * 12
    for drive in drives:
        state = model.after(state, drive, 0.02)
        rig.step(cart.motor.duty_for(drive))
    assert state == pytest.approx(rig.true_state(), abs=0.02)
    many = model.rollouts(start, np.repeat(np.array(drives)[:, None], 3, axis=1), 0.02)
    assert [part[-1, 1] for part in many] == pytest.approx(list(rig.true_state()), abs=0.05)


def test_estimate_of_a_still_pole_stays_at_the_parameters() -> None:
    cart = load_cart("diy_arduino")
    estimate = PoleEstimate(cart, 0.0075)
    for _ in range(500):
        estimate.update(State(0.0, 0.0, math.pi, 0.0))
    assert estimate.scale == pytest.approx(1.0)


def test_start_spread_counts_the_nearest_upright_and_still_speeds() -> None:
    cart = load_cart("diy_arduino")
    inside = State(0.02, 0.05, 2.0 * math.pi - 0.02, 0.2)
    assert is_within(inside, cart.start, cart.observation_scale)
    for name, value in (("cart_position_m", 0.05), ("cart_speed_m_s", 0.2), ("pole_angle_rad", 0.1)):
        assert not is_within(inside._replace(**{name: value}), cart.start, cart.observation_scale)


def test_track_too_short_to_catch_on_is_refused() -> None:
    cart = load_cart("sensorsini")
    weak = dataclasses.replace(
        cart,
        limits=dataclasses.replace(cart.limits, cart_position_m=0.021),
        friction=dataclasses.replace(cart.friction, cart_viscous_n_s_m=10.0),
    )
    with pytest.raises(UsageError, match="sensorsini"):
        design_swing_up(weak)


def test_controller_needs_no_scipy() -> None:
    code = "import sys, cartpole_robot.policy.swing_up; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
