"""Stage `balance`: the policy balances the cart for a minute; if it does not, the regulator shows whether one can."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.stages.swing_up import failed_swing_up, swinging, upright
from cartpole_robot.bring_up.stages.train import MINUTE_S
from cartpole_robot.bring_up.work import Work
from cartpole_robot.errors import RigError
from cartpole_robot.policy.backend import LQR
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.recording.metadata import Outcome, RolloutEnd
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.rollout.loop import Rollout, StepLog, disarmed, rollout_metadata, run_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.start import swing_up_of_episode
from cartpole_robot.terminal.interrupts import stopped_by_signals
from cartpole_robot.terminal.progress import progress_bar

POLICY_ATTEMPTS = 2


def balance(work: Work) -> StageResult:
    """The policy balanced for a minute. Raises `StageFailedError` where it did not, whatever the regulator does."""
    rig = swinging(work)
    policy = work.folder.path / work.figures(StageName.TRAIN)["policy"]
    work.folder.clear(StageName.BALANCE)
    before_s = work.line.meter.armed_s
    falls: list[str] = []
    for attempt in range(POLICY_ATTEMPTS):
        out = work.path(StageName.BALANCE)
        out.unlink(missing_ok=True)
        done = _minute(work, rig, policy, out, attempt)
        if done.end is RolloutEnd.DURATION:
            return _balanced(work, rig, done, falls, work.line.meter.armed_s - before_s - MINUTE_S)
        falls.append(_fall(done, rig))
        work.say(f"the policy did not balance: {falls[-1]}")
    regulator = _minute(work, rig, Path(LQR), work.path(StageName.BALANCE, 1), POLICY_ATTEMPTS)
    is_regulated = regulator.end is RolloutEnd.DURATION
    fallback = (
        "the regulator of the identified cart balanced the whole minute"
        if is_regulated
        else f"the regulator of the identified cart did not either: {_fall(regulator, rig)}"
    )
    remedy = (
        "use lqr with the cart file meanwhile, and train longer, or go on learning on the cart (train --init)"
        if is_regulated
        else "excite again in a new folder: the identified cart is not the one on the line"
    )
    if not is_regulated and all("MOTOR_HOT" in fall for fall in falls):
        remedy = "use a stronger motor, or make the cart run more freely; then begin in a new folder"
    raise StageFailedError(
        f"the policy did not balance a minute in {POLICY_ATTEMPTS} attempts: {'; '.join(falls)}; {fallback}",
        remedy,
        {"falls": falls, "regulator_balanced": is_regulated},
    )


def _minute(work: Work, rig: SwingStart, policy: Path, out: Path, attempt: int) -> Rollout:
    """One recorded minute after a swing-up; motor off. Raises `StageFailedError` for a swing-up that fails."""
    cart = work.identified_cart
    chosen = choose_controller(policy, cart, "c")
    steps = round(MINUTE_S / cart.timing.control_period_s)
    known = rollout_metadata(chosen, rig=work.line.name, seed=work.seed, duration_s=MINUTE_S)
    with progress_bar(steps, "balancing", " steps", quiet=True) as bar:
        recorder = Recorder(out, dataclasses.replace(known, cart=rig.episode_cart))
        try:  # all is ready before the cart is armed, which waits for no file
            log = StepLog(recorder=recorder, on_step=lambda _: bar.update())
            with stopped_by_signals(), work.line.on_time():
                first = upright(work, rig, attempt)
                done = run_rollout(rig, SinglePilot(chosen.controller), first, max_steps=steps, log=log)
                done = disarmed(rig, done)
        except RigError as error:
            recorder.discard()
            raise failed_swing_up(str(error)) from None
        except BaseException:
            recorder.discard()
            raise
        recorder.close(Outcome(end=done.end, steps=done.steps, reason=done.reason, swing_up=swing_up_of_episode(rig)))
    if done.end is RolloutEnd.STOPPED:
        raise KeyboardInterrupt
    if done.end is RolloutEnd.DISK:
        raise StageFailedError(f"the recording ended: {done.reason}", "free space, and run the same command again")
    return done


def _balanced(work: Work, rig: SwingStart, done: Rollout, falls: list[str], before_s: float) -> StageResult:
    newest = rig.newest
    seconds = done.steps * rig.cart.timing.control_period_s
    again = f", in attempt {len(falls) + 1}" if falls else ""
    swung = "" if newest is None else f" after a swing-up of {newest.swing_up_s:.1f} s"
    return StageResult(
        name=StageName.BALANCE,
        line=f"the policy balanced {seconds:.0f} s{swung}{again}",
        figures={"balanced_s": seconds, "attempts": len(falls) + 1, "armed_before_s": before_s},
        notes=tuple(f"attempt {number}: {fall}" for number, fall in enumerate(falls, 1)),
    )


def _fall(done: Rollout, rig: SwingStart) -> str:
    seconds = done.steps * rig.cart.timing.control_period_s
    return (
        f"after {seconds:.1f} s: {'the pole fell or the cart left its limits' if done.reason is None else done.reason}"
    )
