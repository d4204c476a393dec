"""Regulator and swing-up of a stepper's cart, which accelerates by its duty alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.swing_up import start_state, swing_up
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.lqr_design import delay_s, linear_model, regulator_of
from cartpole_robot.policy.swing_model import SwingModel
from cartpole_robot.policy.swing_up_design import swing_up_of, wrong_carts
from cartpole_robot.policy.track import track_of
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.evaluation import evaluate_controller
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import observation

CART = load_cart("diy_stepper")


def test_linear_model_is_kinematic() -> None:
    """x'' = a u, and the pole's angle'' = (m g l angle - m l a u) / J."""
    a, b = linear_model(CART)
    coupling, inertia = 0.1 * 0.25, 0.1 * 0.25**2 + 0.1 * 0.5**2 / 12.0
    np.testing.assert_allclose(a[1], 0.0, atol=1e-6)
    np.testing.assert_allclose(a[3], [0.0, 0.0, coupling * 9.81 / inertia, -1e-4 / inertia], rtol=1e-6)
    np.testing.assert_allclose(b, [0.0, 15.0, 0.0, -15.0 * coupling / inertia], rtol=1e-6)


def test_delay_has_tick_and_settling_in_it() -> None:
    assert delay_s(CART) == pytest.approx(0.02 + 0.001 + 2 * 0.004 + 0.0075)


def test_friction_and_masses_change_no_design() -> None:
    heavy = dataclasses.replace(
        CART,
        pole_cart=dataclasses.replace(CART.pole_cart, cart_mass_kg=0.8),
        friction=dataclasses.replace(CART.friction, cart_coulomb_n=2.0, cart_static_n=2.5, cart_viscous_n_s_m=1.0),
    )
    np.testing.assert_allclose(linear_model(heavy)[0], linear_model(CART)[0], atol=1e-6)
    assert track_of(heavy) == track_of(CART)


def test_cart_is_predicted_where_it_is_when_a_command_takes_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its counts are 8 ms ahead of it, 8 mm at 1 m/s; the command takes effect 29 ms after the measurement."""
    controller, rig = swing_up_of(CART), simulated_rig(CART, engine=Engine.NATIVE)
    true: list[State] = []
    found: list[tuple[int, State]] = []
    predict = controller.predicted

    def predicted(seen: State) -> State:
        found.append((len(true), predict(seen)))
        return found[-1][1]

    monkeypatch.setattr(controller, "predicted", predicted)
    measured = rig.reset(State(0.0, 0.0, math.pi, 1.0), np.random.default_rng(0))
    for _ in range(80):
        true.append(rig.true_state())
        measured = rig.step(controller.duty(observation(measured)))
    late = (0.029 - 0.02) / 0.02  # of the way from the next measurement to the one after
    after = [
        (np.array(true[k]) * (1.0 - late) + late * np.array(true[k + 1]), state)
        for k, state in found
        if k + 1 < len(true)
    ]
    assert len(after) > 50
    assert max(abs(state.cart_speed_m_s) for state in true) > 0.9
    off = np.array([np.array(state)[:2] - expected[:2] for expected, state in after])
    rms_m, rms_m_s = np.sqrt(np.square(off).mean(axis=0))
    assert rms_m < 0.001
    assert rms_m_s < 0.04


def test_planned_motion_is_the_plants() -> None:
    """Predictions against the simulated cart, with its largest speed reached on the way."""
    cart = dataclasses.replace(CART, limits=dataclasses.replace(CART.limits, end_stop_m=5.0))
    model, rig = SwingModel(cart), simulated_rig(cart, engine=Engine.NATIVE)
    start = State(0.0, 0.0, math.pi, 2.0)
    rig.reset(start, np.random.default_rng(0))
    duties = [1.0] * 5 + [-0.5] * 5 + [0.0] * 3
    for duty in [*duties, 0.0]:
        rig.step(duty)
    late = 0.02 - CART.motor.lag_s  # the first command works a period and the motor's lag later
    state = model.after(start, 0.0, 0.02 + CART.motor.lag_s)
    for duty in duties[:-1]:
        state = model.after(state, duty, 0.02)
    state = model.after(state, duties[-1], late)
    np.testing.assert_allclose(state, rig.true_state(), atol=0.01)
    many = model.rollouts(start, np.array(duties)[:, None], 0.02)
    alone = start
    for k, duty in enumerate(duties):
        alone = model.after(alone, duty, 0.02)
        assert abs(many.speed_m_s[k, 0]) <= 1.0 + 1e-6
        assert many.speed_m_s[k, 0] == pytest.approx(alone.cart_speed_m_s, abs=1e-6)
        assert many.position_m[k, 0] == pytest.approx(alone.cart_position_m, abs=2e-3)
    assert many.speed_m_s[4, 0] == pytest.approx(1.0)


def test_carts_it_may_be_mistaken_for_have_the_same_acceleration() -> None:
    found = [cart for cart, _ in wrong_carts(CART)]
    assert len(found) == 6
    assert {cart.motor.stall_force_n for cart in found} == {CART.motor.stall_force_n}


@pytest.mark.parametrize("steps", [500, 15_000])
def test_regulator_balances(steps: int) -> None:
    env = CartPoleEnv(cart=CART, engine="native")
    episodes = 20 if steps == 500 else 2
    found = evaluate_controller(regulator_of(CART), env, episodes=episodes, first_seed=5, max_steps=steps)
    env.close()
    assert found.mean_steps == steps
    assert found.rms_angle_rad < 0.008
    assert found.rms_position_m < 0.012


def test_pole_swings_up() -> None:
    controller, rig = swing_up_of(CART), simulated_rig(CART, engine=Engine.NATIVE)
    for number in range(6):
        rng = np.random.default_rng((2101, number))
        found = swing_up(controller, rig, start_state(CART, number, rng), rng, 0.0)
        assert found.fault is None
        assert found.settled_s < 10.0
        assert found.farthest_m < CART.limits.cart_position_m
