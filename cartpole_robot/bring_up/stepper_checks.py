"""Steps of a stepper's cart: whether its driver lets go, which way its motor turns, how fast it may accelerate."""

from __future__ import annotations

import contextlib

from cartpole_robot.bring_up.acceleration import MARGIN, stepper_of, tried_accelerations, tried_cart
from cartpole_robot.bring_up.bench import Bench, Input
from cartpole_robot.bring_up.creep import creep, prepare, reaches
from cartpole_robot.bring_up.findings import Finding, fine, skipped, wrong
from cartpole_robot.bring_up.motor_checks import CREEP_M_S, STEPS_MOST, contact_at, failed, side_name, stand_clear
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.signals import State
from cartpole_robot.simulation.hand import Deed
from firmware_bridge.faults import FAULTS
from firmware_bridge.messages import StateMessage
from firmware_bridge.transport import SerialTransport

_AWAY_M = 0.03
_MOST_KEY = "stepper.maximum_acceleration_m_s2"
_NOT_MOVING = "check the driver's supply, ENABLE, STEP and the motor's coils (docs/hardware/building.md)"


def check_driver_off(bench: Bench) -> Finding:
    """Whether a driver that the firmware has not switched on leaves the cart free."""
    if bench.operator is None:
        return skipped("no operator to move the cart by hand")
    supply_mv, least_mv = bench.state().supply_mv, bench.cfg.supply_min_mv
    if supply_mv < least_mv:
        return skipped(
            f"the supply is {supply_mv / 1000.0:.1f} V, expected at least {least_mv / 1000.0:g}: no driver holds"
        )
    bench.link.mode("ESTOP")  # a driver that still holds from before lets go
    at_left = reaches(bench, Input.LEFT)
    if at_left(bench.state()):
        text = "pull the cart gently off the LEFT switch, to the middle; Enter if it is held"
        is_free = bench.has_come(Deed.CENTRE_CART, text, lambda state: not at_left(state))
    else:
        text = "push the cart gently onto the LEFT switch; Enter if it is held"
        is_free = bench.has_come(Deed.PUSH_TO_LEFT, text, at_left)
    if is_free:
        for _ in bench.during(Deed.CENTRE_CART, "it is free; push it to the middle of its track; Enter"):
            pass
        return fine("the cart is free while the firmware has the driver off")
    return wrong(
        "enable-inverted",
        "the firmware has the driver off, and the cart could not be moved by hand",
        "the driver is on: correct stepper.enable_is_low for the level at its ENABLE input, and check that the "
        "resistor there switches it off; or free the cart, if it is not the motor that holds it",
    )


def check_direction(bench: Bench) -> Finding:
    """Whether the motor moves the cart away from a switch, or to the one that it is asked to."""
    stand_clear(bench)
    speed_m_s = min(CREEP_M_S, bench.settings.homing_speed_m_s)
    prepare(bench, speed_m_s)
    state = bench.state()
    closed = [side for side in (-1, 1) if bench.is_closed(state, contact_at(side))]
    if len(closed) == 2:
        return wrong(
            "switches-both-closed", "both switches read as reached", "check their wires: they open when reached"
        )
    if closed:
        return _moves_away(bench, -closed[0], speed_m_s)
    track_m = 2.0 * bench.settings.switch_m
    leg = creep(bench, 1, STEPS_MOST * track_m, speed_m_s, lambda now: any(_closed_sides(bench, now)))
    if leg.fault is not None:
        return failed(leg)
    is_left, is_right = _closed_sides(bench, leg.states[-1])
    if is_right:
        return fine(f"asked to the right, the cart came to the right switch ({leg.moved:+d} steps)")
    if is_left:
        return _reversed(bench, f"asked to the right, the cart came to the left switch ({leg.moved:+d} steps)")
    return _still(bench, f"no switch closed within {abs(leg.moved)} steps to the right")


def _closed_sides(bench: Bench, state: StateMessage) -> tuple[bool, bool]:
    return bench.is_closed(state, Input.LEFT), bench.is_closed(state, Input.RIGHT)


def _moves_away(bench: Bench, side: int, speed_m_s: float) -> Finding:
    """The cart stands at the switch of the other side."""
    contact = contact_at(-side)
    leg = creep(bench, side, _AWAY_M, speed_m_s, lambda state: not bench.is_closed(state, contact))
    if leg.fault is not None:
        return failed(leg)
    if not bench.is_closed(leg.rest[-1], contact):
        return fine(
            f"asked to the {side_name(side)}, the cart left the {side_name(-side)} switch ({leg.moved:+d} steps)"
        )
    return wrong(
        "motor-still-or-reversed",
        f"the cart stands at the {side_name(-side)} switch, which is still closed {abs(leg.moved)} steps to the "
        f"{side_name(side)}",
        f"push the cart to the middle and check again: the motor does not move it, or turns the other way; "
        f"{_NOT_MOVING}",
    )


