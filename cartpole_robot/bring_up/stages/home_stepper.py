"""Stage `home` of a stepper's cart: its zeros, the signs of motor and pole encoder, the pole's period, the latency."""

from __future__ import annotations

from cartpole_robot.bring_up.cautious import cautious_stepper, with_homing, with_signs
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.stages.home import homed_result, latency_of, watched_homing
from cartpole_robot.bring_up.stages.homing_watch import HomingWatch
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.swing_start import kind_of

_SIGNS = {"POLARITY": "is_motor_reversed", "POLE_SIGN": "is_pole_reversed"}
"""The key of the cart file that each of these faults of homing turns round, once."""
_SOURCE = f"measured: bring-up, at {StageName.HOME}"
_WHAT = {
    "is_motor_reversed": "the motor turns the other way",
    "is_pole_reversed": "the pole's encoder counts the other way",
}
_REMEDIES = {
    "HOMING_TRAVEL": "the motor does not move the cart, or a switch does not close: run check-rig with its steps "
    "driver, switches and motor",
    "HOMING_SWITCH": "press both switches by hand (check-rig, step switches)",
    "STEPS_LOST": "free carriage and belt, and set the driver's switches to the motor's current",
    "POLARITY": "press both switches by hand (check-rig, step switches): each must be on its own side",
    "POLE_STUCK": "check that the pole hangs and swings freely, and its encoder",
    "POLE_PERIOD": "check that the pole hangs and swings freely, and that nothing touches it",
}


def home_stepper(work: Work) -> StageResult:
    """The cart is homed, with the signs that its wires have. Raises `StageFailedError`."""
    _, settings = encoders_and_settings(work.cart)
    latency_s = latency_of(work.line.rig(work.cart))
    notes: list[str] = []
    signs: dict[str, bool] = {}
    while True:
        cart = with_signs(
            with_homing(
                work.cart,
                homing_duty=settings.homing_duty,
                moving_duty=settings.moving_duty,
                latency_s=latency_s,
            ),
            signs,
            _SOURCE,
        )
        rig = work.line.rig(cautious_stepper(cart))
        watch = HomingWatch(rig.cart, is_last=True)
        try:
            watched_homing(work, rig, watch)
            break
        except RigError as error:
            kind = kind_of(str(error))
            key = _SIGNS.get(kind)
            if key is None or key in signs:
                raise StageFailedError(
                    f"homing ended: {error}", _REMEDIES.get(kind, ""), {"fault": kind, **signs}
                ) from None
            signs[key] = not getattr(settings, key)
            notes.append(f"{kind}: {_WHAT[key]}; firmware.{key} is {str(signs[key]).lower()} from now on")
            work.say(notes[-1])
    figures = {
        "homing_duty": settings.homing_duty,
        "moving_duty": settings.moving_duty,
        "latency_s": latency_s,
        "signs": signs,
    }
    return homed_result(work, rig, watch, notes, figures)
