"""What stops the cart in every mode: encoders, supply, lost time, the motor itself; and what bounds homing.

Limits are literals here, those of the test cart and those of limits.h alike.
"""

from __future__ import annotations

import pytest

from tests.firmware.c_core import ACK, FAULT, STATE, Core

DRIVING = ["armed", "homing"]


def drive(core: Core, state: str, **changes: int) -> None:
    getattr(core, f"to_{state}")(**changes)


# ---- encoders ----


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize(("encoder", "fault"), [("cart", FAULT.CART_ENCODER), ("pole", FAULT.POLE_ENCODER)])
@pytest.mark.parametrize("side", [1, -1])
def test_count_jump(core: Core, state: str, encoder: str, fault: int, side: int) -> None:
    drive(core, state)
    core.fed_tick(1000, **{f"{encoder}_moved": side * 200})
    assert core.fault == FAULT.NONE
    assert core.fed_tick(1000, **{f"{encoder}_moved": side * 201}) == (0, True)
    assert core.fault == fault
    assert not core.is_homed


@pytest.mark.parametrize("encoder", ["cart", "pole"])
def test_most_negative_jump_is_a_jump(core: Core, encoder: str) -> None:
    core.to_armed()
    core.fed_tick(**{f"{encoder}_moved": -(2**31)})
    assert core.state == STATE.FAULT


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize(("encoder", "fault"), [("cart", FAULT.CART_ENCODER), ("pole", FAULT.POLE_ENCODER)])
def test_one_illegal_transition_too_many_within_100_ms_stops(core: Core, state: str, encoder: str, fault: int) -> None:
    drive(core, state)
    core.fed_tick(**{f"{encoder}_illegal": 7})
    core.run(97)
    assert core.fault == FAULT.NONE
    core.fed_tick(**{f"{encoder}_illegal": 1})
    assert core.fault == fault
    assert not core.is_homed


@pytest.mark.parametrize("encoder", ["cart", "pole"])
@pytest.mark.parametrize(("first", "second"), [(255, 255), (255, 1), (8, 0)])
def test_many_illegal_transitions_at_once_stop(core: Core, encoder: str, first: int, second: int) -> None:
    core.to_armed()
    core.fed_tick(**{f"{encoder}_illegal": first})
    assert core.state == STATE.FAULT
    core.fed_tick(**{f"{encoder}_illegal": second})
    assert core.state == STATE.FAULT


@pytest.mark.parametrize("encoder", ["cart", "pole"])
@pytest.mark.parametrize(("first", "second"), [(1, 255), (7, 249), (7, 248), (6, 250)])
def test_illegal_transitions_do_not_wrap(core: Core, encoder: str, first: int, second: int) -> None:
    core.to_armed()
    core.fed_tick(**{f"{encoder}_illegal": first})
    assert core.state == STATE.ARMED
    core.fed_tick(**{f"{encoder}_illegal": second})
    assert core.state == STATE.FAULT


@pytest.mark.parametrize("encoder", ["cart", "pole"])
def test_illegal_transitions_are_forgotten_after_100_ms(core: Core, encoder: str) -> None:
    core.to_armed()
    core.fed_tick(**{f"{encoder}_illegal": 7})
    core.run(98)
    core.fed_tick(**{f"{encoder}_illegal": 7})  # the hundredth tick
    core.run(98)
    assert core.state == STATE.ARMED
    core.fed_tick(**{f"{encoder}_illegal": 1})  # the hundredth after
    assert core.fault in (FAULT.CART_ENCODER, FAULT.POLE_ENCODER)


