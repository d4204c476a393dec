"""How a stepper is driven: its speed, its travel limit, end switches that close elsewhere, and homing's speeds."""

from __future__ import annotations

import pytest

from tests.firmware.c_core import FAULT, STATE
from tests.firmware.stepper_core import StepperCore

ONE = 32_767


@pytest.mark.parametrize("side", [1, -1])
def test_speed_grows_by_the_share_of_the_acceleration(stepper: StepperCore, side: int) -> None:
    stepper.to_armed()
    for k in range(1, 11):
        assert stepper.fed_tick(side * 16_384) == (side * 16_384, True)
        assert stepper.speed == side * 200 * k
    assert stepper.motor.is_left == (side < 0)
    assert (stepper.motor.rate.period, stepper.motor.rate.share) == (1000, 65_535)
    for _ in range(5):
        assert stepper.fed_tick(0) == (0, True)
        assert stepper.speed == side * 2000, "no duty keeps the speed"


def test_duty_is_clamped_to_the_limit(stepper: StepperCore) -> None:
    stepper.to_armed(max_duty_q15=16_384)
    for want in (ONE, -ONE, -32_768):
        stepper.fed_tick(want)
        assert stepper.was_clipped
        assert abs(stepper.applied_q15) == 16_384
    assert stepper.speed == -200


def test_driver_is_awake_before_the_first_pulse(stepper: StepperCore) -> None:
    stepper.to_disarmed()
    assert not stepper.is_enabled
    assert stepper.home()[0] == 0
    for _ in range(200):
        stepper.hear()
        assert stepper.tick(3000) == (0, True)
        assert stepper.speed == 0
    stepper.hear()
    stepper.tick(3000)
    assert stepper.speed > 0


def test_driver_that_was_disabled_wakes_up_again(stepper: StepperCore) -> None:
    stepper.to_armed()
    stepper.trip(FAULT.ESTOP)
    stepper.tick()
    assert not stepper.is_enabled
    assert stepper.clear()[0] == stepper.home()[0] == 0
    for _ in range(200):
        stepper.hear()
        assert stepper.tick(3000) == (0, True)
    stepper.hear()
    stepper.tick(3000)
    assert stepper.speed > 0


def test_driver_that_is_awake_does_not_wait_again(stepper: StepperCore) -> None:
    stepper.to_armed()
    stepper.disarm()
    stepper.run(120, valid_ms=0)
    assert stepper.arm()[0] == 0
    stepper.fed_tick(ONE)
    assert stepper.speed > 399


def test_command_that_is_missing_brings_the_cart_to_rest(stepper: StepperCore) -> None:
    stepper.to_armed()
    assert stepper.commanded(1234) == 1234
    assert stepper.commanded(0) == 0
    assert stepper.commanded(1234, is_there=False) == 0
    for duty, speed in ((ONE, 399.98), (16_384, 200.0), (-ONE, -399.98), (-16_384, -200.0)):
        stepper.fed_tick(duty)
        assert stepper.speed == pytest.approx(speed, abs=0.03)
        assert stepper.commanded(duty, is_there=False) == pytest.approx(-duty, abs=1)
        stepper.fed_tick(stepper.commanded(duty, is_there=False))
        assert abs(stepper.speed) < 0.02
    for duty, brake in ((7, -6), (-7, 6)):  # 21 of 1/256 step a second, and 6.72 in the unit of a duty
        core = StepperCore(stepper.library)
        core.to_armed()
        core.fed_tick(duty)
        assert core.commanded(0, is_there=False) == brake
    stepper.fast_to(1000)
    assert stepper.commanded(0, is_there=False) == -ONE


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("speed", [100, 2000, 7000, 12_000, 18_000])
@pytest.mark.parametrize("want", [0, ONE, 9000])
def test_cart_rests_before_its_travel_limit(stepper: StepperCore, side: int, speed: int, want: int) -> None:
    """And uses what there is: the ramp begins with less to spare than 5 ms at its speed, after two ticks more."""
    stepper.to_armed()
    stepper.put(-side * 7900)
    stepper.fast_to(side * speed)
    while stepper.state == STATE.ARMED:
        stepper.fed_tick(side * want)
    assert stepper.fault == FAULT.TRAVEL_LIMIT
    began = abs(stepper.speed)
    assert stepper.applied_q15 == -side * ONE
    stepper.rest()
    at = side * stepper.inputs.cart_counts
    assert 8000 - 0.006 * (began + 800) - 4 <= at < 8000
    assert stepper.is_homed


