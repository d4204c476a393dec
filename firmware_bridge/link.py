"""The host's end of the line: handshake, repeated requests, commands sent once, and counts of what got lost."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.answers import TickCheck, absurd, answer_checks, reset_cause_name
from firmware_bridge.errors import BridgeError, LinkError, NotDisarmedError, RefusedError, SessionLostError
from firmware_bridge.faults import FAULTS, RESETS
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
    PolicyMessage,
    PolicyRequestMessage,
    PongMessage,
    StateMessage,
    StepperMessage,
    TraceMessage,
)
from firmware_bridge.protocol import Message, read_protocol
from firmware_bridge.transport import Transport

BOOT_S = 3.0  # an Uno resets when its port is opened, and its boot loader listens for two seconds
_HELLO_EVERY_S = 0.25
_REPEAT_S = 0.05
_REPEATS = 10
_CLOCK_SAMPLES = 32
_SKEW_BASE_S = 2.0  # over less, a fraction of a millisecond of jitter would pass for skew
_DISARM_S = 0.5  # from its acknowledgement to a STATE without a duty: several control periods
_HELLO_S = 0.5
_DRAIN_S = 0.1  # what a USB chip still held of before the reset has come by then
_PAUSE_S = 0.002  # after it the system has passed on nothing more of what it held
_PRESENT_S = 0.1  # homing needs a frame every half second
_MOTORS = {"DC": "a DC motor", "STEPPER": "a stepper"}  # by `enum drive`
_DRIVING = ("ARMED", "HOMING")  # in every other state the motor is off

Answer = TypeVar("Answer", bound=Message)
Request = CfgMessage | StepperMessage | ModeMessage  # each with session and seq


@dataclass(slots=True)
class Counters:
    """How often each problem has occurred on the line so far."""

    frame_errors: int = 0
    unknown_messages: int = 0
    foreign_session: int = 0
    states_missed: int = 0
    requests_repeated: int = 0
    stale_answers: int = 0


@dataclass(frozen=True)
class ClockFit:
    """Host seconds = offset + cart seconds * (1 + skew); `delay_s` is half of the best round trip."""

    offset_s: float
    skew: float
    delay_s: float


@dataclass(slots=True)
class _ClockSamples:
    """Pairs of clocks from PING and PONG: cart seconds (unwrapped), host seconds at the middle, round trip."""

    cart_s: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCK_SAMPLES))
    host_s: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCK_SAMPLES))
    trip_s: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCK_SAMPLES))


class Link:
    """A session with one cart over a `Transport`.

    `clock_fit` joins the two clocks; it is None before the second ping, and its skew is 0 until the pings are seconds
    apart. `received_s` is when, on the transport's clock, the bytes of the newest STATE had come. TRACE messages are
    appended to `traces` as they come, where that is given.
    """

    def __init__(self, transport: Transport, *, traces: deque[bytes] | None = None) -> None:
        self.transport = transport
        self.protocol = read_protocol()
        self.counters = Counters()
        self.session: int | None = None
        self.hello: HelloAckMessage | None = None
        self.events: deque[EventMessage] = deque(maxlen=256)
        self._restarted: HelloAckMessage | None = None  # what the cart has said of a later session than this one
        self._decoder = FrameDecoder()
        self._states: deque[StateMessage] = deque(maxlen=64)
        self._answers: dict[tuple[type[Message], int], Message] = {}
        self._nonce = 0
        self._seq = 0
        self.received_s = 0.0
        self._traces = traces
        self._read_s = 0.0
        self._heard = 0  # bytes, since the session was asked for
        self._frames = 0  # sound ones, of any firmware
        self._written_s = -math.inf
        self._quiet_until_s = self.clock() + transport.boot_s
        self._one = self.protocol.constants["PROTOCOL_DUTY_ONE"]
        self._ticks = TickCheck()
        self._checks = answer_checks(self.protocol)
        self._homing = int(self.protocol.enums["cart_state"]["HOMING"])
        self._driving = {int(self.protocol.enums["cart_state"][name]) for name in _DRIVING}
        self._clock = _ClockSamples()
        self._clock_base_us: int | None = None
        self.clock_fit: ClockFit | None = None

    def clock(self) -> float:
        """Seconds on the transport's clock, which deadlines are on."""
        return self.transport.clock()

    def expect(self, due_s: float) -> None:
        """The next STATE is due when `clock` shows `due_s`."""
        self.transport.expect(due_s)

    def open(self, timeout_s: float = BOOT_S) -> HelloAckMessage:
        """The cart's HELLO_ACK: the cart is disarmed and a session has begun.

        Raises `LinkError` if nothing answers in time, or what answers is not a cart of this protocol.
        """
        deadline_s = self.clock() + timeout_s
        self._heard = 0
        self.session = None
        self._wait_for_firmware(deadline_s - _HELLO_S)
        self.transport.write(b"\0")  # ends whatever half a frame the line holds
        while self.clock() < deadline_s:
            self._nonce = (self._nonce + 1) & 0xFFFF
            self._write(HelloMessage(nonce=self._nonce, protocol_hash=self.protocol.hash))
            hello = self._answer(HelloAckMessage, self._nonce, min(_HELLO_EVERY_S, deadline_s - self.clock()))
            if hello is not None:
                return self._begin(hello)
        if self._heard:
            raise LinkError(
                f"something sends bytes ({self._heard} so far), but no cart of this protocol; check the port"
            )
        raise LinkError(f"nothing answered in {timeout_s:g} s; check port, power and that the firmware is flashed")

    def _wait_for_firmware(self, deadline_s: float) -> None:
        """Listen while a bootloader may run, which would take bytes for commands; firmware makes itself heard."""
        deadline_s = min(deadline_s, self._quiet_until_s)
        drained_s = self.clock() + _DRAIN_S
        while self.clock() < min(drained_s, deadline_s):
            self._listen(min(drained_s, deadline_s), is_strict=False)
        self._frames = 0
        while self.clock() < deadline_s and not self._frames:
            self._listen(deadline_s, is_strict=False)

    def _begin(self, hello: HelloAckMessage) -> HelloAckMessage:
        if hello.protocol_hash != self.protocol.hash:
            raise LinkError(
                f"cart speaks {hello.protocol_hash & 0xFFFF:04x}, host {self.protocol.hash & 0xFFFF:04x}: reflash "
                "(cartpole-robot firmware flash)"
            )
        if hello.state in self._driving:
            raise LinkError(
                f"the cart is {self._state_name(hello.state)} after HELLO, which disarms it; switch it off, and flash "
                "it again (cartpole-robot firmware flash)"
            )
        if self.hello is None or hello.session != self.hello.session:  # its clock restarted too
            self._clock = _ClockSamples()
            self._clock_base_us = self.clock_fit = None
        self.session = hello.session
        self.hello = hello
        self._restarted = None
        self._states.clear()
        self._ticks.restart(self.clock())
        return hello

    def configure(self, limits: CfgMessage, stepper: StepperMessage | None = None) -> int:
        """The CRC of the limits, once the cart holds them. Raises `RefusedError` and `LinkError`.

        `stepper` holds the limits that only a stepper has. The link fills in session and seq of both.
        """
        self.check_drive("STEPPER" if limits.flags & self.protocol.enums["cfg_flag"]["STEPPER"] else "DC")
        before_ms = self._ticks.period_ms
        self._ticks.restart(self.clock(), 0)  # what comes along with the answer may be of either period
        try:
            answer = self._request(limits)
            if stepper is not None:
                answer = self._request(stepper)
        except BridgeError:
            self._ticks.restart(self.clock(), before_ms)
            raise
        self._ticks.restart(self.clock(), limits.control_period_ms)
        return answer.limits_crc

    def check_drive(self, wanted: str) -> None:
        """Raises `LinkError` where the cart's firmware drives another motor than `wanted`, a name of `enum drive`."""
        drives = self.protocol.enums["drive"]
        if self.hello is None or self.hello.drive == drives[wanted]:
            return
        found = drives(self.hello.drive).name
        raise LinkError(
            f"the cart's firmware drives {_MOTORS[found]}, the cart file has {_MOTORS[wanted]}; choose another cart "
            f"file, or flash the other firmware (cartpole-robot firmware build --drive {wanted.lower()})"
        )

    def mode(self, name: str, options: int = 0) -> AckMessage:
        """The cart's acknowledgement of DISARM, ARM (with an `enum arm_option`), HOME, CENTRE, CLEAR or ESTOP.

        Raises `RefusedError` with the cart's reason, and `LinkError`.
        """
        return self._request(self._mode_message(name, options))

    def disarm(self) -> None:
        """Motor off: acknowledged, and seen in a STATE that came after.

        A cart that has restarted meanwhile confirms it with its HELLO_ACK, and needs a new session then. Invalid
        messages are ignored, so that nothing the cart sends prevents the request. Raises `NotDisarmedError`, which
        names what arrived instead.
        """
        request = self._numbered(self._mode_message("DISARM", 0))
        self._answers.pop((AckMessage, request.seq), None)
        try:
            answer = self._repeated(request, is_strict=False)
            if answer is None:
                raise NotDisarmedError(f"no answer, {_REPEATS} times asked")
            code = self.protocol.enums["ack_code"](answer.code).name
            if code == "BAD_SESSION":
                self._disarm_stranger()
            elif code != "DONE":
                raise NotDisarmedError(f"it answered {code}")
            else:
                self._see_motor_off()
        except NotDisarmedError:
            raise
        except LinkError as error:
            raise NotDisarmedError(str(error)) from None

    def _disarm_stranger(self) -> None:
        """HELLO disarms a cart of any session; afterwards there is none."""
        try:
            self._restarted = self.open(_HELLO_S)
        finally:
            self.session = None

    def restart_problem(self) -> str | None:
        """Why the cart has restarted since `open`, and what to do; None if it has not."""
        if self._restarted is None:
            return None
        cause = reset_cause_name(self.protocol, self._restarted.reset_cause)
        return f"the cart has restarted ({cause}): {RESETS[cause]}; its zeros are lost, home it again"

    def _see_motor_off(self) -> None:
        self._states.clear()
        deadline_s = self.clock() + _DISARM_S
        seen = "no STATE came after its acknowledgement"
        is_more = True
        while is_more:
            is_more = self._listen(deadline_s, is_strict=False)
            while self._states:
                state = self._states.popleft()
                if state.state not in self._driving and state.applied_q15 == 0:
                    return
                duty = state.applied_q15 / self._one
                seen = f"it acknowledged, and is {self._state_name(state.state)} at duty {duty:.2f}"
        raise NotDisarmedError(seen)

    def _state_name(self, state: int) -> str:
        return self.protocol.enums["cart_state"](state).name

    def post_mode(self, name: str) -> None:
        """Ask for a mode without waiting for the answer."""
        self._write(self._numbered(self._mode_message(name, 0)))

    def health(self, timeout_s: float = 0.5) -> HealthMessage:
        """The cart's counters. Raises `LinkError`."""
        return self._asked(HealthRequestMessage(), HealthMessage, timeout_s)

    def policy(self, timeout_s: float = 0.5) -> PolicyMessage:
        """The cart's report on the policy in its image; `self_test` is 0 without one. Raises `LinkError`."""
        return self._asked(PolicyRequestMessage(), PolicyMessage, timeout_s)

    def _asked(self, request: Message, kind: type[Answer], timeout_s: float) -> Answer:
        self._answers.pop((kind, 0), None)
        for _ in range(_REPEATS):
            self._write(request)
            answer = self._answer(kind, 0, timeout_s)
            if answer is not None:
                return answer
        raise LinkError("the cart does not answer any more; is it powered?")

    def command(self, tick: int, duty_q15: int, valid_ms: int) -> None:
        """Answer STATE `tick`; never repeated. Raises `LinkError`."""
        self._write(CmdMessage(session=self.session or 0, tick=tick, duty_q15=duty_q15, valid_ms=valid_ms))

    def state(self, deadline_s: float) -> StateMessage | None:
        """The next STATE, None when none has come by `deadline_s` on the transport's clock.

        Raises `LinkError`: `SessionLostError` as soon as a cart that has restarted makes itself heard.
        """
        is_more = True
        while not self._states:
            problem = self.restart_problem()
            if problem is not None:
                raise SessionLostError(problem)
            if not is_more:
                return None
            is_more = self._listen(deadline_s)
        return self._states.popleft()

    def newest_state(self, deadline_s: float) -> StateMessage | None:
        """The newest STATE there is, waiting for one if there is none; older ones are skipped."""
        state = self.state(deadline_s)
        while self._states:
            state = self._states.popleft()
        return state

    def forget_states(self) -> None:
        """Drop the STATEs that have arrived, so that the next one is new."""
        self._states.clear()

    def drain(self) -> None:
        """Drop what has arrived unread, as while the host slept, until the next whole frame.

        A full line loses what comes next, and the half frame at its end spoils one more. Raises `LinkError` for a line
        that is gone.
        """
        end_s = self.clock() + _DRAIN_S
        heard = -1
        while heard != self._heard and self.clock() < end_s:
            heard = self._heard
            self._listen(min(end_s, self.clock() + _PAUSE_S), is_strict=False)
        frames = self._frames
        while frames == self._frames and self._listen(end_s, is_strict=False):
            pass
        self.forget_states()

    def ping(self, timeout_s: float = 0.2) -> float:
        """The round trip in s; each one makes the clock fit better. Raises `LinkError`."""
        sent_s = self.clock()
        host_us = int(sent_s * 1e6) & 0xFFFFFFFF
        self._write(PingMessage(host_us=host_us))
        answer = self._answer(PongMessage, host_us, timeout_s)
        if answer is None:
            raise LinkError(f"no PONG within {timeout_s:g} s; the line loses frames")
        trip_s = self.clock() - sent_s
        self._clock.cart_s.append(self._cart_s(answer.time_us))
        self._clock.host_s.append(sent_s + trip_s / 2.0)
        self._clock.trip_s.append(trip_s)
        self.clock_fit = self._fit_clocks()
        return trip_s

    def _fit_clocks(self) -> ClockFit | None:
        """The regression over the last pings, the quicker half of them."""
        samples = self._clock
        if len(samples.cart_s) < 2:
            return None
        worst = sorted(samples.trip_s)[len(samples.trip_s) // 2]
        chosen = [k for k, trip in enumerate(samples.trip_s) if trip <= worst]
        cart = [samples.cart_s[k] for k in chosen]
        host = [samples.host_s[k] for k in chosen]
        mean_cart, mean_host = sum(cart) / len(cart), sum(host) / len(host)
        spread = sum((c - mean_cart) ** 2 for c in cart)
        slope = 1.0
        if max(cart) - min(cart) >= _SKEW_BASE_S:
            slope = sum((c - mean_cart) * (h - mean_host) for c, h in zip(cart, host, strict=True)) / spread
        return ClockFit(mean_host - slope * mean_cart, slope - 1.0, min(samples.trip_s) / 2.0)

    def host_time_s(self, time_us: int) -> float:
        """When the cart's clock showed `time_us`, on the transport's clock; NaN before two pings."""
        fit = self.clock_fit
        return math.nan if fit is None else fit.offset_s + self._cart_s(time_us) * (1.0 + fit.skew)

    def close(self) -> None:
        """Close the line. May be called twice."""
        self.transport.close()

    def _cart_s(self, time_us: int) -> float:
        """Seconds of the cart's clock since the first one heard, unwrapped to the value nearest the last sample."""
        if self._clock_base_us is None:
            self._clock_base_us = time_us
        last_us = round(self._clock.cart_s[-1] * 1e6) if self._clock.cart_s else 0
        step_us = (time_us - self._clock_base_us - last_us + 0x80000000) % 0x100000000 - 0x80000000
        return (last_us + step_us) * 1e-6

    def _mode_message(self, name: str, options: int) -> ModeMessage:
        return ModeMessage(session=0, seq=0, mode=int(self.protocol.enums["mode"][name]), options=options)

    def _numbered(self, request: Request) -> Request:
        """`request` with the session's and the next seq."""
        self._seq = (self._seq + 1) & 0xFF
        return request._replace(session=self.session or 0, seq=self._seq)

    def _request(self, request: Request) -> AckMessage:
        """Repeat the request until it is acknowledged; seq stays the same, so that the cart acts once."""
        request = self._numbered(request)
        self._answers.pop((AckMessage, request.seq), None)
        answer = self._repeated(request)
        if answer is None:
            raise LinkError(f"the cart does not acknowledge {request.NAME} ({_REPEATS} times asked); is it powered?")
        return self._checked(request, answer)

    def _repeated(self, request: Request, *, is_strict: bool = True) -> AckMessage | None:
        """The acknowledgement of a numbered request, repeated until it comes; None if it never does."""
        for attempt in range(_REPEATS):
            self.counters.requests_repeated += attempt > 0
            self._write(request)
            answer = self._answer(AckMessage, request.seq, _REPEAT_S, is_strict=is_strict)
            if answer is not None:
                return answer
        return None

    def _checked(self, request: Request, answer: AckMessage) -> AckMessage:
        code = self.protocol.enums["ack_code"](answer.code).name
        if code == "DONE":
            return answer
        what = self.protocol.enums["mode"](request.mode).name if isinstance(request, ModeMessage) else request.NAME
        detail = ""
        if code == "OUT_OF_RANGE":
            field_number = 2 + answer.detail
            detail = f": {request._fields[field_number]} = {request[field_number]}"
        elif code == "UNHEALTHY":
            fault = self.protocol.enums["fault"](answer.detail).name
            detail = f": {fault}: {FAULTS.get(fault, 'for no reason that it gives')}"
        elif code == "SELF_TEST":
            detail = f": {self.protocol.enums['self_test'](answer.detail).name}"
        elif code == "POLICY_PERIOD":
            detail = f": the policy in the image is for {answer.detail} ms"
        raise RefusedError(f"the cart refuses {what}: {code}{detail}", code)

    def _answer(self, kind: type[Answer], number: int, timeout_s: float, *, is_strict: bool = True) -> Answer | None:
        """The answer to the request of that number, as `_number_of` has it; None when it does not come in time."""
        deadline_s = self.clock() + timeout_s
        is_more = True
        while True:
            answer = self._answers.pop((kind, number), None)
            if isinstance(answer, kind):
                return answer
            if not is_more:
                return None
            is_more = self._listen(deadline_s, is_strict=is_strict)

    def _write(self, message: Message) -> None:
        self._written_s = self.clock()
        self.transport.write(encode_frame(message.pack()))

    def _listen(self, deadline_s: float, *, is_strict: bool = True) -> bool:
        """Take what arrives next; whether there is time for more before `deadline_s`.

        The only place that reads: a cart that sends without a pause does not keep the host past a deadline. Raises
        `LinkError` for a line that is gone, and where `is_strict` for messages that make no sense.
        """
        begun_s = self.clock()
        data = self.transport.read(deadline_s)
        if not data:
            return False
        self._read_s = self.clock()
        self._heard += len(data)
        self._take(data, is_strict=is_strict)
        return begun_s < deadline_s  # after a read past the deadline there is none

    def _take(self, data: bytes, *, is_strict: bool) -> None:
        """Take every message in `data`; then, where `is_strict`, raise `LinkError` for the first that is nonsense."""
        problem: LinkError | None = None
        messages = self._decoder.feed(data)
        self._frames += len(messages)
        for message in messages:
            try:
                self._take_message(message, is_strict=is_strict)
            except LinkError as error:
                problem = problem or error
        self.counters.frame_errors = self._decoder.errors
        if problem is not None and is_strict:
            raise problem

    def _take_message(self, data: bytes, *, is_strict: bool) -> None:
        try:
            message = self.protocol.unpack(data)
        except ValueError:
            self.counters.unknown_messages += 1
            return
        if isinstance(message, StateMessage) and message.session != self.session:
            self.counters.foreign_session += 1
            if self.session is None:
                return
            raise SessionLostError(
                f"the cart has restarted (session {message.session}, was {self.session}): "
                "its zeros are lost, home it again"
            )
        wrong = self._checks[message.TYPE](message)
        if wrong is not None:
            raise absurd(wrong)
        if isinstance(message, StateMessage):
            try:
                self.counters.states_missed += self._ticks.take(message, self._read_s)
            except LinkError:
                if is_strict:
                    raise
            self.received_s = self._read_s
            self._states.append(message)
            if message.state == self._homing and self._read_s - self._written_s >= _PRESENT_S:
                self._write(PingMessage(host_us=0))  # whoever reads is present; nobody waits for the answer
        elif isinstance(message, TraceMessage):
            if self._traces is not None:
                self._traces.append(data)
        else:
            self._take_other(message)

    def _take_other(self, message: Message) -> None:
        number = _number_of(message)
        if isinstance(message, EventMessage):
            self.events.append(message)
        elif number is None:
            self.counters.unknown_messages += 1
        else:
            if isinstance(message, HelloAckMessage) and self.session not in (None, message.session):
                self._restarted = message
            self._answers[(type(message), number)] = message
            if len(self._answers) > 64:
                self._answers.pop(next(iter(self._answers)))
                self.counters.stale_answers += 1


def _number_of(message: Message) -> int | None:
    """The number of the request that `message` answers, 0 where such requests have none; None for no answer."""
    match message:
        case HelloAckMessage():
            return message.nonce
        case AckMessage():
            return message.seq
        case PongMessage():
            return message.host_us
        case HealthMessage() | PolicyMessage():
            return 0
    return None