@pytest.mark.parametrize("moved", [0, 1, -1, 200, -200, 300, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(
    ("astray", "missed", "counted"),
    [
        (0, 0, 0),
        (2, 0, 0),  # shaking on an edge
        (4, 0, 1),
        (4, 1, 0),  # two ticks' worth
        (6, 1, 1),
        (254, 0, 126),
        (254, 126, 0),
        (254, 125, 1),
        (254, 255, 0),
    ],
)
def test_edges_that_lead_nowhere_are_illegal_but_one_a_tick(
    core: Core, moved: int, astray: int, missed: int, counted: int
) -> None:
    for illegal in (0, 3, 255):
        assert core.illegal(illegal, abs(moved) + astray, moved, missed) == min(255, illegal + counted)


def test_each_encoder_has_its_own_tolerance(core: Core) -> None:
    core.to_armed()
    core.fed_tick(cart_illegal=7, pole_illegal=7)
    assert core.state == STATE.ARMED


@pytest.mark.parametrize("encoder", ["cart", "pole"])
def test_arming_forgets_illegal_transitions(core: Core, encoder: str) -> None:
    core.to_armed()
    core.fed_tick(**{f"{encoder}_illegal": 7})
    core.run(30)
    core.disarm()
    core.tick()
    core.arm()
    core.fed_tick(**{f"{encoder}_illegal": 7})
    core.run(97)
    assert core.state == STATE.ARMED
    core.fed_tick(**{f"{encoder}_illegal": 1})
    assert core.state == STATE.FAULT, "the 100 ms began again"


def test_cart_encoder_is_reported_first(core: Core) -> None:
    core.to_armed()
    core.fed_tick(cart_moved=201, pole_moved=201)
    assert core.fault == FAULT.CART_ENCODER


# ---- supply ----


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize(
    ("bad_mv", "good_mv", "fault"), [(8999, 9000, FAULT.SUPPLY_LOW), (15001, 15000, FAULT.SUPPLY_HIGH)]
)
def test_supply_outside_for_20_ms_stops(core: Core, state: str, bad_mv: int, good_mv: int, fault: int) -> None:
    drive(core, state)
    core.inputs.supply_mv = bad_mv
    assert core.run(19) == 19
    core.inputs.supply_mv = good_mv
    core.run(1)
    core.inputs.supply_mv = bad_mv
    assert core.run(19) == 19, "one good tick restarts it"
    assert core.fault == FAULT.NONE
    core.run(1)
    assert core.fault == fault


def test_low_supply_is_reported_before_high(core: Core) -> None:
    core.to_armed()
    for supply_mv in (8999, 15001):
        core.inputs.supply_mv = supply_mv
        core.run(19)
    assert core.state == STATE.ARMED


@pytest.mark.parametrize(("bad_mv", "fault"), [(8999, FAULT.SUPPLY_LOW), (15001, FAULT.SUPPLY_HIGH)])
def test_arming_forgets_that_the_supply_was_bad(core: Core, bad_mv: int, fault: int) -> None:
    core.to_armed()
    core.inputs.supply_mv = bad_mv
    core.run(20)
    assert core.fault == fault
    core.inputs.supply_mv = 12000
    core.clear()
    core.run(600)
    core.arm()
    core.inputs.supply_mv = bad_mv
    assert core.run(100) == 20


# ---- lost time ----


@pytest.mark.parametrize("state", DRIVING)
def test_eleven_missed_ticks_in_a_row_stop(core: Core, state: str) -> None:
    drive(core, state)
    core.fed_tick(missed_ticks=10)
    assert core.fault == FAULT.NONE
    core.fed_tick(missed_ticks=0)
    core.fed_tick(missed_ticks=10)
    assert core.fault == FAULT.NONE
    core.fed_tick(missed_ticks=1)
    assert core.fault == FAULT.MISSED_TICKS


def test_missed_ticks_at_once_stop(core: Core) -> None:
    core.to_armed()
    core.fed_tick(missed_ticks=11)
    assert core.fault == FAULT.MISSED_TICKS


@pytest.mark.parametrize(("first", "second"), [(250, 6), (200, 56), (255, 1), (255, 255)])
def test_missed_ticks_do_not_wrap(core: Core, first: int, second: int) -> None:
    core.to_ready()
    core.tick(missed_ticks=first)
    core.tick(missed_ticks=second)
    core.arm()
    core.fed_tick(missed_ticks=1)
    assert core.fault == FAULT.MISSED_TICKS


def test_ticks_missed_before_arming_are_history(core: Core) -> None:
    core.to_ready()
    core.tick(missed_ticks=200)
    core.tick()
    core.arm()
    core.fed_tick(missed_ticks=10)
    assert core.state == STATE.ARMED


# ---- a cart that does not follow ----


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize("side", [1, -1])
def test_driven_cart_that_stands_for_100_ms_stops(core: Core, state: str, side: int) -> None:
    drive(core, state)
    assert core.run(99, side * 6000) == 99
    assert core.fault == FAULT.NONE
    core.run(1, side * 6000)
    assert core.fault == FAULT.CART_STUCK
    assert not core.is_homed


@pytest.mark.parametrize("duty_q15", [5999, -5999, 0])
def test_weakly_driven_cart_may_stand(core: Core, duty_q15: int) -> None:
    core.to_armed()
    assert core.run(3000, duty_q15) == 3000


@pytest.mark.parametrize("by", [2, -2])
def test_cart_that_moves_two_counts_is_not_stuck(core: Core, by: int) -> None:
    core.to_armed()
    core.run(99, 6000)
    core.inputs.cart_counts = by
    assert core.run(100, 6000) == 100
    assert core.state == STATE.ARMED
    core.run(1, 6000)
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("by", [1, -1])
def test_cart_that_flickers_by_one_count_is_stuck(core: Core, by: int) -> None:
    core.to_armed()
    core.run(99, 6000)
    core.inputs.cart_counts = by
    core.run(1, 6000)
    assert core.fault == FAULT.CART_STUCK


def push_either_way(core: Core, ticks: int, first: int = 1) -> int:
    """The number of ticks, at most `ticks`, of pushes of 50 ms to both sides until the state changed."""
    for begin in range(0, ticks, 50):
        some = min(50, ticks - begin)
        done = core.run(some, (-first if begin // 50 % 2 else first) * 6000)
        if done < some or core.state == STATE.FAULT:
            return begin + done
    return ticks


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize("first", [1, -1])
@pytest.mark.parametrize("pole_counts", [3, -3])
def test_pushes_that_are_taken_back_may_move_only_the_pole_for_300_ms(
    core: Core, state: str, first: int, pole_counts: int
) -> None:
    drive(core, state)
    core.run(1, first * 6000)
    core.inputs.pole_counts = pole_counts
    for side, push_ms in ((first, 49), (-first, 99), (first, 99), (-first, 51)):
        assert core.run(push_ms, side * 6000) == push_ms
    assert core.fault == FAULT.NONE
    core.run(1, -first * 6000)
    assert core.fault == FAULT.CART_STUCK
    assert not core.is_homed


@pytest.mark.parametrize("first", [1, -1])
@pytest.mark.parametrize(("pushes_ms", "more_ms"), [((99, 99, 60), 42), ((30, 99, 99), 72), ((1, 0, 1, 98, 99), 101)])
def test_300_ms_in_all_are_too_long_whichever_way(
    core: Core, first: int, pushes_ms: tuple[int, ...], more_ms: int
) -> None:
    core.to_armed()
    side = first
    for push_ms in pushes_ms:
        assert core.run(push_ms, side * 6000) == push_ms
        core.inputs.pole_counts = 3
        side = -side
    assert core.run(more_ms - 1, side * 6000) == more_ms - 1
    assert core.state == STATE.ARMED
    core.run(1, side * 6000)
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize("pole_counts", [0, 2, -2])
def test_pole_that_balances_calmly_stands_still_with_the_cart_for_two_seconds(
    core: Core, state: str, pole_counts: int
) -> None:
    drive(core, state)
    core.run(1, -6000)
    core.inputs.pole_counts = pole_counts
    assert push_either_way(core, 3000) == 1999
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("pole_counts", [3, -3])
def test_pole_that_leaves_its_place_ends_the_calm_at_once(core: Core, pole_counts: int) -> None:
    core.to_armed()
    assert push_either_way(core, 1500) == 1500
    core.inputs.pole_counts = pole_counts
    core.run(1, 6000)
    assert core.fault == FAULT.CART_STUCK


def test_pole_has_its_place_where_the_first_push_in_vain_found_it(core: Core) -> None:
    core.to_armed()
    core.inputs.pole_counts = 40
    core.run(1)
    core.inputs.cart_counts = 2
    core.run(1, 6000)  # it has moved
    core.inputs.pole_counts = 43
    core.run(1, 5999)
    core.inputs.pole_counts = 46
    core.run(1, 6000)
    core.inputs.pole_counts = 44
    assert push_either_way(core, 1000) == 1000
    core.inputs.pole_counts = 43
    core.run(1, 6000)
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("side", [1, -1])
def test_still_pole_excuses_no_push_to_one_side(core: Core, side: int) -> None:
    core.to_armed()
    assert push_either_way(core, 400) == 400
    assert core.run(200, side * 6000) == 100
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("side", [1, -1])
def test_pushing_back_does_not_restart_the_100_ms(core: Core, side: int) -> None:
    core.to_armed()
    core.run(60, side * 6000)
    core.run(20, -side * 6000)
    core.run(500, side * 5999)
    assert core.run(59, side * 6000) == 59
    assert core.state == STATE.ARMED
    core.run(1, side * 6000)
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize("side", [1, -1])
def test_moving_forgets_the_pushes_before(core: Core, side: int) -> None:
    core.to_armed()
    core.run(99, side * 6000)
    core.inputs.cart_counts = 2
    core.run(1, side * 6000)
    assert core.run(99, side * 6000) == 99
    core.inputs.cart_counts = 4
    core.run(1, -side * 6000)
    assert core.run(99, -side * 6000) == 99
    assert core.state == STATE.ARMED


def test_arming_restarts_the_driving_where_the_cart_stands(core: Core) -> None:
    core.to_armed()
    core.run(99, 6000)
    core.disarm()
    core.inputs.cart_counts = 50
    core.run(101)
    core.arm()
    assert core.run(99, 6000) == 99
    core.run(1, 6000)
    assert core.fault == FAULT.CART_STUCK


# ---- heat ----


def heat_model(heat: int, duty_q15: int) -> int:
    """duty^2 in 1/32768, followed with a time constant of 2^14 ticks."""
    return heat + duty_q15**2 // 32768 - heat // 16384


def ticks_until_hot(heat: int, duty_q15: int, continuous_q15: int, most: int = 500_000) -> int | None:
    for tick in range(1, most + 1):
        heat = heat_model(heat, duty_q15)
        if heat // 16384 > continuous_q15**2 // 32768:
            return tick
    return None


def hot_core(core: Core, **changes: int) -> None:
    """Armed, and never stuck."""
    core.to_armed(moving_duty_q15=32767, **changes)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("duty_q15", [13000, 20000])
def test_motor_driven_beyond_what_it_bears_stops_in_time(core: Core, side: int, duty_q15: int) -> None:
    expected = ticks_until_hot(0, duty_q15, 12000)
    assert expected is not None
    hot_core(core)
    assert core.run(500_000, side * duty_q15) == expected
    assert core.fault == FAULT.MOTOR_HOT


def test_full_drive_on_a_half_drive_motor_lasts_five_seconds(core: Core) -> None:
    """-ln(1 - 0.25) of 16.4 s: the time constant is what limits.h says."""
    hot_core(core, max_duty_q15=32767, continuous_duty_q15=16384)
    assert core.run(100_000, 32767, sway=3) == pytest.approx(4713, rel=0.01)


def test_continuous_duty_is_borne_for_ever(core: Core) -> None:
    hot_core(core)
    assert core.run(300_000, 12000) == 300_000


def test_full_drive_is_borne_for_ever_where_the_motor_bears_it(core: Core) -> None:
    hot_core(core, max_duty_q15=32767, continuous_duty_q15=32767)
    assert core.run(200_000, -32768, sway=3) == 200_000


@pytest.mark.parametrize(("duty_q15", "warmth"), [(32767, 255), (16384, 64), (0, 0)])
def test_warmth_is_255_at_full_drive_for_ever(core: Core, duty_q15: int, warmth: int) -> None:
    hot_core(core, max_duty_q15=32767, continuous_duty_q15=32767)
    core.run(300_000, duty_q15, sway=3)
    assert core.warmth == warmth


@pytest.mark.parametrize("rest_ms", [1, 1000, 20_000])
def test_resting_motor_cools_and_remembers(core: Core, rest_ms: int) -> None:
    hot_core(core)
    hot = ticks_until_hot(0, 20000, 12000)
    assert hot is not None
    heat = 0
    for _ in range(hot):
        heat = heat_model(heat, 20000)
    heat -= heat // 16384  # the tick that tripped rests already
    assert core.run(100_000, 20000) == hot
    core.clear()
    for _ in range(rest_ms):
        core.tick()
        heat -= heat // 16384
    core.arm()
    again = ticks_until_hot(heat, 20000, 12000)
    assert core.run(100_000, 20000) == again
    assert core.fault == FAULT.MOTOR_HOT


def test_arming_does_not_cool(core: Core) -> None:
    hot_core(core)
    core.run(100_000, 20000)
    core.clear()
    core.arm()
    core.run(10, 20000)
    assert core.fault == FAULT.MOTOR_HOT


def test_homing_heats_too(core: Core) -> None:
    core.to_homing(moving_duty_q15=32767, continuous_duty_q15=4000)
    assert core.run(100_000, 8000) == ticks_until_hot(0, 8000, 4000)
    assert core.fault == FAULT.MOTOR_HOT


# ---- reversals ----


def reverse(core: Core, reversals: int, ticks: int, first_side: int = 1) -> None:
    """Run `ticks` ticks whose first ones reverse the drive `reversals` times, with zeros between."""
    side = first_side
    for tick in range(ticks):
        if 0 < tick <= 2 * reversals and tick % 2 == 0:
            side = -side
        core.fed_tick(side * 1000 if tick % 2 == 0 else 0)


def test_forty_reversals_a_second_are_allowed(core: Core) -> None:
    core.to_armed()
    for _ in range(3):
        reverse(core, 40, 1000)
        assert core.state == STATE.ARMED
        core.run(1000)  # the way back to the first side is one more


def test_forty_one_reversals_a_second_stop(core: Core) -> None:
    core.to_armed()
    reverse(core, 41, 999)
    assert core.state == STATE.ARMED, "they are counted by the second"
    core.fed_tick()
    assert core.fault == FAULT.REVERSALS


def test_reversals_are_counted_for_each_second(core: Core) -> None:
    core.to_armed()
    reverse(core, 30, 1000)
    reverse(core, 30, 1000)
    reverse(core, 40, 999)
    core.fed_tick()
    assert core.state == STATE.ARMED


def test_drive_of_one_sign_is_no_reversal(core: Core) -> None:
    core.to_armed()
    for tick in range(2100):
        core.fed_tick(-1000 if tick % 2 else 0)
    assert core.state == STATE.ARMED


def test_smallest_drives_reverse(core: Core) -> None:
    core.to_armed()
    for tick in range(1000):
        core.fed_tick(1 if tick % 2 else -1)
    assert core.fault == FAULT.REVERSALS


def test_arming_forgets_reversals_and_the_second(core: Core) -> None:
    core.to_armed()
    reverse(core, 40, 500)
    core.disarm()
    core.run(100)
    core.arm()
    reverse(core, 40, 999, first_side=-1)
    assert core.state == STATE.ARMED
    core.disarm()
    core.arm()
    reverse(core, 41, 999)
    assert core.state == STATE.ARMED
    core.fed_tick()
    assert core.fault == FAULT.REVERSALS


def test_first_drive_after_arming_is_no_reversal(core: Core) -> None:
    core.to_armed()
    core.fed_tick(1000)
    core.disarm()
    core.run(100)
    core.arm()
    reverse(core, 40, 1000, first_side=-1)
    assert core.state == STATE.ARMED


# ---- the board itself ----


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"has_pulse_period": False}, FAULT.PULSE_PERIOD),
        ({"rail_mv": 3999}, FAULT.RAIL_LOW),
        ({"rail_mv": 1}, FAULT.RAIL_LOW),
    ],
)
def test_board_that_is_not_sound_does_not_begin_to_drive(core: Core, wrong: dict[str, int], fault: int) -> None:
    core.to_ready()
    core.tick(**wrong)
    for begin in (core.arm, core.home, core.centre, core.jog):
        assert begin() == (ACK.UNHEALTHY, fault)
    assert core.state == STATE.READY


