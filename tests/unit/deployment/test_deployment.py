from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import Motor
from cartpole_robot.deployment.latency_report import figures_of
from cartpole_robot.deployment.pilots import Envelope, FallbackPilot, ShadowPilot
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.deployment.run import DeployRequest
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import PolicyController
from cartpole_robot.policy.lqr import Lqr, LqrController
from cartpole_robot.recording.format import Flag
from cartpole_robot.rollout.step_times import StepTimes
from firmware_bridge.clock import ArrivalClock


def constant(duty: float) -> PolicyController:
    """A policy that always chooses the same duty."""
    return PolicyController(lambda _: 0, (duty,))


def a_regulator(past: int = 1) -> LqrController:
    lqr = Lqr(state_gain=np.array([1.0, 0.0, 0.0, 0.0]), duty_gain=np.full(past, 0.5))
    return LqrController(lqr, Motor(stall_force_n=1.0))


def test_regulator_catches_outside_the_envelope_and_hands_back_after_half_a_second_of_calm() -> None:
    envelope = Envelope(bound=np.array([0.1, 1.0, 0.2, 2.0], np.float32))
    pilot = FallbackPilot(constant(0.25), a_regulator(), envelope, 0.02)
    inside, edge, outside = (np.array([x, 0.0, 0.0, 0.0], np.float32) for x in (0.0, 0.09, 0.11))
    assert (pilot.duty(inside), pilot.flags) == (0.25, 0)
    assert pilot.duty(outside) == pytest.approx(-0.11 - 0.5 * 0.25), "it knows what the policy had sent"
    assert pilot.flags == Flag.FALLBACK
    for _ in range(40):
        pilot.duty(edge)
    assert pilot.flags == Flag.FALLBACK, "inside, but not calm"
    for step in range(25):
        assert pilot.flags == Flag.FALLBACK, step
        pilot.duty(inside)
    assert (pilot.duty(inside), pilot.flags, pilot.handovers) == (0.25, 0, 2)
    pilot.reset()
    assert pilot.handovers == 0


def test_shadow_is_asked_and_does_not_drive() -> None:
    pilot = ShadowPilot(constant(0.5), constant(-0.2))
    assert (pilot.duty(np.zeros(4)), pilot.shadow_duty, pilot.flags) == (0.5, -0.2, 0)


@pytest.mark.parametrize("skew", [-0.02, 0.0, 0.014])
@pytest.mark.parametrize("begin_us", [0, 0xFFFF_FFFF - 3_000_000])
def test_lateness_is_what_the_quickest_arrivals_make_it(skew: float, begin_us: int) -> None:
    """Clocks of different rates, a wrap, and delays that are sometimes zero."""
    clock, rng = ArrivalClock(), np.random.default_rng(3)
    worst = 0.0
    for k in range(1000):
        delay_s = 0.0 if k % 7 == 0 else float(rng.exponential(0.0005))
        host_s = 100.0 + 0.02 * k * (1.0 + skew) + 0.003 + delay_s
        late_s = clock.lateness_s((begin_us + 20_000 * k) & 0xFFFF_FFFF, host_s)
        if k > 100:
            worst = max(worst, abs(late_s - delay_s))
    assert worst < 50e-6
    assert clock.due_s(0.02) == pytest.approx(100.0 + 0.02 * 1000 * (1.0 + skew) + 0.003, abs=50e-6)


def test_restarted_clock_forgets_every_arrival() -> None:
    clock, fresh = ArrivalClock(), ArrivalClock()
    for k in range(2000):
        clock.lateness_s(20_000 * k, 100.0 + 0.0201 * k)
    clock.restart()
    later = [(20_000 * k, 300.0 + 0.0199 * k + 0.001 * (k % 3)) for k in range(200)]
    assert [clock.lateness_s(*one) for one in later] == [fresh.lateness_s(*one) for one in later]
    assert clock.due_s(0.02) == fresh.due_s(0.02)


def test_arrivals_of_a_host_that_slept_do_not_bend_the_line() -> None:
    clock = ArrivalClock()
    for k in range(200):
        clock.lateness_s(20_000 * k, 100.0 + 0.02 * k)
    slept = [clock.lateness_s(20_000 * k, 114.0) for k in (240, 380, 480)]
    assert slept[0] == pytest.approx(9.2)
    assert max(clock.lateness_s(20_000 * k, 100.0 + 0.02 * k) for k in range(710, 900)) < 1e-6


