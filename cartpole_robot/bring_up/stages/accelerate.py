"""Stage `acceleration`: the largest acceleration at which a stepper's cart loses no step."""

from __future__ import annotations

from cartpole_robot.bring_up.acceleration import MARGIN, Trial, stepper_of, tried_accelerations
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.terminal.interrupts import stopped_by_signals


def accelerate(work: Work) -> StageResult:
    """The cart's largest acceleration from now on. Raises `StageFailedError` where every trial loses steps.

    It is the file's if no trial up to it lost a step, otherwise less than the largest that lost none.
    """
    rig = work.line.rig(work.cautious_cart)
    rig.takes_any_pole_period = True
    file_m_s2 = stepper_of(work.cart).maximum_acceleration_m_s2

    def say(trial: Trial) -> None:
        if trial.is_lost:
            work.say(trial.text)

    try:
        with stopped_by_signals(), work.line.on_time():
            found = tried_accelerations(rig, say)
    except RigError as error:
        raise StageFailedError(
            f"a trial ended: {error}", "put it right, and run the same command again", {"fault": kind_of(str(error))}
        ) from None
    figures = {
        "largest_m_s2": found.largest_m_s2,
        "fastest_m_s": found.fastest_m_s,
        "maximum_acceleration_m_s2": file_m_s2 if found.lost is None else min(file_m_s2, found.usable_m_s2),
        "trials": len(found.trials),
    }
    text = f"no step lost at up to {found.largest_m_s2:.3g} m/s² and {found.fastest_m_s:.2f} m/s"
    if found.lost is None:
        return StageResult(name=StageName.ACCELERATION, line=f"{text}, the cart file's largest", figures=figures)
    if not found.largest_m_s2:
        raise StageFailedError(
            f"the motor loses steps: {found.lost.text}, the smallest acceleration that was tried",
            "set the driver's switches to the motor's current, check its supply, and free carriage and belt",
            figures,
        )
    return StageResult(
        name=StageName.ACCELERATION,
        line=f"{text}; stepper.maximum_acceleration_m_s2 is {figures['maximum_acceleration_m_s2']:g} from now on",
        figures=figures,
        notes=(
            f"{found.lost.text}: the largest acceleration without a lost step, less {100.0 * (1.0 - MARGIN):.0f} %, "
            f"replaces the file's {file_m_s2:g} m/s²",
        ),
    )
