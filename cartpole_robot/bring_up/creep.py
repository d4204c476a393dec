"""The cart creeps one way, as jogging does, while everything it reports is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cartpole_robot.bring_up.bench import Bench, Input
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import StateMessage

PERIOD_MS = 4  # between two STATEs while it creeps
_ASKED_EVERY_S = 0.1  # the firmware stops 0.25 s after the last request
_REST_S = 0.48  # the brake holds for half a second
_SLOWEST_SHARE = 0.2  # of the requested speed: the time that a leg may take


@dataclass(kw_only=True)
class Leg:
    """One creep: its STATEs until it was stopped, and those until the cart stood still.

    `stopped_counts` is where the motor went off, `fault` what ended it early.
    """

    side: int
    states: list[StateMessage] = field(default_factory=list)
    rest: list[StateMessage] = field(default_factory=list)
    stopped_counts: int | None = None
    fault: str | None = None

    @property
    def moved(self) -> int:
        """Counts from the first STATE to the last, rest included."""
        return (self.rest or self.states)[-1].cart_counts - self.states[0].cart_counts

    @property
    def all(self) -> list[StateMessage]:
        """Every STATE of it."""
        return [*self.states, *self.rest]


def prepare(bench: Bench, speed_m_s: float) -> None:
    """Give the firmware limits under which creeping has that speed, and STATEs come every `PERIOD_MS`."""
    ceiling = bench.link.protocol.constants["PROTOCOL_DUTY_ONE"] // 2
    bench.configure(
        bench.cfg._replace(
            control_period_ms=PERIOD_MS,
            homing_speed_counts_s=round(speed_m_s * bench.encoders.cart_counts_per_m),
            homing_duty_q15=ceiling,
        )
    )


def creep(bench: Bench, side: int, most_m: float, speed_m_s: float, is_there: Callable[[StateMessage], bool]) -> Leg:
    """Creep to the left (-1) or right (1) until `is_there`, then brake; call `prepare` first.

    It ends without that after `most_m` of counts either way, when the firmware reports a fault, or when the cart is
    far too slow. Raises `BridgeError`.
    """
    link = bench.link
    leg = Leg(side=side)
    link.events.clear()
    link.forget_states()
    most_counts = most_m * bench.encoders.cart_counts_per_m
    end_s = link.clock() + most_m / (_SLOWEST_SHARE * speed_m_s) + 2.0
    asked_s = -1.0
    while link.clock() < end_s:
        if link.clock() - asked_s >= _ASKED_EVERY_S:
            link.mode("JOG_LEFT" if side < 0 else "JOG_RIGHT")
            asked_s = link.clock()
        state = _next(bench)
        leg.states.append(state)
        leg.fault = bench.fault(state)
        if leg.fault or is_there(state) or abs(state.cart_counts - leg.states[0].cart_counts) > most_counts:
            break
    link.disarm()
    _rest(bench, leg)
    return leg


def _rest(bench: Bench, leg: Leg) -> None:
    link = bench.link
    end_s = link.clock() + _REST_S
    while link.clock() < end_s:
        leg.rest.append(_next(bench))
    homing = link.protocol.enums["cart_state"]["HOMING"]
    while leg.rest[1:] and leg.rest[0].state == homing:  # on the line when the motor was switched off
        leg.states.append(leg.rest.pop(0))
    ends = [event for event in link.events if event.state != homing]
    leg.stopped_counts = ends[-1].cart_counts if ends else None


def _next(bench: Bench) -> StateMessage:
    state = bench.link.state(bench.link.clock() + 1.0)
    if state is None:
        raise LinkError("no measurement for 1 s; check the cable")
    return state


def reaches(bench: Bench, contact: Input) -> Callable[[StateMessage], bool]:
    """Whether a STATE has that switch closed."""
    return lambda state: bench.is_closed(state, contact)
