"""The e-stop frame: from a host that drives, and from a view of a virtual cart, between two frames of its host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.messages import AckMessage, EventMessage, HelloMessage, ModeMessage, PingMessage, PongMessage
from firmware_bridge.protocol import read_protocol

ESTOP = int(read_protocol().enums["fault"]["ESTOP"])
STOP = ModeMessage(session=0, seq=0, mode=int(read_protocol().enums["mode"]["ESTOP"]), options=0).pack()


def test_next_measurement_of_a_stopped_cart_has_the_fault() -> None:
    rig = VirtualRig(load_cart("diy_arduino"))
    with contextlib.closing(rig):
        rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
        rig.step(0.1)
        rig.emergency_stop()
        with pytest.raises(RigError, match=r"ESTOP at .* mm: the emergency stop was pressed; release it, press START"):
            rig.step(0.1)
        assert rig.fault == "ESTOP"
        assert rig.state.applied_q15 == 0
        assert not rig.is_running


@pytest.mark.parametrize("begin", ["make_ready", "make_ready_to_swing"])
def test_stop_while_an_old_fault_is_cleared_is_not_cleared_with_it(begin: str) -> None:
    rig = VirtualRig(load_cart("diy_arduino"))
    with contextlib.closing(rig):
        rig.make_ready()
        rig.virtual_cart.receive(encode_frame(STOP))  # the fault that was there before

        def stop(_: object) -> None:
            rig.on_state = None
            rig.emergency_stop()

        rig.on_state = stop
        with pytest.raises(RigError, match=r"^the emergency stop was sent while the cart was made ready; the motor"):
            getattr(rig, begin)()
        assert rig.state.applied_q15 == 0
        rig.make_ready()  # the operator begins again


def test_requested_duty_is_that_of_the_newest_command() -> None:
    rig = VirtualRig(load_cart("diy_arduino"))
    with contextlib.closing(rig):
        assert np.isnan(rig.requested_duty)
        rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
        for asked, sent in ((0.25, 0.25), (-3.0, -1.0)):
            rig.step(asked)
            assert rig.requested_duty == sent


class Ticked:
    """A virtual cart whose milliseconds pass one by one, and what it sends."""

    def __init__(self, pty_cart: PtyCart) -> None:
        self.pty_cart = pty_cart
        self.messages: list[bytes] = []
        self.stopped = 0
        decoder = FrameDecoder()
        pty_cart.on_sent = lambda sent: self.messages.extend(decoder.feed(sent))
        self._host = os.open(pty_cart.path, os.O_RDWR | os.O_NOCTTY)

    def send(self, data: bytes) -> None:
        os.write(self._host, data)

    def pass_ms(self, many: int) -> None:
        for _ in range(many):
            self.pty_cart._tick(None)

    def stop(self) -> None:
        def count() -> None:
            self.stopped += 1

        self.pty_cart.stop_between_frames(count)

    def faults(self) -> list[int]:
        events = [EventMessage.unpack(each) for each in self.messages if each[0] == EventMessage.TYPE]
        return [event.fault for event in events]

    def close(self) -> None:
        os.close(self._host)


@pytest.fixture
def ticked() -> Iterator[Ticked]:
    with PtyCart(load_cart("diy_arduino"), has_hand=False) as pty_cart:
        ticked = Ticked(pty_cart)
        ticked.send(b"\0" + encode_frame(HelloMessage(nonce=1, protocol_hash=read_protocol().hash).pack()))
        ticked.pass_ms(30)
        yield ticked
        ticked.close()


def test_view_stops_an_idle_cart_at_once(ticked: Ticked) -> None:
    ticked.stop()
    ticked.pass_ms(40)
    assert ticked.stopped == 1
    assert ESTOP in ticked.faults()


def test_stop_waits_for_the_end_of_the_hosts_frame(ticked: Ticked) -> None:
    ping = encode_frame(PingMessage(host_us=77).pack())
    ticked.send(ping[:4])
    ticked.pass_ms(1)
    ticked.stop()
    ticked.pass_ms(2)
    assert ticked.stopped == 0
    ticked.send(ping[4:])
    ticked.pass_ms(40)
    assert ticked.stopped == 1
    assert ESTOP in ticked.faults()
    assert [PongMessage.unpack(each).host_us for each in ticked.messages if each[0] == PongMessage.TYPE] == [77]


def test_host_that_died_in_a_frame_does_not_hold_the_stop(ticked: Ticked) -> None:
    ticked.send(encode_frame(PingMessage(host_us=77).pack())[:4])
    ticked.pass_ms(1)
    ticked.stop()
    ticked.pass_ms(60)
    assert ticked.stopped == 1
    assert ESTOP in ticked.faults()
    assert any(each[0] == AckMessage.TYPE for each in ticked.messages)
