"""Steps by hand at the contacts: e-stop, its relay, both end switches."""

from __future__ import annotations

from cartpole_robot.bring_up.bench import Bench, Input
from cartpole_robot.bring_up.findings import Finding, fine, skipped, wrong
from cartpole_robot.bring_up.operator import SimulatedOperator
from cartpole_robot.simulation.hand import Deed
from firmware_bridge.errors import RefusedError
from firmware_bridge.messages import StateMessage

_FALL_S = 30.0  # 2200 uF behind an open relay, with nothing but the divider on them, take 26 s to 1/e
_LOW_S = 0.1  # how long it is to stay low: the firmware wants 20 ms before it clears an e-stop
_RISE_SHARE = 0.85  # a precharge resistor leaves a tenth until START is pressed


def check_estop(bench: Bench) -> Finding:
    """Whether the e-stop is seen when it is pressed and when it is released, and cuts the motor's supply meanwhile."""
    state = bench.state()
    if bench.operator is None:
        if bench.is_closed(state, Input.ESTOP):
            return _always_pressed()
        return skipped("no operator to press it; it reads as released")
    if bench.is_closed(state, Input.ESTOP) and not bench.has_come(
        Deed.RELEASE_ESTOP,
        "release the e-stop; Enter when it is released",
        lambda state: not bench.is_closed(state, Input.ESTOP),
    ):
        return _always_pressed()
    before_mv = bench.state().supply_mv
    try:
        return _pressed(bench, before_mv)
    finally:
        _clear(bench)


def _pressed(bench: Bench, before_mv: int) -> Finding:
    before, seen = _closed(bench, bench.state()), set[Input]()

    def is_pressed(state: StateMessage) -> bool:
        seen.update(_closed(bench, state) - before)
        return Input.ESTOP in seen

    is_seen = bench.has_come(
        Deed.PRESS_ESTOP, "press the e-stop, and leave it pressed; Enter if nothing happens", is_pressed
    )
    least_mv = bench.cfg.supply_min_mv
    lowest_mv = before_mv
    if is_seen:
        is_simulated = isinstance(bench.operator, SimulatedOperator)
        keeps = "the simulated operator keeps it pressed" if is_simulated else "keep the e-stop pressed"
        bench.say(f"the supply must fall below {least_mv / 1000.0:g} V within {_FALL_S:g} s; {keeps}")
        end_s = bench.link.clock() + _FALL_S
        while lowest_mv >= least_mv and bench.link.clock() < end_s:
            lowest_mv = min(lowest_mv, bench.state().supply_mv)
        low_until_s = bench.link.clock() + _LOW_S
        while bench.link.clock() < low_until_s:
            bench.state()
    is_back = bench.has_come(
        Deed.RELEASE_ESTOP,
        "release the e-stop, and press START where there is one",
        lambda state: not bench.is_closed(state, Input.ESTOP) and state.supply_mv > _RISE_SHARE * before_mv,
        waits_on=True,
    )
    if not is_seen and seen:
        return wrong(
            "estop-wires", f"pressed, and the firmware reads {_names(seen)}", "check the wires at D2, D3 and D4"
        )
    if not is_seen:
        return wrong(
            "estop-shorted",
            "pressed, and the firmware reads it as released",
            "its contact is shorted, is not a normally closed one, or D2 is tied to ground; check with an ohmmeter",
        )
    if lowest_mv >= least_mv:
        return wrong(
            "relay-welded",
            f"the e-stop was pressed for {_FALL_S:g} s, and the supply stayed at {lowest_mv / 1000.0:.1f} V",
            "the relay's contact is welded or bridged, or the e-stop's second contact does not open its coil: put in a "
            "new relay, and precharge the capacitors (see the wiring)",
        )
    if not is_back:
        return wrong(
            "supply-stays-off",
            "the e-stop was released, and it still reads as pressed or the supply did not come back",
            "check the relay's coil and its diode, the e-stop's contacts, and the fuse",
        )
    text = f"seen when it is pressed; the supply fell below {least_mv / 1000.0:g} V and came back"
    if not bench.settings.estop_cuts_supply:
        text += "; with firmware.estop_cuts_supply = true in the cart file the firmware watches that too"
    return fine(text)


