"""Stage `home`: finds the cart's zeros, the duty that moves it, the period of its pole, and the line's latency."""

from __future__ import annotations

import statistics
from typing import Any

from cartpole_robot.bring_up.cautious import LENGTH, cautious_cart, weakest_brake, with_homing
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.stages.homing_watch import KICK_TIMES, HomingWatch, PushTooWeakError
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings, pole_half_length_m, pole_half_period_s
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.terminal.interrupts import stopped_by_signals
from firmware_bridge.constants import HOMING_DUTY_MOST
from firmware_bridge.errors import BridgeError
from firmware_bridge.messages import StateMessage

_TOO_WEAK = ("CART_STUCK", "POLE_PERIOD", "POLE_STUCK", "PUSH_TOO_WEAK")  # what a stronger push may cure
_MORE = 1.4  # duty, from one attempt to the next
_MOVING_SHARE = 0.9  # of the homing duty, that may for a moment move nothing
_SPARE = 0.01
_LATE_SHARE = 0.5
_PINGS = 24
_TRACK_OFF = 0.03
_STEPS = ("steps", "stepper.steps_per_m, with the driver's switches for stepper.microsteps")
_PERIOD_OFF = 0.25  # more than the range of lengths: what is measured may be wrong by that
_REMEDIES = {
    "CART_STUCK": "check the motor's supply, wires and enable pin, and that the cart runs freely",
    "POLE_PERIOD": "check that the pole hangs and swings freely, and that nobody touches it",
    "POLE_STUCK": "check that the pole hangs and swings freely, and its encoder",
}


def home(work: Work) -> StageResult:
    """The cart is homed. Raises `StageFailedError`."""
    _, settings = encoders_and_settings(work.cart)
    homing_duty, moving_duty = settings.homing_duty, settings.moving_duty
    latency_s = latency_of(work.line.rig(work.cart))
    notes: list[str] = []
    while True:
        cart = with_homing(work.cart, homing_duty=homing_duty, moving_duty=moving_duty, latency_s=latency_s)
        rig = work.line.rig(cautious_cart(cart, weakest_brake(work.cart)))
        watch = HomingWatch(rig.cart, is_last=homing_duty >= HOMING_DUTY_MOST)
        try:
            watched_homing(work, rig, watch)
            break
        except RigError as error:
            kind = kind_of(str(error))
            if kind not in _TOO_WEAK or homing_duty >= HOMING_DUTY_MOST:
                raise _failed(str(error), kind, homing_duty, watch.creeping_duty) from None
            wanted = _MORE * homing_duty
            if isinstance(error, PushTooWeakError):
                wanted = error.duty * KICK_TIMES + _SPARE
            elif kind == "POLE_STUCK":  # a blocked pole is no matter of a little more
                wanted = HOMING_DUTY_MOST
            homing_duty = round(min(HOMING_DUTY_MOST, wanted), 3)
            raised = f"homing_duty raised to {homing_duty:g}"
            if kind == "CART_STUCK":
                moving_duty = round(max(moving_duty, _MOVING_SHARE * homing_duty), 3)
                raised += f" and moving_duty to {moving_duty:g}"
            notes.append(f"{_fault_text(kind)}: {raised}")
            work.say(notes[-1])
    figures = {"homing_duty": homing_duty, "moving_duty": moving_duty, "latency_s": latency_s}
    period_s = work.cart.timing.control_period_s
    if latency_s > _LATE_SHARE * period_s:
        notes.append(
            f"the line takes {1000.0 * latency_s:.0f} ms, the control period is {1000.0 * period_s:.0f} ms: a USB chip "
            "with a latency timer of 1 ms (check-rig, step latency) would make the cart easier to balance"
        )
    return homed_result(work, rig, watch, notes, figures)


