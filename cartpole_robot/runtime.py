"""The policy loop: a rig and a controller in, a rollout out. NumPy is all it needs.

`run_rollout` drives any rig, lockstep or not. `run_paced` drives one that lives in real time and has stamps to show.
"""

from __future__ import annotations

import enum
import math
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.files import provenance
from cartpole_robot.latency import TurnTimes
from cartpole_robot.policy.controllers import Chosen, Controller
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rig import Rig
from cartpole_robot.signals import Measurement


class RolloutEnd(enum.StrEnum):
    """Why a rollout ended."""

    DURATION = "duration"  # as long as it was to be
    FALL = "fall"  # past the cart's limits
    FAULT = "fault"  # the rig failed, motor off
    STOPPED = "stopped"  # a person asked for it
    DISK = "disk"  # the recording could not go on


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a rollout went; `reason` is one line where it ended by itself."""

    turns: int
    end: RolloutEnd
    reason: str | None = None


def start_rollout(rig: Rig, seed: int) -> Measurement:
    """The first measurement of the episode with that seed: the start that `CartPoleEnv.reset(seed=seed)` draws.

    Raises `RigError`.
    """
    rng = np.random.default_rng(seed)
    return rig.reset(task.start_state(rig.cart.start, rng), rng)


def run_rollout(
    rig: Rig,
    controller: Controller,
    first: Measurement,
    *,
    max_turns: int,
    recorder: Recorder | None = None,
    on_turn: Callable[[], object] | None = None,
) -> Rollout:
    """Drive `rig` from its `first` measurement, control period by control period, until something ends it.

    Every measurement is recorded, the last one too, with the duty that answers it. The rig is left to the caller, who
    closes it. Ctrl-C is an end like the others.
    """
    controller.reset()
    measurement, limits = first, rig.cart.limits
    clock = time.monotonic
    turns, reward = 0, 0.0
    try:
        while True:
            now_s = clock()
            has_fallen = task.is_terminated(measurement, limits)
            if has_fallen or turns == max_turns:
                if recorder is not None:
                    flag = Flag.TERMINATED if has_fallen else Flag.TRUNCATED
                    recorder.append(measurement, now_s, math.nan, reward, flag)
                return Rollout(turns=turns, end=RolloutEnd.FALL if has_fallen else RolloutEnd.DURATION)
            duty = controller.duty(task.observation(measurement))
            if recorder is not None:
                recorder.append(measurement, now_s, duty, reward, 0)
                if recorder.failure is not None:
                    return Rollout(turns=turns, end=RolloutEnd.DISK, reason=recorder.failure)
            measurement = rig.step(duty)
            reward = task.REWARD_PER_TURN
            turns += 1
            if on_turn is not None:
                on_turn()
    except RigError as error:
        return Rollout(turns=turns, end=RolloutEnd.FAULT, reason=str(error))
    except KeyboardInterrupt:
        return Rollout(turns=turns, end=RolloutEnd.STOPPED)


def rollout_metadata(chosen: Chosen, *, rig: str, seed: int, duration_s: float) -> dict[str, Any]:
    """What a recording says of where its rollout comes from, as plain JSON values; asks git, which takes a while."""
    return {
        "rig": rig,
        "randomization": None,
        "controller": dict(chosen.record),
        "note": chosen.note,
        "seed": seed,
        "duration_s": duration_s,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
    }


def driven_metadata(cart: CartParams) -> dict[str, Any]:
    """What it says of the cart that was driven."""
    return {"cart": cart.as_dict(), "cart_sources": dict(cart.sources)}


class PacedRig(Rig, Protocol):
    """A rig that lives in real time: a command goes out when it is decided, a measurement comes when it comes."""

    @property
    def received_s(self) -> float:
        """When the newest measurement had come, on the monotonic clock."""

    @property
    def is_running(self) -> bool:
        """Whether the newest measurement is within the cart's limits and may be answered."""

    def command(self, duty: float) -> None:
        """Answer the newest measurement, and wait for nothing. Raises `RigError`, motor off."""

    def measure(self) -> Measurement:
        """The next measurement. Raises `RigError`, motor off."""


class Pilot(Protocol):
    """A controller, and what a recording says of its newest duty."""

    flags: int
    shadow_duty: float
    handovers: int  # between a policy and a regulator, so far

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), float32, SI units, which is written anew each turn."""


def run_paced(
    rig: PacedRig,
    pilot: Pilot,
    first: Measurement,
    *,
    max_turns: int,
    times: TurnTimes,
    recorder: Recorder | None = None,
) -> Rollout:
    """Drive `rig` from its `first` measurement, answering each as soon as it is there, until something ends it.

    Between a measurement and its command there are the observation and the pilot, nothing else; what is noted is
    noted after it. No turn makes an object that lasts. Ctrl-C is an end like the others; the rig is the caller's.
    """
    measurement = first
    numbers = array("f", (0.0, 0.0, 0.0, 0.0))
    observation = np.frombuffer(numbers, np.float32)
    clock, command, measure, decide = time.monotonic, rig.command, rig.measure, pilot.duty
    turns, reward = 0, 0.0
    try:
        while True:
            has_fallen = not rig.is_running
            if has_fallen or turns == max_turns:
                if recorder is not None:
                    flag = Flag.TERMINATED if has_fallen else Flag.TRUNCATED
                    recorder.append(measurement, rig.received_s, math.nan, reward, flag)
                return Rollout(turns=turns, end=RolloutEnd.FALL if has_fallen else RolloutEnd.DURATION)
            numbers[0] = measurement.cart_position_m
            numbers[1] = measurement.cart_speed_m_s
            numbers[2] = measurement.pole_angle_rad
            numbers[3] = measurement.pole_speed_rad_s
            asked_s = clock()
            duty = decide(observation)
            decided_s = clock()
            command(duty)
            sent_s = clock()
            received_s = rig.received_s
            times.append(received_s, asked_s, decided_s, sent_s, measurement.lateness_s, measurement.command_age_s)
            if recorder is not None:
                recorder.append(measurement, received_s, duty, reward, pilot.flags, pilot.shadow_duty)
                if recorder.failure is not None:
                    return Rollout(turns=turns, end=RolloutEnd.DISK, reason=recorder.failure)
            measurement = measure()
            reward = task.REWARD_PER_TURN
            turns += 1
    except RigError as error:
        return Rollout(turns=turns, end=RolloutEnd.FAULT, reason=str(error))
    except KeyboardInterrupt:
        return Rollout(turns=turns, end=RolloutEnd.STOPPED)
