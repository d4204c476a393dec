"""A swing-up, from the safety core's side: when it may begin, what holds meanwhile, and when the pole is upright.

Limits are literals here: a turn of 4096 counts, 700 counts of pole limit, 5000 of travel, 9 s to swing up, 300 ms to be
upright; a cart rests that moves less than 22 counts (3 and a 256th of its travel limit) within 100 ms.
"""

from __future__ import annotations

import random

import pytest

from tests.firmware.c_core import ACK, FAULT, STATE, Core

# ---- arming ----


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("counts", "code"), [(0, 14), (90, 14), (700, 14), (1023, 14), (1024, 14), (1025, 0), (2048, 0), (2051, 0)]
)
def test_swing_up_begins_below_the_horizontal(core: Core, side: int, counts: int, code: int) -> None:
    core.to_ready()
    core.inputs.pole_counts = side * counts
    core.run(101, valid_ms=0)
    assert core.arm_to_swing_up() == (code, 0)
    assert core.is_swinging == (code == 0)


def test_hanging_pole_that_moves_may_be_swung_up_and_not_armed_else(core: Core) -> None:
    core.to_ready()
    for tick in range(200):
        core.tick(pole_counts=1100 + 4 * tick)
    assert core.arm() == (ACK.POLE_NOT_UPRIGHT, 0)
    assert not core.is_still
    assert core.arm_to_swing_up() == (ACK.DONE, 0)


@pytest.mark.parametrize(
    ("travel", "sway", "code"),
    [
        *((5000, 0, 0), (5000, 21, 0), (5000, 22, 7), (5000, -21, 0), (5000, -22, 7)),
        *((5119, 21, 0), (5119, 22, 7), (5120, 22, 0), (5120, 23, 7)),
    ],
)
def test_cart_must_rest_for_100_ms_before_it_swings_up(core: Core, travel: int, sway: int, code: int) -> None:
    """A pole that swings moves its cart a little; three counts, which arming upright allows, are less than that."""
    core.to_ready(travel_limit_counts=travel)
    core.inputs.pole_counts = 2048
    core.run(200, valid_ms=0)
    core.inputs.cart_counts += sway
    core.tick()
    assert core.arm_to_swing_up() == (code, 0)
    core.run(99, valid_ms=0)
    assert core.arm_to_swing_up() == (code, 0)
    core.tick()
    assert core.arm_to_swing_up() == (ACK.DONE, 0)


def test_cart_file_without_a_swing_up_refuses_it(core: Core) -> None:
    core.to_ready(swing_timeout_ms=0)
    core.inputs.pole_counts = 2048
    core.run(101, valid_ms=0)
    assert core.arm_to_swing_up() == (ACK.NO_LIMITS, 0)
    core.inputs.pole_counts = 0
    core.run(101, valid_ms=0)
    assert core.arm() == (ACK.DONE, 0)


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"is_estop_pressed": True}, "NOT_NOW", 0),
        ({"supply_mv": 8999}, "UNHEALTHY", 12),
        ({"is_left_closed": True}, "UNHEALTHY", 3),
        ({"is_right_closed": True}, "UNHEALTHY", 3),
        ({"cart_counts": 5000}, "CART_OUTSIDE", 0),
    ],
)
def test_swing_up_needs_what_arming_needs(core: Core, change: dict[str, int], code: str, detail: int) -> None:
    core.to_ready()
    core.inputs.pole_counts = 2048
    for name, value in change.items():
        setattr(core.inputs, name, value)
    core.run(101, valid_ms=0)
    assert core.arm_to_swing_up() == (ACK[code], detail)


def test_swing_up_needs_homing(core: Core) -> None:
    core.to_disarmed()
    core.inputs.pole_counts = 2048
    core.run(101, valid_ms=0)
    assert core.arm_to_swing_up() == (ACK.NOT_HOMED, 0)


def test_armed_cart_stays_what_it_was_armed_for(core: Core) -> None:
    core.to_armed()
    assert core.arm_to_swing_up() == (ACK.DONE, 0)
    assert not core.is_swinging
    core.fed_tick(pole_counts=2048)
    assert core.fault == FAULT.POLE_ANGLE


