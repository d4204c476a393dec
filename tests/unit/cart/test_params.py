from __future__ import annotations

import dataclasses
import json
import math

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2, deceleration_m_s2
from cartpole_robot.cart.params import CartParams, check_is_ideal
from cartpole_robot.cart.parts import Apply, Delay, Encoders, Limits, PoleCart, StartSpread, Timing
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import record_from_table
from cartpole_robot.task import observation_bound_v0

BODY = {
    "cart_mass_kg": 1.0,
    "pole_mass_kg": 0.1,
    "pole_half_length_m": 0.5,
    "pole_inertia_kg_m2": 0.1 / 12.0,
    "gravity_m_s2": 9.8,
}


@pytest.mark.parametrize("name", BODY)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_body_refuses_numbers_that_are_not_positive_and_finite(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = .*expected a finite number greater than 0"):
        PoleCart(**{**BODY, name: value})


def test_body_knows_its_mass_coupling_and_hinge_inertia() -> None:
    body = PoleCart(**BODY)
    assert body.mass_kg == pytest.approx(1.1)
    assert body.coupling_kg_m == pytest.approx(0.05)
    assert body.hinge_inertia_kg_m2 == pytest.approx(0.1 / 3.0), "4/3 m l² of a uniform pole"


@pytest.mark.parametrize(
    ("apply", "arrival", "effect"),
    [
        (Apply.AT_ONCE, 7.0, 0.0),
        (Apply.ON_ARRIVAL, 7.0, 7.0),
        (Apply.ON_ARRIVAL, 0.5, 0.5),
        (Apply.NEXT_TICK, 0.0, 20.0),
        (Apply.NEXT_TICK, 20.0, 20.0),
        (Apply.NEXT_TICK, 20.1, 40.0),
    ],
)
def test_command_takes_effect_at_once_on_arrival_or_at_a_control_tick(
    apply: Apply, arrival: float, effect: float
) -> None:
    delay = Delay(apply=apply, latency_s=0.01 if apply is Apply.ON_ARRIVAL else 0.0)
    assert delay.effect(arrival, 20.0) == effect


def test_mean_delays_of_carts(gym_cart: CartParams) -> None:
    cart = load_cart("diy_arduino")
    assert cart.mean_delay_s == cart.timing.control_period_s == 0.02
    assert gym_cart.mean_delay_s == 0.0
    late = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=0.021))
    assert late.mean_delay_s == pytest.approx(0.04)
    arriving = dataclasses.replace(cart.delay, apply=Apply.ON_ARRIVAL, latency_s=0.01, jitter_s=0.004)
    assert dataclasses.replace(cart, delay=arriving).mean_delay_s == pytest.approx(0.012)


def test_terminal_speed_is_where_damping_takes_up_what_friction_leaves(gym_cart: CartParams) -> None:
    cart = load_cart("quanser_ip02")
    assert cart.damping_n_s_m == pytest.approx(6.26 + 5.4)
    assert cart.terminal_speed_m_s == pytest.approx(12.6 / (6.26 + 5.4))
    dry = dataclasses.replace(cart.friction, cart_coulomb_n=1.0, cart_static_n=1.0)
    assert dataclasses.replace(cart, friction=dry).terminal_speed_m_s == pytest.approx(11.6 / (6.26 + 5.4))
    assert gym_cart.terminal_speed_m_s == math.inf


def test_braking_deceleration_needs_a_terminal_speed(gym_cart: CartParams) -> None:
    cart = load_cart("quanser_ip02")
    assert braking_deceleration_m_s2(cart) == pytest.approx(4.835, abs=1e-3)
    with pytest.raises(UsageError, match=r"cart 'gym': nothing limits its speed; give motor\.back_emf_n_s_m"):
        braking_deceleration_m_s2(gym_cart)


