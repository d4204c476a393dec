"""Jogging, through the whole firmware: how hard it pushes at first."""

from __future__ import annotations

from firmware_bridge._host import Firmware, FrameDecoder, encode_frame
from firmware_bridge.faults import FAULTS
from firmware_bridge.messages import CfgMessage, HelloMessage, ModeMessage, StateMessage
from firmware_bridge.protocol import Message
from tests.firmware.c_core import LIMITS, MODE, PROTOCOL, STATE


class Cart:
    """A configured cart that stands at 0."""

    def __init__(self) -> None:
        self._firmware = Firmware(session=1)
        self._seq = 0
        self._firmware.tick(0, 0, 0, 12000)
        self.say(HelloMessage(nonce=1, protocol_hash=PROTOCOL.hash))
        self.say(CfgMessage(session=1, seq=0, **LIMITS))

    def say(self, message: Message) -> None:
        self._firmware.feed(encode_frame(message.pack()))

    def mode(self, mode: int) -> None:
        self._seq += 1
        self.say(ModeMessage(session=1, seq=self._seq, mode=mode, options=0))

    def states(self, milliseconds: int) -> list[StateMessage]:
        """What the cart sends of itself in that time, without a frame from the host."""
        decoder, messages = FrameDecoder(), list[bytes]()
        for _ in range(milliseconds):
            self._firmware.tick(0, 0, 0, 12000)
            messages += decoder.feed(self._firmware.take())
        return [StateMessage.unpack(message) for message in messages if message[0] == StateMessage.TYPE]

    def tick(self) -> int:
        assert self._firmware.tick(0, 0, 0, 12000) is not None, "the bridge is open"
        return self._firmware.duty_q15


def test_jog_grows_from_nothing() -> None:
    cart = Cart()
    cart.mode(MODE.JOG_RIGHT)
    assert [cart.tick() for _ in range(3)] == [16, 32, 48]


def test_jog_after_one_that_was_cut_short_grows_from_nothing() -> None:
    cart = Cart()
    cart.mode(MODE.JOG_RIGHT)
    for _ in range(200):
        cart.tick()
    cart.mode(MODE.DISARM)
    assert cart.tick() == 0
    cart.mode(MODE.JOG_RIGHT)
    assert [cart.tick() for _ in range(3)] == [16, 32, 48]


def test_jog_without_a_host_ends_by_itself_and_is_no_fault() -> None:
    cart = Cart()
    cart.mode(MODE.JOG_RIGHT)
    assert all(each.state == STATE.HOMING and each.applied_q15 > 0 for each in cart.states(240))
    last = cart.states(360)[-1]
    assert (last.state, last.fault) == (STATE.DISARMED, 0), "0.6 s after the last frame"
    assert "jog" not in FAULTS["HOST_SILENT"]


def test_jog_asked_for_again_goes_on() -> None:
    cart = Cart()
    cart.mode(MODE.JOG_LEFT)
    for _ in range(200):
        cart.tick()
    cart.mode(MODE.JOG_LEFT)
    assert cart.tick() == -16 * 201


def test_relay_that_is_doubted_keeps_from_jogging_after_a_restart() -> None:
    firmware = Firmware(session=1)
    firmware.tick(0, 0, 4, 12000)  # the e-stop, and the supply stays
    for session, supply_mv, is_driven in ((2, 12000, False), (3, 0, False), (4, 12000, True)):
        firmware.restart(2)
        for message in (
            HelloMessage(nonce=1, protocol_hash=PROTOCOL.hash),
            CfgMessage(**{**LIMITS, "session": session, "seq": 0, "flags": 32}),
            ModeMessage(session=session, seq=1, mode=MODE.JOG_LEFT, options=0),
        ):
            firmware.tick(0, 0, 0, supply_mv)
            firmware.feed(encode_frame(message.pack()))
        assert (firmware.tick(0, 0, 0, supply_mv) is not None) == is_driven
        for _ in range(30):
            firmware.tick(0, 0, 0, supply_mv)
