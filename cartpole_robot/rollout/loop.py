"""The policy loop: a rig and a pilot in, a rollout out, in lockstep or in real time. It needs NumPy alone."""

from __future__ import annotations

import dataclasses
import math
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from cartpole_robot import swing_up_task
from cartpole_robot import task as balancing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.files import provenance
from cartpole_robot.policy.controllers import Chosen
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata, RolloutEnd
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.hanging_start import begin_hanging
from cartpole_robot.rollout.pilot import Pilot
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.signals import Measurement
from cartpole_robot.task import Task


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a rollout went; `reason` is one line if it ended early by itself."""

    steps: int
    end: RolloutEnd
    reason: str | None = None


def start_rollout(rig: Rig, seed: int, task: Task = Task.BALANCE) -> Measurement:
    """The first measurement of the episode with that seed: the start that the task's environment draws for it.

    Raises `RigError`, and `UsageError` for a rig that cannot begin a swing-up.
    """
    rng = np.random.default_rng(seed)
    if task is Task.SWING_UP:
        return begin_hanging(rig, swing_up_task.start_state(rig.cart, rng), rng)
    return rig.reset(balancing.start_state(rig.cart.start, rng), rng)


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """What is logged of each step, once its command has been sent.

    `arrival_s` returns when the newest measurement arrived, on the monotonic clock; by default it arrives when the loop
    asks for it. `on_step` receives the measurement that a command has just answered.
    """

    recorder: Recorder | None = None
    times: StepTimes | None = None
    arrival_s: Callable[[], float] | None = None
    on_step: Callable[[Measurement], object] | None = None


NO_LOG = StepLog()


def run_rollout(
    rig: Rig,
    pilot: Pilot,
    first: Measurement,
    *,
    max_steps: int,
    log: StepLog = NO_LOG,
    task: Task = Task.BALANCE,
) -> Rollout:
    """Drive `rig` from its `first` measurement, one control period after another, until something ends the rollout.

    A rig in real time is answered as soon as it has measured: only the observation and the pilot come between a
    measurement and its command, and no step keeps a new object. Every measurement is recorded with the duty that
    answers it, NaN if its command could not be sent, and the last one too. Ctrl-C ends a rollout like anything else.
    The caller closes the rig. A swing-up ends past the cart's limit, and once the pole was up, where it falls.
    """
    recorder, times, arrival_s, on_step = log.recorder, log.times, log.arrival_s, log.on_step
    numbers = array("f", (0.0, 0.0, 0.0, 0.0))
    observation = np.frombuffer(numbers, np.float32)
    clock, command, measure, decide = time.monotonic, rig.command, rig.measure, pilot.duty
    measurement, has_ended = first, _end_of(task, rig.cart)
    swings_up, steps, reward = task is Task.SWING_UP, 0, 0.0
    pilot.reset()
    try:
        while True:
            has_fallen = has_ended(measurement)
            if has_fallen or steps == max_steps:
                if recorder is not None:
                    arrived_s = clock() if arrival_s is None else arrival_s()
                    flag = Flag.TERMINATED if has_fallen else Flag.TRUNCATED
                    recorder.append(measurement, arrived_s, math.nan, reward, flag)
                return Rollout(steps=steps, end=RolloutEnd.FALL if has_fallen else RolloutEnd.DURATION)
            numbers[0] = measurement.cart_position_m
            numbers[1] = measurement.cart_speed_m_s
            numbers[2] = measurement.pole_angle_rad
            numbers[3] = measurement.pole_speed_rad_s
            asked_s = clock()
            duty = decide(observation)
            decided_s = clock()
            command(duty)
            sent_s = clock()
            arrived_s = asked_s if arrival_s is None else arrival_s()
            if times is not None:
                times.append(arrived_s, asked_s, decided_s, sent_s, measurement.lateness_s, measurement.command_age_s)
            if recorder is not None:
                recorder.append(measurement, arrived_s, duty, reward, pilot.flags, pilot.shadow_duty)
                if recorder.failure is not None:
                    return Rollout(steps=steps, end=RolloutEnd.DISK, reason=recorder.failure)
            if on_step is not None:
                on_step(measurement)
            measurement = measure()
            reward = swing_up_task.reward(measurement, duty, rig.cart) if swings_up else balancing.REWARD_PER_STEP
            steps += 1
    except RigError as error:
        has_fallen = swings_up and getattr(rig, "fault", None) == "POLE_ANGLE"  # once up: the firmware saw it first
        if recorder is not None and recorder.rows == steps:  # the command failed
            flag = Flag.TERMINATED if has_fallen else Flag.TRUNCATED
            recorder.append(measurement, clock(), math.nan, reward, flag)
        if has_fallen:
            return Rollout(steps=steps, end=RolloutEnd.FALL)
        return Rollout(steps=steps, end=RolloutEnd.FAULT, reason=str(error))
    except KeyboardInterrupt:
        return Rollout(steps=steps, end=RolloutEnd.STOPPED)


def _end_of(task: Task, cart: CartParams) -> Callable[[Measurement], bool]:
    if task is Task.SWING_UP:
        return swing_up_task.SwingUp(cart).observe
    limits = cart.limits
    return lambda measurement: balancing.is_terminated(measurement, limits)


def disarmed(rig: Rig, rollout: Rollout) -> Rollout:
    """`rollout` once the motor is off; where the cart does not confirm it, that is how the rollout ended."""
    try:
        rig.disarm()
    except RigError as error:
        problem = str(error)
        if rollout.reason is None:
            reason = problem
        else:  # the error that ended the rollout may have reported it already
            reason = rollout.reason if problem in rollout.reason else f"{rollout.reason}; {problem}"
        return dataclasses.replace(rollout, end=RolloutEnd.FAULT, reason=reason)
    return rollout


def rollout_metadata(chosen: Chosen, *, rig: str, seed: int, duration_s: float) -> RecordingMetadata:
    """What a recording says about the origin of its rollout; asks git, which takes a while."""
    return RecordingMetadata(
        cart=chosen.cart,
        rig=rig,
        controller=ControllerRecord(**chosen.record),
        note=chosen.note,
        seed=seed,
        duration_s=duration_s,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=provenance.versions(),
        commit=provenance.commit(),
        machine=provenance.machine(),
    )
