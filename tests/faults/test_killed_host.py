from __future__ import annotations

from multiprocessing.connection import Connection

import pytest

from cartpole_robot.campaign import killed_host
from cartpole_robot.campaign.killed_host import KilledStarts, kill_hosts
from cartpole_robot.campaign.killed_outcome import KilledHost, Moment, has_lost_time, outcome_of, was_starved
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError

CART, STEPPER = load_cart("diy_arduino"), load_cart("diy_stepper")


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


@pytest.mark.long
@pytest.mark.realtime
def test_host_of_a_stepper_killed_at_full_speed_costs_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 ms of silence, 67 ms from 1 m/s to rest at 15 m/s2, and 3 ms; the campaign has a hundred on the chip."""
    monkeypatch.setattr(killed_host, "_STARTS_AT_ONCE", 1)
    outcomes = list(kill_hosts(KilledStarts(cart=STEPPER, seed=1, on_chip=False), range(6), carts=3))
    assert sum(outcome.speed_m_s > 0.1 for outcome in outcomes) >= 3  # a late host dies before its cart is fast
    for outcome in outcomes:
        assert outcome.is_off
        assert outcome.off_after_ms <= 130
        assert outcome.farthest_m < 0.43
        assert outcome.stood_ms >= 500
        assert abs(outcome.lost_steps) < 0.1


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


def on_pulses(
    *, killed_ms: int = 500, brakes_ms: int = 560, off_steps: float = 0.0, ends: bool = True
) -> KilledHost | None:
    """A cart at 10 steps per ms from 300 ms on, which then brakes by one step per ms; the host sends until 500 ms."""
    seen, steps = [], 0.0
    for ms in range(2000):
        speed = 0.0 if ms < 300 else 10.0 if ms < brakes_ms else max(0.0 if ends else 1.0, 9.0 - (ms - brakes_ms))
        steps += speed
        off = off_steps if ms >= brakes_ms else 0.0
        place_m, speed_m_s = (steps + off) / 20_000, speed / 20.0
        seen.append(Moment(ms, ms / 1000.0, place_m, speed_m_s, steps, min(ms, 500), round(steps)))
    return outcome_of(seen, driving_s=0.29, killed_s=killed_ms / 1000.0, stepper=STEPPER.stepper)


def test_stepper_is_off_with_its_last_pulse() -> None:
    found = on_pulses()
    assert found is not None
    assert (found.off_after_ms, found.is_off, found.speed_m_s) == (68, True, pytest.approx(0.5))
    assert found.lost_steps == pytest.approx(0.0, abs=1e-6)
    assert found.is_off_in_time(STEPPER)
    assert found.has_stopped(STEPPER)
    assert found.message(STEPPER) == "off and at rest"


def test_stepper_that_stops_late_or_never_or_loses_steps_is_bad() -> None:
    late, latest = on_pulses(brakes_ms=623), on_pulses(brakes_ms=622)
    assert late is not None
    assert latest is not None
    assert (late.off_after_ms, late.is_off_in_time(STEPPER), latest.is_off_in_time(STEPPER)) == (131, False, True)
    assert late.message(STEPPER) == "off late"
    never = on_pulses(ends=False)
    assert never is not None
    assert never.message(STEPPER) == "never off"
    for steps, has_kept in ((0.4, True), (0.6, False), (-0.6, False), (16.0, False)):
        lost = on_pulses(off_steps=steps)
        assert lost is not None
        assert lost.has_kept_count() is has_kept
    assert lost.message(STEPPER) == "+16 steps lost"


def test_stepper_that_braked_or_stood_before_the_kill_is_no_start() -> None:
    assert on_pulses(brakes_ms=498) is None
    assert on_pulses(killed_ms=298) is None


def test_ended_cart_process_is_an_error_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killed_host, "serve", _end_at_once)
    with pytest.raises(RigError, match="the cart's process ended before its time"):
        killed_host._start_some(KilledStarts(cart=CART, on_chip=False), [0])


def _end_at_once(connection: Connection, *_: object) -> None:
    connection.send("/dev/null")
