from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest

from benchmarks.physics_against_gymnasium import free_run_drift, single_step_error
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import PoleCart
from cartpole_robot.errors import RigError
from cartpole_robot.signals import State
from cartpole_robot.simulation.plant import Plant

pytestmark = pytest.mark.pybullet


def test_each_of_1000_random_steps_equals_gymnasiums() -> None:
    assert single_step_error(1000, seed=0).max() <= 1e-9


def test_free_run_of_200_steps_stays_together() -> None:
    assert free_run_drift(200, seed=0).max() <= 1e-9


def carts() -> list[PoleCart]:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(10):
        mass, half = rng.uniform(0.02, 0.5), rng.uniform(0.1, 1.0)
        found.append(
            PoleCart(
                cart_mass_kg=rng.uniform(0.2, 3.0),
                pole_mass_kg=mass,
                pole_half_length_m=half,
                pole_inertia_kg_m2=mass * half**2 * rng.uniform(0.05, 0.5),
                gravity_m_s2=rng.uniform(9.7, 9.9),
            )
        )
    return found


@pytest.mark.parametrize("body", carts())
def test_engine_says_it_simulates_the_parameters(body: PoleCart) -> None:
    plant = Plant(body, 0.001)
    found = plant.readback()
    for field in dataclasses.fields(PoleCart):
        assert getattr(found, field.name) == pytest.approx(getattr(body, field.name), rel=1e-12), field.name
    assert found.physics_step_s == 0.001
    plant.close()


@pytest.mark.parametrize("body", carts())
def test_one_step_is_semi_implicit_euler_of_the_lagrangian(body: PoleCart) -> None:
    """Solved here with the 2 x 2 mass matrix, not Gymnasium's formula, for any cart, pole and inertia."""
    step_s = 0.001
    plant = Plant(body, step_s)
    rng = np.random.default_rng(9)
    for _ in range(50):
        state = State(*rng.uniform((-1.0, -2.0, -math.pi, -5.0), (1.0, 2.0, math.pi, 5.0)).tolist())
        force_n = rng.uniform(-10.0, 10.0)
        plant.place(state)
        plant.advance(force_n, 1)
        coupling = body.pole_mass_kg * body.pole_half_length_m
        sine, cosine = math.sin(state.pole_angle_rad), math.cos(state.pole_angle_rad)
        mass = np.array(
            [
                [body.cart_mass_kg + body.pole_mass_kg, coupling * cosine],
                [coupling * cosine, body.pole_inertia_kg_m2 + coupling * body.pole_half_length_m],
            ]
        )
        forces = [force_n + coupling * sine * state.pole_speed_rad_s**2, coupling * body.gravity_m_s2 * sine]
        acceleration = np.linalg.solve(mass, forces)
        speeds = np.array([state.cart_speed_m_s, state.pole_speed_rad_s]) + step_s * acceleration
        places = np.array([state.cart_position_m, state.pole_angle_rad]) + step_s * speeds
        expected = [places[0], speeds[0], places[1], speeds[1]]
        assert list(plant.state()) == pytest.approx(expected, abs=1e-11)
    plant.close()


def test_nothing_damps_a_free_swing(gym_cart: CartParams) -> None:
    """Ten seconds of free motion keep the energy within 0.1 %; any remaining damping would take far more.

    The step is short because semi-implicit Euler's energy ripple within a swing is proportional to it.
    """
    body = gym_cart.pole_cart
    plant = Plant(body, 0.0001)
    plant.place(State(0.0, 0.0, 2.0, 0.0))

    def energy_j() -> float:
        _, speed, angle, rate = plant.state()
        half = body.pole_half_length_m
        pole_speed_squared = speed**2 + 2 * speed * rate * half * math.cos(angle) + (rate * half) ** 2
        kinetic = body.cart_mass_kg * speed**2 + body.pole_mass_kg * pole_speed_squared
        kinetic += body.pole_inertia_kg_m2 * rate**2
        return kinetic / 2 + body.pole_mass_kg * body.gravity_m_s2 * half * (math.cos(angle) + 1.0)

    at_first = energy_j()
    plant.advance(0.0, 100_000)
    assert energy_j() == pytest.approx(at_first, rel=1e-3)
    plant.close()


def test_no_speed_is_held_back(gym_cart: CartParams) -> None:
    """The engine's own limit of 100 rad/s is off: a spinning pole keeps its speed."""
    plant = Plant(gym_cart.pole_cart, 1e-4)
    plant.place(State(0.0, 0.0, math.pi, 150.0))
    plant.advance(0.0, 1)
    assert plant.state().pole_speed_rad_s == pytest.approx(150.0, rel=1e-3)
    plant.close()


def test_closed_plant_moves_no_other(gym_cart: CartParams) -> None:
    """The engine gives a closed client's number to the next plant."""
    closed = Plant(gym_cart.pole_cart, 0.001)
    closed.close()
    other = Plant(gym_cart.pole_cart, 0.001)
    other.place(State(0.1, 0.0, 0.0, 0.0))
    for use in (lambda: closed.place(State(2.0, 0.0, 0.0, 0.0)), lambda: closed.advance(5.0, 1)):
        with pytest.raises(RigError, match="this simulation is closed"):
            use()
    assert other.state() == State(0.1, 0.0, 0.0, 0.0)
    other.close()


def test_plant_cannot_be_copied(gym_cart: CartParams) -> None:
    plant = Plant(gym_cart.pole_cart, 0.001)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(plant)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(plant)
    plant.close()


def test_force_points_toward_plus_x_and_the_pole_leans_toward_it(gym_cart: CartParams) -> None:
    plant = Plant(gym_cart.pole_cart, 0.02)
    plant.place(State(0.0, 0.0, 0.0, 0.0))
    plant.advance(10.0, 1)
    pushed = plant.state()
    assert pushed.cart_speed_m_s > 0.0
    assert pushed.pole_speed_rad_s < 0.0, "the pole stays behind: it leans away from the push"
    plant.place(State(0.0, 0.0, 0.1, 0.0))
    plant.advance(0.0, 1)
    assert plant.state().pole_speed_rad_s > 0.0, "a pole leaning toward +x falls toward +x"
    plant.close()


@pytest.mark.long
def test_closed_plants_free_their_clients() -> None:
    """Opens more plants, one after another, than PyBullet's 1000 clients."""
    body = carts()[0]
    for _ in range(1100):
        Plant(body, 0.001).close()
