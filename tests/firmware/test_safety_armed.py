"""What stops an armed cart: silence, the track's end, a falling pole, a pole that does not follow.

Limits are literals here, those of the test cart and those of limits.h alike.
"""

from __future__ import annotations

import random

import pytest

from tests.firmware.c_core import FAULT, STATE, Core

# ---- command age ----


@pytest.mark.parametrize("timeout_ms", [1, 80, 200])
def test_arming_without_a_command_stops_after_200_ms(core: Core, timeout_ms: int) -> None:
    """The host answers the next STATE, which may be a control period of 100 ms away."""
    core.to_armed(command_timeout_ms=timeout_ms)
    assert core.run(1000, valid_ms=0) == 200
    assert core.fault == FAULT.COMMAND_TIMEOUT


@pytest.mark.parametrize("timeout_ms", [1, 2, 80, 199, 200])
def test_silence_longer_than_timeout_stops_motor(core: Core, timeout_ms: int) -> None:
    core.to_armed(command_timeout_ms=timeout_ms)
    core.feed(65535)
    for _ in range(timeout_ms - 1):
        assert core.tick(5000) == (5000, False)
    assert core.tick(5000) == (0, True)
    assert core.fault == FAULT.COMMAND_TIMEOUT


@pytest.mark.parametrize(("valid_ms", "stops_at"), [(1, 1), (2, 2), (79, 79), (80, 80), (81, 80), (65535, 80)])
def test_shorter_of_valid_ms_and_timeout_wins(core: Core, valid_ms: int, stops_at: int) -> None:
    core.to_armed()
    core.feed(valid_ms)
    assert core.run(1000, valid_ms=0) == stops_at
    assert core.fault == FAULT.COMMAND_TIMEOUT


def test_command_that_is_valid_for_no_time_stops_at_once(core: Core) -> None:
    core.to_armed()
    core.feed(0)
    assert core.run(1000, valid_ms=0) == 1


def test_command_in_time_goes_on(core: Core) -> None:
    core.to_armed()
    for _ in range(20):
        core.feed()
        assert core.run(79, valid_ms=0) == 79
    assert core.state == STATE.ARMED


def test_command_age_counts_from_the_newest_command(core: Core) -> None:
    core.to_armed()
    core.run(10, valid_ms=0)
    assert core.command_age_ms == 10
    core.feed()
    assert core.command_age_ms == 0


def test_arming_forgets_the_last_commands_age_and_validity(core: Core) -> None:
    core.to_armed()
    core.feed(10)
    core.run(5, valid_ms=0)
    core.disarm()
    core.run(200, valid_ms=0)
    core.arm()
    assert core.command_age_ms == 0
    assert core.run(1000, valid_ms=0) == 200


def test_missed_ticks_are_silence_too(core: Core) -> None:
    """A clock that loses milliseconds must not make a silent host look younger: 9 times 8 ms, then 8."""
    core.to_armed()
    core.feed()
    for _ in range(9):
        core.tick(missed_ticks=4)
        core.run(3, valid_ms=0)
    assert core.command_age_ms == 72
    assert core.run(7, valid_ms=0) == 7
    assert core.state == STATE.ARMED
    core.tick()
    assert core.fault == FAULT.COMMAND_TIMEOUT


def test_command_may_expire_within_missed_ticks(core: Core) -> None:
    core.to_armed()
    core.feed(10)
    core.tick(missed_ticks=9)
    assert core.fault == FAULT.COMMAND_TIMEOUT


# ---- duty ----


@pytest.mark.parametrize(
    ("want_q15", "duty_q15", "clipped"),
    [
        (0, 0, False),
        (1, 1, False),
        (-1, -1, False),
        (19999, 19999, False),
        (20000, 20000, False),
        (20001, 20000, True),
        (32767, 20000, True),
        (-19999, -19999, False),
        (-20000, -20000, False),
        (-20001, -20000, True),
        (-32767, -20000, True),
        (-32768, -20000, True),
    ],
)
def test_no_duty_beyond_the_maximum(core: Core, want_q15: int, duty_q15: int, clipped: bool) -> None:
    core.to_armed()
    assert core.fed_tick(want_q15) == (duty_q15, False)
    assert core.was_clipped == clipped


def test_full_drive_where_the_limit_is_full_drive(core: Core) -> None:
    core.to_armed(max_duty_q15=32767)
    assert core.fed_tick(-32768) == (-32767, False)
    assert core.was_clipped
    assert core.fed_tick(32767) == (32767, False)
    assert not core.was_clipped


