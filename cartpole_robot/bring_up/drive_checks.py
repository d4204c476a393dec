"""Steps that measure the motor while the cart creeps: its dead zone, and how hard it brakes when it is shorted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from cartpole_robot.bring_up.bench import Bench, Input
from cartpole_robot.bring_up.creep import Leg, creep, prepare
from cartpole_robot.bring_up.findings import Finding, fine, skipped, wrong
from cartpole_robot.bring_up.motor_checks import failed, stand_clear
from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2, deceleration_m_s2
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import NativeBoardCart
from firmware_bridge.constants import SPEED_PER_COUNT
from firmware_bridge.messages import StateMessage

_SIDES = (-1, 1, -1)  # one of the first two may begin at a switch
_CREEP_M_S = 0.1
_LEG_SHARE, _LEAST_SHARE = 0.3, 0.12  # of the track, for the dead zone
_RUN_IN_S = 1.0
_SUPPLY_DOUBT = 0.05  # where no voltmeter was held to it: the firmware takes a rail of 4.75 V for 5 V
_DEAD_ZONE_TIMES, _DEAD_ZONE_MORE = 1.9, 0.02  # of the file's; a bridge that shortens pulses by 1 us takes 0.02
_BRAKE_M_S, _BRAKE_LEG_SHARE = 0.4, 0.45
_STEADY_SHARE, _STEADY_STATES = 0.95, 40
_BRAKE_LONGER = 1.2
_NOTABLE_TIMES, _NOTABLE_MORE = 1.2, 0.005
_NOTABLE = 1.05  # of the braking distance
_BRAKE_S = 0.48  # the firmware opens the bridge soon after
_HALVINGS = 30


def check_dead_zone(bench: Bench) -> Finding:
    """From which duty on the motor pulls, to each side, with the friction of the cart file."""
    stand_clear(bench)
    speed_m_s = min(_CREEP_M_S, bench.settings.homing_speed_m_s)
    prepare(bench, speed_m_s)
    track_m = 2.0 * bench.settings.switch_m
    found: dict[int, list[float]] = {-1: [], 1: []}
    least: dict[int, list[float]] = {-1: [], 1: []}  # where the supply is lower than the firmware takes it for
    doubt = 0.0 if bench.is_fine("supply") or bench.settings.bandgap_v is not None else _SUPPLY_DOUBT
    for side in _SIDES:
        leg = creep(bench, side, _LEG_SHARE * track_m, speed_m_s, _ends(bench, side))
        if leg.fault is not None:
            return failed(leg)
        if abs(leg.moved) >= _LEAST_SHARE * track_m * bench.encoders.cart_counts_per_m:
            found[side].append(_dead_zone(bench, leg, bench.supply_scale))
            least[side].append(_dead_zone(bench, leg, (1.0 - doubt) * bench.supply_scale))
    if not found[-1] or not found[1]:
        return skipped("the cart found no way free to both sides; bring it to the middle")
    left, right = (sum(found[side]) / len(found[side]) for side in (-1, 1))
    motor = bench.cart.motor
    text = (
        f"{left:.3f} to the left and {right:.3f} to the right of full duty, with the friction of the cart file, which "
        f"has {motor.left_dead_zone_duty:.3f} and {motor.right_dead_zone_duty:.3f}"
    )
    mean = (left + right) / 2.0
    measured = {
        "motor.dead_zone_duty": mean,
        "motor.dead_zone_asymmetry_duty": max(-mean, min(mean, (right - left) / 2.0)),
    }
    is_in_doubt = False
    for side, duty in ((-1, left), (1, right)):
        file_duty = motor.dead_zone_at(side)
        most = max(_DEAD_ZONE_TIMES * file_duty, file_duty + _DEAD_ZONE_MORE)
        is_in_doubt = is_in_doubt or duty > most
        if sum(least[side]) / len(least[side]) > most:
            return wrong(
                "dead-zone",
                f"{text}: {duty / file_duty:.1f} times as much" if file_duty else text,
                "look for what brakes the cart (belt too tight, rail dry), for a bridge that loses short pulses (a "
                "slew resistor that is too large) and for a motor that is weaker than the cart file's; if it is to "
                "stay so, write it into the cart file (--write)",
                measured,
            )
    if is_in_doubt:
        return skipped(
            f"{text}: too much, unless the supply is lower than the firmware reads; check it too (--supply-v)"
        )
    if mean > _NOTABLE_TIMES * motor.dead_zone_duty + _NOTABLE_MORE:
        text += "; --write puts it into the cart file"
    return fine(text, measured)


def _ends(bench: Bench, side: int) -> Callable[[StateMessage], bool]:
    contact = Input.LEFT if side < 0 else Input.RIGHT
    return lambda state: bench.is_closed(state, contact)


def _dead_zone(bench: Bench, leg: Leg, supply_scale: float) -> float:
    """The dead zone that explains the leg's mean acceleration; bisected, for more of it leaves less force.

    The supply is `supply_scale` times what the firmware reports.
    """
    cart, per_m = bench.cart, bench.encoders.cart_counts_per_m
    one = bench.link.protocol.constants["PROTOCOL_DUTY_ONE"]
    began_us = leg.states[0].time_us
    states = [state for state in leg.states if _seconds(state, began_us) >= _RUN_IN_S] or leg.states
    first, last = states[0], states[-1]
    time_s = max(_seconds(last, first.time_us), 1e-3)
    speeds = [leg.side * state.cart_speed / SPEED_PER_COUNT / per_m for state in (first, last)]
    mean_m_s = leg.side * (last.cart_counts - first.cart_counts) / per_m / time_s
    needed_n = (
        cart.pole_cart.mass_kg * (speeds[1] - speeds[0]) / time_s
        + cart.damping_n_s_m * mean_m_s
        + cart.friction.cart_coulomb_n
    )
    nominal_v = cart.motor.supply_voltage_v
    per_mv = supply_scale / 1000.0 / nominal_v if nominal_v else 0.0
    duties = [leg.side * state.applied_q15 / one * (state.supply_mv * per_mv or 1.0) for state in states]
    stall_n = cart.motor.stall_force_n * cart.motor.share_at(leg.side) / (1.0 - cart.motor.saturation)
    low, high = 0.0, 0.9
    for _ in range(_HALVINGS):
        zone = (low + high) / 2.0
        mean_n = stall_n * sum(max(0.0, duty - zone) for duty in duties) / len(duties) / (1.0 - zone)
        low, high = (zone, high) if mean_n > needed_n else (low, zone)
    return low


def _seconds(state: StateMessage, since_us: int) -> float:
    return ((state.time_us - since_us) & 0xFFFF_FFFF) * 1e-6


def check_brake(bench: Bench) -> Finding:
    """How far the cart rolls on with its motor shorted, against what the travel limit counts on."""
    stand_clear(bench)
    track_m = 2.0 * bench.settings.switch_m
    speed_m_s = min(_BRAKE_M_S, _BRAKE_LEG_SHARE * track_m, 0.3 * bench.cart.terminal_speed_m_s)
    prepare(bench, speed_m_s)
    per_m = bench.encoders.cart_counts_per_m
    legs = []
    for side in _SIDES:
        leg = creep(bench, side, _BRAKE_LEG_SHARE * track_m, speed_m_s, _runs(bench, side, speed_m_s))
        if leg.fault is not None:
            return failed(leg)
        legs.append(leg)
    hanging = sum(state.pole_counts for leg in legs for state in leg.all) / sum(len(leg.all) for leg in legs)
    assumed_n_s_m = _assumed_damping(bench.cart)
    rolls = []  # by the share of the distance that the file gives: distance in m, the state when it began
    for leg in legs:
        start = _start(bench, leg, hanging)
        if leg.stopped_counts is not None and abs(start.cart_speed_m_s) >= _STEADY_SHARE**2 * speed_m_s:
            distance_m = abs(leg.rest[-1].cart_counts - leg.stopped_counts) / per_m
            rolls.append((distance_m / _distance_m(bench.cart, assumed_n_s_m, start), distance_m, start))
    if not rolls:
        return skipped("the cart found no way free to get up to speed; bring it to the middle")
    share, distance_m, start = sorted(rolls)[len(rolls) // 2]
    text = (
        f"{1000.0 * distance_m:.1f} mm from {abs(start.cart_speed_m_s):.2f} m/s, {100.0 * share:.0f} % of what the "
        f"cart file gives; the travel limit counts on {braking_deceleration_m_s2(bench.cart):.1f} m/s² from full speed"
    )
    if share <= _NOTABLE:
        return fine(text)
    decel_m_s2 = deceleration_m_s2(bench.cart, _damping(bench.cart, distance_m, start))
    measured = {"firmware.brake_decel_m_s2": decel_m_s2}
    if share <= _BRAKE_LONGER:
        return fine(text, measured)
    return wrong(
        "brake-weak",
        text,
        "the bridge does not short the motor fully (it opens between pulses or has both inputs low at duty 0), a "
        "motor wire has resistance, or what slides weighs more or the motor is weaker than in the cart file; if it is "
        f"to stay so, set firmware.brake_decel_m_s2 = {decel_m_s2:.2f} (--write)",
        measured,
    )


def _start(bench: Bench, leg: Leg, hanging: float) -> State:
    """Cart and pole when the motor was shorted, the cart at 0; `hanging` is the pole's count at rest."""
    encoders, state = bench.encoders, leg.states[-1]
    return State(
        0.0,
        state.cart_speed / SPEED_PER_COUNT / encoders.cart_counts_per_m,
        math.pi + (state.pole_counts - hanging) / encoders.pole_counts_per_rad,
        state.pole_speed / SPEED_PER_COUNT / encoders.pole_counts_per_rad,
    )


