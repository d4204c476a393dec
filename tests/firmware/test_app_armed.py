"""An armed cart through the whole firmware: commands that are late, stale or at once, and the trace of each tick."""

from __future__ import annotations

import dataclasses
import math
from collections import deque, namedtuple
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge._host import Firmware
from firmware_bridge.messages import TraceMessage
from firmware_bridge.protocol import read_protocol
from tests.faults.test_virtual_cart import Tampered
from tests.policy_on_board import follow
from tests.virtual_cart_process import quick_cart

PROTOCOL = read_protocol()
LATE_BRAKES, LATE_DISARMS, TRACE = 1, 2, 16
LEFT, RIGHT, ESTOP, COMMAND, CONTROL_TICK = 1, 2, 4, 8, 16  # flags of a traced tick
Sample = namedtuple("Sample", ["cart_moved", "pole_moved", "flags", "illegal", "duty_q15"])
Arm = Callable[..., VirtualRig]


@pytest.fixture
def arm() -> Iterator[Arm]:
    made: list[VirtualRig] = []

    def start(options: int = 0, delay: Delay | None = None, max_duty_q15: int = 32_767) -> VirtualRig:
        cart = quick_cart()
        assert cart.firmware is not None
        patient = dataclasses.replace(cart.firmware, command_timeout_s=0.2)
        cart = dataclasses.replace(cart, firmware=patient, delay=cart.delay if delay is None else delay)
        rig = VirtualRig(cart, board=Firmware(), options=FirmwareOptions(arm=options, traces=deque()))
        made.append(rig)
        rig.link.configure(cfg_message(cart)._replace(max_duty_q15=max_duty_q15))
        start_rollout(rig, 1)
        return rig

    yield start
    for rig in made:
        rig.close()


def traces_of(rig: VirtualRig) -> list[tuple[TraceMessage, list[Sample]]]:
    """Each TRACE, and its samples."""
    found = [TraceMessage.unpack(each) for each in rig.options.traces]
    unpack = PROTOCOL.records["trace_sample"].iter_unpack
    return [(each, [Sample(*fields) for fields in unpack(each.samples)][: each.count]) for each in found]


def test_late_command_leaves_the_one_before_in_force(arm: Arm) -> None:
    rig = arm()
    assert rig.step(0.2).applied_duty == 0.0
    assert rig.measure().applied_duty == pytest.approx(0.2, abs=1e-3)
    assert rig.measure().applied_duty == pytest.approx(0.2, abs=1e-3)
    assert rig.link.health().late_commands >= 1


def test_late_command_brakes_where_that_was_asked_for(arm: Arm) -> None:
    rig = arm(LATE_BRAKES)
    rig.step(0.2)
    assert rig.measure().applied_duty == pytest.approx(0.2, abs=1e-3)
    assert rig.measure().applied_duty == 0.0
    assert rig.is_running


def test_late_command_disarms_where_that_was_asked_for(arm: Arm) -> None:
    rig = arm(LATE_DISARMS)
    rig.step(0.2)
    with pytest.raises(RigError, match="COMMAND_LATE"):
        rig.measure()


def test_late_command_is_none_before_the_first(arm: Arm) -> None:
    rig = arm(LATE_DISARMS)
    rig.measure()
    assert rig.is_running
    assert rig.link.health().late_commands == 0


def test_command_applies_on_arrival_where_the_cart_is_made_so(arm: Arm) -> None:
    rig = arm(delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.004))
    assert rig.step(0.2).applied_duty == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(("behind", "valid_ms"), [(3, 60), (-1, 60), (0, 0)])
def test_command_for_a_state_long_past_or_to_come_or_for_no_time_is_refused(
    arm: Arm, behind: int, valid_ms: int
) -> None:
    rig = arm()
    for _ in range(4):
        rig.step(0.0)
    rig.link.command(rig.control_tick - behind, 5000, valid_ms)
    assert rig.measure().applied_duty == 0.0
    assert rig.measure().applied_duty == 0.0
    assert rig.link.health().refused == 1