def test_arming_forgets_clipping(core: Core) -> None:
    core.to_armed()
    core.fed_tick(32767)
    core.disarm()
    core.run(100)
    core.arm()
    assert not core.was_clipped


def test_brake_at_zero_is_reported_where_configured(core: Core) -> None:
    core.to_armed(flags=16)
    assert core.fed_tick(0) == (0, True)
    assert core.fed_tick(4000) == (4000, True)


def test_other_flags_do_not_brake(core: Core) -> None:
    core.to_armed(flags=15)
    assert core.fed_tick(0) == (0, False)


# ---- end switches ----


@pytest.mark.parametrize("switch", ["is_left_closed", "is_right_closed"])
@pytest.mark.parametrize("want_q15", [8000, -8000])
def test_end_switch_stops_an_armed_cart_whichever_way_it_drives(core: Core, switch: str, want_q15: int) -> None:
    core.to_armed()
    assert core.fed_tick(want_q15, **{switch: True}) == (0, True)
    assert core.fault == FAULT.END_SWITCH


# ---- travel ----


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("counts", "stops"), [(4998, False), (4999, False), (5000, True), (5001, True)])
def test_travel_limit(core: Core, side: int, counts: int, stops: bool) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=side * counts)
    assert core.fault == (FAULT.TRAVEL_LIMIT if stops else FAULT.NONE)


@pytest.mark.parametrize("side", [1, -1])
def test_travel_limit_stops_on_the_way_back_too(core: Core, side: int) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=side * 5000, cart_speed=-side * 16)
    assert core.fault == FAULT.TRAVEL_LIMIT


def test_extreme_count_is_outside(core: Core) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=-(2**31))
    assert core.fault == FAULT.TRAVEL_LIMIT


def stopping_counts(speed: int, decel: int) -> int:
    """v^2 / 2a in whole counts as the firmware may round it: v down to 4 counts a second, a down to 8 counts / s^2."""
    return (speed // 64) ** 2 // (decel // 8)


# Speeds in counts a second; 80,000 counts / s^2 stop 10,000 counts a second within 625 counts.
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("speed", "distance"), [(400, 1), (4000, 100), (10000, 625), (20000, 2500), (28000, 4900), (28284, 4999)]
)
def test_stopping_distance_is_left_before_the_limit(core: Core, side: int, speed: int, distance: int) -> None:
    assert stopping_counts(speed * 16, 80000) == distance
    assert speed**2 / (2 * 80000) == pytest.approx(distance, abs=1.0), "it is v^2 / 2a"
    core.to_armed()
    core.fed_tick(cart_counts=side * (5000 - distance - 1), cart_speed=side * speed * 16)
    assert core.state == STATE.ARMED
    core.fed_tick(cart_counts=side * (5000 - distance), cart_speed=side * speed * 16)
    assert core.fault == FAULT.TRAVEL_LIMIT


@pytest.mark.parametrize("side", [1, -1])
def test_cart_that_moves_toward_the_middle_needs_no_stopping_distance(core: Core, side: int) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=side * 4999, cart_speed=-side * 28000 * 16)
    assert core.state == STATE.ARMED


def test_too_fast_in_the_middle_stops(core: Core) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=0, cart_speed=28300 * 16)
    assert core.fault == FAULT.TRAVEL_LIMIT


def test_too_fast_just_left_of_the_middle_stops(core: Core) -> None:
    core.to_armed()
    core.fed_tick(cart_counts=-1, cart_speed=-28300 * 16)
    assert core.fault == FAULT.TRAVEL_LIMIT


@pytest.mark.parametrize("side", [1, -1])
def test_speed_beyond_the_arithmetic_stops(core: Core, side: int) -> None:
    """65,536 times 4 counts a second squared no longer fits 32 bits."""
    core.to_armed(brake_decel_counts_s2=2**32 - 1)
    core.fed_tick(cart_counts=side, cart_speed=side * (65535 * 64 + 63))
    assert core.state == STATE.ARMED
    core.fed_tick(cart_counts=side, cart_speed=side * 65536 * 64)
    assert core.fault == FAULT.TRAVEL_LIMIT


def test_weakest_brake_divides_by_one(core: Core) -> None:
    core.to_armed(brake_decel_counts_s2=8)
    core.fed_tick(cart_counts=0, cart_speed=70 * 64)
    assert core.state == STATE.ARMED, "4900 of 5000 counts"
    core.fed_tick(cart_counts=0, cart_speed=71 * 64)
    assert core.fault == FAULT.TRAVEL_LIMIT