def _reversed(bench: Bench, text: str) -> Finding:
    remedy = (
        "exchange the two wires of one of the motor's coils, or set firmware.is_motor_reversed in the cart file "
        "(reverse it where it is set)"
    )
    if bench.is_fine("switches"):
        return wrong("direction-reversed", text, remedy)
    return wrong(
        "direction-or-switches-swapped",
        text,
        f"press the switches by hand first (step switches, without --no-hand): if each is on its own side, {remedy}",
    )


def _still(bench: Bench, text: str) -> Finding:
    """What keeps the cart from moving: a hand tells whether the motor holds it."""
    if bench.operator is None:
        return wrong("motor-still", text, f"{_NOT_MOVING}; with an operator check-rig tells which")
    ask = "the motor is to hold the cart now: push it gently onto the LEFT switch; Enter if the motor holds it"
    if bench.has_come(Deed.PUSH_TO_LEFT, ask, reaches(bench, Input.LEFT)):
        return wrong(
            "driver-off",
            f"{text}, and the motor does not hold the cart",
            "the driver has no supply, or does not see ENABLE: measure its supply at the driver itself, look at its "
            "lamp, and check stepper.enable_is_low and both ENA wires; then the motor's coils",
        )
    return wrong(
        "motor-stalled",
        f"{text}, and the motor holds the cart",
        "the driver is on and the motor does not turn: check the wire at D10 (STEP), set the driver's switches to the "
        "motor's current, and free carriage and belt; a coil with one wire off also holds and does not turn",
    )


def check_acceleration(bench: Bench) -> Finding:
    """The largest acceleration at which no step is lost, up to the file's or the one asked for."""
    cart = tried_cart(bench.cart, bench.most_m_s2)
    file_m_s2 = stepper_of(bench.cart).maximum_acceleration_m_s2
    stand_clear(bench)
    try:
        is_real = isinstance(bench.link.transport, SerialTransport)
        with punctual() if is_real else contextlib.nullcontext():
            rig = FirmwareRig(cart, bench.link, _NoHand())  # the line is the bench's, and stays open
            found = tried_accelerations(rig, lambda trial: bench.say(f"{trial.acceleration_m_s2:.3g} m/s² ..."))
    except RigError as error:
        kind = kind_of(str(error))
        return wrong(
            f"fault-{kind.lower().replace('_', '-')}", str(error), FAULTS.get(kind, "put it right, and check again")
        )
    if found.lost is None:
        return fine(
            f"no step lost at up to {found.largest_m_s2:.3g} m/s² and {found.fastest_m_s:.2f} m/s, the largest that "
            f"were tried; the cart file has {file_m_s2:g} m/s²",
            {_MOST_KEY: file_m_s2} if found.largest_m_s2 >= file_m_s2 else {},
        )
    largest, usable = found.largest_m_s2, found.usable_m_s2
    text = f"{found.lost.text}; no step lost at {largest:.3g} m/s² and below"
    if usable >= file_m_s2:
        return fine(f"{text}; the cart file's {file_m_s2:g} m/s² has a margin", {_MOST_KEY: file_m_s2})
    if not largest:
        return wrong(
            "acceleration-loses-steps",
            f"{found.lost.text}, the smallest that was tried",
            "set the driver's switches to the motor's current, check its supply, and free carriage and belt",
        )
    return wrong(
        "acceleration-loses-steps",
        f"{text}; the cart file has {file_m_s2:g} m/s²",
        f"set stepper.maximum_acceleration_m_s2 = {usable:g}, which leaves a margin of {100.0 * (1.0 - MARGIN):.0f} % "
        "(--write); or raise the driver's current or supply, or lower stepper.maximum_speed_m_s",
        {_MOST_KEY: usable},
    )


class _NoHand:
    """No hand: the pole hangs; implements `Hand`."""

    brings_cart = False

    def let_hang(self) -> None:
        """The pole hangs already."""

    def raise_pole(self, start: State) -> None:
        """No episode begins."""

    def has_arrived(self) -> bool:
        """Always."""
        return True

    def let_go_at(self, time_us: int) -> None:
        """Nothing is held."""

    def let_go(self) -> None:
        """Nothing is held."""