@pytest.mark.parametrize("side", [1, -1])
def test_way_to_the_middle_is_free(stepper: StepperCore, side: int) -> None:
    stepper.to_armed()
    stepper.put(side * 7990)
    for _ in range(20):
        stepper.fed_tick(-side * ONE)
    assert stepper.state == STATE.ARMED
    assert side * stepper.speed < -7000


@pytest.mark.parametrize("side", [1, -1])
def test_cart_at_its_limit_trips_even_at_rest(stepper: StepperCore, side: int) -> None:
    stepper.to_armed()
    stepper.put(side * 7999)
    stepper.fed_tick(0)
    assert stepper.state == STATE.ARMED
    stepper.put(side * 8000)
    stepper.fed_tick(0)
    assert stepper.fault == FAULT.TRAVEL_LIMIT


def test_last_step_before_the_limit_is_not_driven_into(stepper: StepperCore) -> None:
    stepper.to_armed()
    stepper.put(7999)
    stepper.fed_tick(0)
    assert stepper.state == STATE.ARMED
    stepper.fed_tick(-100)
    assert stepper.state == STATE.ARMED
    stepper.fed_tick(200)
    assert stepper.fault == FAULT.TRAVEL_LIMIT


@pytest.mark.parametrize("side", [1, -1])
def test_slowest_speed_has_a_direction(stepper: StepperCore, side: int) -> None:
    """1/256 step a second away from the last step before the limit, then toward it."""
    for away, fault in ((-1, FAULT.NONE), (1, FAULT.TRAVEL_LIMIT)):
        core = StepperCore(stepper.library)
        core.to_armed(gain_q4=16)
        core.put(side * 7999)
        core.fed_tick(away * side * 128)
        assert core.fault == fault


@pytest.mark.parametrize(("late", "fault"), [(24, 3), (25, 30)])
def test_way_since_a_touch_is_rounded_down(stepper: StepperCore, late: int, fault: int) -> None:
    """At 11,996 steps/s: 5 steps in half a tick, 8 tolerated, 11 in 1/1024 s. END_SWITCH is 3, STEPS_LOST 30."""
    stepper.to_armed(travel_limit_counts=12_000)
    stepper.moves = False
    for duty in (*[16_384] * 60, -300):
        stepper.fed_tick(duty)
    assert int(stepper.speed) == 11_996
    stepper.put(9100)
    stepper.fed_tick(0, is_right_closed=True, touched_at=9000 + late)
    assert stepper.fault == fault


@pytest.mark.parametrize(("switch", "side"), [("is_left_closed", -1), ("is_right_closed", 1)])
@pytest.mark.parametrize("off", [0, 8, -8, 9, -9])
def test_switch_that_closes_elsewhere_names_lost_steps(stepper: StepperCore, switch: str, side: int, off: int) -> None:
    """The switches closed 9000 to either side of the middle, and 8 steps are tolerated."""
    stepper.to_armed(travel_limit_counts=9500)
    stepper.put(side * 9000 + off)
    stepper.fed_tick(0, **{switch: True})
    assert stepper.fault == (FAULT.END_SWITCH if abs(off) <= 8 else FAULT.STEPS_LOST)
    assert stepper.is_homed == (abs(off) <= 8)
    assert stepper.is_enabled


@pytest.mark.parametrize(("late", "fault"), [(-13, 3), (-14, 30), (0, 3), (12, 3), (25, 3), (26, 30)])
def test_fast_cart_has_run_on_when_its_switch_is_touched(stepper: StepperCore, late: int, fault: int) -> None:
    """6 steps in half a tick at 12,000 steps/s; 8 are tolerated, and 11 in 1/1024 s. END_SWITCH is 3, STEPS_LOST 30."""
    for side, switch in ((1, "is_right_closed"), (-1, "is_left_closed")):
        core = StepperCore(stepper.library)
        core.to_armed(travel_limit_counts=12_000)
        core.moves = False
        for _ in range(60):
            core.fed_tick(side * 16_384)
        assert core.speed == side * 12_000
        core.put(side * 9100)
        core.fed_tick(0, **{switch: True, "touched_at": side * (9000 + late)})
        assert core.fault == fault, (side, core.speed)