def test_measured_braking_takes_the_place_of_the_computed_one() -> None:
    cart = load_cart("quanser_ip02")
    assert cart.firmware is not None
    measured = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, brake_decel_m_s2=3.5))
    assert braking_deceleration_m_s2(measured) == 3.5
    assert deceleration_m_s2(cart, cart.damping_n_s_m) == pytest.approx(braking_deceleration_m_s2(cart))
    assert deceleration_m_s2(cart, 0.5 * cart.damping_n_s_m) < braking_deceleration_m_s2(cart)
    with pytest.raises(ValueError, match="brake_decel_m_s2"):
        dataclasses.replace(cart.firmware, brake_decel_m_s2=-1.0)


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
        Limits(cart_position_m=1.0, pole_angle_rad=1.6, arming_angle_rad=0.1)


@pytest.mark.parametrize(
    ("duties", "message"),
    [
        ((1.0,), "has 1 entries, expected 2 to 8"),
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


def test_precise_table_too_weak_to_catch_the_pole_is_refused(gym_cart: CartParams) -> None:
    with pytest.raises(ValueError, match=r"the precise actions leave 0\.5 N beyond friction, and a pole leaning by"):
        dataclasses.replace(gym_cart, precise_duties=(-0.05, 0.05))


def test_start_outside_the_limits_is_refused(gym_cart: CartParams) -> None:
    wide = StartSpread(cart_position_m=0.05, cart_speed_m_s=0.0, pole_angle_rad=0.3, pole_speed_rad_s=0.0)
    with pytest.raises(ValueError, match=r"start\.pole_angle_rad = 0\.3 reaches the limit 0\.20944"):
        dataclasses.replace(gym_cart, start=wide)


def test_cart_survives_json(gym_cart: CartParams) -> None:
    again = record_from_table(CartParams, json.loads(json.dumps(gym_cart.as_dict())), where="test")
    assert again == gym_cart
    assert again.fingerprint() == gym_cart.fingerprint()


def test_fingerprint_follows_the_numbers_and_not_the_name(gym_cart: CartParams) -> None:
    renamed = dataclasses.replace(gym_cart, name="other", description="other")
    heavier = dataclasses.replace(gym_cart, pole_cart=dataclasses.replace(gym_cart.pole_cart, cart_mass_kg=1.1))
    assert renamed.fingerprint() == gym_cart.fingerprint()
    assert heavier.fingerprint() != gym_cart.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"limits": {"arming_angle_rad": 0.2}, "motor": {"stall_force_n": 2.0}},
            r"the actions leave 2 N beyond friction, and a pole leaning by arming_angle_rad = 0\.2 needs 2\.19 N",
        ),
        ({"friction": {"cart_coulomb_n": 9.0, "cart_static_n": 9.9}}, r"the actions leave 0\.1 N beyond friction"),
        ({"motor": {"dead_zone_duty": 1.0}}, "dead_zone_duty = 1 reaches full duty, expected less than 1"),
        (
            {"motor": {"dead_zone_duty": 0.6, "dead_zone_asymmetry_duty": -0.4}},
            r"dead_zone_duty = 0\.6 with dead_zone_asymmetry_duty = -0\.4 reaches full duty on one side",
        ),
        (
            {"motor": {"dead_zone_duty": 0.03, "dead_zone_asymmetry_duty": 0.031}},
            r"dead_zone_asymmetry_duty = 0\.031, expected at most 0\.5 and at most dead_zone_duty = 0\.03",
        ),
        (
            {"motor": {"dead_zone_duty": 0.1, "dead_zone_asymmetry_duty": float("nan")}},
            "asymmetry_duty = nan, expected",
        ),
        ({"motor": {"gain_asymmetry": -1.0}}, "gain_asymmetry = -1, expected between -1 and 1"),
        ({"motor": {"gain_asymmetry": float("nan")}}, "gain_asymmetry = nan, expected between -1 and 1"),
        (
            {"limits": {"arming_angle_rad": 0.2}, "motor": {"gain_asymmetry": 0.8}},
            r"the actions leave 2 N beyond friction, and a pole leaning by arming_angle_rad = 0\.2 needs 2\.19 N",
        ),
        ({"friction": {"cart_coulomb_n": 2.0, "cart_static_n": 1.0}}, "cart_static_n = 1 is below cart_coulomb_n = 2"),
        ({"limits": {"end_stop_m": 2.0}}, r"end_stop_m = 2 is not past cart_position_m = 2\.4"),
        ({"limits": {"arming_angle_rad": 0.3}}, r"arming_angle_rad = 0\.3 is past pole_angle_rad"),
        ({"delay": {"latency_s": 0.01}}, "apply = 'at_once' has no latency"),
        ({"delay": {"apply": Apply.ON_ARRIVAL}}, "every host takes time to answer"),
        ({"delay": {"apply": Apply.NEXT_TICK, "drop_probability": 1.0}}, "no command would ever arrive"),
        ({"motor": {"supply_voltage_v": 0.0}}, "supply_voltage_v = 0, expected"),
        (
            {"motor": {"saturation": 0.4}},
            r"saturation = 0\.4, expected at most 0\.198: more duty would give less force",
        ),
        ({"motor": {"lag_s": -1.0}}, "lag_s = -1, expected a finite number of at least 0"),
    ],
)
def test_cart_that_cannot_work_is_refused_with_value_and_bound(
    gym_cart: CartParams, change: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(
            gym_cart,
            **{name: dataclasses.replace(getattr(gym_cart, name), **values) for name, values in change.items()},
        )


def test_action_inside_the_dead_zone_is_refused(gym_cart: CartParams) -> None:
    motor = dataclasses.replace(gym_cart.motor, dead_zone_duty=0.3)
    with pytest.raises(ValueError, match=r"asks for duty -0\.25, inside the dead zone of 0\.3; raise it"):
        dataclasses.replace(gym_cart, motor=motor, action_duties=(-0.25, 0.25))
    motor = dataclasses.replace(gym_cart.motor, dead_zone_duty=0.3, dead_zone_asymmetry_duty=0.15)
    dataclasses.replace(gym_cart, motor=motor, action_duties=(-0.3, 0.6))
    with pytest.raises(ValueError, match=r"asks for duty 0\.44, inside the dead zone of 0\.45; raise it"):
        dataclasses.replace(gym_cart, motor=motor, action_duties=(-0.3, 0.44))


def test_asymmetric_motor_has_the_mean_of_its_sides_and_the_speed_of_the_stronger(gym_cart: CartParams) -> None:
    motor = dataclasses.replace(
        gym_cart.motor, back_emf_n_s_m=5.0, dead_zone_duty=0.1, gain_asymmetry=-0.2, dead_zone_asymmetry_duty=0.05
    )
    cart = dataclasses.replace(gym_cart, motor=motor)
    assert (motor.level(1.0), motor.level(-1.0)) == (0.8, -1.2)
    assert (motor.right_dead_zone_duty, motor.left_dead_zone_duty) == (pytest.approx(0.15), pytest.approx(0.05))
    assert motor.level(0.15) == 0.0
    assert motor.level(-0.15) < 0.0
    assert cart.terminal_speed_m_s == pytest.approx(1.2 * 10.0 / 5.0)
    symmetric = dataclasses.replace(motor, gain_asymmetry=0.0, dead_zone_asymmetry_duty=0.0)
    assert observation_bound_v0(cart)[1] > observation_bound_v0(dataclasses.replace(cart, motor=symmetric))[1]


def test_ideal_cart_has_no_asymmetry(gym_cart: CartParams) -> None:
    cart = dataclasses.replace(gym_cart, motor=dataclasses.replace(gym_cart.motor, gain_asymmetry=-0.1))
    with pytest.raises(
        ValueError, match=r"motor\.gain_asymmetry = -0\.1, expected 0\.0 for a cart without \[encoders\]"
    ):
        check_is_ideal(cart)


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ((50_000.0, 100), r"encoders\.pole_counts_per_turn is too coarse: one count in 0\.02 s reads as 3\.14 rad/s"),
        ((10.0, 4096), r"encoders\.cart_counts_per_m is too coarse: one count in 0\.02 s reads as 5 m/s, .* 0\.5 "),
    ],
)
def test_encoder_too_coarse_for_its_control_period_is_refused(
    gym_cart: CartParams, encoders: tuple[float, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(
            gym_cart, encoders=Encoders(cart_counts_per_m=encoders[0], pole_counts_per_turn=encoders[1])
        )