def watched_homing(work: Work, rig: FirmwareRig, watch: HomingWatch) -> None:
    """Home, while `watch` looks. Raises `RigError`, motor off."""
    rig.takes_any_pole_period = True

    def look(state: StateMessage) -> None:
        work.line.meter.look(state)
        watch.look(state)

    rig.on_state = look
    try:
        with stopped_by_signals():
            rig.make_ready_to_swing()
    except PushTooWeakError:
        rig.on_state = work.line.meter.look
        rig.disarm()
        raise
    finally:
        rig.on_state = work.line.meter.look


def _fault_text(kind: str) -> str:
    """A fault in the words of a note."""
    return "creeping takes most of the homing duty" if kind == "PUSH_TOO_WEAK" else kind


def homed_result(
    work: Work, rig: FirmwareRig, watch: HomingWatch, notes: list[str], figures: dict[str, Any]
) -> StageResult:
    """What the homed cart has shown. Raises `StageFailedError` for a track or a pole that is not the file's."""
    encoders, settings = encoders_and_settings(work.cart)
    half_period_s, file_s = rig.pole_half_period_s() or 0.0, pole_half_period_s(work.cart)
    track_m = watch.track_counts / encoders.cart_counts_per_m
    file_track_m = 2.0 * settings.switch_m
    counted, key = ("encoder", "encoders.cart_counts_per_m") if work.cart.stepper is None else _STEPS
    if track_m and abs(track_m / file_track_m - 1.0) > _TRACK_OFF:
        raise StageFailedError(
            f"the track is {1000.0 * track_m:.0f} mm long by the cart's {counted}, and {1000.0 * file_track_m:.0f} mm "
            "in the cart file",
            f"measure it with a tape: correct firmware.switch_m, or {key}",
            {"track_m": track_m},
        )
    scale = pole_half_length_m(work.cart, half_period_s) / work.cart.pole_cart.pole_half_length_m
    if not (1.0 - _PERIOD_OFF) * LENGTH[0] <= scale <= (1.0 + _PERIOD_OFF) * LENGTH[1]:
        raise StageFailedError(
            f"the pole swings in {2.0 * half_period_s:.2f} s, by the cart file in {2.0 * file_s:.2f} s: a length "
            f"{scale:.2f} times the file's",
            f"correct pole_cart.pole_half_length_m; bring-up takes a cart of {LENGTH[0]:g} to {LENGTH[1]:g} times the "
            "length in its file",
            {"half_period_s": half_period_s},
        )
    lengths = f"track {1000.0 * track_m:.0f} mm, " if track_m else ""
    return StageResult(
        name=StageName.HOME,
        line=f"{lengths}pole swings in {2.0 * half_period_s:.2f} s (file: {2.0 * file_s:.2f} s), "
        f"latency {1000.0 * figures['latency_s']:.1f} ms"
        + (f", homing duty {figures['homing_duty']:g}" if work.cart.stepper is None else ""),
        figures={**figures, "half_period_s": half_period_s, "track_m": track_m},
        notes=tuple(notes),
    )


def _failed(reason: str, kind: str, homing_duty: float, creeping_duty: float | None) -> StageFailedError:
    figures = {"fault": kind, "homing_duty": homing_duty, "creeping_duty": creeping_duty}
    if kind not in _TOO_WEAK or homing_duty < HOMING_DUTY_MOST:
        return StageFailedError(f"homing ended: {reason}", _REMEDIES.get(kind, ""), figures)
    most = f"homing_duty {homing_duty:g}, the most that the firmware allows"
    if creeping_duty is not None and KICK_TIMES * creeping_duty > HOMING_DUTY_MOST:
        return StageFailedError(
            f"the motor is too weak to home: to creep takes duty {creeping_duty:.2f} of {most}, and what is left does "
            f"not swing the pole enough to time it ({kind})",
            "use a stronger motor or a higher supply voltage, or lower the friction of belt and rail",
            figures,
        )
    return StageFailedError(f"homing ended with {most}: {reason}", _REMEDIES[kind], figures)


def latency_of(rig: FirmwareRig) -> float:
    """The median round trip of the line. Raises `RigError`."""
    try:
        return statistics.median(rig.link.ping() for _ in range(_PINGS))
    except BridgeError as error:
        raise RigError(str(error)) from None
