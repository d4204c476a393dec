"""The policy loop in real time: a rig that goes on by itself is answered as soon as it has measured."""

from __future__ import annotations

import math
import time
from array import array
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.deployment.step_times import TurnTimes
from cartpole_robot.errors import RigError
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rig import Rig
from cartpole_robot.rollout.loop import Rollout
from cartpole_robot.signals import Measurement


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