def _always_pressed() -> Finding:
    return wrong(
        "estop-unwired",
        "released, and the firmware reads it as pressed",
        "its contact is not connected, or a wire is cut: check from D2 over the normally closed contact to ground",
    )


def _clear(bench: Bench) -> None:
    """The e-stop left a fault behind; one that stays is found by the steps that move."""
    try:
        bench.link.mode("CLEAR")
    except RefusedError as error:
        if error.code != "UNHEALTHY":
            raise


_SIDES = {
    Input.LEFT: ("left", Deed.PRESS_LEFT, Deed.RELEASE_LEFT),
    Input.RIGHT: ("right", Deed.PRESS_RIGHT, Deed.RELEASE_RIGHT),
}

_NAMES = {Input.LEFT: "the left switch", Input.RIGHT: "the right switch", Input.ESTOP: "the e-stop"}


def check_switches(bench: Bench) -> Finding:
    """Whether each end switch closes and opens by hand, and is the one of its side."""
    if bench.operator is None:
        state = bench.state()
        closed = [side for contact, (side, *_) in _SIDES.items() if bench.is_closed(state, contact)]
        if len(closed) == len(_SIDES):
            return wrong("switches-both-closed", "both read as reached", "check their wires: they open when reached")
        return skipped(f"no operator to press them; reached: {', '.join(closed) or 'none'}")
    for _ in bench.during(Deed.CENTRE_CART, "push the cart to the middle of its track, away from the switches; Enter"):
        pass
    state = bench.state()
    for contact, (side, *_) in _SIDES.items():
        if bench.is_closed(state, contact):
            return wrong(
                "switch-stuck",
                f"the {side} switch reads as reached with the cart in the middle",
                "its lever is bent or its wire cut: its normally closed contact goes to ground",
            )
    seen = {contact: _seen_when_pressed(bench, contact) for contact in _SIDES}
    other = {Input.LEFT: Input.RIGHT, Input.RIGHT: Input.LEFT}
    if all(seen[contact] == {other[contact]} for contact in _SIDES):
        return wrong(
            "switches-swapped",
            "the left switch reads as the right one, and the right as the left",
            "exchange the wires at D3 and D4",
        )
    for contact, (side, *_) in _SIDES.items():
        if not seen[contact]:
            return wrong(
                "switch-never-closes",
                f"the {side} switch was pressed, and nothing was seen",
                "it is shorted, connected to the wrong pin, or not its normally closed contact",
            )
        if seen[contact] != {contact}:
            return wrong(
                "switch-wires",
                f"the {side} switch was pressed, and the firmware reads {_names(seen[contact])}",
                "check the wires at D2, D3 and D4",
            )
    return _are_open_again(bench)


def _seen_when_pressed(bench: Bench, contact: Input) -> set[Input]:
    side, press, release = _SIDES[contact]
    before, seen = _closed(bench, bench.state()), set[Input]()
    for state in bench.during(press, f"press the {side.upper()} end switch with a finger and hold it; Enter"):
        seen |= _closed(bench, state) - before
    for _ in bench.during(release, f"release the {side} end switch; Enter"):
        pass
    return seen


def _closed(bench: Bench, state: StateMessage) -> set[Input]:
    return {each for each in Input if bench.is_closed(state, each)}


def _names(contacts: set[Input]) -> str:
    return " and ".join(_NAMES[each] for each in Input if each in contacts)


def _are_open_again(bench: Bench) -> Finding:
    state = bench.state()
    for contact, (side, *_) in _SIDES.items():
        if bench.is_closed(state, contact):
            return wrong(
                "switch-stuck", f"the {side} switch stays closed after it was released", "replace it, or free its lever"
            )
    return fine("each is seen when it is pressed, on its own side, and opens again")
