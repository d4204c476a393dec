"""Every way out of driving: a ramp to rest, a hold, then a free cart without zeros; or all at once."""

from __future__ import annotations

import pytest

from tests.firmware.c_core import ACK, FAULT, STATE
from tests.firmware.stepper_core import StepperCore

AT_ONCE = (FAULT.ESTOP, FAULT.DRIVER_ALARM, FAULT.PULSE_PERIOD)
LOSES_ZEROS = (FAULT.STEPS_LOST, FAULT.SUPPLY_LOW)
RAMPED = (FAULT.COMMAND_TIMEOUT, FAULT.TRAVEL_LIMIT, FAULT.POLE_ANGLE, FAULT.END_SWITCH, FAULT.MISSED_TICKS)


def moving(stepper: StepperCore, speed: int = 2000) -> None:
    stepper.to_armed()
    stepper.put(0)
    stepper.fast_to(speed)


def assert_ramp_and_hold(stepper: StepperCore, speed: float) -> None:
    """From about `speed` to rest, 400 steps/s in each tick, and enabled there."""
    side = 1 if speed > 0 else -1
    before = abs(stepper.speed)
    while before > 0:
        stepper.tick()
        now = abs(stepper.speed)
        assert now == pytest.approx(max(0.0, before - 400), abs=0.01)
        assert (stepper.applied_q15, stepper.is_enabled) == (-side * 32_767, True)
        before = now
    for _ in range(10):
        assert stepper.tick() == (0, True)
        assert (stepper.motor.rate.share, stepper.motor.is_left, stepper.speed) == (0, False, 0)


@pytest.mark.parametrize("speed", [2000, -2000, 150, -150])
def test_disarmed_cart_ramps_to_rest_and_is_held(stepper: StepperCore, speed: int) -> None:
    moving(stepper, speed)
    stepper.disarm()
    assert stepper.state == STATE.READY
    assert_ramp_and_hold(stepper, speed)
    assert stepper.is_homed


@pytest.mark.parametrize("speed", [2000, -2000])
@pytest.mark.parametrize("fault", RAMPED)
def test_fault_ramps_to_rest_and_keeps_the_zeros(stepper: StepperCore, fault: int, speed: int) -> None:
    moving(stepper, speed)
    stepper.trip(fault)
    assert_ramp_and_hold(stepper, speed)
    assert (stepper.state, stepper.fault, stepper.is_homed) == (STATE.FAULT, fault, True)


@pytest.mark.parametrize("fault", LOSES_ZEROS)
def test_fault_of_the_count_ramps_without_zeros(stepper: StepperCore, fault: int) -> None:
    moving(stepper)
    stepper.trip(fault)
    assert_ramp_and_hold(stepper, 2000)
    assert not stepper.is_homed


@pytest.mark.parametrize("fault", AT_ONCE)
def test_fault_that_cuts_disables_at_once_and_takes_the_zeros(stepper: StepperCore, fault: int) -> None:
    moving(stepper)
    stepper.trip(fault)
    assert stepper.tick() == (0, False)
    assert (stepper.speed, stepper.motor.rate.share) == (0, 0)
    assert (stepper.state, stepper.fault, stepper.is_homed) == (STATE.FAULT, fault, False)
    assert stepper.clear() == (ACK.DONE, 0)
    assert stepper.state == STATE.DISARMED


@pytest.mark.parametrize("fault", AT_ONCE)
def test_cut_during_another_fault_s_ramp_keeps_its_name(stepper: StepperCore, fault: int) -> None:
    moving(stepper, 8000)
    stepper.trip(FAULT.TRAVEL_LIMIT)
    stepper.tick()
    assert stepper.speed > 0
    stepper.trip(fault)
    assert stepper.tick() == (0, False)
    assert (stepper.fault, stepper.speed, stepper.is_homed) == (FAULT.TRAVEL_LIMIT, 0, False)


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({"is_estop_pressed": True}, FAULT.ESTOP),
        ({"is_alarm": True}, FAULT.DRIVER_ALARM),
        ({"has_pulse_period": False}, FAULT.PULSE_PERIOD),
    ],
)
@pytest.mark.parametrize("state", ["ready", "disarmed_but_held", "ramping", "faulty"])
def test_cut_comes_in_every_state_that_holds(
    stepper: StepperCore, state: str, inputs: dict[str, bool], fault: int
) -> None:
    moving(stepper)
    stepper.disarm()
    if state != "ramping":
        stepper.rest()
    if state == "disarmed_but_held":
        stepper.stepper_limits(speed_most=17_000)
        assert stepper.state == STATE.DISARMED
    if state == "faulty":
        stepper.trip(FAULT.COMMAND_LATE)
    assert stepper.is_enabled
    assert stepper.tick(**inputs) == (0, False)
    assert stepper.state == STATE.FAULT
    assert stepper.fault == (FAULT.COMMAND_LATE if state == "faulty" else fault)
    assert not stepper.is_homed


def test_alarm_of_a_driver_that_is_off_is_no_fault(stepper: StepperCore) -> None:
    stepper.to_disarmed()
    stepper.tick(is_alarm=True, has_pulse_period=False, supply_mv=0)
    for _ in range(30):
        stepper.tick()
    assert stepper.state == STATE.DISARMED


