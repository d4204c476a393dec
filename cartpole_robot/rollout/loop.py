"""The policy loop: a rig and a controller in, a rollout out. NumPy is all it needs.

`run_rollout` drives any rig, lockstep or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from cartpole_robot import task
from cartpole_robot.errors import RigError
from cartpole_robot.files import provenance
from cartpole_robot.policy.controllers import Chosen, Controller
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata, RolloutEnd
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rig import Rig
from cartpole_robot.signals import Measurement


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


def rollout_metadata(chosen: Chosen, *, rig: str, seed: int, duration_s: float) -> RecordingMetadata:
    """What a recording says of where its rollout comes from; asks git, which takes a while."""
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
