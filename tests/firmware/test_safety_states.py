"""Who may ask what of the safety core in which state, and how each path out of driving ends.

Limits are literals here: loosening one in limits.h breaks a test.
"""

from __future__ import annotations

import pytest

from tests.firmware.c_core import ACK, FAULT, STATE, Core

BRAKE_MS = 500
DONE = (0, 0)
ENCODER_FAULTS = [
    *(FAULT.CART_ENCODER, FAULT.POLE_ENCODER, FAULT.CART_STUCK, FAULT.POLE_STILL),
    *(FAULT.POLARITY, FAULT.POLE_SIGN, FAULT.POLE_ZERO),
]
PATHS = ["boot", "disarmed", "homing", "ready", "armed", "fault"]


def bring(core: Core, state: str) -> None:
    """That state, reached as app.c reaches it."""
    if state == "fault":
        core.to_ready()
        core.trip(FAULT.TRAVEL_LIMIT)
    elif state != "boot":
        getattr(core, f"to_{state}")()


def brake_ticks(core: Core, most: int = 1000) -> int:
    """How many ticks the bridge stays shorted from now on."""
    braking = [core.tick(32767) for _ in range(most)]
    shorted = sum(brake for _, brake in braking)
    assert {duty for duty, _ in braking} == {0}
    assert braking == [(0, True)] * shorted + [(0, False)] * (most - shorted), "it brakes first, then opens for good"
    return shorted


# ---- from boot ----


def test_boot_has_no_limits_no_zeros_and_no_fault(core: Core) -> None:
    assert core.state == STATE.BOOT
    assert core.fault == FAULT.NONE
    assert not core.is_homed
    assert not core.is_configured
    assert not core.is_still
    assert core.limits_crc == 0


def test_first_tick_disarms(core: Core) -> None:
    assert core.tick(32767) == (0, False)
    assert core.state == STATE.DISARMED


def test_motor_gets_nothing_unless_driving(core: Core) -> None:
    core.to_disarmed()
    assert core.tick(20000) == (0, False)
    core = Core(core.library)
    core.to_ready()
    assert core.tick(20000) == (0, False)


def test_arming_at_boot_is_refused_even_with_limits(core: Core) -> None:
    core.configure()
    assert core.arm() == (ACK.NOT_NOW, 0)


# ---- arming ----


def test_arming_without_limits_is_refused(core: Core) -> None:
    core.tick()
    assert core.arm() == (ACK.NO_LIMITS, 0)
    assert core.state == STATE.DISARMED


def test_arming_before_homing_is_refused(core: Core) -> None:
    core.to_disarmed()
    core.run(200)
    assert core.arm() == (ACK.NOT_HOMED, 0)
    assert core.state == STATE.DISARMED


def test_arming_while_homing_is_refused(core: Core) -> None:
    core.to_homing()
    assert core.arm() == (ACK.NOT_NOW, 0)
    assert core.state == STATE.HOMING


def test_arming_in_fault_is_refused(core: Core) -> None:
    bring(core, "fault")
    assert core.arm() == (ACK.NOT_NOW, 0)
    assert core.state == STATE.FAULT


def test_arming_again_is_done_and_changes_nothing(core: Core) -> None:
    core.to_armed()
    assert core.run(199, valid_ms=0) == 199
    core.inputs.pole_counts = 600  # would be refused again
    assert core.arm() == DONE
    core.tick()
    assert core.fault == FAULT.COMMAND_TIMEOUT, "arming again feeds no watchdog"


@pytest.mark.parametrize("counts", [90, -90, 0])
def test_pole_within_arming_angle_arms(core: Core, counts: int) -> None:
    core.to_ready()
    core.inputs.pole_counts = counts
    core.run(101)
    assert core.arm() == DONE


@pytest.mark.parametrize("counts", [91, -91, 4000, -(2**31)])
def test_pole_outside_arming_angle_is_refused(core: Core, counts: int) -> None:
    core.to_ready()
    core.inputs.pole_counts = counts
    core.run(101)
    assert core.arm() == (ACK.POLE_NOT_UPRIGHT, 0)
    assert core.state == STATE.READY


