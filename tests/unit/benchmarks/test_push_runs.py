from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.push_runs import PLACES, STEP_S, has_enough, largest, pushes
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import Encoders, Friction
from cartpole_robot.experiments.score.disturbed_cart import Disturbance, DisturbedCart
from cartpole_robot.signals import State


@pytest.mark.parametrize("limit", [0.0004, 0.02, 0.0999, 0.1, 1.7, 55.0])
def test_bisection_returns_a_number_that_holds_within_its_precision(limit: float) -> None:
    found = largest(lambda tried: tried <= limit, first=0.1, most=100.0, precision=0.02)
    assert limit / 1.02 <= found <= limit


def test_bisection_ends_at_its_bounds() -> None:
    assert largest(lambda tried: True, first=0.1, most=100.0, precision=0.02) == 100.0
    assert largest(lambda tried: False, first=0.1, most=100.0, precision=0.02) == 0.0


@pytest.mark.parametrize(("falls", "expected"), [(0, True), (5, True), (6, False), (100, False)])
def test_five_of_a_hundred_runs_may_fall(falls: int, expected: bool) -> None:
    asked: list[bool] = []

    def outcomes() -> list[bool]:
        return [False] * falls + [True] * (100 - falls)

    def recorded() -> object:
        for outcome in outcomes():
            asked.append(outcome)
            yield outcome

    assert has_enough(recorded(), 100) is expected  # type: ignore[arg-type]
    assert len(asked) == (100 if expected else 6)


@pytest.mark.parametrize("place", PLACES)
def test_a_push_changes_the_momentum_by_its_impulse(place: str) -> None:
    impulse_n_s = 0.004
    cart = load_cart("diy_arduino")
    body = dataclasses.replace(cart.pole_cart, gravity_m_s2=1e-9)
    free = dataclasses.replace(
        cart,
        pole_cart=body,
        friction=Friction(),
        encoders=Encoders(cart_counts_per_m=1e6, pole_counts_per_turn=1_000_000),
        motor=dataclasses.replace(cart.motor, back_emf_n_s_m=0.0),
    )
    disturbance = Disturbance(pushes=pushes(free, place, impulse_n_s, 0.2))
    disturbed = DisturbedCart(free, disturbance, step_s=STEP_S, seed=0)
    disturbed.place(State(0.0, 0.0, 0.0, 0.0))
    positions = []
    for _ in range(25):  # 0.5 s
        disturbed.step(0.0)
        positions.append((disturbed.measurement.cart_position_m, disturbed.measurement.pole_angle_rad))
    (x0, angle0), (x1, angle1) = positions[-6], positions[-1]
    speed_m_s, rate_rad_s = (x1 - x0) / 0.1, (angle1 - angle0) / 0.1
    side = -1.0 if place.endswith("left") else 1.0
    momentum = body.mass_kg * speed_m_s + body.coupling_kg_m * np.cos(angle0) * rate_rad_s
    assert momentum == pytest.approx(side * impulse_n_s, rel=0.03)
    at_hinge = body.coupling_kg_m * np.cos(angle0) * speed_m_s + body.hinge_inertia_kg_m2 * rate_rad_s
    arm_m = body.pole_half_length_m if place.startswith("pole") else 0.0
    assert at_hinge == pytest.approx(side * impulse_n_s * arm_m, rel=0.03, abs=1e-6)
