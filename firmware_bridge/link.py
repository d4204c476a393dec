"""The host's end of the line: handshake, requests that are repeated, commands that are not, and what got lost."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.errors import LinkError, RefusedError
from firmware_bridge.protocol import Protocol, read_protocol
from firmware_bridge.transport import Transport

BOOT_S = 3.0  # an Uno resets when its port is opened, and its boot loader listens for two seconds
_HELLO_EVERY_S = 0.25
_REPEAT_S = 0.05
_REPEATS = 10
_CLOCK_SAMPLES = 32
_SKEW_BASE_S = 2.0  # over less, a fraction of a millisecond of jitter would pass for skew

CartSays = dict[str, int]


@dataclass(slots=True)
class Counters:
    """What went wrong on the line so far, each a number of times."""

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

    def __init__(
        self, transport: Transport, protocol: Protocol | None = None, *, traces: deque[bytes] | None = None
    ) -> None:
        self.transport = transport
        self.protocol = protocol or read_protocol()
        self.counters = Counters()
        self.session: int | None = None
        self.hello: CartSays = {}
        self.events: deque[CartSays] = deque(maxlen=256)
        self._decoder = FrameDecoder()
        self._states: deque[CartSays] = deque(maxlen=64)
        self._answers: dict[tuple[str, int], CartSays] = {}
        self._nonce = 0
        self._seq = 0
        self.received_s = 0.0
        self._traces = traces
        self._last_tick: int | None = None
        self._clock = _ClockSamples()
        self._clock_base_us: int | None = None
        self.clock_fit: ClockFit | None = None
        messages = self.protocol.messages
        self._cmd = messages["CMD"].layout.pack
        self._cmd_type = messages["CMD"].type
        self._state_type = messages["STATE"].type
        self._state_layout = messages["STATE"].layout
        self._trace_type = messages["TRACE"].type
        self._state_fields = messages["STATE"].fields

    def clock(self) -> float:
        """Seconds on the transport's clock, which deadlines are on."""
        return self.transport.clock()

    def expect(self, due_s: float) -> None:
        """The next STATE is due when `clock` shows `due_s`."""
        self.transport.expect(due_s)

    def open(self, timeout_s: float = BOOT_S) -> CartSays:
        """What the cart says of itself, once it answers; it is disarmed then and a session begun.

        Raises `LinkError` when nothing answers in time, or something that is no cart of this protocol.
        """
        deadline_s = self.clock() + timeout_s
        heard = 0
        self.session = None
        self.transport.write(b"\0")  # ends whatever half a frame the line holds
        while self.clock() < deadline_s:
            self._nonce = (self._nonce + 1) & 0xFFFF
            self._write("HELLO", nonce=self._nonce, protocol_hash=self.protocol.hash)
            wait_s = min(deadline_s, self.clock() + _HELLO_EVERY_S)
            while self.clock() < wait_s:
                data = self.transport.read(wait_s)
                heard += len(data)
                self._take(data)
                hello = self._answers.pop(("HELLO_ACK", self._nonce), None)
                if hello is not None:
                    return self._begin(hello)
        if heard:
            raise LinkError(f"something sends bytes ({heard} so far), but no cart of this protocol; check the port")
        raise LinkError(f"nothing answered in {timeout_s:g} s; check port, power and that the firmware is flashed")

    def _begin(self, hello: CartSays) -> CartSays:
        if hello["protocol_hash"] != self.protocol.hash:
            raise LinkError(
                f"cart speaks {hello['protocol_hash'] & 0xFFFF:04x}, host {self.protocol.hash & 0xFFFF:04x}: reflash "
                "(cartpole-robot firmware flash)"
            )
        if hello["session"] != self.hello.get("session"):  # its clock began anew too
            self._clock = _ClockSamples()
            self._clock_base_us = self.clock_fit = None
        self.session = hello["session"]
        self.hello = hello
        self._states.clear()
        self._last_tick = None
        return hello

    def configure(self, limits: Mapping[str, int]) -> int:
        """The CRC of the limits, once the cart holds them. Raises `RefusedError` and `LinkError`."""
        answer = self._request("CFG", dict(limits))
        return answer["limits_crc"]

    def mode(self, name: str, options: int = 0) -> CartSays:
        """The cart's acknowledgement of DISARM, ARM (with an `enum arm_option`), HOME, CENTRE, CLEAR or ESTOP.

        Raises `RefusedError` with the cart's reason, and `LinkError`.
        """
        return self._request("MODE", {"mode": int(self.protocol.enums["mode"][name]), "options": options})

    def post_mode(self, name: str) -> None:
        """Ask for a mode without waiting for the answer."""
        self._seq = (self._seq + 1) & 0xFF
        mode = int(self.protocol.enums["mode"][name])
        self._write("MODE", session=self.session or 0, seq=self._seq, mode=mode, options=0)

    def health(self, timeout_s: float = 0.5) -> CartSays:
        """The cart's counters. Raises `LinkError`."""
        return self._told("HEALTH", timeout_s)

    def policy(self, timeout_s: float = 0.5) -> CartSays:
        """What the cart says of the policy in its image; `self_test` is 0 where there is none. Raises `LinkError`."""
        return self._told("POLICY", timeout_s)

    def _told(self, kind: str, timeout_s: float) -> CartSays:
        self._answers.pop((kind, 0), None)
        for _ in range(_REPEATS):
            self._write(f"{kind}_REQUEST")
            answer = self._answer((kind, 0), timeout_s)
            if answer is not None:
                return answer
        raise LinkError("the cart does not answer any more; is it powered?")

    def command(self, tick: int, duty_q15: int, valid_ms: int) -> None:
        """Answer STATE `tick`; never repeated. Raises `LinkError`."""
        self.transport.write(encode_frame(self._cmd(self._cmd_type, self.session, tick, duty_q15, valid_ms)))

    def state(self, deadline_s: float) -> CartSays | None:
        """The next STATE, None when none has come by `deadline_s` on the transport's clock. Raises `LinkError`."""
        while not self._states:
            data = self.transport.read(deadline_s)
            if not data:
                return None
            self.received_s = self.clock()
            self._take(data)
        return self._states.popleft()

    def newest_state(self, deadline_s: float) -> CartSays | None:
        """The newest STATE there is, waiting for one if there is none; what came before it is skipped."""
        state = self.state(deadline_s)
        while self._states:
            state = self._states.popleft()
        return state

    def forget_states(self) -> None:
        """Drop the STATEs that have arrived: the next one is a new one."""
        self._states.clear()

    def ping(self, timeout_s: float = 0.2) -> float:
        """The round trip in s; each one makes the clock fit better. Raises `LinkError`."""
        sent_s = self.clock()
        host_us = int(sent_s * 1e6) & 0xFFFFFFFF
        self._write("PING", host_us=host_us)
        answer = self._answer(("PONG", host_us), timeout_s)
        if answer is None:
            raise LinkError(f"no PONG within {timeout_s:g} s; the line loses frames")
        trip_s = self.clock() - sent_s
        self._clock.cart_s.append(self._cart_s(answer["time_us"]))
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
        """Give the line back. May be called twice."""
        self.transport.close()

    def _cart_s(self, time_us: int) -> float:
        """Seconds of the cart's clock since the first one heard, its wrap undone by way of the nearest."""
        if self._clock_base_us is None:
            self._clock_base_us = time_us
        last_us = round(self._clock.cart_s[-1] * 1e6) if self._clock.cart_s else 0
        step_us = (time_us - self._clock_base_us - last_us + 0x80000000) % 0x100000000 - 0x80000000
        return (last_us + step_us) * 1e-6

    def _request(self, kind: str, fields: dict[str, int]) -> CartSays:
        """Ask again until it is acknowledged; the same seq each time, so that nothing is done twice."""
        self._seq = (self._seq + 1) & 0xFF
        self._answers.pop(("ACK", self._seq), None)
        for attempt in range(_REPEATS):
            self.counters.requests_repeated += attempt > 0
            self._write(kind, session=self.session or 0, seq=self._seq, **fields)
            answer = self._answer(("ACK", self._seq), _REPEAT_S)
            if answer is not None:
                return self._checked(kind, fields, answer)
        raise LinkError(f"the cart does not acknowledge {kind} ({_REPEATS} times asked); is it powered?")

    def _checked(self, kind: str, fields: Mapping[str, int], answer: CartSays) -> CartSays:
        code = self.protocol.enums["ack_code"](answer["code"]).name
        if code == "DONE":
            return answer
        what = self.protocol.enums["mode"](fields["mode"]).name if kind == "MODE" else kind
        detail = ""
        if code == "OUT_OF_RANGE":
            name = self.protocol.messages["CFG"].fields[2 + answer["detail"]]
            detail = f": {name} = {fields[name]}"
        elif code == "UNHEALTHY":
            detail = f": {self.protocol.enums['fault'](answer['detail']).name}"
        elif code == "SELF_TEST":
            detail = f": {self.protocol.enums['self_test'](answer['detail']).name}"
        elif code == "POLICY_PERIOD":
            detail = f": the policy in the image is for {answer['detail']} ms"
        raise RefusedError(f"the cart refuses {what}: {code}{detail}", code)

    def _answer(self, key: tuple[str, int], timeout_s: float) -> CartSays | None:
        deadline_s = self.clock() + timeout_s
        while key not in self._answers:
            data = self.transport.read(deadline_s)
            if not data:
                return None
            self._take(data)
        return self._answers.pop(key)

    def _write(self, kind: str, **fields: int) -> None:
        self.transport.write(encode_frame(self.protocol.messages[kind].pack(**fields)))

    def _take(self, data: bytes) -> None:
        for message in self._decoder.feed(data):
            if message[0] == self._state_type and len(message) == self._state_layout.size:
                self._take_state(message)
            elif message[0] == self._trace_type and self._traces is not None:
                self._traces.append(message)
            else:
                self._take_other(message)
        self.counters.frame_errors = self._decoder.errors

    def _take_state(self, message: bytes) -> None:
        values = self._state_layout.unpack(message)
        state = dict(zip(self._state_fields, values[1:], strict=True))
        if state["session"] != self.session:
            self.counters.foreign_session += 1
            if self.session is not None:
                raise LinkError(
                    f"the cart has started anew (session {state['session']}, was {self.session}): "
                    "its zeros are lost, home it again"
                )
            return
        if self._last_tick is not None and state["tick"] != self._last_tick + 1:
            self.counters.states_missed += max(0, state["tick"] - self._last_tick - 1)
        self._last_tick = state["tick"]
        self._states.append(state)

    def _take_other(self, message: bytes) -> None:
        try:
            kind, fields = self.protocol.unpack(message)
        except ValueError:
            self.counters.unknown_messages += 1
            return
        keys = {"HELLO_ACK": "nonce", "ACK": "seq", "PONG": "host_us"}
        if kind == "EVENT":
            self.events.append(fields)
        elif kind in ("HEALTH", "POLICY"):
            self._answers[(kind, 0)] = fields
        elif kind in keys:
            self._answers[(kind, fields[keys[kind]])] = fields
            if len(self._answers) > 64:
                self._answers.pop(next(iter(self._answers)))
                self.counters.stale_answers += 1
        else:
            self.counters.unknown_messages += 1
