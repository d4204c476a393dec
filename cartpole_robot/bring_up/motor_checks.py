"""Steps in which the cart creeps: the motor's direction, the track between the switches, homing."""

from __future__ import annotations

from itertools import pairwise

from cartpole_robot.bring_up.bench import Bench, Input
from cartpole_robot.bring_up.creep import PERIOD_MS, Leg, creep, prepare, reaches
from cartpole_robot.bring_up.findings import Finding, fine, wrong
from cartpole_robot.rigs.firmware_rig import HOMING_S
from cartpole_robot.simulation.hand import Deed
from firmware_bridge.faults import FAULTS
from firmware_bridge.messages import StepperMessage

_PUSH_M = 0.01
_AWAY_M = 0.03
_TRACK_TOLERANCE = 0.01
_TRACK_MOST = 1.35  # of the cart file's track: counts per metre may be wrong by so much
STEPS_MOST = 2.3  # of the same in a stepper's steps, whose microsteps may be half of the file's
CREEP_M_S = 0.1  # slow, for a switch is only looked at every few milliseconds, and bounces
_HURRY_M_S, _HURRY_SHARE = 0.4, 0.45
_DEBOUNCE_S, _BOUNCE_S = 0.003, 0.006
_SAME_M = 0.0005  # between two visits of a switch: less than a tooth with what bouncing and looking add
_MICROSTEPS, _MICROSTEPS_TOLERANCE = (0.5, 2.0), 0.02  # as a driver's switches are off by one
_LATE_M = 0.0002  # between a stop by the firmware and one by the host, at creeping speed
_PLAY_M = 0.003  # that a belt and a switch's lever may have


def check_motor(bench: Bench) -> Finding:
    """Whether the motor moves the cart to the side it is asked to."""
    stand_clear(bench)
    speed_m_s = min(CREEP_M_S, bench.settings.homing_speed_m_s)
    prepare(bench, speed_m_s)
    least = _PUSH_M * bench.encoders.cart_counts_per_m
    side = -1 if bench.is_closed(bench.state(), Input.RIGHT) else 1
    begin = bench.state().cart_counts
    leg = creep(bench, side, 5.0 * _PUSH_M, speed_m_s, lambda state: abs(state.cart_counts - begin) >= least)
    if leg.fault is not None:
        return failed(leg)
    if abs(leg.moved) < least:
        return wrong(
            "motor-still",
            f"{leg.moved:+d} counts while the motor was to move the cart",
            "check the motor's wires, the bridge's enable and supply, and that the cart runs freely",
        )
    if leg.moved * side > 0:
        return fine(f"asked to the {side_name(side)}, the cart went there ({leg.moved:+d} counts)")
    if bench.is_fine("cart-encoder"):
        return wrong(
            "motor-leads-swapped",
            f"asked to the {side_name(side)}, the cart went the other way ({leg.moved:+d} counts)",
            "exchange the motor's two leads, or set firmware.is_motor_reversed in the cart file (reverse it where it "
            "is set)",
        )
    return wrong(
        "motor-or-encoder-swapped",
        f"asked to the {side_name(side)}, the cart's encoder counted the other way ({leg.moved:+d} counts)",
        "check the cart's encoder by hand first (without --no-hand); then exchange the motor's leads",
    )


