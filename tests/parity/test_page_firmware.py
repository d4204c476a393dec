"""The firmware as WebAssembly decides, drives and sends what the same C built for this machine does."""

from __future__ import annotations

import pytest

from benchmarks.page_runs import RandomRun, digest_of, firmware_lines, in_node, noise
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from firmware_bridge._host import FrameDecoder
from firmware_bridge.messages import EventMessage
from firmware_bridge.protocol import read_protocol
from tests.page_contents import contents_of, designs, needs_node

TICKS = 10_000  # of an armed cart


@needs_node
@pytest.mark.parametrize(
    ("cart_name", "seed"),
    [
        ("as shipped", 0),
        pytest.param("as shipped", 1, marks=pytest.mark.long),
        pytest.param("sluggish", 2, marks=pytest.mark.long),
        pytest.param("quick", 3, marks=pytest.mark.long),
        pytest.param("quanser", 4, marks=pytest.mark.long),
        ("stepper", 5),
        pytest.param("late stepper", 6, marks=pytest.mark.long),
    ],
)
def test_firmware_answers_alike_over_random_ticks(cart_name: str, seed: int) -> None:
    cart, lqr, _ = designs(cart_name)
    run = RandomRun(cart, lqr, seed)
    run.run(TICKS)
    lines = list(firmware_lines(run.board.calls, cart.drive))
    answered = in_node(contents_of(cart_name), "firmware", calls=run.board.calls, keeps_lines=False)
    print(f"{cart_name}, seed {seed}: {run.board.ticks} ticks, {run.faults}")
    print(f"host {digest_of(lines)}\nwasm {answered['sha256']}")
    assert answered["sha256"] == digest_of(lines)
    assert run.board.ticks >= TICKS
    assert len({line for line in lines if " " in line}) > 200  # many different duties
    assert len(run.faults) >= 3, run.faults


@needs_node
@pytest.mark.parametrize("name", ["as shipped", "stepper"])
@pytest.mark.parametrize("seed", range(3))
def test_firmware_answers_alike_where_every_input_is_random(name: str, seed: int) -> None:
    cart = designs(name)[0]
    calls = noise(cfg_message(cart), seed, 4 * TICKS, stepper_message(cart))
    lines = list(firmware_lines(calls, cart.drive))
    answered = in_node(contents_of(name), "firmware", calls=calls, keeps_lines=False)
    assert answered["sha256"] == digest_of(lines), f"seed {seed}"
    protocol = read_protocol()
    decoder = FrameDecoder()
    sent = [protocol.unpack(each) for line in lines if " " not in line for each in decoder.feed(bytes.fromhex(line))]
    events = [each for each in sent if isinstance(each, EventMessage)]
    assert len({event.fault for event in events}) >= 4
    assert {"ACK", "STATE", "EVENT", "PONG", "HEALTH"} <= {each.NAME for each in sent}


@needs_node
def test_encoder_that_jumps_changes_what_the_firmware_answers() -> None:
    cart, lqr, _ = designs("as shipped")
    run = RandomRun(cart, lqr, 0)
    run.run(1000)
    before = list(firmware_lines(run.board.calls))
    ticks = [call for call in run.board.calls if call[0] == "tick"]
    for call in ticks[len(ticks) // 2 :]:
        call[1] += 300
    answered = in_node(contents_of("as shipped"), "firmware", calls=run.board.calls, keeps_lines=True)
    assert answered["lines"] == list(firmware_lines(run.board.calls))
    assert answered["lines"] != before
