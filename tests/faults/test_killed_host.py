from __future__ import annotations

from multiprocessing.connection import Connection

import pytest

from cartpole_robot.campaign import killed_host
from cartpole_robot.campaign.killed_host import (
    KilledHost,
    KilledStarts,
    Moment,
    has_lost_time,
    kill_hosts,
    outcome_of,
    was_starved,
)
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError

CART = load_cart("diy_arduino")


@pytest.mark.realtime
def test_host_killed_at_full_speed_leaves_the_motor_off_and_the_cart_before_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few starts here, on the firmware built for this machine; the campaign has a thousand on the chip."""
    monkeypatch.setattr(killed_host, "_STARTS_AT_ONCE", 1)  # each has its cart, and all home at the same time
    for outcome in kill_hosts(KilledStarts(cart=CART, seed=11, on_chip=False), range(3), carts=3):
        assert outcome.speed_m_s > 0.1
        assert outcome.is_off
        assert outcome.off_after_ms <= 60
        assert outcome.farthest_m < 0.48
        assert outcome.stood_ms >= 100


def test_host_killed_while_homing_leaves_the_motor_off_within_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two starts here; the campaign has a hundred on the chip."""
    monkeypatch.setattr(killed_host, "_STARTS_AT_ONCE", 1)
    of = KilledStarts(cart=CART, seed=5, on_chip=False, is_homing=True)
    for outcome in kill_hosts(of, range(2), carts=2):
        assert outcome.is_off
        assert outcome.off_after_ms <= 500


def moments(drives: dict[range, float | None], *, speed_m_s: float = 0.0) -> list[Moment]:
    """Two seconds; the host sends until 500 ms. The machine's clock is the cart's."""
    drive_at = {ms: drive for part, drive in drives.items() for ms in part}
    return [
        Moment(ms, ms / 1000.0, 0.1, 1.0 if ms < 600 else speed_m_s, drive_at.get(ms), min(ms, 500))
        for ms in range(2000)
    ]


def outcome(drives: dict[range, float | None], *, speed_m_s: float = 0.0) -> KilledHost | None:
    return outcome_of(moments(drives, speed_m_s=speed_m_s), driving_s=0.3, killed_s=0.505)


def test_motor_off_in_time_is_good_whatever_homing_drove_before() -> None:
    found = outcome({range(100, 200): 0.5, range(320, 560): 1.0})
    assert found is not None
    assert (found.off_after_ms, found.speed_m_s) == (60, 1.0)
    assert found.is_off_in_time(CART)
    assert found.has_stopped(CART)
    assert found.message(CART) == "off and at rest"


def test_motor_that_never_goes_off_or_goes_on_again_is_bad() -> None:
    never = outcome({range(320, 2000): 1.0})
    assert never is not None
    assert not never.is_off_in_time(CART)
    assert never.message(CART) == "never off"
    again = outcome({range(320, 560): 1.0, range(700, 710): 1.0})
    assert again is not None
    assert (again.off_after_ms, again.is_off_in_time(CART)) == (210, False)
    assert again.message(CART) == "off late"


def test_busy_machine_is_distinguished_from_firmware_that_stops_the_motor() -> None:
    """The host sends until 500 ms; a cart whose process waited falls behind the machine's clock."""
    run = moments({})
    assert not was_starved(run[:560], 60)
    assert was_starved(run[:561], 60)
    assert not has_lost_time(run)
    assert not has_lost_time([])
    assert not has_lost_time(run[:1000] + run[1020:])
    assert has_lost_time(run[:1000] + run[1022:])


def test_cart_that_only_turns_round_has_not_come_to_rest() -> None:
    found = outcome({range(320, 560): 1.0}, speed_m_s=0.02)
    assert found is not None
    assert not found.has_stopped(CART)
    assert found.message(CART) == "went to 100 mm, never stood still"
    for still_ms, has_stopped in ((99, False), (100, True)):
        turning = [
            moment._replace(speed_m_s=0.0) if 700 <= moment.time_ms < 700 + still_ms else moment
            for moment in moments({range(320, 560): 1.0}, speed_m_s=0.02)
        ]
        found = outcome_of(turning, driving_s=0.3, killed_s=0.505)
        assert found is not None
        assert found.has_stopped(CART) is has_stopped


def test_nothing_driven_and_motor_off_before_the_kill_are_no_starts() -> None:
    assert outcome({}) is None
    assert outcome({range(100, 200): 0.5}) is None
    assert outcome({range(320, 450): 1.0}) is None


def test_ended_cart_process_is_an_error_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killed_host, "serve", _end_at_once)
    with pytest.raises(RigError, match="the cart's process ended before its time"):
        killed_host._start_some(KilledStarts(cart=CART, on_chip=False), [0])


def _end_at_once(connection: Connection, *_: object) -> None:
    connection.send("/dev/null")
