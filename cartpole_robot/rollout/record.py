"""One rollout recorded into a file: what `cartpole-robot record` does."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, RunError, UsageError
from cartpole_robot.policy.controllers import Chosen, choose_controller
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.metadata import ControllerRecord, Outcome, RolloutEnd
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.recording.writer import check_is_free
from cartpole_robot.rig import Rig, Start
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.excitation import Excitation
from cartpole_robot.rollout.loop import Rollout, StepLog, disarmed, rollout_metadata, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.engine import Engine, reference_engine, reference_note
from cartpole_robot.start import check_start_of, starting, swing_up_of_episode
from cartpole_robot.terminal.interrupts import stopped_by_signals
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar

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
    start: Start = Start.BY_HAND
    excites: bool = False  # the regulator follows moving targets and is shaken
    swing_s: float = 0.0  # the end of the duration, in which the motor is off and the pole falls and swings


def record_rollout(request: RolloutRequest) -> Recording:
    """The finished recording of one episode, which a fall may end early.

    Raises `UsageError` for options that do not fit, and `RunError`, after the file is finished, if the rig failed, the
    disk filled up or the user stopped it; the message says how much was recorded, and where.
    """
    check_is_free(request.out)  # before a cart homes for half a minute
    with Rollouts(request) as rollouts:
        return rollouts.record(request.out, request.seed)


class RolloutStoppedError(RunError):
    """The user stopped it."""


class Rollouts:
    """Rollouts of one controller on one open rig; a context manager that closes it."""

    def __init__(self, request: RolloutRequest) -> None:
        """Open the rig. Raises `UsageError` for options that do not fit, and `RigError`."""
        self._request = request
        self._chosen = chosen = choose_controller(request.policy, request.cart, request.backend)
        self._controller = chosen.controller
        check_start_of(chosen, request.start)
        if request.excites:
            if not isinstance(self._controller, LqrController):
                raise UsageError("only the regulator (lqr) can be excited: a policy follows no target position")
            tip_s = request.duration_s - request.swing_s if request.swing_s > 0.0 else math.inf
            self._controller = Excitation(self._controller, chosen.cart, request.seed, tip_s)
        self.steps = max(1, round(request.duration_s / chosen.cart.timing.control_period_s))
        self._ranges = _randomization(request, chosen)
        if request.rig == "sim" and request.engine is None and (note := reference_note()) is not None:
            say(note)
        self._rig = open_rig(request.rig, chosen.cart, self._ranges, engine=request.engine)
        self.rig = _starting(self._rig, request.start, chosen.swing_up)

    @property
    def cart(self) -> CartParams:
        """The cart as configured."""
        return self._chosen.cart

    @property
    def policy_hash(self) -> str | None:
        """The hash of a bundle's policy."""
        return ControllerRecord(**self._chosen.record).policy_hash

    def record(self, out: Path, seed: int) -> Recording:
        """The finished recording of the episode with that seed. Raises as `record_rollout`."""
        request, rig, ranges = self._request, self._rig, self._ranges
        swinging = rig if isinstance(rig, IdleMeasuringRig) and request.swing_s > 0.0 else None
        max_steps = self.steps
        if swinging is not None:
            max_steps = max(1, max_steps - round((request.swing_s - _TIP_S) / self.cart.timing.control_period_s))
        bar = progress_bar(self.steps, "recording", " steps", quiet=True)
        try:
            # Before it is armed: asking git takes longer than an armed cart waits.
            known = dataclasses.replace(
                rollout_metadata(self._chosen, rig=request.rig, seed=seed, duration_s=request.duration_s),
                engine=(request.engine or reference_engine()) if request.rig == "sim" else None,
                is_excited=request.excites,
                randomization=None if ranges is None else ranges.as_dict(),
            )
            with stopped_by_signals():
                first = start_rollout(self.rig, seed, self._chosen.task)
            with Recorder(out, dataclasses.replace(known, cart=rig.episode_cart)) as recorder:
                with stopped_by_signals():
                    log = StepLog(recorder=recorder, on_step=lambda _: bar.update())
                    driven = run_rollout(
                        self.rig,
                        SinglePilot(self._controller),
                        first,
                        max_steps=max_steps,
                        log=log,
                        task=self._chosen.task,
                    )
                    rollout = disarmed(rig, driven)
                    if rollout is driven and swinging is not None:
                        rollout = _record_swing(swinging, recorder, driven, self.steps - driven.steps, bar.update)
                outcome = Outcome(
                    end=rollout.end,
                    steps=rollout.steps,
                    reason=rollout.reason,
                    swing_up=swing_up_of_episode(self.rig),
                )
                file = recorder.close(outcome)
        finally:
            bar.close()
        return _checked(read_recording(file), recorder, rollout)

    def close(self) -> None:
        """Close the rig."""
        self._rig.close()

    def __enter__(self) -> Rollouts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked(recording: Recording, recorder: Recorder, rollout: Rollout) -> Recording:
    """`recording`. Raises `RunError` unless the rollout came to its end and each row to the disk."""
    if recorder.failure is not None or rollout.end not in (RolloutEnd.DURATION, RolloutEnd.FALL):
        reason = recorder.failure or rollout.reason
        how = "was stopped" if reason is None else f"ended early: {reason}"
        kind = RolloutStoppedError if rollout.end is RolloutEnd.STOPPED else RunError
        raise kind(f"the rollout {how}; {len(recording.rows)} rows of it are in {recording.path}")
    if recorder.rows_lost:
        raise RunError(
            f"{recording.path}: the disk was too slow, {recorder.rows_lost} rows of {rollout.steps} are missing"
        )
    return recording


def _starting(rig: Rig, start: Start, design: SwingUpDesign | None) -> Rig:
    try:
        return starting(rig, start, design)
    except UsageError:
        rig.close()
        raise


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
