"""The link against lines that never pause, carts that talk nonsense, and carts that do not disarm."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rigs.cfg_message import cfg_message
from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.answers import TickCheck, answer_checks, reset_cause_name
from firmware_bridge.errors import LinkError, NotDisarmedError
from firmware_bridge.link import Link
from firmware_bridge.messages import (
    AckMessage,
    HelloAckMessage,
    HelloMessage,
    ModeMessage,
    PingMessage,
    PongMessage,
    StateMessage,
)
from firmware_bridge.protocol import Message, read_protocol

PROTOCOL = read_protocol()
VERSION = PROTOCOL.constants["PROTOCOL_VERSION"]
STATE = StateMessage(7, 0, 0, 0, 0, 0, 0, 0, 12000, 0, 1, 0, 0)
ARMED, READY, HOMING = 4, 3, 2


def frames(*messages: Message) -> bytes:
    return b"".join(encode_frame(message.pack()) for message in messages)


class ScriptedLine:
    """A line whose clock moves a millisecond with each read; `on_message` answers, `noise` is read at any time."""

    boot_s = 0.0

    def __init__(self, on_message: Callable[[Message], bytes], noise: Callable[[], bytes] = lambda: b"") -> None:
        self.sent: list[Message] = []
        self._now_s = 0.0
        self._on_message, self._noise = on_message, noise
        self._decoder = FrameDecoder()
        self._waiting = b""

    def write(self, data: bytes) -> None:
        for raw in self._decoder.feed(data):
            message = PROTOCOL.unpack(raw)
            self.sent.append(message)
            self._waiting += self._on_message(message)

    def read(self, deadline_s: float) -> bytes:
        assert self._now_s < 60.0, "it never ends"
        self._now_s += 0.001
        data, self._waiting = self._waiting + self._noise(), b""
        if not data:
            self._now_s = max(self._now_s, deadline_s)
        return data

    def clock(self) -> float:
        return self._now_s

    def expect(self, due_s: float) -> None: ...

    def close(self) -> None: ...


def hello_ack(message: HelloMessage, **changes: int) -> bytes:
    values = dict.fromkeys(HelloAckMessage.FIELDS, 0)
    values.update(nonce=message.nonce, protocol_hash=PROTOCOL.hash, session=7, version=VERSION, state=1, drive=1)
    values.update(changes)
    return frames(HelloAckMessage(**values))


def opened(on_message: Callable[[Message], bytes], noise: Callable[[], bytes] = lambda: b"") -> tuple[Link, Any]:
    """A link with a session over a line, and the line."""

    def answer(message: Message) -> bytes:
        return hello_ack(message) if isinstance(message, HelloMessage) else on_message(message)

    line = ScriptedLine(answer, noise)
    link = Link(line)
    link.open()
    return link, line


REQUESTS: dict[str, Callable[[Link], object]] = {
    "mode": lambda link: link.mode("HOME"),
    "configure": lambda link: link.configure(cfg_message(load_cart("diy_arduino"))),
    "ping": lambda link: link.ping(),
    "health": lambda link: link.health(),
    "policy": lambda link: link.policy(),
    "disarm": lambda link: link.disarm(),
}


def test_states_of_a_shorter_period_may_come_along_with_the_answer_to_cfg() -> None:
    limits = cfg_message(load_cart("diy_arduino"))
    ticks = itertools.count(1)

    def acknowledge(message: Message) -> bytes:
        """A USB chip keeps the last STATEs and delivers them together: the period changes between them."""
        assert isinstance(message, type(limits))
        tick = next(ticks)
        state = STATE._replace(tick=2 * tick, time_us=100_000 * tick)
        after = state._replace(tick=2 * tick + 1, time_us=100_000 * tick + 7_000)
        return frames(state, AckMessage(message.seq, 0, 0, 0), after)

    link, _ = opened(acknowledge)
    link.configure(limits)
    link.configure(limits._replace(control_period_ms=4))
    assert link.state(link.clock()) is not None


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(
    "noise",
    [frames(PongMessage(1, 1)), frames(AckMessage(250, 0, 0, 0)), bytes(range(256))],
    ids=["PONG", "ACK", "garbage"],
)
def test_line_that_never_pauses_does_not_keep_a_request_past_its_deadline(request_name: str, noise: bytes) -> None:
    link, line = opened(lambda _: b"", lambda: noise)
    with pytest.raises(LinkError):
        REQUESTS[request_name](link)
    assert line.clock() < 6.0


def test_line_that_never_pauses_does_not_keep_the_wait_for_a_state_past_its_deadline() -> None:
    link, line = opened(lambda _: b"", lambda: frames(PongMessage(1, 1)))
    begun_s = line.clock()
    assert link.state(begun_s + 0.5) is None
    assert link.newest_state(begun_s + 1.0) is None
    assert line.clock() - begun_s < 1.1


def test_line_that_never_pauses_does_not_keep_the_handshake_past_its_deadline() -> None:
    line = ScriptedLine(lambda _: b"", lambda: frames(PongMessage(1, 1)))
    with pytest.raises(LinkError, match="something sends bytes"):
        Link(line).open(0.6)
    assert line.clock() < 1.0


@pytest.mark.parametrize(
    ("name", "field", "bad"),
    [
        ("STATE", "state", 6),
        ("STATE", "fault", 32),
        ("STATE", "applied_q15", -32768),
        ("STATE", "cart_counts", 2**30 + 1),
        ("STATE", "pole_counts", -(2**30) - 1),
        ("HELLO_ACK", "state", 6),
        ("HELLO_ACK", "fault", 32),
        ("HELLO_ACK", "reset_cause", 16),
        ("HELLO_ACK", "version", 1),
        ("HELLO_ACK", "drive", 0),
        ("HELLO_ACK", "drive", 3),
        ("EVENT", "state", 6),
        ("EVENT", "fault", 32),
        ("ACK", "code", 15),
        ("POLICY", "self_test", 4),
        ("TRACE", "count", 9),
        ("TRACE", "cart_counts", 2**30 + 1),
    ],
)
def test_number_that_the_protocol_does_not_declare_is_named(name: str, field: str, bad: int) -> None:
    kind = PROTOCOL.messages[name]
    values = {each: type_() for each, type_ in kind.FIELDS.items()}
    if name == "HELLO_ACK":
        values |= {"protocol_hash": PROTOCOL.hash, "version": VERSION, "drive": 1}
    check = answer_checks(PROTOCOL)[kind.TYPE]
    assert check(kind(**values)) is None
    found = check(kind(**{**values, field: bad}))
    assert found is not None
    assert found.startswith(f"{name} with {field} {bad}, expected ")


def test_every_field_named_like_an_enum_is_checked() -> None:
    """A new message with a state, a fault or a code needs a check too."""
    checks = answer_checks(PROTOCOL)
    named = {"state", "fault", "code", "self_test", "drive"}
    for kind in PROTOCOL.messages.values():
        for field in named & set(kind.FIELDS):
            values = {each: type_() for each, type_ in kind.FIELDS.items()}
            if kind is HelloAckMessage:
                values |= {"protocol_hash": PROTOCOL.hash, "version": VERSION, "drive": 1}
            assert checks[kind.TYPE](kind(**{**values, field: 255})) is not None, (kind.NAME, field)


@pytest.mark.parametrize(
    ("code", "detail", "is_good"), [(3, 24, True), (3, 25, False), (9, 31, True), (9, 32, False), (12, 4, False)]
)
def test_detail_of_an_acknowledgement_is_checked(code: int, detail: int, is_good: bool) -> None:
    assert (answer_checks(PROTOCOL)[AckMessage.TYPE](AckMessage(1, code, detail, 0)) is None) == is_good


def test_nonsense_does_not_hide_what_came_with_it() -> None:
    """The first message of a read that makes no sense is reported after all of them were taken."""
    sent: list[bytes] = []
    link, _ = opened(lambda _: b"", lambda: sent.pop() if sent else b"")
    sent.append(frames(STATE._replace(state=99), STATE._replace(tick=1, time_us=20_000)))
    with pytest.raises(LinkError, match="the cart sends nonsense, STATE with state 99, expected 0 to 5"):
        link.state(1.0)
    found = link.state(1.0)
    assert found is not None
    assert found.tick == 1


@pytest.mark.parametrize(
    ("cause", "name"), [(1, "POWER_ON"), (5, "POWER_ON"), (15, "POWER_ON"), (4, "BROWN_OUT"), (8, "WATCHDOG")]
)
def test_cause_of_a_reset_is_named_whatever_flags_came_with_it(cause: int, name: str) -> None:
    assert reset_cause_name(PROTOCOL, cause) == name


def test_cause_that_a_boot_loader_cleared_is_unknown() -> None:
    assert reset_cause_name(PROTOCOL, 0) == "UNKNOWN"


# ---- the cart's clock ----


def checked(*states: tuple[int, int, float], period_ms: int = 20) -> int:
    """STATEs missed between these: tick, microseconds, host seconds."""
    ticks = TickCheck()
    ticks.restart(0.0, period_ms)
    return sum(ticks.take(STATE._replace(tick=tick, time_us=time_us), at_s) for tick, time_us, at_s in states)


def test_lost_states_are_counted_over_both_wraps() -> None:
    last = 2**32 - 1
    assert checked((last - 1, last - 29_999, 0.1), (last, last - 9_999, 0.12), (0, 10_000, 0.14)) == 0
    assert checked((5, 100_000, 0.1), (9, 180_000, 0.2)) == 3


def test_host_that_read_nothing_for_a_minute_finds_nothing_wrong() -> None:
    """The line holds the first second of it, and loses the rest."""
    old = [(k, 20_000 * k, 60.0) for k in range(50)]
    assert checked(*old, (3000, 60_000_000, 60.01)) == 2950


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (((5, 100_000, 0.1), (5, 120_000, 0.12)), "tick 5 twice"),
        (((5, 100_000, 0.1), (4, 120_000, 0.12)), "ticks run backwards"),
        (((5, 100_000, 0.1), (5 + 2**31, 120_000, 0.12)), "ticks run backwards or jump"),
        (((5, 100_000, 0.1), (5 + 2**30, 120_000, 0.12)), "its clock runs too slowly"),
        (((5, 100_000, 0.1), (6, 100_000, 0.12)), "its clock stands still"),
        (((5, 100_000, 0.1), (6, 99_999, 0.12)), "its clock runs backwards"),
        (((5, 100_000, 0.1), (6, 118_000, 0.12)), "its clock runs too slowly"),
        (((5, 100_000, 0.1), (105, 2_100_000, 0.12)), "its clock jumps or runs too fast"),
        (((5, 100_000, 0.1), (6, 2_100_000, 0.12)), "its clock jumps or runs too fast"),
    ],
)
def test_clock_that_no_cart_has_is_named(states: tuple[tuple[int, int, float], ...], message: str) -> None:
    with pytest.raises(LinkError, match=message):
        checked(*states)


def test_cart_that_sends_at_a_fraction_of_its_pace_is_named() -> None:
    with pytest.raises(LinkError, match="less than a quarter of the host's speed"):
        checked(*((k, 20_000 * k, 0.4 * k) for k in range(10)))
    assert checked(*((k, 20_000 * k, 0.04 * k) for k in range(1000))) == 0  # a busy machine simulates it
    assert checked(*((k, 20_000 * k, 0.02 * k if k < 50 else 31.0 + 0.02 * (k - 50)) for k in range(100))) == 0


def test_clock_may_differ_from_the_hosts_by_a_resonators_error_for_hours() -> None:
    for share in (0.97, 1.03):
        assert checked(*((k, 20_000 * k, 0.02 * k * share) for k in range(0, 1_000_000, 1000))) > 0


# ---- disarming ----


def disarming(states: Callable[[int], StateMessage], code: int = 0) -> Link:
    """A link to a cart that acknowledges DISARM with `code`; its k-th STATE after that is `states(k)`."""
    number = 0

    def noise() -> bytes:
        nonlocal number
        number += 1
        return frames(states(number))

    def answer(message: Message) -> bytes:
        return frames(AckMessage(message.seq, code, 0, 0)) if isinstance(message, ModeMessage) else b""

    return opened(answer, noise)[0]


def test_disarm_waits_for_a_state_with_the_motor_off() -> None:
    driven = STATE._replace(state=ARMED, applied_q15=5000)
    disarming(
        lambda k: (driven if k < 20 else STATE._replace(state=READY))._replace(tick=k, time_us=20_000 * k)
    ).disarm()


@pytest.mark.parametrize(
    ("state", "duty", "message"),
    [
        (ARMED, 0, "is ARMED at duty 0.00"),
        (HOMING, 0, "is HOMING at duty 0.00"),
        (READY, 16384, "is READY at duty 0.50"),
    ],
)
def test_disarm_that_was_acknowledged_and_had_no_effect_is_an_error(state: int, duty: int, message: str) -> None:
    link = disarming(lambda k: STATE._replace(state=state, applied_q15=duty, tick=k, time_us=20_000 * k))
    with pytest.raises(NotDisarmedError) as failure:
        link.disarm()
    assert str(failure.value) == f"the cart did not confirm DISARM; switch it off (it acknowledged, and {message})"


def test_nonsense_does_not_keep_the_cart_from_being_disarmed() -> None:
    """Every other STATE is of an unknown state, and the ticks stand still."""
    disarming(lambda k: STATE._replace(state=99 if k % 2 else READY, tick=1)).disarm()


def test_cart_that_has_restarted_confirms_with_its_hello() -> None:
    link = disarming(lambda k: STATE._replace(session=9, tick=k), code=1)
    link.disarm()
    assert link.session is None


def test_refused_disarm_is_an_error() -> None:
    with pytest.raises(NotDisarmedError, match="it answered NOT_NOW"):
        disarming(lambda k: STATE._replace(state=READY, tick=k), code=2).disarm()


def test_cart_that_is_armed_after_hello_is_an_error() -> None:
    line = ScriptedLine(lambda one: hello_ack(one, state=ARMED) if isinstance(one, HelloMessage) else b"")
    with pytest.raises(LinkError, match="the cart is ARMED after HELLO, which disarms it; switch it off"):
        Link(line).open()


class BootingLine:
    """A board whose bootloader listens for `boots_s` after the port was opened; then its firmware shows up."""

    boot_s = 2.5

    def __init__(self, boots_s: float, stale: bytes = b"") -> None:
        self.boots_s = boots_s
        self.stale = stale  # what the USB chip still holds of before the reset
        self.written: list[tuple[float, bytes]] = []
        self._now_s = 0.0
        self._answers = b""

    def write(self, data: bytes) -> None:
        self.written.append((self._now_s, data))
        for raw in FrameDecoder().feed(b"\0" + data):
            message = PROTOCOL.unpack(raw)
            if isinstance(message, HelloMessage) and self._now_s >= self.boots_s:
                self._answers += hello_ack(message)

    def read(self, deadline_s: float) -> bytes:
        data, self.stale, self._answers = self.stale + self._answers, b"", b""
        if data:
            self._now_s += 0.01
        else:
            self._now_s = max(self._now_s, min(deadline_s, self._now_s + 0.25))
            if self._now_s > self.boots_s:
                data = frames(HelloAckMessage(0, PROTOCOL.hash, 7, VERSION, 1, 0, 1, 0, 0, 0, 1))
        return data

    def clock(self) -> float:
        return self._now_s

    def expect(self, due_s: float) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("boots_s", [0.0, 1.0, 1.9])
@pytest.mark.parametrize("stale", [b"", frames(PongMessage(1, 1)) * 20])
def test_no_byte_is_sent_before_the_firmware_shows_up(boots_s: float, stale: bytes) -> None:
    line = BootingLine(boots_s, stale)
    assert Link(line).open().session == 7
    assert boots_s <= line.written[0][0] < boots_s + 0.6


def test_board_that_stays_silent_is_asked_once_no_bootloader_listens() -> None:
    line = BootingLine(1e9)
    with pytest.raises(LinkError, match="nothing answered in 3 s"):
        Link(line).open()
    assert line.written[0][0] == pytest.approx(2.5)


def test_link_that_reads_keeps_a_homing_cart_company() -> None:
    """PINGs while STATE says HOMING, none once it is READY."""
    passed = itertools.count(1)

    def state(name: str) -> bytes:
        tick = next(passed)
        number = int(PROTOCOL.enums["cart_state"][name])
        values = {**dict.fromkeys(StateMessage.FIELDS, 0), "session": 7, "tick": tick, "time_us": 20_000 * tick}
        return frames(StateMessage(**{**values, "state": number, "supply_mv": 12_000}))

    class Ticking(ScriptedLine):
        def read(self, deadline_s: float) -> bytes:
            self._now_s += 0.019
            return super().read(deadline_s)

    mood = [""]
    line = Ticking(
        lambda message: hello_ack(message) if isinstance(message, HelloMessage) else b"",
        lambda: state(mood[0]) if mood[0] else b"",
    )
    link = Link(line)
    link.open()
    for mood[0], pings in (("HOMING", 10), ("READY", 0)):
        line.sent.clear()
        for _ in range(50):
            assert link.state(link.clock() + 1.0) is not None
        assert abs(sum(isinstance(message, PingMessage) for message in line.sent) - pings) <= 2