@pytest.mark.parametrize("way", ["disarm", "fault"])
def test_swing_up_ends_with_the_drive(core: Core, way: str) -> None:
    core.to_swinging()
    assert core.is_swinging
    if way == "disarm":
        core.disarm()
    else:
        core.tick(is_estop_pressed=True)
    assert not core.is_swinging


# ---- how long ----


def test_swing_up_without_an_upright_pole_times_out(core: Core) -> None:
    core.to_swinging()
    assert core.run(20000) == 9000
    assert core.fault == FAULT.SWING_TIMEOUT
    assert core.is_homed


def test_missed_ticks_count_for_the_timeout(core: Core) -> None:
    core.to_swinging()
    core.fed_tick(missed_ticks=9)
    assert core.run(20000) == 8990


def test_time_begins_again_with_each_arming(core: Core) -> None:
    core.to_swinging()
    core.run(8000)
    core.disarm()
    core.run(101, valid_ms=0)
    assert core.arm_to_swing_up() == (ACK.DONE, 0)
    assert core.run(20000) == 9000


# ---- upright ----


@pytest.mark.parametrize("side", [1, -1])
def test_pole_within_its_limit_for_300_ms_is_upright_and_has_to_stay(core: Core, side: int) -> None:
    core.to_swinging()
    core.inputs.pole_counts = side * 700
    assert core.run(299) == 299
    assert core.is_swinging
    core.fed_tick()
    assert not core.is_swinging
    assert core.run(20000) == 20000, "and the timeout is over"
    core.fed_tick(pole_counts=side * 701)
    assert core.fault == FAULT.POLE_ANGLE


def test_pole_that_passes_through_is_not_upright(core: Core) -> None:
    core.to_swinging()
    for _ in range(3):
        core.inputs.pole_counts = 700
        core.run(299)
        core.inputs.pole_counts = 701
        core.run(1)
    assert core.state == STATE.ARMED
    assert core.is_swinging
    core.inputs.pole_counts = -700
    core.run(299)
    assert core.is_swinging, "it counts from 0 each time"
    core.disarm()
    core.inputs.pole_counts = 2048
    core.run(101, valid_ms=0)
    core.arm_to_swing_up()
    core.inputs.pole_counts = 0
    core.run(299)
    assert core.is_swinging, "arming forgets it"


def test_pole_that_is_upright_at_the_last_moment_is_in_time(core: Core) -> None:
    core.to_swinging()
    core.run(8700)
    core.inputs.pole_counts = 0
    core.run(300)
    assert core.state == STATE.ARMED
    assert not core.is_swinging


# ---- what holds meanwhile ----


@pytest.mark.parametrize("seed", range(3))
def test_random_storm_of_swings_gets_neither_more_duty_nor_more_travel(core: Core, seed: int) -> None:
    """Whatever the pole does and the host asks for: the duty stays within 20,000, the cart within 5,000 counts."""
    rng = random.Random(seed)
    for _ in range(12):
        core = Core(core.library)
        core.to_swinging()
        pole, cart, speed = 2048, 0, 0
        for _ in range(100):
            pole = (pole + rng.randrange(-90, 91) + 2048) % 4096 - 2048
            speed = max(-400_000, min(400_000, speed + rng.randrange(-20_000, 20_001)))
            moved = round(speed / 16 / 1000)
            cart += moved
            duty, _ = core.fed_tick(
                rng.randrange(-32768, 32768), pole_counts=pole, cart_counts=cart, cart_speed=speed, cart_moved=moved
            )
            assert abs(duty) <= 20_000, seed
            outside = abs(cart) >= 5000 or (
                cart * speed > 0 and (abs(speed) // 64) ** 2 >= (5000 - abs(cart)) * (80_000 // 8)
            )
            if outside:
                assert core.state == STATE.FAULT, seed
                assert duty == 0
            if core.state != STATE.ARMED:
                break


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"is_left_closed": True}, "END_SWITCH"),
        ({"is_right_closed": True}, "END_SWITCH"),
        ({"is_estop_pressed": True}, "ESTOP"),
        ({"cart_counts": 5000}, "TRAVEL_LIMIT"),
        ({"cart_counts": -4000, "cart_speed": -16 * 13_000}, "TRAVEL_LIMIT"),
        ({"cart_moved": 201}, "CART_ENCODER"),
        ({"pole_moved": -201}, "POLE_ENCODER"),
        ({"cart_illegal": 8}, "CART_ENCODER"),
        ({"pole_illegal": 8}, "POLE_ENCODER"),
        ({"rail_mv": 3999}, "RAIL_LOW"),
        ({"has_pulse_period": False}, "PULSE_PERIOD"),
        ({"missed_ticks": 11}, "MISSED_TICKS"),
    ],
)
def test_fault_during_a_swing_stops_the_motor_at_once(core: Core, change: dict[str, int], fault: str) -> None:
    core.to_swinging()
    assert core.fed_tick(8000) == (8000, False)
    assert core.fed_tick(8000, **change) == (0, True)
    assert core.fault == FAULT[fault]


