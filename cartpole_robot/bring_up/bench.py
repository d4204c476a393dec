"""What the steps of a check share: the cart on its line, the operator, and what has been found so far."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.bring_up.operator import NobodyAnswersError, Operator
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Encoders, FirmwareSettings
from cartpole_robot.simulation.hand import Deed
from cartpole_robot.terminal.printable import printable
from firmware_bridge.errors import LinkError
from firmware_bridge.link import Link
from firmware_bridge.messages import CfgMessage, HelloAckMessage, StateMessage, StepperMessage
from firmware_bridge.usb import UsbBridge

HAND_S = 20.0  # how long a person gets for a press or a push
LONG_HAND_S = 120.0  # and for what ends with Enter
_AFTER_ANSWER_S = 0.5  # what was done may take so long to arrive
_STILL_S = 0.5
_MOST_V = 1000.0  # that a voltmeter shows
_READING = re.compile(r"(\d+(?:[.,]\d*)?)\s*[vV]?", re.ASCII)


class Input(enum.Enum):
    """A contact that the firmware reads, by its name in `enum input_flag`."""

    LEFT = "LEFT_SWITCH"
    RIGHT = "RIGHT_SWITCH"
    ESTOP = "ESTOP"


@dataclass(frozen=True, kw_only=True)
class Meters:
    """What a voltmeter shows at the bridge's supply and at the microcontroller's 5 V, where that is known."""

    supply_v: float | None = None
    rail_v: float | None = None


@dataclass(kw_only=True)
class Bench:
    """A cart on its line with a session.

    `operator` is None without one; `may_move` allows the motor. `cfg` holds the limits of the cart file and `stepper`
    those that only a stepper has, None for a DC motor; `most_m_s2` is the largest acceleration to try, None for the
    file's. `results` has those of the steps so far, by name.
    """

    cart: CartParams
    encoders: Encoders
    settings: FirmwareSettings
    link: Link
    cfg: CfgMessage
    stepper: StepperMessage | None = None
    most_m_s2: float | None = None
    operator: Operator | None
    may_move: bool
    meters: Meters
    usb: UsbBridge | None
    hello: HelloAckMessage | None = None
    results: dict[str, StepResult] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)  # steps that were left out for what others found
    is_warned: bool = False  # the operator knows that the cart moves
    is_rail_known: bool = False  # by a voltmeter
    _has_answered: bool = False
    supply_scale: float = 1.0  # of the supply as the voltmeter has it, over what the firmware reports

    def configure(self, cfg: CfgMessage | None = None) -> None:
        """Give the firmware those limits, by default the cart file's. Raises `RefusedError` and `LinkError`."""
        self.link.configure(self.cfg if cfg is None else cfg, self.stepper)

    def state(self) -> StateMessage:
        """The newest STATE, of now. Raises `LinkError` after a second without one."""
        self.link.forget_states()
        state = self.link.newest_state(self.link.clock() + 1.0)
        if state is None:
            raise LinkError("no measurement for 1 s; check the cable")
        return state

    def is_closed(self, state: StateMessage, contact: Input) -> bool:
        """Whether the firmware reads that switch as reached, or the e-stop as pressed."""
        return bool(state.inputs & self.link.protocol.enums["input_flag"][contact.value])

    def fault(self, state: StateMessage) -> str | None:
        """The name of the fault that the cart is in."""
        if state.state != self.link.protocol.enums["cart_state"]["FAULT"]:
            return None
        return self.link.protocol.enums["fault"](state.fault).name

    def blocks(self, name: str) -> bool:
        """Whether that step found something wrong, or was left out because another one did."""
        return name in self.blocked or (name in self.results and self.results[name].verdict is Verdict.WRONG)

    def is_fine(self, name: str) -> bool:
        """Whether that step was done and found nothing wrong."""
        return name in self.results and self.results[name].verdict is Verdict.FINE

    def ask(self, deed: Deed, text: str) -> Operator:
        """Ask the operator. Raises RuntimeError where there is none: a step that needs one is left out then."""
        if self.operator is None:
            raise RuntimeError(f"no operator to {deed.value}")
        self.operator.ask(deed, text)
        return self.operator

    def say(self, text: str) -> None:
        """Show a line to the operator."""
        print(f"        {text}", file=sys.stderr, flush=True)

    def has_come(self, deed: Deed, text: str, is_so: Callable[[StateMessage], bool], *, waits_on: bool = False) -> bool:
        """Ask for a deed; whether `is_so` of a STATE until it is done, or with `waits_on` until time is up."""
        operator = self.ask(deed, text)
        return any(is_so(state) for state in self._during(None if waits_on else operator, HAND_S))

    def during(self, deed: Deed, text: str) -> Iterator[StateMessage]:
        """Ask for a deed; every STATE until the operator has done it. Raises `NobodyAnswersError`."""
        yield from self._during(self.ask(deed, text), LONG_HAND_S)
        if not self._has_answered:
            raise NobodyAnswersError(f"nobody answered for {LONG_HAND_S:g} s")

    def _during(self, operator: Operator | None, most_s: float) -> Iterator[StateMessage]:
        link = self.link
        end_s = link.clock() + most_s
        self._has_answered = False
        while link.clock() < end_s:
            state = link.state(link.clock() + 1.0)
            if state is None:
                raise LinkError("no measurement for 1 s; check the cable")
            yield state
            answer = None if operator is None or self._has_answered else operator.answer()
            if answer == "":
                self._has_answered = True
                end_s = min(end_s, link.clock() + _AFTER_ANSWER_S)
            elif answer is not None:  # such as "no"
                self.say("Enter alone says that it is done; Ctrl-C stops the check")

    def volts(self, deed: Deed, text: str) -> float | None:
        """What the operator reads on the voltmeter; None for only Enter. What is no voltage is asked for again."""
        operator = self.ask(deed, text)
        end_s = self.link.clock() + LONG_HAND_S
        while self.link.clock() < end_s:
            self.state()
            answer = operator.answer()
            if answer == "":
                return None
            if answer is not None:
                number = _READING.fullmatch(answer)
                shown_v = 0.0 if number is None else float(number[1].replace(",", "."))
                if 0.0 < shown_v < _MOST_V:
                    return shown_v
                self.say(f"expected volts such as 12.1, got {printable(answer, longest=40)!r}")
                operator.ask(deed, text)
        return None

    def wait_still(self, most_s: float = LONG_HAND_S) -> StateMessage:
        """The first STATE after cart and pole have stood still for a moment; the last one where they never did."""
        still = self.link.protocol.enums["input_flag"]["STILL"]
        end_s = self.link.clock() + most_s
        state = self.state()
        since_s = self.link.clock()
        while self.link.clock() < min(end_s, since_s + _STILL_S):
            state = self.state()
            if not state.inputs & still:
                since_s = self.link.clock()
        return state