@pytest.mark.parametrize("state", DRIVING)
@pytest.mark.parametrize(
    ("wrong", "fault"), [({"has_pulse_period": False}, FAULT.PULSE_PERIOD), ({"rail_mv": 3999}, FAULT.RAIL_LOW)]
)
def test_board_that_is_no_longer_sound_stops(core: Core, state: str, wrong: dict[str, int], fault: int) -> None:
    drive(core, state)
    assert core.fed_tick(2000, **wrong) == (0, True)
    assert core.fault == fault
    assert core.clear() == (ACK.UNHEALTHY, fault)


@pytest.mark.parametrize("rail_mv", [0, 4000, 5000, 65535])
def test_sound_rail_and_one_that_was_not_measured_yet_drive(core: Core, rail_mv: int) -> None:
    core.to_armed()
    assert core.fed_tick(2000, rail_mv=rail_mv)[0] == 2000


# ---- the relay that the e-stop opens ----

CUTS_SUPPLY = 32


def test_relay_that_stays_closed_is_not_cleared(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    core.run(5000)
    core.tick(is_estop_pressed=False)
    assert core.clear() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)
    assert core.state == STATE.FAULT


@pytest.mark.parametrize(("low_ms", "is_cleared"), [(0, False), (20, False), (21, True), (300, True)])
@pytest.mark.parametrize("held_ms", [1, 4000])
def test_supply_that_has_fallen_long_enough_is_cleared(core: Core, low_ms: int, held_ms: int, is_cleared: bool) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    for _ in range(held_ms):
        core.tick(supply_mv=9000)  # the capacitors empty
    for _ in range(low_ms):
        core.tick(supply_mv=8999)
    core.tick(is_estop_pressed=False, supply_mv=12000)
    assert core.clear() == ((ACK.DONE, 0) if is_cleared else (ACK.UNHEALTHY, FAULT.RELAY_WELDED))


