from __future__ import annotations

import dataclasses
import json
import math

import pytest

from cartpole_robot.params import CartParams, Limits, PoleCart, StartSpread, Timing, cart_from_dict

BODY = {
    "cart_mass_kg": 1.0,
    "pole_mass_kg": 0.1,
    "pole_half_length_m": 0.5,
    "pole_inertia_kg_m2": 0.1 / 12.0,
    "gravity_m_s2": 9.8,
}


@pytest.mark.parametrize("name", BODY)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_body_refuses_what_no_body_has(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = .*expected a finite number greater than 0"):
        PoleCart(**{**BODY, name: value})


def test_control_period_between_physics_steps_names_both_numbers_and_the_neighbours() -> None:
    with pytest.raises(ValueError, match=r"^control period 0\.015 s is not a whole number of 0\.004 s physics steps; "):
        Timing(physics_step_s=0.004, control_period_s=0.015)
    with pytest.raises(ValueError, match=r"use 0\.016 s or 0\.012 s$"):
        Timing(physics_step_s=0.004, control_period_s=0.015)


def test_control_period_shorter_than_a_physics_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"use 0\.02 s$"):
        Timing(physics_step_s=0.02, control_period_s=0.01)


@pytest.mark.parametrize(("step_s", "period_s", "count"), [(0.02, 0.02, 1), (0.001, 0.02, 20), (0.001, 0.0333, None)])
def test_physics_steps_per_period(step_s: float, period_s: float, count: int | None) -> None:
    if count is None:
        with pytest.raises(ValueError, match="is not a whole number"):
            Timing(physics_step_s=step_s, control_period_s=period_s)
    else:
        assert Timing(physics_step_s=step_s, control_period_s=period_s).physics_steps_per_period == count


def test_angle_limit_of_a_lying_pole_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pole_angle_rad = 1\.6"):
        Limits(cart_position_m=1.0, pole_angle_rad=1.6)


@pytest.mark.parametrize(
    ("duties", "message"),
    [
        ((1.0,), "has 1 entries, expected at least 2"),
        ((-1.0, 1.5), "asks for duty 1.5"),
        ((0.5, 1.0), "pushes to one side only"),
        ((-1.0, -1.0, 1.0), "has equal entries"),
        ((-1.0, math.nan), "asks for duty nan"),
    ],
)
def test_action_table_that_cannot_balance_is_refused(
    gym_cart: CartParams, duties: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(gym_cart, action_duties=duties)


def test_start_outside_the_limits_is_refused(gym_cart: CartParams) -> None:
    wide = StartSpread(cart_position_m=0.05, cart_speed_m_s=0.0, pole_angle_rad=0.3, pole_speed_rad_s=0.0)
    with pytest.raises(ValueError, match=r"start\.pole_angle_rad = 0\.3 reaches the limit 0\.20944"):
        dataclasses.replace(gym_cart, start=wide)


def test_cart_survives_json(gym_cart: CartParams) -> None:
    again = cart_from_dict(json.loads(json.dumps(gym_cart.as_dict())), where="test")
    assert again == gym_cart
    assert again.fingerprint() == gym_cart.fingerprint()


def test_fingerprint_follows_the_numbers_and_not_the_name(gym_cart: CartParams) -> None:
    renamed = dataclasses.replace(gym_cart, name="other", description="other")
    heavier = dataclasses.replace(gym_cart, pole_cart=dataclasses.replace(gym_cart.pole_cart, cart_mass_kg=1.1))
    assert renamed.fingerprint() == gym_cart.fingerprint()
    assert heavier.fingerprint() != gym_cart.fingerprint()