def _runs(bench: Bench, side: int, speed_m_s: float) -> Callable[[StateMessage], bool]:
    least = _STEADY_SHARE * speed_m_s * bench.encoders.cart_counts_per_m * SPEED_PER_COUNT
    steady = 0

    def is_there(state: StateMessage) -> bool:
        nonlocal steady
        steady = steady + 1 if side * state.cart_speed >= least else 0
        return steady >= _STEADY_STATES or _ends(bench, side)(state)

    return is_there


def _distance_m(cart: CartParams, damping_n_s_m: float, start: State) -> float:
    """How far the cart rolls on with that damping, its pole swinging; simulated."""
    viscous = min(cart.friction.cart_viscous_n_s_m, damping_n_s_m)
    shorted = dataclasses.replace(
        cart,
        motor=dataclasses.replace(cart.motor, back_emf_n_s_m=damping_n_s_m - viscous, brakes_at_zero=True),
        friction=dataclasses.replace(cart.friction, cart_viscous_n_s_m=viscous),
    )
    simulated = NativeBoardCart(shorted)
    simulated.place(start)
    for _ in range(round(_BRAKE_S / cart.timing.physics_step_s)):
        simulated.body.step(0.0)
    return abs(simulated.state().cart_position_m)


def _damping(cart: CartParams, distance_m: float, start: State) -> float:
    """The damping in N s/m with which the cart rolls on so far: more of it brakes sooner."""
    return _bisected(cart, lambda damping: _distance_m(cart, damping, start) > distance_m)


def _assumed_damping(cart: CartParams) -> float:
    """The damping that gives the cart file's braking deceleration."""
    if cart.firmware is None or cart.firmware.brake_decel_m_s2 is None:
        return cart.damping_n_s_m
    decel_m_s2 = cart.firmware.brake_decel_m_s2
    return _bisected(cart, lambda damping: deceleration_m_s2(cart, damping) < decel_m_s2)


def _bisected(cart: CartParams, is_too_little: Callable[[float], bool]) -> float:
    low, high = 1e-3 * cart.damping_n_s_m, 10.0 * cart.damping_n_s_m
    for _ in range(_HALVINGS):
        damping = (low + high) / 2.0
        low, high = (damping, high) if is_too_little(damping) else (low, damping)
    return low