def test_silence_longer_than_timeout_ramps_to_rest(stepper: StepperCore) -> None:
    moving(stepper, 4000)
    stepper.feed(50)
    speed = stepper.speed
    for _ in range(49):
        stepper.tick(0)
        assert stepper.speed == speed
    stepper.tick(0)
    assert stepper.fault == FAULT.COMMAND_TIMEOUT
    assert stepper.speed == speed - 400
    assert_ramp_and_hold(stepper, 4000)


def test_held_cart_is_free_after_a_minute_without_a_frame(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    stepper.hear()
    stepper.idle(59_999)
    assert (stepper.state, stepper.is_enabled, stepper.is_homed) == (STATE.READY, True, True)
    stepper.tick()
    assert (stepper.state, stepper.is_enabled, stepper.is_homed) == (STATE.DISARMED, False, False)
    assert stepper.tick() == (0, False)


def test_frames_keep_the_hold(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    for _ in range(3):
        stepper.idle(40_000)
        stepper.hear()
    assert (stepper.state, stepper.is_enabled) == (STATE.READY, True)


def test_minute_begins_again_with_each_disarm(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    stepper.idle(30_000)
    assert stepper.arm()[0] == ACK.DONE
    stepper.feed()
    stepper.tick()
    stepper.disarm()
    stepper.idle(59_999)
    assert stepper.is_enabled
    stepper.tick()
    assert not stepper.is_enabled


def test_ramp_is_no_part_of_the_minute(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    while stepper.speed != 0:
        stepper.tick()
    stepper.idle(59_999)
    assert stepper.is_enabled
    stepper.tick()
    assert not stepper.is_enabled


def test_fault_is_held_for_a_minute_whatever_the_host_says(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    stepper.idle(30_000, is_heard=True)
    stepper.arm()
    stepper.fed_tick(1)
    stepper.trip(FAULT.POLE_ANGLE)
    stepper.rest()
    stepper.idle(59_990, is_heard=True)
    assert (stepper.is_enabled, stepper.is_homed) == (True, True)
    for _ in range(12):
        stepper.hear()
        stepper.tick()
    assert (stepper.is_enabled, stepper.is_homed) == (False, False)
    assert (stepper.state, stepper.fault) == (STATE.FAULT, FAULT.POLE_ANGLE)


def test_hold_without_supply_is_none(stepper: StepperCore) -> None:
    """A dip of less than 20 ms is no spark's fault; the zeros go with the supply."""
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    for _ in range(19):
        stepper.tick(supply_mv=8999)
    stepper.tick(supply_mv=9000)
    for _ in range(19):
        stepper.tick(supply_mv=8999)
    assert stepper.state == STATE.READY
    stepper.tick()
    assert (stepper.state, stepper.fault, stepper.is_homed) == (STATE.FAULT, FAULT.SUPPLY_LOW, False)


def test_dip_while_driving_does_not_count_for_the_hold(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.disarm()
    stepper.rest()
    for _ in range(19):
        stepper.tick(supply_mv=8999)
    stepper.inputs.supply_mv = 12_000
    stepper.run(110, valid_ms=0)
    for _ in range(19):
        stepper.tick(supply_mv=8999)
    stepper.inputs.supply_mv = 12_000
    assert stepper.arm()[0] == ACK.DONE
    stepper.fed_tick()
    stepper.disarm()
    for _ in range(19):
        stepper.tick(supply_mv=8999)
    assert stepper.state == STATE.READY


def test_supply_that_is_gone_as_driving_ends_is_seen_after_20_ms(stepper: StepperCore) -> None:
    moving(stepper, 400)
    stepper.disarm()
    for k in range(20):
        assert stepper.state == STATE.READY, k
        stepper.tick(supply_mv=8999)
    assert stepper.fault == FAULT.SUPPLY_LOW


@pytest.mark.parametrize("side", [1, -1])
def test_slowest_cart_is_brought_to_rest_against_its_way(stepper: StepperCore, side: int) -> None:
    """At 1/256 step a second, of a stepper that gains one step a second in a millisecond."""
    stepper.to_armed(gain_q4=16)
    stepper.fed_tick(side * 128)
    assert stepper.speed == side / 256
    assert stepper.commanded(0, is_there=False) == -side * 128
    stepper.disarm()
    assert stepper.tick() == (-side * 32_767, True)
    assert stepper.speed == 0


def test_cleared_cart_is_still_held(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.trip(FAULT.POLE_ANGLE)
    stepper.rest()
    assert stepper.clear() == (ACK.DONE, 0)
    assert (stepper.state, stepper.is_homed) == (STATE.READY, True)
    assert stepper.tick() == (0, True)
    assert stepper.arm()[0] in (ACK.DONE, ACK.NOT_STILL)


def test_warmth_is_unknown_and_estop_is_named_first(stepper: StepperCore) -> None:
    moving(stepper)
    stepper.tick(is_estop_pressed=True, is_alarm=True)
    assert (stepper.fault, stepper.is_enabled) == (FAULT.ESTOP, False)
