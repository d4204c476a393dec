"""How much of its chip's time and stack the firmware uses, read from the running image."""

from __future__ import annotations

import dataclasses
import itertools
import random
from pathlib import Path

from cartpole_robot.campaign.bench import Bench, RecordedBoard, Subject
from cartpole_robot.campaign.edges import EXACT_PER_S, HELD_DUTY, Spin, spin
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import ChipRig
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge._host import encode_frame
from firmware_bridge.build import CLOCK_HZ
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.messages import HealthMessage, HealthRequestMessage, PingMessage, PolicyRequestMessage

_US_PER_CYCLE = 1e6 / CLOCK_HZ
_REQUESTS = (HealthRequestMessage(), PolicyRequestMessage(), PingMessage(host_us=0))
_MOMENTS = range(0, 46, 2)  # bytes of 20 us each before a request
_BETWEEN_MS = 7  # an answer has left, and no control period is a multiple


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChipFigures:
    """Figures of a chip that homed, balanced for ten seconds, and was then under `strain`.

    `stack_free_bytes` were never touched; `longest_drive_us` is from a millisecond's tick to the bridge, with 40,000
    edges a second but no requests,
    `longest_tick_us` the whole safety tick with its report to the host, `longest_off_us` the longest time in which no
    interrupt could begin, `busy_share` the time awake while balancing.
    """

    stack_free_bytes: int
    longest_interrupt_us: float
    longest_off_us: float
    longest_drive_us: float
    longest_tick_us: int
    missed_ticks: int
    busy_share: float


def traced_chip(image: Path | None) -> EmulatedChip:
    """A chip that keeps its trace."""
    return EmulatedChip(image, is_traced=True)


def chip_figures(image: Path | None = None) -> ChipFigures:
    """Run the image (an ELF file; None: this package's firmware) and read its figures. Raises `RigError`."""
    subject = Subject(policy=Path("lqr"), cart="diy_arduino", image=image)
    with Bench(subject, make_chip=traced_chip) as bench:
        bench.begin(0)
        before = bench.chip.figures()
        bench.survive(MAX_EPISODE_STEPS)
        after = bench.chip.figures()
        busy_share = (after["awake_cycles"] - before["awake_cycles"]) / (after["cycles"] - before["cycles"])
        spin(bench, random.Random(0), EXACT_PER_S, is_exact=True)
        unasked = bench.chip.figures()["longest_latency_cycles"]
        figures = figures_of(bench.rig, strain(bench.rig), busy_share=busy_share)
        return dataclasses.replace(figures, longest_drive_us=round(unasked * _US_PER_CYCLE, 1))


def figures_of(rig: ChipRig, health: HealthMessage, *, busy_share: float) -> ChipFigures:
    """The figures of a rig's `traced_chip`, whose HEALTH is `health`."""
    assert isinstance(rig.chip, EmulatedChip)
    counted, trace = rig.chip.figures(), rig.chip.trace
    assert trace is not None
    return ChipFigures(
        stack_free_bytes=health.stack_free,
        longest_interrupt_us=round(counted["longest_interrupt_cycles"] * _US_PER_CYCLE, 2),
        longest_off_us=round(trace.longest_off_cycles * _US_PER_CYCLE, 2),
        longest_drive_us=round(counted["longest_latency_cycles"] * _US_PER_CYCLE, 1),
        longest_tick_us=health.longest_tick_us,
        missed_ticks=health.missed_ticks,
        busy_share=round(busy_share, 3),
    )


def strain(rig: ChipRig) -> HealthMessage:
    """Arm, spin both encoders at 40,000 edges a second, and ask all a host asks, so that it comes at every moment.

    Returns HEALTH after it. A hand holds the cart against the push of a small duty. Raises `RigError` if the cart is
    not armed at the end.
    """
    start_rollout(rig, 0)
    cart, link, board = rig.virtual_cart, rig.link, RecordedBoard(rig.chip)
    protocol = link.protocol
    armed, one = protocol.enums["cart_state"]["ARMED"], protocol.constants["PROTOCOL_DUTY_ONE"]
    cart.board, before = board, cart.board
    cart.grab(cart.true_state()._replace(cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.0))
    board.spin = hand = Spin(EXACT_PER_S // 2000)
    asked = [bytes(moment) + encode_frame(request.pack()) for request in _REQUESTS for moment in _MOMENTS]
    for request, passed_ms in itertools.product(asked, range(_BETWEEN_MS)):
        if passed_ms == 0:
            board.feed(request)
        cart.pass_ms()
        state = link.newest_state(link.clock())
        if state is not None and state.state == armed:
            link.command(state.tick, round(HELD_DUTY * one), 60)
        elif state is not None:
            raise RigError(f"{protocol.enums['fault'](state.fault).name} under strain")
    link.health()  # the next one has what this one took
    health = link.health()
    hand.end()
    cart.board = before
    return health