def test_dips_of_the_supply_do_not_add_up(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    for _ in range(10):
        for _ in range(20):
            core.tick(supply_mv=8999)
        core.tick(supply_mv=9000)
    core.tick(is_estop_pressed=False, supply_mv=12000)
    assert core.clear() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)


def test_dip_after_the_press_is_counted_from_its_own_beginning(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    for _ in range(20):
        core.tick(supply_mv=8999)
    core.tick(is_estop_pressed=False, supply_mv=9000)
    core.tick(supply_mv=8999)
    core.tick(supply_mv=12000)
    assert core.clear() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)


def test_contact_that_bounces_back_while_the_supply_returns_is_no_second_press(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    for _ in range(30):
        core.tick(supply_mv=3000)
    for pressed in (False, True, False, True, False):
        core.tick(is_estop_pressed=pressed)
    core.tick(supply_mv=12000)
    assert core.clear() == (ACK.DONE, 0)


def test_second_press_asks_for_a_second_fall(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.tick(is_estop_pressed=True)
    for _ in range(30):
        core.tick(supply_mv=3000)
    core.tick(is_estop_pressed=False, supply_mv=12000)
    core.tick(is_estop_pressed=True)
    core.tick(is_estop_pressed=False)
    assert core.clear() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)


def test_pressed_before_limits_are_known_counts(core: Core) -> None:
    core.tick(is_estop_pressed=True, supply_mv=4000)
    core.tick(is_estop_pressed=False)
    core.configure(flags=CUTS_SUPPLY)
    core.tick(supply_mv=12000)
    assert core.clear() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)


