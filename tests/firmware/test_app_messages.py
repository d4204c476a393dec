"""What the whole firmware answers and counts, message by message, on the host's board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

from firmware_bridge._host import Firmware, FrameDecoder, encode_frame
from firmware_bridge.messages import (
    AckMessage,
    CfgMessage,
    CmdMessage,
    EventMessage,
    HealthMessage,
    HealthRequestMessage,
    HelloAckMessage,
    HelloMessage,
    ModeMessage,
    PingMessage,
    PongMessage,
    StateMessage,
)
from firmware_bridge.protocol import Message
from tests.firmware.c_core import ACK, FAULT, LIMITS, MODE, PROTOCOL, STATE

LEFT, RIGHT, ESTOP = 1, 2, 4
SESSION = 7
M = TypeVar("M", bound=Message)


class Board:
    """The firmware on a board that stands still, and what it has said."""

    def __init__(self) -> None:
        self.firmware = Firmware(session=SESSION)
        self._decoder = FrameDecoder()
        self.firmware.tick(0, 0, 0, 12_000)

    def tick(self, inputs: int = 0, milliseconds: int = 1) -> None:
        """Take with `heard` what is said meanwhile: the firmware keeps 256 bytes."""
        for _ in range(milliseconds):
            self.firmware.tick(0, 0, inputs, 12_000)

    def heard(self) -> list[Message]:
        return [PROTOCOL.unpack(each) for each in self._decoder.feed(self.firmware.take())]

    def say(self, *messages: Message) -> list[Message]:
        """What is answered at once."""
        self.firmware.take()
        self.firmware.feed(b"".join(encode_frame(each.pack()) for each in messages))
        return self.heard()

    def greet(self, protocol_hash: int = PROTOCOL.hash) -> None:
        (answer,) = self.say(HelloMessage(nonce=3, protocol_hash=protocol_hash))
        assert isinstance(answer, HelloAckMessage)
        assert (answer.nonce, answer.session) == (3, SESSION)

    def configure(self, seq: int = 1, session: int = SESSION, **changes: int) -> AckMessage:
        return self._acknowledged(CfgMessage(**{"session": session, "seq": seq, **LIMITS, **changes}))

    def mode(self, mode: int, seq: int, session: int = SESSION) -> AckMessage:
        return self._acknowledged(ModeMessage(session=session, seq=seq, mode=mode, options=0))

    def _acknowledged(self, message: Message) -> AckMessage:
        (answer,) = of_kind(AckMessage, self.say(message))
        return answer

    def health(self) -> HealthMessage:
        self.say(HealthRequestMessage())
        self.tick(milliseconds=2)
        (health,) = of_kind(HealthMessage, self.heard())
        return health


def of_kind(kind: type[M], messages: Sequence[Message]) -> list[M]:
    return [message for message in messages if isinstance(message, kind)]


@pytest.fixture
def board() -> Board:
    made = Board()
    made.greet()
    return made


def test_request_that_comes_again_gets_the_same_answer_and_does_nothing_twice(board: Board) -> None:
    first = board.configure(seq=1)
    assert first.code == ACK.DONE
    assert board.configure(seq=1, max_duty_q15=1) == first, "not even looked at"
    assert board.mode(MODE.HOME, seq=1).code == ACK.DONE, "another kind of message with that number"
    board.tick()
    board.mode(MODE.DISARM, seq=2)
    board.tick()
    assert board.mode(MODE.DISARM, seq=2).code == ACK.DONE
    assert board.mode(MODE.HOME, seq=2).code == ACK.DONE, "what was answered, not what was asked"
    board.tick(milliseconds=25)
    assert of_kind(StateMessage, board.heard())[-1].state == STATE.DISARMED
    assert board.health().refused == 0


def test_refused_request_that_comes_again_is_refused_with_the_same_detail(board: Board) -> None:
    first = board.configure(seq=5, max_duty_q15=0)
    assert (first.code, first.detail) == (ACK.OUT_OF_RANGE, 3)
    assert board.configure(seq=5) == first
    assert board.configure(seq=6).code == ACK.DONE


def test_request_of_another_session_is_refused_and_counted(board: Board) -> None:
    before = board.configure()
    assert board.configure(seq=2, session=SESSION + 1).code == ACK.BAD_SESSION
    assert board.mode(MODE.HOME, seq=3, session=SESSION + 1).code == ACK.BAD_SESSION
    assert board.say(CmdMessage(session=SESSION + 1, tick=0, duty_q15=1, valid_ms=9)) == []
    assert board.health().refused == 3
    assert board.configure(seq=4).limits_crc == before.limits_crc


def test_host_of_another_protocol_may_only_stop_the_cart() -> None:
    board = Board()
    board.greet(protocol_hash=PROTOCOL.hash + 1)
    assert board.configure().code == ACK.BAD_SESSION
    assert board.mode(MODE.HOME, seq=2).code == ACK.BAD_SESSION
    assert board.say(CmdMessage(session=SESSION, tick=0, duty_q15=1, valid_ms=9)) == []
    board.tick(milliseconds=45)
    assert of_kind(StateMessage, board.heard()) == []
    assert board.health().refused == 3
    assert board.mode(MODE.ESTOP, seq=3).code == ACK.DONE


def test_mode_that_is_none_is_refused(board: Board) -> None:
    board.configure()
    assert board.mode(99, seq=2).code == ACK.UNKNOWN


@pytest.mark.parametrize(
    "message", [b"\xc8", PingMessage(host_us=1).pack() + b"\0", PingMessage(host_us=1).pack()[:-1]]
)
def test_whole_frame_of_no_use_is_counted(board: Board, message: bytes) -> None:
    board.firmware.feed(encode_frame(message))
    assert board.heard() == []
    health = board.health()
    assert (health.refused, health.frame_errors) == (1, 0)


def test_answers_that_do_not_fit_are_lost_whole_and_counted(board: Board) -> None:
    pongs = of_kind(PongMessage, board.say(*(PingMessage(host_us=k) for k in range(40))))
    assert 10 < len(pongs) < 30
    assert [pong.host_us for pong in pongs] == list(range(len(pongs)))
    assert board.health().send_overruns == 40 - len(pongs)


def test_counters_stay_at_their_largest(board: Board) -> None:
    board.configure()
    board.firmware.feed(encode_frame(b"\xc8") * 65_540)
    for _ in range(260):
        board.firmware.disturb(255, 255, 255)
        board.tick()
    health = board.health()
    assert health.refused == 65_535
    assert (health.cart_illegal, health.pole_illegal, health.missed_ticks) == (65_535, 65_535, 65_535)


def test_state_names_each_contact_once_it_has_settled(board: Board) -> None:
    for inputs in (LEFT, RIGHT, ESTOP, LEFT | RIGHT, 0):
        board.tick(inputs, milliseconds=40)
        assert of_kind(StateMessage, board.heard())[-1].inputs & 7 == inputs


def test_each_change_of_state_is_an_event_of_its_own(board: Board) -> None:
    board.configure()
    board.tick()
    board.heard()
    board.mode(MODE.HOME, seq=2)
    board.tick()
    (homing,) = of_kind(EventMessage, board.heard())
    assert homing.state == STATE.HOMING
    board.tick(ESTOP)
    (fault,) = of_kind(EventMessage, board.heard())
    assert fault.state == STATE.FAULT
    assert board.mode(MODE.CLEAR, seq=3).code == ACK.UNHEALTHY
    board.tick()
    assert board.mode(MODE.CLEAR, seq=4).code == ACK.DONE


def test_cart_that_homes_is_not_jogged(board: Board) -> None:
    board.configure()
    board.mode(MODE.HOME, seq=2)
    board.tick()
    assert board.mode(MODE.JOG_LEFT, seq=3).code == ACK.NOT_NOW


def test_fault_that_takes_the_place_of_another_between_two_ticks_is_an_event(board: Board) -> None:
    board.configure()
    board.mode(MODE.JOG_LEFT, seq=2)
    board.tick(ESTOP)
    board.tick()
    board.mode(MODE.CLEAR, seq=3)
    board.mode(MODE.HOME, seq=4)
    board.tick(milliseconds=500)
    board.heard()
    board.mode(MODE.CLEAR, seq=5)
    board.mode(MODE.ESTOP, seq=6)
    board.tick()
    (event,) = of_kind(EventMessage, board.heard())
    assert (event.state, event.fault) == (STATE.FAULT, FAULT.ESTOP)


def test_health_may_be_asked_with_a_state_in_every_second_tick(board: Board) -> None:
    """Every tick of a control period of 2 ms says something; the answer comes all the same."""
    board.configure(control_period_ms=2, command_timeout_ms=50)
    assert board.health().refused == 0


def test_jog_ends_a_quarter_second_after_it_was_last_asked_for(board: Board) -> None:
    board.configure()
    board.mode(MODE.JOG_RIGHT, seq=2)
    board.tick(milliseconds=100)
    board.mode(MODE.JOG_LEFT, seq=3)
    board.tick()
    assert board.firmware.duty_q15 == -16, "the other way it begins from nothing"
    board.tick(milliseconds=249)
    assert board.firmware.duty_q15 < 0
    board.tick(milliseconds=2)
    assert board.firmware.duty_q15 == 0
    board.heard()
    board.tick(milliseconds=25)
    assert of_kind(StateMessage, board.heard())[-1].state == STATE.DISARMED
