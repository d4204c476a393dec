"""What a page is given, as JSON: one cart with its firmware's limits, its controllers, and the words for faults.

`simulation.js` takes it, and hands every number to the compiled module by its name.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import with_actions
from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Stepper
from cartpole_robot.errors import UsageError
from cartpole_robot.page.drawing import drive_of
from cartpole_robot.page.networks import network_contents
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from cartpole_robot.simulation import supply_relay
from cartpole_robot.task import Task
from firmware_bridge.constants import TICK_S
from firmware_bridge.faults import FAULTS
from firmware_bridge.protocol import read_protocol

LQR, SWING_UP, OFF = "lqr", "swing-up", "off"
_MOST_NETWORKS = 8  # CONTROLLERS_NETWORKS of page/native/controllers.h
_MOST_LATE = 64  # control periods: REGULATOR_MOST of page/native/regulator.h
_SWING_SHARE = 0.8  # of the limit of position: a cart farther out goes to the middle before it swings up
_START_SHARE = 0.5  # of the start spread, by which the simulated hand lets the pole lean


def page_contents(
    cart: CartParams,
    policies: Mapping[str, PolicyBundle],
    *,
    lqr: Lqr | None = None,
    swing_up: SwingUpDesign | None = None,
) -> dict[str, Any]:
    """The contents of a page with those controllers of `cart`; plain JSON values.

    A stepper's driver has its alarm output wired, whatever the cart file says. Policies are listed as "policy:NAME".
    Raises `UsageError` for a cart that no firmware can drive, and for a policy or a controller that a page cannot run.
    """
    _, settings = encoders_and_settings(cart)
    _check(cart, policies, lqr, swing_up)
    cart = with_alarm(cart)
    numbers = {**_plant_numbers(cart), **_host_numbers(cart)}
    arrays: dict[str, NDArray[Any]] = {}
    controllers = [f"policy:{name}" for name in policies]
    if lqr is not None:
        controllers.append(LQR)
        numbers["lqr.gains"] = len(lqr.duty_gain)
        arrays |= {"lqr.state_gain": lqr.state_gain, "lqr.duty_gain": lqr.duty_gain}
    if swing_up is not None and settings.swing_timeout_s > 0.0:
        controllers.append(SWING_UP)
        driver = SwingUpController(cart, swing_up)
        numbers["swing.gains"] = len(swing_up.lqr.duty_gain)
        numbers |= {f"swing.{name}": number for name, number in driver.numbers().items()}
        numbers |= _model_numbers(cart)
        arrays |= {f"swing.{name}": array for name, array in driver.arrays().items()}
    return {
        "cart": {
            "name": cart.name,
            **drive_of(cart),
            "description": cart.description,
            "control_period_s": cart.timing.control_period_s,
            "position_limit_m": cart.limits.cart_position_m,
            "travel_limit_m": settings.travel_limit_m,
            "switch_m": settings.switch_m,
            "end_stop_m": cart.limits.end_stop_m,
            "pole_length_m": 2.0 * cart.pole_cart.pole_half_length_m,
            "pole_limit_rad": settings.pole_limit_rad,
            "nominal_v": numbers["nominal_mv"] / 1000.0,
            "supply_min_v": settings.supply_min_v,
            "supply_max_v": settings.supply_max_v,
            "command_timeout_s": settings.command_timeout_s,
        },
        "numbers": {name: float(number) for name, number in numbers.items() if math.isfinite(number)},
        "arrays": {name: _array(array) for name, array in arrays.items()},
        "limits": base64.b64encode(cfg_message(cart).pack()).decode(),
        "stepper_limits": _stepper_limits(cart),
        "networks": [network_contents(name, bundle) for name, bundle in policies.items()],
        "controllers": [*controllers, OFF],
        **_words(),
    }


def _check(
    cart: CartParams, policies: Mapping[str, PolicyBundle], lqr: Lqr | None, swing_up: SwingUpDesign | None
) -> None:
    if abs(cart.timing.physics_step_s - TICK_S) > 1e-12:
        raise UsageError(
            f"cart {cart.name!r}: timing.physics_step_s = {cart.timing.physics_step_s:g}, and a page simulates "
            f"steps of {TICK_S:g}, as the firmware ticks; set it"
        )
    if len(policies) > _MOST_NETWORKS:
        raise UsageError(f"{len(policies)} policies, and a page takes at most {_MOST_NETWORKS}; leave some out")
    for name, bundle in policies.items():
        bundle.check_fits(_with_its_table(cart, name, bundle), name=name)
    regulators = (lqr, None if swing_up is None else swing_up.lqr)
    late = max((len(each.duty_gain) for each in regulators if each is not None), default=0)
    if late > _MOST_LATE:
        raise UsageError(
            f"cart {cart.name!r}: a command takes {late} control periods to work, and a page takes at most "
            f"{_MOST_LATE}; lengthen timing.control_period_s"
        )


def _with_its_table(cart: CartParams, name: str, bundle: PolicyBundle) -> CartParams:
    """`cart` with the table the policy chooses from: each network of a page has its own."""
    duties = bundle.interface.action_duties
    if bundle.interface.task is Task.SWING_UP or duties in ((), cart.action_duties, cart.precise_table):
        return bundle.fitted(cart)
    return with_actions(cart, duties, given=name)


def with_alarm(cart: CartParams) -> CartParams:
    """`cart`, with the alarm output of a stepper's driver wired."""
    if cart.stepper is None or cart.stepper.alarm_is_low is not None:
        return cart
    return dataclasses.replace(cart, stepper=dataclasses.replace(cart.stepper, alarm_is_low=True))


