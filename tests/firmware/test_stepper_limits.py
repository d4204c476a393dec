"""What a stepper takes for limits: CFG with its flag, then STEPPER, each field within bounds; other limits unhome."""

from __future__ import annotations

from binascii import crc_hqx

import pytest

from firmware_bridge.messages import StepperMessage
from tests.firmware.c_core import ACK, FAULT, STATE, cfg_message
from tests.firmware.stepper_core import CFG, STEPPER, StepperCore

MOTOR_REVERSED, CART_REVERSED, POLE_REVERSED, ON_ARRIVAL, BRAKES, CUTS, IS_STEPPER = 1, 2, 4, 8, 16, 32, 64
SPEED, GAIN_Q4, ROUND_TRIP = 1, 2, 5


@pytest.mark.parametrize(
    ("flags", "is_taken"),
    [
        (IS_STEPPER, True),
        (0, False),
        (POLE_REVERSED | ON_ARRIVAL | CUTS, False),
        (IS_STEPPER | POLE_REVERSED | ON_ARRIVAL | CUTS, True),
        (IS_STEPPER | MOTOR_REVERSED | CART_REVERSED, True),
        (IS_STEPPER | MOTOR_REVERSED, False),
        (IS_STEPPER | CART_REVERSED, False),
        (IS_STEPPER | BRAKES, False),
        (IS_STEPPER | 128, False),
        (MOTOR_REVERSED | CART_REVERSED, False),
        (128, False),
    ],
)
def test_cfg_must_be_for_a_stepper_that_counts_as_it_turns(stepper: StepperCore, flags: int, is_taken: bool) -> None:
    assert stepper.configure(flags=flags) == ((ACK.DONE, 0xFF) if is_taken else (ACK.OUT_OF_RANGE, 0))


@pytest.mark.parametrize(
    ("field", "number", "least", "most"),
    [
        ("flags", 0, 0, 7),
        ("speed_most", 1, 1, 20_000),
        ("gain_q4", 2, 1, 65_535),
        ("pulse_counts", 3, 1, 50),
        ("setup_us", 4, 0, 250),
        ("round_trip_steps", 5, 1, 1000),
    ],
)
def test_field_of_stepper_is_accepted_within_its_bounds_only(
    stepper: StepperCore, field: str, number: int, least: int, most: int
) -> None:
    stepper.configure()
    for value in (least, most):
        assert stepper.stepper_limits(**{field: value}) == (ACK.DONE, 0xFF)
    for value in (least - 1, most + 1):
        if 0 <= value <= (0xFFFF if field in ("speed_most", "gain_q4", "round_trip_steps") else 0xFF):
            before = stepper.limits_crc
            assert stepper.stepper_limits(**{field: value}) == (ACK.OUT_OF_RANGE, number)
            assert stepper.limits_crc == before, "what was in force stays"


def test_stepper_comes_after_cfg(stepper: StepperCore) -> None:
    assert stepper.stepper_limits() == (ACK.NO_LIMITS, 0)
    assert not stepper.is_configured
    stepper.configure()
    assert not stepper.is_configured
    stepper.tick()
    assert stepper.home() == (ACK.NO_LIMITS, 0)
    assert stepper.stepper_limits() == (ACK.DONE, 0xFF)
    assert stepper.is_configured
    assert stepper.home() == (ACK.DONE, 0)


def test_same_limits_again_change_nothing(stepper: StepperCore) -> None:
    stepper.to_ready()
    crc = stepper.limits_crc
    assert stepper.configure() == (ACK.DONE, 0xFF)
    assert (stepper.is_configured, stepper.is_homed, stepper.limits_crc) == (True, True, crc)
    assert stepper.stepper_limits() == (ACK.DONE, 0xFF)
    assert (stepper.is_configured, stepper.is_homed, stepper.limits_crc) == (True, True, crc)
    assert stepper.state == STATE.READY


def test_another_cfg_wants_stepper_again_and_unhomes(stepper: StepperCore) -> None:
    stepper.to_ready()
    crc = stepper.limits_crc
    assert stepper.configure(pole_limit_counts=701) == (ACK.DONE, 0xFF)
    assert (stepper.is_configured, stepper.is_homed, stepper.state) == (False, False, STATE.DISARMED)
    without = stepper.limits_crc
    assert without not in (0, crc)
    assert stepper.stepper_limits() == (ACK.DONE, 0xFF)
    assert stepper.is_configured
    assert stepper.limits_crc not in (0, crc, without)
    assert stepper.configure() == (ACK.DONE, 0xFF)
    stepper.stepper_limits()
    assert stepper.limits_crc == crc


@pytest.mark.parametrize(
    "change", [{"flags": 1}, {"speed_most": 17_999}, {"gain_q4": 6401}, {"pulse_counts": 12}, {"round_trip_steps": 9}]
)
def test_another_stepper_unhomes(stepper: StepperCore, change: dict[str, int]) -> None:
    stepper.to_ready()
    crc = stepper.limits_crc
    assert stepper.stepper_limits(**change) == (ACK.DONE, 0xFF)
    assert (stepper.is_homed, stepper.state) == (False, STATE.DISARMED)
    assert stepper.limits_crc != crc


def test_session_and_number_of_stepper_are_no_limits(stepper: StepperCore) -> None:
    stepper.to_ready()
    stepper.stepper_limits(session=7, seq=9)
    assert stepper.state == STATE.READY


