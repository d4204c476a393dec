"""Stage `swing-up`: the identified cart homes within its own limits, and swings its pole up once."""

from __future__ import annotations

import dataclasses

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.swing_start import SwingStart, kind_of
from cartpole_robot.signals import Measurement, State
from cartpole_robot.start import swing_start
from cartpole_robot.terminal.interrupts import stopped_by_signals
from firmware_bridge.constants import HOMING_DUTY_MOST

_ANYWHERE = State(0.0, 0.0, 0.0, 0.0)  # a swing-up chooses its own start

_NEEDS_PUSH = ("POLE_PERIOD", "POLE_STUCK", "CART_STUCK")  # of homing, that a stronger push may cure


def swinging(work: Work) -> SwingStart:
    """The rig of the identified cart, whose episodes begin with a swing-up. Raises `StageFailedError`."""
    rig = work.line.rig(work.identified_cart)
    rig.takes_any_pole_period = False
    try:
        return swing_start(rig)
    except UsageError as error:
        raise StageFailedError(str(error), "") from None


def swing_up(work: Work) -> StageResult:
    """The pole was upright and settled once; the motor is off afterwards. Raises `StageFailedError`."""
    notes: tuple[str, ...] = ()
    try:
        rig = _swung(work)
    except RigError as error:
        kind, reason = kind_of(str(error)), str(error)
        if kind not in _NEEDS_PUSH or not _push_harder(work):
            raise failed_swing_up(reason) from None
        notes = (f"{kind} at homing: homing_duty raised to {HOMING_DUTY_MOST:g}, also in the identified cart's file",)
        work.say(notes[0])
        try:
            rig = _swung(work)
        except RigError as again:
            raise failed_swing_up(str(again)) from None
    newest = rig.newest
    assert newest is not None
    return StageResult(
        name=StageName.SWING_UP,
        line=f"upright and settled after {newest.swing_up_s:.1f} s, attempt {max(1, newest.swing_ups)}, "
        f"{1000.0 * newest.swing_up_farthest_m:.0f} mm from the middle at most",
        figures={
            "swing_up_s": newest.swing_up_s,
            "attempts": newest.swing_ups,
            "farthest_m": newest.swing_up_farthest_m,
        },
        notes=(*notes, *newest.swing_up_failures),
    )


def _swung(work: Work) -> SwingStart:
    """The rig after one swing-up, motor off. Raises `RigError`."""
    rig = swinging(work)
    with stopped_by_signals(), work.line.on_time():
        upright(work, rig)
        rig.disarm()
    return rig


def upright(work: Work, rig: SwingStart, attempt: int = 0) -> Measurement:
    """The first measurement after a swing-up, armed and in step. Raises `RigError`."""
    return rig.reset(_ANYWHERE, work.rng(attempt))


def _push_harder(work: Work) -> bool:
    """Give the identified cart the most homing duty that the firmware allows; False where it has that already."""
    cart = work.identified_cart
    _, firmware = encoders_and_settings(cart)
    if firmware.homing_duty >= HOMING_DUTY_MOST:
        return False
    sources = {**cart.sources, "firmware.homing_duty": "measured: bring-up, with less the pole did not swing enough"}
    harder = dataclasses.replace(firmware, homing_duty=HOMING_DUTY_MOST)
    work.path(StageName.IDENTIFY).unlink()
    work.folder.write_cart(StageName.IDENTIFY, dataclasses.replace(cart, firmware=harder, sources=sources))
    return True


def failed_swing_up(reason: str) -> StageFailedError:
    """The error for a swing-up that ended with `reason`, which says what to do where it can."""
    return StageFailedError(
        f"the pole was not swung up: {reason}",
        "put it right, and run the same command again; where the cart has changed since it was excited, begin in a new "
        "folder",
        {"fault": kind_of(reason)},
    )
