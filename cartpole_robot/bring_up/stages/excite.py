"""Stage `excite`: drives the cart with its pole hanging, and records it."""

from __future__ import annotations

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.errors import RunError
from cartpole_robot.rollout.hanging import MOTION_S, SWING_S, HangingExcited, HangingRequest, excite_hanging
from cartpole_robot.rollout.hanging_excitation import TRAVEL_SHARE
from cartpole_robot.rollout.record import RolloutStoppedError
from cartpole_robot.terminal.progress import progress_bar

_TRIES = ((TRAVEL_SHARE, 0.6), (0.45, 0.35), (0.35, 0.2))  # of the cautious limit; speed gained by one push, m/s

_RETRIED_ON = ("TRAVEL_LIMIT", "past its limit", "END_SWITCH", "COMMAND_TIMEOUT")
_MOST_TRIES = 4


def excite(work: Work) -> StageResult:
    """The motion is recorded. Raises `StageFailedError`; a motion that went too far is tried again, gentler."""
    notes: list[str] = []
    tries = list(_TRIES)
    while True:
        share, gain_m_s = tries[0]
        try:
            found = _excited(work, share, gain_m_s)
            break
        except RolloutStoppedError:
            raise KeyboardInterrupt from None
        except RunError as error:
            reason = str(error)
            if "COMMAND_TIMEOUT" not in reason:
                tries.pop(0)
            if not tries or len(notes) == _MOST_TRIES - 1 or not any(name in reason for name in _RETRIED_ON):
                raise StageFailedError(reason, "put it right, and run the same command again") from None
            how = "in the same way" if tries[0] == (share, gain_m_s) else "gentler, in less of the track"
            notes.append(f"{reason}; tried again {how}")
            work.say(notes[-1])
    return StageResult(
        name=StageName.EXCITE,
        line=f"{found.driven_s:.0f} s driven and {found.swing_s:.0f} s of free swing, "
        f"duty up to {found.largest_duty:.2f}, {1000.0 * found.farthest_m:.0f} mm from the middle at most, "
        f"pole up to {found.largest_swing_rad:.1f} rad",
        figures={"travel_share": share, **found.as_dict()},
        notes=tuple(notes),
    )


def _excited(work: Work, share: float, gain_m_s: float) -> HangingExcited:
    """One attempt. Raises `RunError`."""
    rig = work.line.rig(work.cautious_cart)
    work.folder.clear(StageName.EXCITE)
    request = HangingRequest(
        out=work.path(StageName.EXCITE),
        rig=work.line.name,
        seed=work.seed,
        travel_share=share,
        most_gain_m_s=gain_m_s,
    )
    steps = round((MOTION_S + SWING_S) / rig.cart.timing.control_period_s)
    with progress_bar(steps, "exciting", " steps", quiet=True) as bar, work.line.on_time():
        return excite_hanging(rig, request, on_step=bar.update)