def check_track(bench: Bench) -> Finding:
    """Whether the track between the switches is as long as in the cart file, twice, and the counts come back."""
    stand_clear(bench)
    speed_m_s = min(CREEP_M_S, bench.settings.homing_speed_m_s)
    prepare(bench, speed_m_s)
    per_m = bench.encoders.cart_counts_per_m
    file_m = 2.0 * bench.settings.switch_m
    if bench.is_closed(bench.state(), Input.LEFT):  # where it closes is only seen from outside
        creep(bench, 1, _AWAY_M, speed_m_s, lambda _: False)
    legs: list[Leg] = []
    for side in (-1, 1, 0, 1, -1, 1):
        if side == 0:
            _hurry(bench, file_m)
            prepare(bench, speed_m_s)
            continue
        most_m = (_TRACK_MOST if bench.stepper is None else STEPS_MOST) * file_m
        leg = creep(bench, side, most_m, speed_m_s, reaches(bench, contact_at(side)))
        if leg.fault is not None or not bench.is_closed(leg.states[-1], contact_at(side)):
            return _no_switch(bench, leg, contact_at(side))
        if bench.is_closed(leg.states[-1], contact_at(-side)):
            return wrong(
                "switch-stuck",
                f"the cart is at the {side_name(side)} switch, and the {side_name(-side)} one still reads as reached",
                "its lever is bent or its wire cut: its normally closed contact goes to ground",
            )
        legs.append(leg)
    ends_m = [_changed_at(bench, leg, contact_at(leg.side)) / per_m for leg in legs]
    left_m, right_m = ends_m[0::3], (ends_m[1], ends_m[2], ends_m[4])
    delay_m = speed_m_s * _DEBOUNCE_S
    lengths_m = [abs(ends_m[k + 1] - ends_m[k]) - 2.0 * delay_m for k in (0, 2, 3)]
    length_m = sum(lengths_m) / len(lengths_m)
    astray_m = max(max(ends) - min(ends) for ends in (left_m, right_m))
    same_m = _SAME_M + speed_m_s * (_BOUNCE_S + PERIOD_MS / 1000.0)
    if bench.stepper is not None:
        rests_m = [leg.rest[-1].cart_counts / per_m for leg in legs]  # where a closed switch has stopped it
        astray_m = max(max(ends) - min(ends) for ends in (rests_m[0::3], (rests_m[1], rests_m[2], rests_m[4])))
        same_m = steps_lost_m(bench.stepper, per_m)
    play_m = _play_m(bench, legs, ends_m) - 2.0 * delay_m
    text = (
        f"{', '.join(f'{1000.0 * each:.1f}' for each in lengths_m)} mm by the counts, {1000.0 * file_m:.1f} mm in the "
        f"cart file; back at a switch it counts {1000.0 * astray_m:.1f} mm differently"
    )
    if astray_m > same_m:
        return wrong(
            "belt-slips",
            text,
            "the motor turns and the cart does not follow: tighten the belt, and the pulley's set screw on its flat"
            + ("" if bench.stepper is None else "; or the motor loses steps: free the carriage, and set its current"),
        )
    if play_m > _PLAY_M:
        return wrong(
            "set-screw-loose",
            f"{text}; when it turns back the motor moves {1000.0 * play_m:.1f} mm before the cart does",
            "tighten the pulley's set screw on the flat of the motor's shaft, then the belt",
        )
    counts_per_m = length_m * per_m / file_m
    key = "encoders.cart_counts_per_m" if bench.stepper is None else "stepper.steps_per_m"
    measured = {key: counts_per_m}
    off = length_m / file_m - 1.0
    times = next((each for each in _MICROSTEPS if abs(length_m / file_m / each - 1.0) <= _MICROSTEPS_TOLERANCE), None)
    if bench.stepper is not None and times is not None:
        return wrong(
            "microsteps",
            f"{text}: {times:g} times as many steps as in the file",
            f"set the driver's switches to the file's stepper.microsteps, or correct it and set stepper.steps_per_m = "
            f"{counts_per_m:.1f}",
        )
    if abs(off) > _TRACK_TOLERANCE:
        return wrong(
            "counts-per-metre",
            f"{text}: {100.0 * off:+.1f} %",
            "measure the distance between the two places where the switches close with a tape: if the cart file's "
            f"firmware.switch_m is half of it, set {key} = {counts_per_m:.1f}",
            measured,
        )
    if bench.stepper is not None:  # teeth and microsteps make an exact number, and a tape's is no better than this
        return fine(f"{text} ({100.0 * off:+.2f} %; up to {100.0 * _TRACK_TOLERANCE:g} % is no other number of steps)")
    return fine(f"{text} ({100.0 * off:+.2f} %)", measured)


def _hurry(bench: Bench, track_m: float) -> None:
    """From the right end back and forth at a speed at which a loose belt slips; ends away from the switches."""
    speed_m_s = min(_HURRY_M_S, _HURRY_SHARE * track_m)
    prepare(bench, speed_m_s)
    for side, share in ((-1, 0.4), (1, 0.3), (-1, 0.3), (1, 0.3)):
        creep(bench, side, share * track_m, speed_m_s, reaches(bench, contact_at(side)))


