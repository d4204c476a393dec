from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.lqr_design import design_lqr, linear_model, regulator_of
from cartpole_robot.rollout.evaluation import evaluate
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.plant import Plant


def survived(cart: CartParams, controller: LqrController, episodes: int = 3) -> float:
    env = CartPoleEnv(cart=cart)
    result = evaluate(
        controller.duty,
        env,
        episodes=episodes,
        first_seed=7,
        max_steps=500,
        take_step=env.step_duty,
        on_reset=controller.reset,
    )
    env.close()
    return result.mean_steps


@pytest.mark.parametrize("name", cart_names())
def test_regulator_of_every_cart_balances_it(name: str) -> None:
    cart = load_cart(name)
    assert survived(cart, regulator_of(cart)) == 500.0


@pytest.mark.parametrize("latency_s", [0.003, 0.01, 0.025, 0.04])
def test_regulator_knows_the_delay_it_is_designed_for(latency_s: float) -> None:
    cart = load_cart("quanser_ip02")
    late = dataclasses.replace(cart, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=latency_s))
    assert survived(late, regulator_of(late)) == 500.0


def test_regulator_blind_to_a_long_delay_falls_where_the_informed_one_stands() -> None:
    cart = load_cart("diy_arduino")
    late = dataclasses.replace(cart, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.06))
    prompt = dataclasses.replace(cart, delay=Delay(apply=Apply.AT_ONCE))
    assert survived(late, regulator_of(late)) == 500.0
    assert survived(late, LqrController(design_lqr(prompt), late.motor)) < 400.0


@pytest.mark.pybullet
def test_linear_model_is_the_plants_slope_at_upright() -> None:
    """Small steps of the simulated plant, forwards and backwards, against A and B; dry friction and lag left out."""
    cart = load_cart("sensorsini")
    a, b = linear_model(cart)
    damping = cart.motor.back_emf_n_s_m + cart.friction.cart_viscous_n_s_m
    friction = dataclasses.replace(cart.friction, cart_coulomb_n=0.0, cart_static_n=0.0, cart_viscous_n_s_m=damping)
    plant = Plant(cart.pole_cart, 1e-5, friction=friction)
    small = 1e-3
    for signal in range(4):
        slopes = []
        for side in (-small, small):
            start = [0.0, 0.0, 0.0, 0.0]
            start[signal] = side
            plant.place(State(*start))
            plant.advance(0.0, 1)
            slopes.append((np.array(plant.state()) - start) / 1e-5)
        assert (slopes[1] - slopes[0]) / (2 * small) == pytest.approx(a[:, signal], abs=2e-3 * (1 + abs(a).max()))
    plant.place(State(0.0, 0.0, 0.0, 0.0))
    plant.advance(0.01 * cart.motor.stall_force_n, 1)
    assert np.array(plant.state())[[1, 3]] / 1e-5 / 0.01 == pytest.approx(b[[1, 3]], rel=1e-6)
    plant.close()


def test_duties_stay_within_full_drive_and_out_of_the_dead_zone() -> None:
    cart = load_cart("sensorsini")
    controller = regulator_of(cart)
    rng = np.random.default_rng(3)
    for _ in range(500):
        duty = controller.duty(rng.normal(scale=(0.1, 0.3, 0.1, 1.0)))
        assert abs(duty) <= 1.0
        assert duty == 0.0 or abs(duty) > cart.motor.dead_zone_duty


def test_regulator_pushes_an_asymmetric_cart_equally_to_both_sides() -> None:
    cart = load_cart("diy_arduino")
    motor = dataclasses.replace(cart.motor, gain_asymmetry=-0.2, dead_zone_asymmetry_duty=0.018)
    other = dataclasses.replace(cart, motor=motor)
    controllers = [regulator_of(other) for _ in range(2)]
    duties = []
    for angle_rad in (0.01, 0.02, -0.005, 0.03):
        duties = [
            controller.duty(np.array([0.0, 0.0, side * angle_rad, 0.0]))
            for controller, side in zip(controllers, (1.0, -1.0), strict=True)
        ]
        assert motor.level(duties[0]) == pytest.approx(-motor.level(duties[1]), abs=1e-12)
        assert abs(duties[0]) != abs(duties[1])
    for side in (1.0, -1.0):
        controllers[0].reset()
        assert abs(controllers[0].duty(np.array([0.0, 0.0, side, 0.0]))) == pytest.approx(1.0)
    assert survived(other, regulator_of(other)) == 500.0


def test_reset_forgets_what_was_sent() -> None:
    controller = regulator_of(load_cart("quanser_ip02"))
    observation = np.array([0.1, 0.0, 0.05, 0.0])
    first = controller.duty(observation)
    assert controller.duty(observation) != first
    controller.reset()
    assert controller.duty(observation) == first


def test_cart_that_no_duty_moves_has_no_regulator(gym_cart: CartParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cartpole_robot.policy.lqr_design.linear_model", lambda cart: (linear_model(cart)[0], np.zeros(4))
    )
    with pytest.raises(UsageError, match="cart 'gym': no regulator can be found"):
        design_lqr(gym_cart)


@pytest.mark.pybullet
def test_simulated_cart_needs_no_policy_and_no_task() -> None:
    cart = load_cart("quanser_ip02")
    assert cart.encoders is not None
    simulated = SimulatedCart(cart, cart.encoders)
    seen: list[tuple[int, int]] = []
    simulated.place(State(0.0, 0.0, 0.0, 0.0))
    last = simulated.run([0.5] * 7, lambda x, angle: seen.append((x, angle)))
    assert len(seen) == 7
    assert seen[-1] == last
    simulated.close()


def test_motor_that_saturates_is_regulated_by_its_slope() -> None:
    cart = load_cart("diy_arduino")
    motor = dataclasses.replace(cart.motor, saturation=0.15)
    steeper = linear_model(dataclasses.replace(cart, motor=motor))[1][1] / linear_model(cart)[1][1]
    assert steeper == pytest.approx(motor.slope_n / cart.motor.slope_n)
    assert steeper == pytest.approx(1.0 / 0.85)
