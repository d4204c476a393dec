"""Checks what a cart sends where it is decoded: numbers that the protocol does not declare, and a clock that cannot be.

Everything above this layer may use the enums of `protocol.h` without asking whether a number is one of them.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.constants import TICK_US
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import AckMessage, CfgMessage, HelloAckMessage, StateMessage, TraceMessage
from firmware_bridge.protocol import Message, Protocol

_ENUM_FIELDS = {
    "STATE": {"state": "cart_state", "fault": "fault"},
    "HELLO_ACK": {"state": "cart_state", "fault": "fault", "drive": "drive"},
    "EVENT": {"state": "cart_state", "fault": "fault"},
    "ACK": {"code": "ack_code"},
    "POLICY": {"self_test": "self_test"},
}
_FLAG_FIELDS = {"HELLO_ACK": {"reset_cause": "reset_cause"}}
_DETAILS = {"UNHEALTHY": "fault", "SELF_TEST": "self_test"}  # what the detail of an ACK with that code is
_COUNTS_MOST = 2**30  # further than any track; sums of two fit an int32
_WHY = "its firmware is damaged or another one, or the line adds errors: flash it again (cartpole-robot firmware flash)"

Check = Callable[[Message], str | None]


def absurd(found: str) -> LinkError:
    """The error for a message that no cart of this protocol sends."""
    return LinkError(f"the cart sends nonsense, {found}; {_WHY}")


def answer_checks(protocol: Protocol) -> dict[int, Check]:
    """By type byte, the check of a message: what is wrong with it, in words, or None."""
    checks = {kind.TYPE: _check_of(kind, protocol) for kind in protocol.messages.values()}
    checks[StateMessage.TYPE] = _quick(checks[StateMessage.TYPE], protocol)
    return checks


def _quick(check: Check, protocol: Protocol) -> Check:
    """`check` of STATE, which comes each control tick, asked only for those that fail the comparison of all fields."""
    states, faults = int(max(protocol.enums["cart_state"])), int(max(protocol.enums["fault"]))
    one = protocol.constants["PROTOCOL_DUTY_ONE"]

    def quick(message: Message) -> str | None:
        _, _, _, cart, pole, _, _, applied, _, _, state, fault, _ = message
        if (
            state <= states
            and fault <= faults
            and applied >= -one
            and -_COUNTS_MOST <= cart <= _COUNTS_MOST
            and -_COUNTS_MOST <= pole <= _COUNTS_MOST
        ):
            return None
        return check(message)

    return quick


def _check_of(kind: type[Message], protocol: Protocol) -> Check:
    """The check of one type of message: most are good, and one comparison of each field shows it."""
    places = list(kind.FIELDS)
    allowed: list[tuple[int, str, frozenset[int], str]] = []
    for name, enum in _ENUM_FIELDS.get(kind.NAME, {}).items():
        numbers = frozenset(int(member) for member in protocol.enums[enum])
        allowed.append((places.index(name), name, numbers, f"{min(numbers)} to {max(numbers)}"))
    for name, enum in _FLAG_FIELDS.get(kind.NAME, {}).items():
        everything = sum(protocol.enums[enum])
        allowed.append((places.index(name), name, frozenset(range(everything + 1)), f"0 to {everything}"))
    if kind.NAME == "TRACE":
        samples = protocol.constants["PROTOCOL_TRACE_SAMPLES"]
        allowed.append((places.index("count"), "count", frozenset(range(samples + 1)), f"0 to {samples}"))
    if kind.NAME == "HELLO_ACK":
        version = protocol.constants["PROTOCOL_VERSION"]
        allowed.append((places.index("version"), "version", frozenset((version,)), str(version)))
    one = protocol.constants["PROTOCOL_DUTY_ONE"]

    def check(message: Message) -> str | None:
        if isinstance(message, HelloAckMessage) and message.protocol_hash != protocol.hash:
            return None  # another firmware, whose numbers mean something else: the link refuses it
        for place, name, numbers, expected in allowed:
            if message[place] not in numbers:
                return f"{kind.NAME} with {name} {message[place]}, expected {expected}"
        if isinstance(message, StateMessage | TraceMessage):
            for name in ("cart_counts", "pole_counts"):
                if not -_COUNTS_MOST <= getattr(message, name) <= _COUNTS_MOST:
                    return f"{kind.NAME} with {name} {getattr(message, name)}, expected at most {_COUNTS_MOST}"
        if isinstance(message, StateMessage) and message.applied_q15 < -one:
            return f"STATE with applied_q15 {message.applied_q15}, expected -{one} to {one}"
        return _wrong_detail(message, protocol) if isinstance(message, AckMessage) else None

    return check


def _wrong_detail(answer: AckMessage, protocol: Protocol) -> str | None:
    code = protocol.enums["ack_code"](answer.code).name
    most = None
    if code == "OUT_OF_RANGE":
        most = len(CfgMessage.FIELDS) - 3  # counted from 0 after session and seq
    elif code in _DETAILS:
        most = int(max(protocol.enums[_DETAILS[code]]))
    if most is not None and answer.detail > most:
        return f"ACK {code} with detail {answer.detail}, expected 0 to {most}"
    return None


def reset_cause_name(protocol: Protocol, cause: int) -> str:
    """The name of a reset's cause: of several flags the one that explains the others; UNKNOWN where none is set.

    A boot loader may clear the flags before the firmware starts.
    """
    for name in ("POWER_ON", "BROWN_OUT", "WATCHDOG", "EXTERNAL"):
        if cause & protocol.enums["reset_cause"][name]:
            return name
    return "UNKNOWN"


_CLOCK_SHARE = 0.05  # how much faster than the host's the cart's clock may run: a resonator is good to 0.5 %
_CLOCK_SLACK_S = 1.0  # what may have waited on the line when the first STATE was read
_CLOCK_SLOWEST = 0.25  # of the host's clock, over some time: a cart simulated on a busy machine loses milliseconds
_MOST_GAP_S = 0.5  # of the host's time between two STATEs: a host that was stopped for longer is not the cart's fault
_HALF = 2**31


class TickCheck:
    """Whether the ticks and times of consecutive STATEs can be those of one cart's clock.

    Ticks count up, and from tick to tick the cart's time passes, at least a control period. All together they take no
    longer than the host has waited, but for 5 % and a second, and no shorter than a quarter of it, but for a second.
    """

    def __init__(self) -> None:
        self._period_us = 0  # unknown before the cart has its limits
        self.restart(0.0)

    @property
    def period_ms(self) -> int:
        """The control period that is expected; 0 where none is known."""
        return self._period_us // 1000

    def restart(self, host_s: float, period_ms: int | None = None) -> None:
        """The next STATE is the first after `host_s`, of a control period of `period_ms`, or the same as before."""
        if period_ms is not None:
            self._period_us = 1000 * period_ms
        self._tick: int | None = None
        self._time_us = 0
        self._began_s = self._host_s = host_s
        self._passed_us = 0
        self._behind_s = 0.0

    def take(self, state: StateMessage, host_s: float) -> int:
        """How many STATEs between the last one and `state`, read at `host_s`, are missing.

        Raises `LinkError` for one that cannot be.
        """
        before = self._tick
        if before is None:
            self._tick, self._time_us, self._host_s = state.tick, state.time_us, host_s
            return 0
        ticks = (state.tick - before) & 0xFFFF_FFFF
        passed_us = (state.time_us - self._time_us) & 0xFFFF_FFFF
        if ticks == 0:
            raise absurd(f"tick {state.tick} twice")
        if ticks >= _HALF:
            raise absurd(f"tick {state.tick} after tick {before}: its ticks run backwards or jump")
        least_us = max(1, ticks * self._period_us - TICK_US)
        if not least_us <= passed_us < _HALF:
            how = "stands still" if passed_us == 0 else "runs backwards" if passed_us >= _HALF else "runs too slowly"
            raise absurd(
                f"{state.time_us} us at tick {state.tick} after {self._time_us} us at tick {before}: its clock {how}"
            )
        self._passed_us += passed_us
        waited_s = host_s - self._began_s
        if self._passed_us > 1e6 * (waited_s * (1.0 + _CLOCK_SHARE) + _CLOCK_SLACK_S):
            raise absurd(
                f"tick {state.tick} after tick {before}: {self._passed_us / 1e6:.1f} s of its clock within "
                f"{waited_s:.1f} s: its clock jumps or runs too fast"
            )
        gap_s = min(host_s - self._host_s, _MOST_GAP_S)
        self._behind_s = max(0.0, self._behind_s + _CLOCK_SLOWEST * gap_s - 1e-6 * passed_us)
        if self._behind_s > _CLOCK_SLOWEST * _CLOCK_SLACK_S:
            raise absurd(
                f"tick {state.tick} after tick {before}: its clock runs at less than a quarter of the host's speed"
            )
        self._tick, self._time_us, self._host_s = state.tick, state.time_us, host_s
        return ticks - 1