def test_older_command_after_a_newer_one_is_refused(arm: Arm) -> None:
    rig = arm()
    rig.step(0.0)
    rig.step(0.0)
    rig.link.command(rig.control_tick, 5000, 60)
    rig.link.command(rig.control_tick - 1, -5000, 60)
    rig.measure()
    assert rig.measure().applied_duty == pytest.approx(5000 / 32767, abs=1e-3)
    assert rig.link.health().refused == 1


@pytest.mark.parametrize(("duty", "is_clipped"), [(1.0, True), (-1.0, True), (0.1, False)])
def test_command_beyond_the_limits_is_clipped_and_reported(arm: Arm, duty: float, is_clipped: bool) -> None:
    rig = arm(max_duty_q15=20_000)
    rig.step(duty)
    rig.measure()
    assert bool(rig.state.inputs & 32) == is_clipped
    assert rig.state.applied_q15 == (round(math.copysign(20_000, duty)) if is_clipped else 3277)


def test_arming_an_armed_cart_changes_nothing(arm: Arm) -> None:
    rig = arm(LATE_DISARMS)
    rig.step(0.2)
    rig.link.command(rig.control_tick, 5000, 60)
    rig.link.mode("ARM", 0)
    assert rig.measure().applied_duty == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(RigError, match="COMMAND_LATE"):
        rig.measure()


def test_command_to_a_disarmed_cart_is_refused(arm: Arm) -> None:
    rig = arm()
    rig.disarm()
    rig.link.command(rig.watch().tick, 5000, 60)
    rig.watch()
    assert rig.link.health().refused == 1


def test_trace_has_each_tick_and_what_made_it_end(arm: Arm) -> None:
    rig = arm(TRACE)
    for _ in range(10):
        rig.step(0.1)
    rig.virtual_cart.is_estop_pressed = True
    with pytest.raises(RigError, match="ESTOP"):
        rig.measure()
    traces = traces_of(rig)
    samples = [sample for _, some in traces for sample in some]
    times = [trace.time_us + 1000 * k for trace, some in traces for k in range(len(some))]
    assert times == list(range(times[0], times[0] + 1000 * len(times), 1000))
    assert len(samples) > 200
    assert samples[-1].flags & ESTOP
    assert not any(sample.flags & ESTOP for sample in samples[:-1])
    ticks = [k for k, sample in enumerate(samples) if sample.flags & CONTROL_TICK]
    assert {b - a for a, b in pairwise(ticks)} == {20}
    assert sum(bool(sample.flags & COMMAND) for sample in samples) == 10
    assert {sample.duty_q15 for sample in samples} == {0, 3277}
    moved = sum(sample.cart_moved for sample in samples[1 : len(samples) - len(traces[-1][1]) + 1])
    assert traces[-1][0].cart_counts - traces[0][0].cart_counts == moved


@pytest.mark.parametrize(("jump", "traced"), [(150, 127), (-150, -127), (60, 60)])
def test_trace_has_jumps_noise_and_switches_as_far_as_its_fields_go(arm: Arm, jump: int, traced: int) -> None:
    rig = arm(TRACE)
    rig.step(0.0)
    cart, board = rig.virtual_cart, rig.virtual_cart.board
    assert isinstance(board, Firmware)
    cart.board = Tampered(board, lambda x, p, i, mv: (x + jump, p + jump, i | LEFT | RIGHT, mv))
    board.disturb(3, 40, 2)
    with pytest.raises(RigError):
        follow(rig, 3)
    (missed, samples), *_ = [found for found in traces_of(rig) if found[0].missed]
    assert (missed.missed, samples[0].illegal) == (2, 3 | 15 << 4)
    assert (samples[0].cart_moved, samples[0].pole_moved) == (traced, traced)
    assert {sample.cart_moved for sample in samples[1:]} <= {-1, 0, 1}
    assert samples[0].flags == samples[0].flags & CONTROL_TICK, "contacts settle"


@pytest.mark.parametrize("switch", [LEFT, RIGHT])
def test_last_traced_tick_has_the_switch_that_ended_it(arm: Arm, switch: int) -> None:
    rig = arm(TRACE)
    rig.virtual_cart.inputs_set = switch
    with pytest.raises(RigError, match="END_SWITCH"):
        follow(rig, 3)
    assert [sample.flags & (LEFT | RIGHT) for _, samples in traces_of(rig) for sample in samples][-2:] == [0, switch]
