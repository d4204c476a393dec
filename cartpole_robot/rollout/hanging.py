"""A recording of a cart that moves with its pole hanging, from which `identify` learns its parameters."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from cartpole_robot.cart.firmware_figures import pole_half_length_m, pole_half_period_s
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, RunError, UsageError
from cartpole_robot.files import provenance
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.metadata import ControllerRecord, Outcome, RecordingMetadata, RolloutEnd
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.recording.writer import check_is_free
from cartpole_robot.rig import Rig, SwingRig
from cartpole_robot.rollout.hanging_excitation import MOST_GAIN_M_S, TRAVEL_SHARE, HangingExcitation
from cartpole_robot.rollout.loop import Rollout, StepLog, disarmed, run_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.rollout.record import RolloutStoppedError
from cartpole_robot.rollout.stepper_excitation import StepperExcitation
from cartpole_robot.signals import Measurement
from cartpole_robot.task import Task
from cartpole_robot.terminal.interrupts import stopped_by_signals

HANGING = "hanging"
"""The controller's name in recordings."""
MOTION_S, SWING_S = 12.0, 4.0
_PIECE_SHARE = 0.8  # of `firmware.swing_timeout_s`, after which a piece of the motion ends and the cart is armed again
_SAME_PERIOD = 0.02


@runtime_checkable
class AnyPeriodRig(Protocol):
    """A rig whose homing accepts any period of the pole, and measures it."""

    takes_any_pole_period: bool

    def pole_half_period_s(self) -> float | None:
        """Half of the pole's period as homing measured it, None before. Raises `RigError`."""


@runtime_checkable
class IdleMeasuringRig(Protocol):
    """A rig that continues to measure while its motor is off."""

    def watch(self) -> Measurement:
        """The next measurement. Raises `RigError`."""


@dataclass(frozen=True, kw_only=True)
class HangingRequest:
    """How to excite a cart whose pole hangs: `motion_s` of driving, then `swing_s` in which the motor is off.

    On a rig without firmware it ends with the driving. The cart stays within
    `travel_share` of its limit of position, and one push makes it faster by about `most_gain_m_s`.
    `rig` is the rig's name, for the recording.
    """

    out: Path
    rig: str
    seed: int = 0
    motion_s: float = MOTION_S
    swing_s: float = SWING_S
    travel_share: float = TRAVEL_SHARE
    most_gain_m_s: float = MOST_GAIN_M_S
    engine: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.travel_share <= 0.9:
            raise UsageError(f"travel_share = {self.travel_share:g}, expected more than 0 and at most 0.9")


@dataclass(frozen=True, kw_only=True)
class PolePeriod:
    """Half of the pole's period, as homing measured it and by the cart file, and what the former makes of its length.

    A pole that hardly swings crosses the middle late: its period can read as 6 % too long, and so the length as 11 %
    too long. `identify` finds the length to a per mille.
    """

    measured_s: float
    file_s: float
    half_length_m: float
    file_half_length_m: float

    @property
    def differs(self) -> bool:
        return abs(self.measured_s / self.file_s - 1.0) > _SAME_PERIOD

    def text(self) -> str:
        differs = f": length about {2.0 * self.half_length_m:.2f} m instead of {2.0 * self.file_half_length_m:.2f} m"
        return f"{2.0 * self.measured_s:.2f} s, by the file {2.0 * self.file_s:.2f} s{differs if self.differs else ''}"


@dataclass(frozen=True, kw_only=True)
class HangingExcited:
    """What `excite_hanging` did: its recording, the seconds under command and with the motor off, and how far it went.

    `pole_period` is None on a rig without homing.
    """

    recording: Recording
    driven_s: float
    swing_s: float
    pieces: int
    largest_duty: float
    farthest_m: float
    largest_swing_rad: float
    pole_period: PolePeriod | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "recording"}
        period = self.pole_period
        return {**found, "pole_period": None if period is None else dataclasses.asdict(period)}