@pytest.mark.parametrize(("switch", "side"), [("is_left_closed", -1), ("is_right_closed", 1)])
@pytest.mark.parametrize("begin", ["centre", "jog"])
def test_passage_of_a_switch_is_compared_while_it_creeps(
    stepper: StepperCore, switch: str, side: int, begin: str
) -> None:
    for off in (8, 9, -9):
        core = StepperCore(stepper.library)
        core.to_ready()
        assert getattr(core, begin)()[0] == 0
        core.put(side * 9000 + off)
        for _ in range(3):
            core.hear()
            core.tick(0, **{switch: True})
        assert core.fault == (FAULT.NONE if off == 8 else FAULT.STEPS_LOST), off


@pytest.mark.parametrize(("switch", "side"), [("is_left_closed", -1), ("is_right_closed", 1)])
def test_switch_that_is_closed_from_the_begin_is_no_passage(stepper: StepperCore, switch: str, side: int) -> None:
    stepper.to_ready()
    stepper.put(side * 8000)
    setattr(stepper.inputs, switch, True)
    assert stepper.centre()[0] == 0
    stepper.hear()
    stepper.tick(0)
    assert stepper.state == STATE.HOMING
    stepper.tick(0, **{switch: False})
    stepper.tick(0, **{switch: True})
    assert stepper.fault == FAULT.STEPS_LOST


def test_cart_that_is_not_homed_has_no_switch_to_compare_with(stepper: StepperCore) -> None:
    stepper.to_homing()
    stepper.put(1234)
    stepper.hear()
    stepper.tick(0, is_left_closed=True)
    assert stepper.state == STATE.HOMING


@pytest.mark.parametrize("side", [1, -1])
def test_homing_reaches_its_speed_by_its_share_of_the_acceleration(stepper: StepperCore, side: int) -> None:
    stepper.to_homing()
    for _ in range(200):
        stepper.hear()
        stepper.tick(0)
    speeds = []
    for _ in range(40):
        stepper.hear()
        stepper.tick(side * 3000)
        speeds.append(side * stepper.speed)
        assert abs(stepper.applied_q15) <= 8192
    assert speeds[:3] == [100, 200, 300]
    assert speeds[29] == pytest.approx(3000, abs=0.02)
    assert speeds[-1] == pytest.approx(3000, abs=0.02)
    for _ in range(40):
        stepper.hear()
        stepper.tick(0)
    assert stepper.speed == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("side", [1, -1])
def test_homing_is_no_faster_than_the_stepper(stepper: StepperCore, side: int) -> None:
    stepper.to_homing(speed_most=1000)
    stepper.moves = False
    for _ in range(300):
        stepper.hear()
        stepper.tick(side * 30_000)
    assert stepper.speed == side * 1000


@pytest.mark.parametrize(("switch", "side"), [("is_left_closed", -1), ("is_right_closed", 1)])
def test_homing_stops_at_a_closed_switch_and_may_leave_it(stepper: StepperCore, switch: str, side: int) -> None:
    stepper.to_homing()
    for _ in range(240):
        stepper.hear()
        stepper.tick(side * 3000)
    assert side * stepper.speed == pytest.approx(3000, abs=0.02)
    for _ in range(40):
        stepper.hear()
        stepper.tick(side * 3000, **{switch: True})
    assert stepper.speed == pytest.approx(0, abs=0.02)
    for _ in range(5):
        stepper.hear()
        stepper.tick(side * 1)
        assert stepper.speed == pytest.approx(0, abs=0.02), "not one step a second into it"
    for _ in range(40):
        stepper.hear()
        stepper.tick(-side * 3000)
    assert side * stepper.speed == pytest.approx(-3000, abs=0.02)


@pytest.mark.parametrize("state", ["homing", "armed"])
def test_alarm_while_driving_cuts_at_once(stepper: StepperCore, state: str) -> None:
    getattr(stepper, f"to_{state}")()
    stepper.fed_tick(100)
    assert stepper.fed_tick(100, is_alarm=True) == (0, False)
    assert (stepper.fault, stepper.speed, stepper.is_homed) == (FAULT.DRIVER_ALARM, 0, False)


def test_way_of_missed_ticks_at_full_speed_is_no_encoder_s_noise(stepper: StepperCore) -> None:
    """Ten missed ticks are tolerated: at 20,000 steps a second the count then jumps by 220."""
    stepper.to_armed()
    stepper.moves = False
    stepper.feed(1000)
    stepper.tick(0, cart_moved=220, cart_illegal=255, missed_ticks=10)
    assert (stepper.fault, stepper.is_enabled) == (FAULT.NONE, True)
    stepper.tick(0, missed_ticks=1)
    assert stepper.fault == FAULT.MISSED_TICKS