@pytest.mark.parametrize("supply_mv", [8999, 15001])
def test_wrong_supply_during_a_swing_stops_the_motor(core: Core, supply_mv: int) -> None:
    core.to_swinging()
    core.inputs.supply_mv = supply_mv
    assert core.run(1000) == 20


def test_silence_during_a_swing_stops_the_motor(core: Core) -> None:
    core.to_swinging()
    core.feed()
    assert core.run(1000, valid_ms=0) == 80
    assert core.fault == FAULT.COMMAND_TIMEOUT


@pytest.mark.parametrize(("upright_ms", "is_fault", "brake_ms"), [(0, True, 5000), (300, True, 500), (0, False, 500)])
def test_cart_that_a_swinging_pole_still_pulls_is_braked_for_longer_after_a_fault(
    core: Core, upright_ms: int, is_fault: bool, brake_ms: int
) -> None:
    core.to_swinging()
    for _ in range(upright_ms):
        core.fed_tick(pole_counts=0)
    if is_fault:
        core.inputs.is_estop_pressed = True
    else:
        core.disarm()
    motors = [core.tick(32767) for _ in range(6000)]
    assert motors == [(0, True)] * brake_ms + [(0, False)] * (6000 - brake_ms)


@pytest.mark.parametrize(("duty", "most_ms"), [(6000, 200), (11999, 200), (12000, 100), (32767, 100)])
@pytest.mark.parametrize("side", [-1, 1])
def test_weak_push_against_a_swinging_pole_may_be_in_vain_for_twice_the_time(
    core: Core, duty: int, most_ms: int, side: int
) -> None:
    core.to_swinging()
    core.fed_tick(side * duty, cart_counts=core.inputs.cart_counts + 5)  # it has moved
    assert core.run(1000, side * duty) == most_ms
    assert core.fault == FAULT.CART_STUCK


def test_strong_push_makes_up_for_what_a_weak_one_is_allowed(core: Core) -> None:
    core.to_swinging()
    for _ in range(100):
        core.fed_tick(6000)
    assert core.run(1000, 12000) == 50
    assert core.fault == FAULT.CART_STUCK


@pytest.mark.parametrize(("duty", "most_ms"), [(6000, 400), (12000, 200)])
@pytest.mark.parametrize("swung_counts", [0, 3])
def test_cart_that_is_weakly_pushed_either_way_is_stuck_after_twice_the_time(
    core: Core, duty: int, most_ms: int, swung_counts: int
) -> None:
    core.to_swinging(reversals_per_s=500)
    hanging_counts = core.inputs.pole_counts
    for tick in range(most_ms - 1):
        core.fed_tick(duty if tick % 2 else -duty, pole_counts=hanging_counts - min(tick, swung_counts))
        assert core.state == STATE.ARMED
    core.fed_tick(duty)
    assert core.fault == FAULT.CART_STUCK


def test_pole_that_turns_back_lets_the_cart_travel_four_times_as_far(core: Core) -> None:
    core.to_swinging()
    for _ in range(399):
        core.fed_tick(cart_moved=15)
        assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=15)
    assert core.fault == FAULT.POLE_STILL


def test_upright_pole_has_the_usual_travel_again(core: Core) -> None:
    core.to_swinging()
    core.inputs.pole_counts = 0
    core.run(300)
    for _ in range(99):
        core.fed_tick(cart_moved=15)
        assert core.state == STATE.ARMED
    core.fed_tick(cart_moved=15)
    assert core.fault == FAULT.POLE_STILL