@pytest.mark.parametrize("seed", range(4))
def test_stopping_distance_anywhere(core: Core, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        decel = rng.randrange(8, rng.choice((4_000_000, 2**32)))
        limit = rng.choice((5000, 1_000_000))
        counts = limit - rng.randrange(1, rng.choice((50, limit)))
        speed = rng.randrange(0, 65536 * 64)
        if rng.random() < 0.7:  # near the boundary
            speed = int(((limit - counts) * (decel // 8)) ** 0.5) * 64 + rng.randrange(-130, 130)
        core = Core(core.library)
        core.to_armed(brake_decel_counts_s2=decel, travel_limit_counts=limit)
        core.fed_tick(cart_counts=counts, cart_speed=min(max(speed, 0), 2**31 - 1))
        stops = stopping_counts(max(speed, 0), decel) >= limit - counts or speed // 64 > 65535
        assert core.fault == (FAULT.TRAVEL_LIMIT if stops else 0), (seed, decel, counts, speed)


# ---- pole angle ----


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("counts", "stops"), [(699, False), (700, False), (701, True), (2048, True)])
def test_pole_angle(core: Core, side: int, counts: int, stops: bool) -> None:
    core.to_armed()
    core.fed_tick(pole_counts=side * counts)
    assert core.fault == (FAULT.POLE_ANGLE if stops else FAULT.NONE)


# ---- a pole that does not follow ----


@pytest.mark.parametrize("side", [1, -1])
def test_still_pole_on_a_travelling_cart_stops(core: Core, side: int) -> None:
    """1500 counts of travel, 15 a tick: the hundredth tick is one too many."""
    core.to_armed()
    for tick in range(99):
        core.fed_tick(cart_moved=side * 15, pole_counts=(tick % 3) - 1)
        assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=side * 14)
    assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=side)
    assert core.fault == FAULT.POLE_STILL


@pytest.mark.parametrize("by", [2, -2])
def test_moving_pole_restarts_the_travel(core: Core, by: int) -> None:
    core.to_armed()
    for _ in range(99):
        core.fed_tick(cart_moved=15)
    core.fed_tick(cart_moved=15, pole_counts=by)
    assert core.state == STATE.ARMED
    for _ in range(99):
        core.fed_tick(cart_moved=15)
    assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=15)
    assert core.fault == FAULT.POLE_STILL


def test_arming_restarts_the_travel_where_the_pole_stands(core: Core) -> None:
    core.to_armed()
    for _ in range(99):
        core.fed_tick(cart_moved=15)
    core.disarm()
    core.inputs.pole_counts = 50
    core.run(101)
    core.arm()
    for _ in range(99):
        core.fed_tick(cart_moved=15)
    assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=15)
    assert core.fault == FAULT.POLE_STILL, "the first tick counts: it stood at 50 before"


def test_cart_encoder_that_flickers_at_an_edge_travels_nowhere(core: Core) -> None:
    core.to_armed()
    for tick in range(5000):
        core.fed_tick(cart_moved=1 - 2 * (tick % 2))
        core.fed_tick()
    assert core.state == STATE.ARMED


@pytest.mark.parametrize(("moved", "ticks"), [(2, 750), (1, 1499)])
def test_cart_that_really_goes_to_and_fro_travels(core: Core, moved: int, ticks: int) -> None:
    """Two counts a tick, either way in turn; or one a tick, where only a first step back could be a flicker."""
    core.to_armed()
    core.fed_tick(cart_moved=-1)
    core.fed_tick(cart_moved=1)  # taken back: no way
    for tick in range(ticks - 1):
        core.fed_tick(cart_moved=moved * (1 if moved == 1 else 1 - 2 * (tick % 2)))
        assert core.state == STATE.ARMED, tick
    core.fed_tick(cart_moved=2)
    assert core.fault == FAULT.POLE_STILL


@pytest.mark.parametrize("side", [-1, 1])
def test_arming_forgets_to_which_side_the_cart_went(core: Core, side: int) -> None:
    core.to_armed()
    core.fed_tick(cart_moved=-side)
    core.disarm()
    core.run(101)
    core.arm()
    core.fed_tick(cart_moved=side)
    for _ in range(99):
        core.fed_tick(cart_moved=15 * side)
    core.fed_tick(cart_moved=13 * side)
    core.fed_tick()
    assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=side)
    assert core.fault == FAULT.POLE_STILL


def test_pole_that_stands_on_a_standing_cart_is_well(core: Core) -> None:
    core.to_armed()
    assert core.run(20000) == 20000