def test_fall_before_limits_are_known_counts_below_4_volts(core: Core) -> None:
    core.tick(is_estop_pressed=True, supply_mv=4000)
    for _ in range(21):
        core.tick(supply_mv=3999)
    core.tick(is_estop_pressed=False)
    core.configure(flags=CUTS_SUPPLY)
    core.tick(supply_mv=12000)
    assert core.clear() == (ACK.DONE, 0)


@pytest.mark.parametrize("begin", ["home", "jog"])
def test_relay_that_is_doubted_keeps_from_driving_after_a_clear_without_limits(core: Core, begin: str) -> None:
    """A host may clear before it sends its limits, as `jog` does."""
    core.to_ready()
    core.tick(is_estop_pressed=True)
    core.tick(is_estop_pressed=False)
    assert core.clear() == (ACK.DONE, 0)
    assert core.configure(flags=CUTS_SUPPLY)[0] == ACK.DONE
    core.run(200)
    assert getattr(core, begin)() == (ACK.UNHEALTHY, FAULT.RELAY_WELDED)
    assert core.state == STATE.DISARMED


@pytest.mark.parametrize("flags", [0, 31])
def test_relay_is_not_asked_for_where_the_estop_cuts_no_supply(core: Core, flags: int) -> None:
    core.to_armed(flags=flags)
    core.tick(is_estop_pressed=True)
    core.tick(is_estop_pressed=False)
    assert core.clear() == (ACK.DONE, 0)