def _stepper_limits(cart: CartParams) -> str:
    """The STEPPER message, "" for a DC motor."""
    message = stepper_message(cart)
    return "" if message is None else base64.b64encode(message.pack()).decode()


def _model_numbers(cart: CartParams) -> dict[str, float]:
    """The cart as the swing-up's planner takes it."""
    return {f"swing.{name}": number for name, number in drive_model(cart)._asdict().items()}


def _stepper_numbers(stepper: Stepper) -> dict[str, float]:
    names = (
        *("steps_per_m", "microsteps", "maximum_speed_m_s", "maximum_acceleration_m_s2", "pull_out_force_n"),
        *("corner_speed_m_s", "pull_in_speed_m_s", "settling_s", "alarm_is_low"),
    )
    return {f"stepper.{name}": getattr(stepper, name) for name in names}


def _plant_numbers(cart: CartParams) -> dict[str, float]:
    encoders, settings = encoders_and_settings(cart)
    body, motor, friction = cart.pole_cart, cart.motor, cart.friction
    lag_s = motor.lag_s if cart.stepper is None else cart.stepper.settling_s
    right_counts = math.floor(settings.switch_m * encoders.cart_counts_per_m)
    return {
        "step_s": cart.timing.physics_step_s,
        "mass_kg": body.mass_kg,
        "inertia_kg_m2": body.hinge_inertia_kg_m2,
        "coupling_kg_m": body.coupling_kg_m,
        "gravity_m_s2": body.gravity_m_s2,
        "cart_mass_kg": body.cart_mass_kg,
        "pole_viscous_n_m_s": friction.pole_viscous_n_m_s,
        "pole_coulomb_n_m": friction.pole_coulomb_n_m,
        "cart_coulomb_n": friction.cart_coulomb_n,
        "cart_static_n": friction.cart_static_n,
        "viscous_n_s_m": friction.cart_viscous_n_s_m,
        "damping_n_s_m": cart.damping_n_s_m,
        "end_stop_m": math.inf if cart.limits.end_stop_m is None else cart.limits.end_stop_m,
        "stall_force_n": motor.stall_force_n,
        "right_share": motor.right_share,
        "right_slope_n": motor.right_slope_n,
        "right_dead_zone_duty": motor.right_dead_zone_duty,
        "left_share": motor.left_share,
        "left_slope_n": motor.left_slope_n,
        "left_dead_zone_duty": motor.left_dead_zone_duty,
        "saturation": motor.saturation,
        "lag_s": motor.lag_s,
        "lag_keep": math.exp(-cart.timing.physics_step_s / lag_s) if lag_s > 0.0 else 0.0,
        "brakes_at_zero": motor.brakes_at_zero,
        "counts_per_m": encoders.cart_counts_per_m,
        "counts_per_rad": encoders.pole_counts_per_rad,
        "nominal_mv": round(1000.0 * (motor.supply_voltage_v or 12.0)),
        "left_counts": -right_counts,
        "right_counts": right_counts,
        "estop_cuts_supply": settings.estop_cuts_supply,
        "relay_falls": supply_relay.KEPT,
        "relay_rises": supply_relay.MISSING,
        "relay_closes": supply_relay.START_SHARE,
        "pole_length_m": 2.0 * body.pole_half_length_m,
        **({} if cart.stepper is None else _stepper_numbers(cart.stepper)),
    }


def _host_numbers(cart: CartParams) -> dict[str, float]:
    encoders, _ = encoders_and_settings(cart)
    commanded = cart.commanded_motor
    return {
        "host.m_per_count": 1.0 / encoders.cart_counts_per_m,
        "host.rad_per_count": 1.0 / encoders.pole_counts_per_rad,
        "host.late_ms": 1000.0 * cart.delay.latency_s,
        "host.jitter_ms": 1000.0 * cart.delay.jitter_s,
        "host.lost_share": cart.delay.drop_probability,
        "host.start_m": 0.0,
        "host.start_rad": _START_SHARE * cart.start.pole_angle_rad,
        "host.centred_m": math.inf if cart.stepper is None else cart.start.cart_position_m,
        "host.swing_share_m": _SWING_SHARE * cart.limits.cart_position_m,
        "lqr.left_dead_zone": commanded.left_dead_zone_duty,
        "lqr.right_dead_zone": commanded.right_dead_zone_duty,
        "lqr.left_share": commanded.left_share,
        "lqr.right_share": commanded.right_share,
    }


def _words() -> dict[str, Any]:
    enums = read_protocol().enums
    wanted = {"states": "cart_state", "fault_names": "fault", "refusals": "ack_code", "modes": "mode"}
    named = {key: {str(int(each)): each.name for each in enums[name]} for key, name in wanted.items()}
    return {**named, "faults": dict(FAULTS)}


def _array(array: NDArray[Any]) -> dict[str, str]:
    """An array as base64: whole numbers from -128 to 127 as int8, all others as float64."""
    flat = np.ascontiguousarray(array).reshape(-1)
    small = flat.astype(np.int8)
    kind, layout = ("int8", "i1") if np.array_equal(small, flat) else ("float64", "<f8")
    return {"type": kind, "data": base64.b64encode(flat.astype(layout).tobytes()).decode()}
