"""Which keys a cart file has with a stepper: some of a DC motor's have no meaning there, and are refused by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cartpole_robot.cart.params import SECTIONS, CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import record_from_table
from firmware_bridge.constants import HOMING_DUTY_MOST, TICK_S
from firmware_bridge.protocol import read_constants

_FIRMWARE_LIMITS = read_constants("limits.h")
_SEEN_S = (_FIRMWARE_LIMITS["CONTACT_SAMPLES"] + 1) * TICK_S  # from a switch that closes to the braking
_HOMING_MOST_S = 1e-3 * _FIRMWARE_LIMITS["HOMING_MOST_MS"]
_MOST_REVERSALS_PER_S = 500
_WITHOUT_LIMIT: dict[str, Any] = {
    "homing_duty": HOMING_DUTY_MOST,
    "moving_duty": 1.0,
    "continuous_duty": 1.0,
    "reversals_per_s": _MOST_REVERSALS_PER_S,
}
"""Keys of `[firmware]` that limit a DC motor, with what limits nothing."""
_DC_FIRMWARE = (*_WITHOUT_LIMIT, "compensates_dead_zone", "brake_decel_m_s2", "is_cart_reversed")
_DERIVED = "derived: the motor of the same acceleration as the [stepper]"


def check_one_drive(tables: Mapping[str, Any], where: str) -> None:
    """Raises `UsageError` beginning with `where` for a cart with both drives, or with none."""
    motor, stepper = (tables.get(name) for name in ("motor", "stepper"))
    if motor is not None and stepper is not None:
        raise UsageError(
            f"{where}: has both [motor] ({_first(motor)}) and [stepper] ({_first(stepper)}), expected one of them; "
            "remove the section of the drive that the cart does not have"
        )
    if motor is None and stepper is None:
        raise UsageError(
            f"{where}: has neither the section [motor] nor [stepper], expected one of them; add [motor] for a DC motor "
            "(cart/known/diy_arduino.toml shows one) or [stepper] (cart/known/diy_stepper.toml)"
        )


def recorded_cart(record: Any, where: str) -> CartParams:
    """The cart of a table that `CartParams.as_dict` gave, which a file has kept.

    Raises `UsageError` beginning with `where` for a table that is no cart, or has both drives or none.
    """
    if isinstance(record, Mapping):
        check_one_drive(record, where)
    return record_from_table(CartParams, record, where=where)


def _first(table: Any) -> str:
    if not isinstance(table, dict) or not table:
        return "empty"
    key, value = next(iter(table.items()))
    shown = repr(value)
    return f"{key} = {shown if len(shown) <= 40 else shown[:40] + '...'}"


def fill_for_stepper(plain: dict[str, dict[str, Any]], sources: dict[str, str], where: str) -> None:
    """Fill in what follows from the `[stepper]` of a cart file's plain sections.

    Raises `UsageError` beginning with `where` for a key that only a DC motor's cart has.
    """
    firmware = plain.get("firmware")
    if firmware is not None:
        for key in _DC_FIRMWARE:
            if key in firmware:
                raise UsageError(
                    f"{where}: [firmware] {key} = {firmware[key]!r} belongs to a DC motor, and this cart has a "
                    "[stepper]; remove it"
                )
        for key, value in _WITHOUT_LIMIT.items():
            firmware[key] = value
            sources[f"firmware.{key}"] = "derived: without limit, for a [stepper]"
    encoders = plain.get("encoders")
    if encoders is not None and "cart_counts_per_m" not in encoders and "steps_per_m" in plain["stepper"]:
        encoders["cart_counts_per_m"] = plain["stepper"]["steps_per_m"]
        sources["encoders.cart_counts_per_m"] = "derived: stepper.steps_per_m"
    for field in dataclasses.fields(SECTIONS["motor"]):
        sources[f"motor.{field.name}"] = _DERIVED


def _check_homing_time(cart: CartParams, where: str) -> None:
    """Raises `UsageError` beginning with `where` for a cart that homes so slowly that the time limit ends it.

    From the middle it creeps to one switch and across the whole track; a stepper then crosses it a second time. Both
    return to the middle.
    """
    firmware = cart.firmware
    if firmware is None:
        return
    speed, track_m = firmware.homing_speed_m_s, 2.0 * firmware.switch_m
    way_m = track_m * (2.0 if cart.stepper is None else 3.0)
    if way_m > speed * _HOMING_MOST_S:
        raise UsageError(
            f"{where}: firmware.homing_speed_m_s = {speed:g} takes {way_m / speed:.4g} s for the {way_m:.3g} m of "
            f"homing on a track of {track_m:g} m, and the firmware allows {_HOMING_MOST_S:g} s; home at "
            f"{1.25 * way_m / _HOMING_MOST_S:.2g} m/s or faster"
        )


def check_homing(cart: CartParams, where: str) -> None:
    """Raises `UsageError` beginning with `where` for a cart that cannot home at its `homing_speed_m_s`.

    It is too slow for the firmware's time limit, or a stepper that homes faster than it drives, or cannot stop before
    the end of its track: while it homes it brakes with the share `homing_duty` of its largest acceleration.
    """
    _check_homing_time(cart, where)
    stepper, firmware = cart.stepper, cart.firmware
    if stepper is None or firmware is None:
        return
    speed = firmware.homing_speed_m_s
    if speed > stepper.maximum_speed_m_s:
        raise UsageError(
            f"{where}: firmware.homing_speed_m_s = {speed:g}, expected at most stepper.maximum_speed_m_s = "
            f"{stepper.maximum_speed_m_s:g}; home more slowly"
        )
    if cart.limits.end_stop_m is None:
        return
    needed_m = speed * _SEEN_S + speed**2 / (2.0 * firmware.homing_duty * stepper.maximum_acceleration_m_s2)
    room_m = cart.limits.end_stop_m - firmware.switch_m
    if needed_m > room_m:
        raise UsageError(
            f"{where}: firmware.homing_speed_m_s = {speed:g} stops {1000.0 * needed_m:.3g} mm beyond a switch, and "
            f"limits.end_stop_m = {cart.limits.end_stop_m:g} is {1000.0 * room_m:.3g} mm beyond it; home more slowly"
        )


def keys_in_file(cart: CartParams, section: str) -> tuple[str, ...]:
    """The keys of `section` that a file of `cart` has: none of those that follow from its stepper."""
    if getattr(cart, section) is None:
        return ()
    names = tuple(field.name for field in dataclasses.fields(SECTIONS[section]))
    if cart.stepper is None:
        return names
    derived = {"motor": names, "firmware": _DC_FIRMWARE, "encoders": ("cart_counts_per_m",)}.get(section, ())
    return tuple(name for name in names if name not in derived)