def steps_lost_m(limits: StepperMessage, per_m: float) -> float:
    """How far off a switch may stop the cart while no step was lost: as homing has it, and what the host is late."""
    return limits.round_trip_steps / per_m + _LATE_M


def contact_at(side: int) -> Input:
    """The switch on that side, -1 for the left one."""
    return Input.LEFT if side < 0 else Input.RIGHT


def side_name(side: int) -> str:
    """The side's name."""
    return "left" if side < 0 else "right"


def _changed_at(bench: Bench, leg: Leg, contact: Input) -> float:
    """The counts at which the contact changed first in that leg, between two STATEs."""
    states = leg.states
    was = bench.is_closed(states[0], contact)
    for before, after in pairwise(states):
        if bench.is_closed(after, contact) != was:
            return (before.cart_counts + after.cart_counts) / 2.0
    return float(states[0].cart_counts)


def _play_m(bench: Bench, legs: list[Leg], ends_m: list[float]) -> float:
    """How much farther back a switch opens than it closed, by the motor's counts: the least of all turns."""
    found = []
    for k, after in ((0, legs[1]), (2, legs[3]), (3, legs[4])):
        opened_m = _changed_at(bench, after, contact_at(legs[k].side)) / bench.encoders.cart_counts_per_m
        found.append((opened_m - ends_m[k]) * after.side)
    return min(found)


def _no_switch(bench: Bench, leg: Leg, contact: Input) -> Finding:
    side = side_name(leg.side)
    other = contact_at(-leg.side)
    if leg.fault not in (None, "CART_STUCK"):
        return failed(leg)
    if bench.is_closed(leg.states[-1], other):
        return wrong(
            "switches-swapped",
            f"the cart crept to the {side}, and the other switch closed",
            "exchange the wires at D3 and D4",
        )
    if leg.fault == "CART_STUCK":
        return wrong(
            "switch-never-closes",
            f"the cart was stopped on its way to the {side}, and the {side} switch had not closed",
            f"free the track, or let the carriage reach the {side} switch; press it by hand (step switches)",
        )
    return wrong(
        "switch-never-closes",
        f"no {side} switch came within {abs(leg.moved)} counts",
        "press it by hand (step switches), and check the counts per metre",
    )


def failed(leg: Leg) -> Finding:
    """A creep that the firmware ended."""
    fault = leg.fault or "no fault"
    return wrong(f"fault-{fault.lower().replace('_', '-')}", fault, FAULTS.get(fault, "clear it, and check again"))


def stand_clear(bench: Bench) -> None:
    """Keep hands off: the cart moves, from the middle where nothing has brought it to a place with room."""
    if bench.operator is None:
        bench.say("the cart moves ...")
    else:
        if not bench.results.keys() & {"switches", "motor", "track"}:
            for _ in bench.during(Deed.CENTRE_CART, "push the cart to the middle of its track; Enter"):
                pass
        if bench.is_warned:
            bench.ask(Deed.STAND_CLEAR, "the cart moves: keep clear of cart and pole ...")
        else:
            text = "the cart is going to move: keep clear of cart and pole, a hand on the e-stop; Enter"
            for _ in bench.during(Deed.STAND_CLEAR, text):
                pass
            bench.is_warned = True
    bench.link.mode("CLEAR")


def check_homing(bench: Bench) -> Finding:
    """Whether the cart homes as it does before it is driven."""
    if bench.operator is not None:
        for _ in bench.during(Deed.HANG, "homing: let the pole hang still, and keep clear of the cart; Enter"):
            pass
        bench.ask(Deed.STAND_CLEAR, "homing ...")
    else:
        bench.say("homing ...")
    link = bench.link
    bench.configure()
    link.mode("CLEAR")
    link.mode("HOME")
    states = link.protocol.enums["cart_state"]
    deadline_s = link.clock() + HOMING_S
    state = bench.state()
    while state.state == states["HOMING"] and link.clock() < deadline_s:
        state = bench.state()
    if state.state == states["READY"]:
        return fine("both zeros are known")
    fault = link.protocol.enums["fault"](state.fault).name
    if fault == "NONE":
        return wrong("homing-endless", "it did not end", "let the pole hang still, and let it swing freely")
    return wrong(f"fault-{fault.lower().replace('_', '-')}", fault, FAULTS.get(fault, "clear it, and check again"))