def test_times_are_kept_as_long_as_there_is_room_and_then_the_last() -> None:
    times = StepTimes(3)
    assert math.isnan(times.newest_lateness_s)
    for k in range(5):
        times.append(k, k + 0.1, k + 0.3, k + 0.35, 0.01 * k, math.nan if k == 4 else 0.02)
    found = times.columns()
    assert times.steps == 5
    assert sorted(found["loop_lateness"]) == pytest.approx([0.02, 0.03, 0.04])
    assert found["inference"] == pytest.approx([0.2] * 3)
    assert sorted(found["sensor_to_command"]) == pytest.approx([0.37, 0.38, 0.39])
    assert len(found["command_age"]) == 2
    assert figures_of(times)["inference"]["p50"] == pytest.approx(200_000.0)


@pytest.mark.realtime
def test_everything_is_as_before_afterwards() -> None:
    before = (gc.isenabled(), sys.getswitchinterval(), os.sched_getscheduler(0), os.sched_getaffinity(0))
    frozen = gc.get_freeze_count()
    with punctual() as settings:
        assert not gc.isenabled()
        assert {setting.name for setting in settings} >= {"garbage collection paused", "SCHED_FIFO", "memory locked"}
        assert all(setting.is_on or setting.why_not for setting in settings)
        on = {setting.name for setting in settings if setting.is_on}
        if "SCHED_FIFO" in on:
            assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
    assert (gc.isenabled(), sys.getswitchinterval(), os.sched_getscheduler(0), os.sched_getaffinity(0)) == before
    assert gc.get_freeze_count() == frozen


@pytest.mark.realtime
def test_bytes_of_serial_ports_come_first_and_the_kernel_is_as_before_afterwards() -> None:
    def niceness() -> dict[int, int]:
        """Of each worker of the kernel that moves the bytes of ports; it may end meanwhile."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                text = stat.read_text()
                if "(kworker/u" in text:
                    found[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[16])
        return found

    before = niceness()
    with punctual() as settings:
        (setting,) = [each for each in settings if each.name == "priority for serial ports"]
        within = niceness()
        with punctual():  # as the loop's process within the virtual cart's
            pass
        assert all(niceness()[worker] == within[worker] for worker in niceness().keys() & within.keys())
    after = niceness()
    common = before.keys() & within.keys() & after.keys()
    if setting.is_on:
        assert common
        assert {within[worker] for worker in common} == {-20}
    else:
        assert setting.why_not
        assert all(within[worker] == before[worker] for worker in common)
    assert all(after[worker] == before[worker] for worker in common)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rig": "sim"}, "use --rig virtual, avr or serial:PORT"),
        ({"rig": "moon"}, "rig 'moon' is not known"),
        ({"has_fallback": True, "is_shadow": True}, "the regulator drives already; leave out --fallback"),
        ({"policy": Path("lqr"), "has_fallback": True}, "name a policy"),
        ({"policy": Path("lqr"), "is_on_board": True}, "drives alone"),
        ({"host_may_leave": True}, "add --on-board"),
        ({"rig": "serial:/dev/ttyACM0", "profile": "ideal"}, "is as imperfect as it is; leave out --profile"),
        ({"profile": "nice"}, "'nice' is not known; expected one of ftdi, ftdi_slow, ideal, workbench"),
    ],
)
def test_contradictory_options_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DeployRequest(**{"policy": Path("p.npz"), **changes})  # type: ignore[arg-type]


def test_envelope_is_at_least_where_an_episode_may_start() -> None:
    from tests.policy_on_board import regulating_policy

    cart = load_cart("diy_arduino")
    bound = Envelope.of(regulating_policy(cart), cart).bound
    assert (bound >= 1.4 * np.array(cart.start.as_tuple())).all()
    assert bound[0] <= 0.8 * cart.limits.cart_position_m + 1e-6
    assert bound[2] <= 0.8 * cart.limits.pole_angle_rad + 1e-6
