"""Stage `excite`: drives the cart with its pole hanging, and records it."""

from __future__ import annotations

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.errors import RigError, RunError
from cartpole_robot.rollout.hanging import MOTION_S, SWING_S, HangingRequest, excite_hanging
from cartpole_robot.rollout.hanging_excitation import TRAVEL_SHARE
from cartpole_robot.terminal.progress import progress_bar

_TRIES = ((TRAVEL_SHARE, 0.6), (0.45, 0.35), (0.35, 0.2))  # of the cautious limit; speed gained by one push, m/s


def excite(work: Work) -> StageResult:
    """The motion is recorded. Raises `StageFailedError`; a motion that went too far is tried again, gentler."""
    rig = work.line.rig(work.cautious_cart)
    notes: list[str] = []
    steps = round((MOTION_S + SWING_S) / rig.cart.timing.control_period_s)
    for share, gain_m_s in _TRIES:
        work.folder.clear(StageName.EXCITE)
        request = HangingRequest(
            out=work.path(StageName.EXCITE),
            rig=work.line.name,
            seed=work.seed,
            travel_share=share,
            most_gain_m_s=gain_m_s,
        )
        with progress_bar(steps, "exciting", " steps", quiet=True) as bar:
            try:
                found = excite_hanging(rig, request, on_step=bar.update)
                break
            except (RunError, RigError) as error:
                if (share, gain_m_s) == _TRIES[-1] or not _goes_too_far(str(error)):
                    raise StageFailedError(str(error), "put it right, and run the same command again") from None
                notes.append(f"within {share:g} of the limits it went too far ({error}); tried again in less")
                work.say(notes[-1])
    return StageResult(
        name=StageName.EXCITE,
        line=f"{found.driven_s:.0f} s driven and {found.swing_s:.0f} s of free swing, "
        f"duty up to {found.largest_duty:.2f}, {1000.0 * found.farthest_m:.0f} mm from the middle at most, "
        f"pole up to {found.largest_swing_rad:.1f} rad",
        figures={"travel_share": share, **found.as_dict()},
        notes=tuple(notes),
    )


def _goes_too_far(reason: str) -> bool:
    return "TRAVEL_LIMIT" in reason or "past its limit" in reason or "END_SWITCH" in reason