def check_can_hang(cart: CartParams) -> None:
    """Raise `UsageError` for a cart that cannot be excited with its pole hanging, which names what it lacks."""
    if cart.firmware is not None and cart.firmware.swing_timeout_s <= 0.0:
        raise UsageError(
            f"cart {cart.name!r}: firmware.swing_timeout_s = 0 forbids driving with the pole hanging; set it, or use "
            "--upright"
        )


def excite_hanging(
    rig: Rig, request: HangingRequest, *, on_step: Callable[[], object] = lambda: None
) -> HangingExcited:
    """The recording of `rig`'s cart, driven with its pole hanging; the motor is off afterwards, and the rig open.

    The rig homes by itself where it has to, with any period of the pole; a firmware is armed for a swing-up, again and
    again where the motion takes longer than `firmware.swing_timeout_s`. Raises `UsageError` for a cart or a rig that
    cannot do so, and `RunError`, after the file is finished, if the rig failed, the cart did not move, the disk filled
    up or the user stopped it (`RolloutStoppedError`); the message says how much was recorded, and where.
    """
    check_is_free(request.out)
    check_can_hang(rig.cart)
    if not hasattr(rig, "begin_swing"):
        raise UsageError(f"{type(rig).__name__} has no begin_swing(), which a hanging pole needs; use --upright")
    excitation = (HangingExcitation if rig.cart.stepper is None else StepperExcitation)(
        rig.cart, request.seed, travel_share=request.travel_share, most_gain_m_s=request.most_gain_m_s
    )
    rng = np.random.default_rng(request.seed)
    if isinstance(rig, AnyPeriodRig):
        rig.takes_any_pole_period = True
    period_s = rig.cart.timing.control_period_s
    # Before it is armed: asking git takes longer than an armed cart waits.
    metadata = _metadata(rig.cart, request)
    with stopped_by_signals():
        first = cast(SwingRig, rig).begin_swing(rng, may_be_held=False)
    with Recorder(request.out, dataclasses.replace(metadata, cart=rig.episode_cart)) as recorder:
        driven, pieces = _driven(cast(SwingRig, rig), excitation, first, request, recorder, on_step)
        rows = 0
        if driven.end is RolloutEnd.DURATION and isinstance(rig, IdleMeasuringRig):
            with stopped_by_signals():
                driven, rows = _swing(rig, recorder, driven, round(request.swing_s / period_s), on_step)
        driven = _explained(driven, excitation)
        steps = driven.steps
        file = recorder.close(Outcome(end=driven.end, steps=steps, reason=driven.reason))
    recording = read_recording(file)
    _check(recording, recorder, driven)
    return HangingExcited(
        recording=recording,
        driven_s=steps * period_s,
        swing_s=rows * period_s,
        pieces=pieces,
        largest_duty=excitation.largest_duty,
        farthest_m=excitation.farthest_m,
        largest_swing_rad=excitation.largest_swing_rad,
        pole_period=pole_period(rig),
    )


def pole_period(rig: Rig) -> PolePeriod | None:
    """The pole's period as the homing of a disarmed `rig` measured it; None where it has not. Raises `RigError`."""
    measured_s = rig.pole_half_period_s() if isinstance(rig, AnyPeriodRig) else None
    if measured_s is None:
        return None
    cart = rig.cart
    return PolePeriod(
        measured_s=measured_s,
        file_s=pole_half_period_s(cart),
        half_length_m=pole_half_length_m(cart, measured_s),
        file_half_length_m=cart.pole_cart.pole_half_length_m,
    )