def test_estop_frame_asks_for_no_fall(core: Core) -> None:
    core.to_armed(flags=CUTS_SUPPLY)
    core.trip(FAULT.ESTOP)
    core.tick()
    assert core.clear() == (ACK.DONE, 0)


# ---- homing's bounds ----


@pytest.mark.parametrize(
    ("want_q15", "duty_q15"),
    [(7999, 7999), (8000, 8000), (8001, 8000), (-8000, -8000), (-8001, -8000), (32767, 8000), (-32768, -8000)],
)
def test_homing_drives_no_more_than_its_own_maximum(core: Core, want_q15: int, duty_q15: int) -> None:
    core.to_homing()
    assert core.tick(want_q15) == (duty_q15, False)
    assert core.was_clipped == (want_q15 != duty_q15)


@pytest.mark.parametrize(("switch", "barred"), [("is_left_closed", -1), ("is_right_closed", 1)])
@pytest.mark.parametrize("size", [1, 500, 32767])
def test_closed_switch_lets_homing_drive_away_from_it_only(core: Core, switch: str, barred: int, size: int) -> None:
    core.to_homing()
    assert core.tick(barred * size, **{switch: True}) == (0, False)
    assert core.tick(-barred * size)[0] == -barred * min(size, 8000)
    assert core.state == STATE.HOMING


