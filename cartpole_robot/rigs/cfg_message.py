"""A cart file's `[firmware]` section as a CFG message, in the firmware's counts and integers."""

from __future__ import annotations

import math
from typing import TypeVar

from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2, encoders_and_settings, pole_half_period_s
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, FirmwareSettings
from cartpole_robot.errors import UsageError
from firmware_bridge.constants import TICK_S
from firmware_bridge.messages import CfgMessage, StepperMessage
from firmware_bridge.protocol import read_constants, read_protocol

_RAMP = read_constants("ramp.h")
Request = TypeVar("Request", CfgMessage, StepperMessage)


_PUSH_DUTY = 0.125  # of a stepper: the acceleration from which on the pole must be seen to fall back from it
_BOUNCE_S = 0.007  # for so long a switch may bounce, and a look at it each millisecond may miss its first touch


def _counts_backwards(cart: CartParams, firmware: FirmwareSettings) -> bool:
    """Whether what counts the cart counts to the left: a stepper's steps turn with its motor."""
    return firmware.is_motor_reversed if cart.stepper is not None else firmware.is_cart_reversed


def stepper_message(cart: CartParams) -> StepperMessage | None:
    """STEPPER for `cart`, session and seq 0; None for a DC motor. Raises `UsageError` as `cfg_message`.

    A switch may close three full steps off, less than the four that a motor loses when it slips, or as far as the cart
    travels while it bounces where that is more.
    """
    stepper = cart.stepper
    if stepper is None:
        return None
    _, firmware = encoders_and_settings(cart)
    flag = read_protocol().enums["stepper_flag"]
    per_tick = stepper.steps_per_m * stepper.maximum_acceleration_m_s2 * TICK_S
    bounce_steps = math.ceil(firmware.homing_speed_m_s * stepper.steps_per_m * _BOUNCE_S)
    message = StepperMessage(
        session=0,
        seq=0,
        flags=int(
            (flag["ENABLE_LOW"] if stepper.enable_is_low else 0)
            | (flag["HAS_ALARM"] if stepper.alarm_is_low is not None else 0)
            | (flag["ALARM_LOW"] if stepper.alarm_is_low else 0)
        ),
        speed_most=round(stepper.maximum_speed_m_s * stepper.steps_per_m),
        gain_q4=round(per_tick * _RAMP["RAMP_GAIN_PER_STEP"]),
        pulse_counts=math.ceil(stepper.pulse_width_s * _RAMP["RAMP_COUNTS_PER_S"] - 1e-6),
        setup_us=math.ceil(stepper.direction_setup_s * 1e6 - 1e-6),
        round_trip_steps=max(3 * stepper.microsteps, bounce_steps),
    )
    return _that_fits(message, cart, "stepper")


def cfg_message(cart: CartParams) -> CfgMessage:
    """CFG for `cart`, session and seq 0. Raises `UsageError` for a number that its field cannot hold."""
    encoders, firmware = encoders_and_settings(cart)
    protocol = read_protocol()
    per_m, per_rad = encoders.cart_counts_per_m, encoders.pole_counts_per_rad
    one = protocol.constants["PROTOCOL_DUTY_ONE"]
    flag = protocol.enums["cfg_flag"]
    flags = (
        (flag["MOTOR_REVERSED"] if firmware.is_motor_reversed else 0)
        | (flag["CART_REVERSED"] if _counts_backwards(cart, firmware) else 0)
        | (flag["STEPPER"] if cart.stepper is not None else 0)
        | (flag["POLE_REVERSED"] if firmware.is_pole_reversed else 0)
        | (flag["APPLY_ON_ARRIVAL"] if cart.delay.apply is Apply.ON_ARRIVAL else 0)
        | (flag["BRAKE_AT_ZERO"] if cart.stepper is None and cart.motor.brakes_at_zero else 0)
        | (flag["ESTOP_CUTS_SUPPLY"] if firmware.estop_cuts_supply else 0)
    )
    period_ms = round(cart.timing.control_period_s * 1000.0)
    if abs(period_ms - cart.timing.control_period_s * 1000.0) > 1e-6:
        raise UsageError(
            f"cart {cart.name!r}: timing.control_period_s = {cart.timing.control_period_s:g}, expected whole "
            f"milliseconds for a cart with firmware; use {period_ms / 1000.0:g}"
        )
    message = CfgMessage(
        session=0,
        seq=0,
        flags=int(flags),
        control_period_ms=period_ms,
        command_timeout_ms=round(firmware.command_timeout_s * 1000.0),
        max_duty_q15=one,
        travel_limit_counts=round(firmware.travel_limit_m * per_m),
        brake_decel_counts_s2=round(braking_deceleration_m_s2(cart) * per_m),
        pole_limit_counts=round(firmware.pole_limit_rad * per_rad),
        arming_angle_counts=round(cart.limits.arming_angle_rad * per_rad),
        pole_counts_per_turn=encoders.pole_counts_per_turn,
        pole_half_period_ms=round(pole_half_period_s(cart) * 1000.0),
        homing_travel_counts=round(2.2 * firmware.switch_m * per_m),
        homing_speed_counts_s=round(firmware.homing_speed_m_s * per_m),
        homing_duty_q15=round(firmware.homing_duty * one),
        moving_duty_q15=round((firmware.moving_duty if cart.stepper is None else _PUSH_DUTY) * one),
        still_travel_counts=round(firmware.still_travel_m * per_m),
        dead_zone_left_q15=round(cart.motor.left_dead_zone_duty * one) if firmware.compensates_dead_zone else 0,
        dead_zone_right_q15=round(cart.motor.right_dead_zone_duty * one) if firmware.compensates_dead_zone else 0,
        continuous_duty_q15=round(firmware.continuous_duty * one),
        reversals_per_s=firmware.reversals_per_s,
        supply_min_mv=round(firmware.supply_min_v * 1000.0),
        supply_max_mv=round(firmware.supply_max_v * 1000.0),
        illegal_most=firmware.illegal_edges_most,
        bandgap_mv=0 if firmware.bandgap_v is None else round(firmware.bandgap_v * 1000.0),
        swing_timeout_ms=round(firmware.swing_timeout_s * 1000.0),
        upright_ms=round(firmware.upright_s * 1000.0),
    )
    return _that_fits(message, cart, "firmware")


def _that_fits(message: Request, cart: CartParams, section: str) -> Request:
    """`message`. Raises `UsageError` for a number that its field cannot hold."""
    try:
        message.pack()
    except ValueError as error:
        raise UsageError(f"cart {cart.name!r}: the firmware cannot hold it ({error}); change [{section}]") from None
    return message