def test_limits_crc_is_that_of_cfg_and_stepper_and_never_zero(stepper: StepperCore) -> None:
    stepper.configure()
    of_cfg = crc_hqx(cfg_message(**CFG)[4:], 0xFFFF)
    assert stepper.limits_crc == of_cfg
    for changes, expected in (({}, None), ({"speed_most": 26, "round_trip_steps": 19}, 1)):
        both = crc_hqx(StepperMessage(**{"session": 3, "seq": 4, **STEPPER, **changes}).pack()[4:], of_cfg)
        assert both == 0 if expected == 1 else both > 1
        stepper.stepper_limits(**changes)
        assert stepper.limits_crc == (expected or both)


@pytest.mark.parametrize("state", ["homing", "armed"])
def test_no_limits_are_taken_while_driving(stepper: StepperCore, state: str) -> None:
    getattr(stepper, f"to_{state}")()
    assert stepper.configure() == (ACK.NOT_NOW, 0)
    assert stepper.stepper_limits() == (ACK.NOT_NOW, 0)
    stepper.tick()
    assert stepper.state == getattr(STATE, state.upper())


def test_nothing_begins_before_the_cart_rests(stepper: StepperCore) -> None:
    stepper.to_armed()
    stepper.fast_to(2000)
    stepper.disarm()
    assert stepper.state == STATE.READY
    assert stepper.speed > 0
    for begin in (stepper.configure, stepper.stepper_limits, stepper.home, stepper.centre, stepper.jog, stepper.arm):
        assert begin() == (ACK.NOT_NOW, 0), begin
    stepper.rest()
    for begin in (stepper.configure, stepper.stepper_limits):
        assert begin() == (ACK.DONE, 0xFF), begin
    assert stepper.centre() == (ACK.DONE, 0)


def test_pins_of_the_driver_are_those_of_stepper(stepper: StepperCore) -> None:
    stepper.to_armed(flags=64, pulse_counts=50)
    assert (stepper.motor.is_enable_low, stepper.motor.pulse_counts) == (False, 50)
    stepper.disarm()
    stepper.rest()
    stepper.stepper_limits(flags=1, pulse_counts=4)
    stepper.tick()
    assert (stepper.motor.is_enable_low, stepper.motor.pulse_counts) == (True, 4)
    stepper.stepper_limits(flags=6)
    stepper.tick()
    assert not stepper.motor.is_enable_low


def test_tolerance_of_the_round_trip_reaches_homing(stepper: StepperCore) -> None:
    stepper.to_disarmed(round_trip_steps=23)
    assert stepper.round_trip_steps == 23


@pytest.mark.parametrize("enable", [0, 1])
@pytest.mark.parametrize("is_low", [False, True])
def test_alarm_counts_at_its_level_for_three_samples(stepper: StepperCore, is_low: bool, enable: int) -> None:
    stepper.to_disarmed()
    assert stepper.stepper_limits(flags=enable + 2 + 4 * is_low) == (ACK.DONE, 0xFF)
    alarm = not is_low
    for _ in range(4):
        assert not stepper.see_alarm(is_high=alarm)
        assert not stepper.see_alarm(is_high=not alarm)
    for _ in range(2):
        assert not stepper.see_alarm(is_high=alarm)
    assert not stepper.see_alarm(is_high=not alarm)
    for _ in range(2):
        assert not stepper.see_alarm(is_high=alarm)
    assert stepper.see_alarm(is_high=alarm)
    for _ in range(2):
        assert stepper.see_alarm(is_high=not alarm)
    assert not stepper.see_alarm(is_high=not alarm)


@pytest.mark.parametrize("flags", [0, 1, 4, 5])
def test_alarm_that_is_not_wired_says_nothing(stepper: StepperCore, flags: int) -> None:
    stepper.to_disarmed()
    stepper.stepper_limits(flags=flags)
    assert not any(stepper.see_alarm(is_high=is_high) for is_high in (True, False) for _ in range(5))


@pytest.mark.parametrize("switch", ["left", "right"])
def test_switch_is_touched_where_it_first_closed_and_may_bounce(stepper: StepperCore, switch: str) -> None:
    closed = {switch: True}
    for counts in range(10):
        stepper.see_switches(counts)
    assert stepper.see_switches(100, **closed) == 100
    assert stepper.see_switches(101) == 100
    for _ in range(9):
        stepper.see_switches(102)
    assert stepper.see_switches(103, **closed) == 103, "open for 10 ticks"
    for _ in range(9):
        assert stepper.see_switches(104) == 103
    assert stepper.see_switches(105, **closed) == 103, "open for 9: it bounces"
    assert stepper.see_switches(106, **closed) == 103
    for _ in range(260):
        stepper.see_switches(107)
    assert stepper.see_switches(108, left=True, right=True) == 108


def test_alarm_forbids_to_begin_and_to_clear(stepper: StepperCore) -> None:
    stepper.to_disarmed()
    stepper.inputs.is_alarm = True
    assert stepper.home() == (ACK.UNHEALTHY, FAULT.DRIVER_ALARM)
    stepper.trip(FAULT.END_SWITCH)
    assert stepper.clear() == (ACK.UNHEALTHY, FAULT.DRIVER_ALARM)
    stepper.inputs.is_alarm = False
    assert stepper.clear() == (ACK.DONE, 0)
    assert stepper.home() == (ACK.DONE, 0)