def _driven(
    rig: SwingRig,
    excitation: HangingExcitation | StepperExcitation,
    first: Measurement,
    request: HangingRequest,
    recorder: Recorder,
    on_step: Callable[[], object],
) -> tuple[Rollout, int]:
    """The whole motion, in pieces that the firmware's time for a swing-up allows, and their number; motor off."""
    whole: Rig = cast(Rig, rig)
    cart = whole.cart
    period_s = cart.timing.control_period_s
    timeout_s = math.inf if cart.firmware is None else _PIECE_SHARE * cart.firmware.swing_timeout_s
    left = max(1, round(request.motion_s / period_s))
    most = left if math.isinf(timeout_s) else max(1, round(timeout_s / period_s))
    pilot, log = SinglePilot(excitation), StepLog(recorder=recorder, on_step=lambda _: on_step())
    steps = pieces = 0
    while True:
        pieces += 1
        with stopped_by_signals():
            piece = run_rollout(whole, pilot, first, max_steps=min(left, most), log=log, task=Task.SWING_UP)
        piece = disarmed(whole, piece)
        steps += piece.steps
        left -= piece.steps
        whole_piece = dataclasses.replace(piece, steps=steps)
        if piece.end is not RolloutEnd.DURATION or left <= 0:
            return whole_piece, pieces
        try:
            with stopped_by_signals():
                first = rig.begin_swing(np.random.default_rng(request.seed + pieces), may_be_held=False)
        except RigError as error:
            return dataclasses.replace(whole_piece, end=RolloutEnd.FAULT, reason=str(error)), pieces
        except KeyboardInterrupt:
            return dataclasses.replace(whole_piece, end=RolloutEnd.STOPPED), pieces


def _swing(
    rig: IdleMeasuringRig, recorder: Recorder, driven: Rollout, rows: int, on_row: Callable[[], object]
) -> tuple[Rollout, int]:
    """Record up to `rows` rows of the swinging pole, motor off; their number, and how it all ended."""
    done = 0
    try:
        while done < rows and recorder.failure is None:
            recorder.append(rig.watch(), time.monotonic(), math.nan, 0.0, Flag.MOTOR_OFF)
            on_row()
            done += 1
    except RigError as error:
        return dataclasses.replace(driven, end=RolloutEnd.FAULT, reason=str(error)), done
    except KeyboardInterrupt:
        return dataclasses.replace(driven, end=RolloutEnd.STOPPED), done
    return driven, done


def _explained(driven: Rollout, excitation: HangingExcitation | StepperExcitation) -> Rollout:
    """`driven`, whose reason says what was tried where the cart did not move, or went too far."""
    reason = driven.reason
    if driven.end is RolloutEnd.FALL:
        went = f"the cart went {excitation.farthest_m:.3f} m from the middle, past its limit"
        return dataclasses.replace(driven, end=RolloutEnd.FAULT, reason=went)
    if reason is not None and reason.startswith("CART_STUCK"):
        tried = f"pushes of up to duty {excitation.largest_duty:.2f} were tried"
        return dataclasses.replace(driven, reason=f"{reason}; {tried}")
    return driven


def _metadata(cart: CartParams, request: HangingRequest) -> RecordingMetadata:
    return RecordingMetadata(
        cart=cart,
        rig=request.rig,
        engine=request.engine,
        controller=ControllerRecord(policy=HANGING, backend="any duty"),
        seed=request.seed,
        duration_s=request.motion_s + request.swing_s,
        is_excited=True,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=provenance.versions(),
        commit=provenance.commit(),
        machine=provenance.machine(),
    )


def _check(recording: Recording, recorder: Recorder, driven: Rollout) -> None:
    """Raise `RunError` unless the motion came to its end and each row to the disk."""
    if recorder.failure is not None or driven.end is not RolloutEnd.DURATION:
        reason = recorder.failure or driven.reason
        how = "was stopped" if reason is None else f"ended early: {reason}"
        kind = RolloutStoppedError if driven.end is RolloutEnd.STOPPED else RunError
        raise kind(f"the excitation {how}; {len(recording.rows)} rows of it are in {recording.path}")
    if recorder.rows_lost:
        raise RunError(
            f"{recording.path}: the disk was too slow, {recorder.rows_lost} rows of {driven.steps} are missing"
        )
