"""One rollout recorded into a file: what `cartpole-robot record` does."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cartpole_robot.errors import RigError, RunError, UsageError
from cartpole_robot.policy.controllers import Chosen, choose_controller
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.metadata import Outcome, RolloutEnd
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.recording.writer import check_is_free
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.excitation import Excitation
from cartpole_robot.rollout.loop import Rollout, StepLog, disarmed, rollout_metadata, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.engine import Engine, reference_engine, reference_note
from cartpole_robot.terminal.interrupts import stopped_by_signals
from cartpole_robot.terminal.progress import progress_bar, say

if TYPE_CHECKING:
    from cartpole_robot.cart.randomization import Randomization

_TIP_S = 1.0  # at most, of the swing: until the tipped pole is past its limit


@dataclass(frozen=True, kw_only=True)
class RolloutRequest:
    """Which policy, on which rig and cart, for how long, into which file; `randomization` is a file of ranges.

    `engine` is that of `open_rig`.
    """

    policy: Path
    rig: str
    cart: str | None
    backend: str
    seed: int
    duration_s: float
    out: Path
    randomization: Path | None = None
    engine: Engine | None = None
    excites: bool = False  # the regulator follows moving targets and is shaken
    swing_s: float = 0.0  # the end of the duration, in which the motor is off and the pole falls and swings


def record_rollout(request: RolloutRequest) -> Recording:
    """The finished recording of one episode, which a fall may end early.

    Raises `UsageError` for options that do not fit, and `RunError`, after the file is finished, if the rig failed, the
    disk filled up or the user stopped it; the message says how much was recorded, and where.
    """
    check_is_free(request.out)  # before a cart homes for half a minute
    chosen = choose_controller(request.policy, request.cart, request.backend)
    controller = chosen.controller
    if request.excites:
        if not isinstance(controller, LqrController):
            raise UsageError("only the regulator (lqr) can be excited: a policy follows no target position")
        tip_s = request.duration_s - request.swing_s if request.swing_s > 0.0 else math.inf
        controller = Excitation(controller, chosen.cart, request.seed, tip_s)
    steps = max(1, round(request.duration_s / chosen.cart.timing.control_period_s))
    randomization = _randomization(request, chosen)
    if request.rig == "sim" and request.engine is None and (note := reference_note()) is not None:
        say(note)
    rig = open_rig(request.rig, chosen.cart, randomization, engine=request.engine)
    swinging = rig if isinstance(rig, IdleMeasuringRig) else None
    max_steps = steps
    if swinging is not None and request.swing_s > 0.0:
        max_steps = max(1, steps - round((request.swing_s - _TIP_S) / chosen.cart.timing.control_period_s))
    bar = progress_bar(steps, "recording", " steps", quiet=True)
    try:
        # Before it is armed: asking git takes longer than an armed cart waits.
        known = dataclasses.replace(
            rollout_metadata(chosen, rig=request.rig, seed=request.seed, duration_s=request.duration_s),
            engine=(request.engine or reference_engine()) if request.rig == "sim" else None,
            is_excited=request.excites,
            randomization=None if randomization is None else randomization.as_dict(),
        )
        with stopped_by_signals():
            first = start_rollout(rig, request.seed, chosen.task)
        with Recorder(request.out, dataclasses.replace(known, cart=rig.episode_cart)) as recorder:
            with stopped_by_signals():
                log = StepLog(recorder=recorder, on_step=lambda _: bar.update())
                driven = run_rollout(
                    rig, SinglePilot(controller), first, max_steps=max_steps, log=log, task=chosen.task
                )
                rollout = disarmed(rig, driven)
                if rollout is driven and swinging is not None and request.swing_s > 0.0:
                    rollout = _record_swing(swinging, recorder, driven, steps - driven.steps, bar.update)
            rig.close()
            file = recorder.close(Outcome(end=rollout.end, steps=rollout.steps, reason=rollout.reason))
    finally:
        bar.close()
        rig.close()
    recording = read_recording(file)
    if recorder.failure is not None or rollout.end not in (RolloutEnd.DURATION, RolloutEnd.FALL):
        reason = recorder.failure or rollout.reason
        how = "was stopped" if reason is None else f"ended early: {reason}"
        raise RunError(f"the rollout {how}; {len(recording.rows)} rows of it are in {recording.path}")
    if recorder.rows_lost:
        raise RunError(f"{file}: the disk was too slow, {recorder.rows_lost} rows of {rollout.steps} are missing")
    return recording


@runtime_checkable
class IdleMeasuringRig(Rig, Protocol):
    """A rig that continues to measure while its motor is off."""

    def watch(self) -> Measurement:
        """The next measurement. Raises `RigError`."""


def _record_swing(
    rig: IdleMeasuringRig, recorder: Recorder, driven: Rollout, rows: int, on_row: Callable[[], object]
) -> Rollout:
    """Record `rows` rows of the falling pole, however the driving ended, unless the user or a full disk stopped it.

    Returns `driven`, with the fault where the rig failed meanwhile.
    """
    if driven.end in (RolloutEnd.STOPPED, RolloutEnd.DISK):
        return driven
    try:
        for _ in range(rows):
            recorder.append(rig.watch(), time.monotonic(), math.nan, 0.0, Flag.MOTOR_OFF)
            if recorder.failure is not None:
                break
            on_row()
    except RigError as error:
        if driven.end is RolloutEnd.FAULT:
            return driven
        return dataclasses.replace(driven, end=RolloutEnd.FAULT, reason=str(error))
    except KeyboardInterrupt:
        return dataclasses.replace(driven, end=RolloutEnd.STOPPED)
    return driven


def _randomization(request: RolloutRequest, chosen: Chosen) -> Randomization | None:
    if request.randomization is None:
        return None
    from cartpole_robot.cart.randomization import load_randomization

    return load_randomization(request.randomization, chosen.cart)