def test_both_switches_closed_bar_both_ways(core: Core) -> None:
    core.to_homing()
    assert core.tick(500, is_left_closed=True, is_right_closed=True) == (0, False)
    assert core.tick(-500) == (0, False)


def test_homing_needs_no_commands(core: Core) -> None:
    core.to_homing()
    assert core.run(1000, valid_ms=0) == 1000


@pytest.mark.parametrize("begin", ["home", "centre", "jog"])
@pytest.mark.parametrize("missed", [0, 9])
def test_homing_ends_half_a_second_after_the_last_frame(core: Core, begin: str, missed: int) -> None:
    core.to_ready()
    assert getattr(core, begin)() == (ACK.DONE, 0)
    core.run(1000, 500, valid_ms=0)
    core.hear()
    core.tick(500, missed_ticks=missed)
    for _ in range(488 - missed):
        assert core.tick(500)[0] == 500
    assert core.state == STATE.HOMING
    assert core.tick(500) == (0, True)
    assert core.fault == FAULT.HOST_SILENT


def test_each_homing_has_its_half_second(core: Core) -> None:
    core.to_homing()
    for _ in range(400):
        core.tick()
    core.disarm()
    core.home()
    for _ in range(489):
        core.tick()
    assert core.state == STATE.HOMING
    core.tick()
    assert core.fault == FAULT.HOST_SILENT


def test_commands_are_what_an_armed_cart_needs(core: Core) -> None:
    """Frames of another kind keep homing alive, and nothing else."""
    core.to_armed()
    for _ in range(79):
        core.hear()
        core.tick()
    core.hear()
    core.tick()
    core.run(200, valid_ms=0)
    assert core.fault == FAULT.COMMAND_TIMEOUT


def test_homing_ends_after_three_minutes(core: Core) -> None:
    core.to_homing()
    assert core.run(180_000, valid_ms=0) == 180_000
    assert core.state == STATE.HOMING
    core.hear()
    assert core.tick() == (0, True)
    assert core.fault == FAULT.HOMING_TIMEOUT


def test_each_homing_has_its_three_minutes(core: Core) -> None:
    core.to_homing()
    core.run(100_000, valid_ms=0)
    core.disarm()
    core.home()
    assert core.run(200_000, valid_ms=0) == 180_001


def test_armed_time_is_not_bounded(core: Core) -> None:
    core.to_armed()
    assert core.run(200_000) == 200_000