@pytest.mark.parametrize("counts", [4999, -4999])
def test_cart_inside_travel_limit_arms(core: Core, counts: int) -> None:
    core.to_ready()
    core.inputs.cart_counts = counts
    core.run(101)
    assert core.arm() == DONE


@pytest.mark.parametrize("counts", [5000, -5000, 5001, -(2**31)])
def test_cart_at_travel_limit_is_refused(core: Core, counts: int) -> None:
    core.to_ready()
    core.inputs.cart_counts = counts
    core.run(101)
    assert core.arm() == (ACK.CART_OUTSIDE, 0)


@pytest.mark.parametrize("moved", ["cart_counts", "pole_counts"])
@pytest.mark.parametrize("by", [3, -3])
def test_arming_needs_100_ms_of_standing_still(core: Core, moved: str, by: int) -> None:
    core.to_ready()
    seen = [core.is_still]
    core.tick(**{moved: by})
    seen += [core.is_still]
    assert core.arm() == (ACK.NOT_STILL, 0)
    core.run(99)
    seen += [core.is_still]
    assert core.arm() == (ACK.NOT_STILL, 0)
    core.tick()
    seen += [core.is_still]
    assert core.arm() == DONE
    assert seen == [True, False, False, True]


@pytest.mark.parametrize("moved", ["cart_counts", "pole_counts"])
@pytest.mark.parametrize("by", [2, -2])
def test_two_counts_are_still(core: Core, moved: str, by: int) -> None:
    core.to_ready()
    for _ in range(10):
        core.tick(**{moved: by})
        core.tick(**{moved: 0})
    assert core.is_still


def test_slow_drift_is_not_still(core: Core) -> None:
    core.to_ready()
    for counts in range(1, 200):
        core.tick(cart_counts=counts // 10, pole_counts=-(counts // 10))
        if counts > 30:
            assert not core.is_still


def test_cart_that_stands_for_more_than_a_minute_is_still(core: Core) -> None:
    """65,536 ms do not fit the counter."""
    core.to_ready()
    core.run(64_700)
    for _ in range(1000):
        core.tick()
        assert core.is_still


def test_stillness_survives_a_wrapping_count(core: Core) -> None:
    core.to_ready()
    core.tick(cart_counts=2**31 - 1)
    core.run(100)
    core.tick(cart_counts=-(2**31))
    assert core.is_still
    core.tick(cart_counts=-(2**31) + 2)
    assert not core.is_still


SURROUNDINGS = [
    ({"is_estop_pressed": True}, "ESTOP"),
    ({"supply_mv": 8999}, "SUPPLY_LOW"),
    ({"supply_mv": 15001}, "SUPPLY_HIGH"),
    ({"supply_mv": 0}, "SUPPLY_LOW"),
    ({"supply_mv": 65535}, "SUPPLY_HIGH"),
]


@pytest.mark.parametrize(("inputs", "fault"), SURROUNDINGS)
@pytest.mark.parametrize("request_", ["arm", "home", "centre", "jog"])
def test_unhealthy_surroundings_refuse_to_drive(core: Core, request_: str, inputs: dict[str, int], fault: str) -> None:
    core.to_ready()
    for name, value in inputs.items():
        setattr(core.inputs, name, value)
    assert getattr(core, request_)() == (ACK.UNHEALTHY, FAULT[fault])
    assert core.state == STATE.READY
    assert core.is_homed


@pytest.mark.parametrize("supply_mv", [9000, 15000])
@pytest.mark.parametrize("request_", ["arm", "home", "centre", "jog"])
def test_supply_at_its_limits_is_healthy(core: Core, request_: str, supply_mv: int) -> None:
    core.to_ready()
    core.inputs.supply_mv = supply_mv
    assert getattr(core, request_)() == DONE


@pytest.mark.parametrize("switch", ["is_left_closed", "is_right_closed"])
def test_closed_end_switch_refuses_to_arm_but_not_to_home(core: Core, switch: str) -> None:
    core.to_ready()
    setattr(core.inputs, switch, True)
    assert core.arm() == (ACK.UNHEALTHY, FAULT.END_SWITCH)
    assert core.state == STATE.READY
    assert core.home() == DONE


def test_estop_is_reported_before_the_end_switch(core: Core) -> None:
    core.to_ready()
    core.inputs.is_left_closed = core.inputs.is_estop_pressed = True
    assert core.arm() == (ACK.UNHEALTHY, FAULT.ESTOP)


# ---- homing ----


def test_homing_without_limits_is_refused(core: Core) -> None:
    core.tick()
    assert core.home() == (ACK.NO_LIMITS, 0)
    assert core.state == STATE.DISARMED


@pytest.mark.parametrize("state", ["homing", "armed", "fault"])
def test_homing_is_refused_in_other_states(core: Core, state: str) -> None:
    bring(core, state)
    before = core.state
    assert core.home() == (ACK.NOT_NOW, 0)
    assert core.centre() == (ACK.NOT_NOW, 0)
    assert core.jog() == (ACK.NOT_NOW, 0)
    assert core.state == before


def test_homing_at_boot_is_refused(core: Core) -> None:
    core.configure()
    assert core.home() == (ACK.NOT_NOW, 0)
    assert core.centre() == (ACK.NOT_NOW, 0)
    assert core.jog() == (ACK.NOT_NOW, 0)
    assert core.state == STATE.BOOT


def test_homing_takes_the_old_zeros(core: Core) -> None:
    core.to_ready()
    assert core.home() == DONE
    assert not core.is_homed
    core.disarm()
    assert core.state == STATE.DISARMED


def test_homing_found_both_zeros(core: Core) -> None:
    core.to_homing()
    assert not core.is_homed
    core.homed()
    assert core.state == STATE.READY
    assert core.is_homed


def test_centring_needs_homing(core: Core) -> None:
    core.to_disarmed()
    assert core.centre() == (ACK.NOT_HOMED, 0)
    assert core.state == STATE.DISARMED


def test_centring_keeps_the_zeros_when_disarmed(core: Core) -> None:
    core.to_ready()
    assert core.centre() == DONE
    assert core.state == STATE.HOMING
    assert core.is_homed
    core.disarm()
    assert core.state == STATE.READY


def test_jogging_needs_limits(core: Core) -> None:
    core.tick()
    assert core.jog() == (ACK.NO_LIMITS, 0)
    assert core.state == STATE.DISARMED


def test_jogging_before_homing_is_slow_and_ends_disarmed(core: Core) -> None:
    core.to_disarmed()
    assert core.jog() == DONE
    assert core.state == STATE.HOMING
    assert core.tick(20000) == (8000, False)
    core.disarm()
    assert core.state == STATE.DISARMED


def test_jogging_keeps_the_zeros(core: Core) -> None:
    core.to_ready()
    assert core.jog() == DONE
    core.disarm()
    assert core.state == STATE.READY
    assert core.is_homed


# ---- paths out ----


def test_disarming_brakes_and_keeps_the_zeros(core: Core) -> None:
    core.to_armed()
    assert core.fed_tick(15000) == (15000, False)
    core.disarm()
    assert core.state == STATE.READY
    assert core.fault == FAULT.NONE
    assert brake_ticks(core) == BRAKE_MS


@pytest.mark.parametrize("state", ["boot", "disarmed", "ready", "fault"])
def test_disarming_changes_nothing_elsewhere(core: Core, state: str) -> None:
    bring(core, state)
    before = core.state, core.fault
    core.disarm()
    assert (core.state, core.fault) == before
    assert brake_ticks(core) == 0


def test_disarming_again_does_not_brake_longer(core: Core) -> None:
    core.to_armed()
    core.disarm()
    core.run(400)
    core.disarm()
    assert brake_ticks(core) == BRAKE_MS - 400


def test_brake_after_homing(core: Core) -> None:
    core.to_homing()
    core.homed()
    assert brake_ticks(core) == BRAKE_MS


def test_brake_after_homing_is_given_up(core: Core) -> None:
    core.to_homing()
    core.disarm()
    assert core.state == STATE.DISARMED
    assert brake_ticks(core) == BRAKE_MS


@pytest.mark.parametrize("fault", [fault for fault in FAULT if fault != 0])
def test_every_fault_stops_an_armed_motor_and_brakes(core: Core, fault: int) -> None:
    core.to_armed()
    core.fed_tick(15000)
    core.trip(fault)
    assert core.state == STATE.FAULT
    assert core.fault == fault
    assert brake_ticks(core) == BRAKE_MS
    assert core.is_homed == (fault not in ENCODER_FAULTS)


@pytest.mark.parametrize("fault", [fault for fault in FAULT if fault != 0])
def test_every_fault_while_homing_takes_the_zeros(core: Core, fault: int) -> None:
    core.to_ready()
    assert core.centre() == DONE
    core.trip(fault)
    assert core.fault == fault
    assert not core.is_homed
    assert brake_ticks(core) == BRAKE_MS


def test_fault_outside_driving_does_not_brake(core: Core) -> None:
    core.to_ready()
    core.trip(FAULT.ESTOP)
    assert brake_ticks(core) == 0


def test_first_fault_is_kept(core: Core) -> None:
    core.to_armed()
    core.trip(FAULT.TRAVEL_LIMIT)
    core.run(100)
    core.trip(FAULT.CART_ENCODER)
    assert core.fault == FAULT.TRAVEL_LIMIT
    assert core.is_homed, "what comes after the first fault is not looked at"
    core.tick(is_estop_pressed=True)
    assert core.fault == FAULT.TRAVEL_LIMIT
    assert brake_ticks(core) == BRAKE_MS - 101


def test_fault_stays_until_cleared(core: Core) -> None:
    core.to_armed()
    core.trip(FAULT.POLE_ANGLE)
    core.run(5000)
    core.disarm()
    assert core.state == STATE.FAULT
    assert core.fault == FAULT.POLE_ANGLE


# ---- clearing ----


@pytest.mark.parametrize("state", ["boot", "disarmed", "homing", "ready", "armed"])
def test_clearing_where_nothing_is_wrong_changes_nothing(core: Core, state: str) -> None:
    bring(core, state)
    before = core.state
    core.inputs.is_estop_pressed = True
    assert core.clear() == DONE
    assert core.state == before


def test_cleared_cart_is_ready_where_it_knows_its_zeros(core: Core) -> None:
    bring(core, "fault")
    assert core.clear() == DONE
    assert core.state == STATE.READY
    assert core.fault == FAULT.NONE


@pytest.mark.parametrize("fault", ENCODER_FAULTS)
def test_cleared_cart_is_disarmed_where_its_zeros_are_gone(core: Core, fault: int) -> None:
    core.to_armed()
    core.trip(fault)
    assert core.clear() == DONE
    assert core.state == STATE.DISARMED
    assert core.arm() == (ACK.NOT_HOMED, 0)


@pytest.mark.parametrize(("inputs", "fault"), SURROUNDINGS)
def test_clearing_needs_healthy_inputs(core: Core, inputs: dict[str, int], fault: str) -> None:
    bring(core, "fault")
    for name, value in inputs.items():
        setattr(core.inputs, name, value)
    assert core.clear() == (ACK.UNHEALTHY, FAULT[fault])
    assert core.state == STATE.FAULT
    assert core.fault == FAULT.TRAVEL_LIMIT


@pytest.mark.parametrize("supply_mv", [9000, 15000])
def test_supply_at_its_limits_may_be_cleared(core: Core, supply_mv: int) -> None:
    bring(core, "fault")
    core.inputs.supply_mv = supply_mv
    assert core.clear() == DONE


@pytest.mark.parametrize("supply_mv", [0, 12000, 65535])
def test_clearing_before_any_limits_asks_no_supply(core: Core, supply_mv: int) -> None:
    core.tick(supply_mv=supply_mv)
    core.trip(FAULT.ESTOP)
    assert core.clear() == DONE
    assert core.state == STATE.DISARMED


# ---- e-stop ----


@pytest.mark.parametrize("state", PATHS[:-1])
def test_estop_pin_stops_within_one_tick_in_every_state(core: Core, state: str) -> None:
    bring(core, state)
    driving = state in ("homing", "armed")
    assert core.tick(8000, is_estop_pressed=True) == (0, driving)
    assert core.state == STATE.FAULT
    assert core.fault == FAULT.ESTOP
    assert core.is_homed == (state in ("ready", "armed"))


@pytest.mark.parametrize("state", PATHS[:-1])
def test_estop_frame_stops_in_every_state(core: Core, state: str) -> None:
    bring(core, state)
    core.trip(FAULT.ESTOP)
    assert core.tick(8000)[0] == 0
    assert core.fault == FAULT.ESTOP


def test_released_estop_stays_latched(core: Core) -> None:
    core.to_armed()
    core.tick(is_estop_pressed=True)
    core.tick(is_estop_pressed=False)
    assert core.fault == FAULT.ESTOP


# ---- configuration ----


@pytest.mark.parametrize("state", ["armed", "homing"])
def test_configuring_while_driving_is_refused(core: Core, state: str) -> None:
    bring(core, state)
    crc = core.limits_crc
    assert core.configure(max_duty_q15=10000) == (ACK.NOT_NOW, 0)
    assert core.limits_crc == crc
    assert core.fed_tick(8000) == (8000, False)


@pytest.mark.parametrize("state", ["boot", "disarmed", "ready", "fault"])
def test_configuring_at_rest_is_done(core: Core, state: str) -> None:
    bring(core, state)
    assert core.configure()[0] == ACK.DONE
    assert core.is_configured


def test_same_configuration_keeps_the_zeros(core: Core) -> None:
    core.to_ready()
    assert core.configure()[0] == ACK.DONE
    assert core.state == STATE.READY
    assert core.is_homed


def test_changed_configuration_takes_the_zeros(core: Core) -> None:
    core.to_ready()
    crc = core.limits_crc
    assert core.configure(max_duty_q15=19999)[0] == ACK.DONE
    assert core.limits_crc != crc
    assert core.state == STATE.DISARMED
    assert not core.is_homed
    assert core.arm() == (ACK.NOT_HOMED, 0)


def test_changed_configuration_leaves_a_fault(core: Core) -> None:
    bring(core, "fault")
    core.configure(max_duty_q15=19999)
    assert core.state == STATE.FAULT
    assert core.clear() == DONE
    assert core.state == STATE.DISARMED


def test_changed_configuration_does_not_brake(core: Core) -> None:
    core.to_ready()
    core.configure(max_duty_q15=19999)
    assert brake_ticks(core) == 0


def test_refused_configuration_changes_nothing(core: Core) -> None:
    core.to_ready()
    crc = core.limits_crc
    assert core.configure(max_duty_q15=0) == (ACK.OUT_OF_RANGE, 3)
    assert core.limits_crc == crc
    assert core.is_homed
    assert core.arm() == DONE
    assert core.fed_tick(32767) == (20000, False)


def test_refused_first_configuration_configures_nothing(core: Core) -> None:
    core.tick()
    assert core.configure(flags=64) == (ACK.OUT_OF_RANGE, 0)
    assert not core.is_configured
    assert core.home() == (ACK.NO_LIMITS, 0)


def test_new_limits_are_in_force(core: Core) -> None:
    core.to_armed(max_duty_q15=1234)
    assert core.fed_tick(32767) == (1234, False)
