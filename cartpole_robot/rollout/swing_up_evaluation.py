"""How well a controller swings up and holds: episodes from stated seeds, on any rig that can begin hanging."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cartpole_robot import swing_up_task, task
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rollout.drive_limits import DriveLimits
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.rollout.unattended import UnattendedRun
from cartpole_robot.task import Task

HELD, FELL, NOT_UP, PAST_LIMIT, FAULT = "held", "fell", "not up", "past the limit", "fault"
# Faults that a policy reaches by what it asks for, and how they end an episode, as without a firmware
_REACHED = {
    "POLE_ANGLE": FELL,
    "SWING_TIMEOUT": NOT_UP,
    **{name: name for name in ("TRAVEL_LIMIT", "MOTOR_HOT", "REVERSALS", "CART_STUCK", "POLE_STILL")},
}


@dataclass(frozen=True, kw_only=True)
class SwingUpEpisode:
    """How an episode ended: one of the words above, or the fault by which a firmware would have stopped it.

    `up_step` is when the pole was up, None if it never was; `held_steps` is how long it then stayed up.
    """

    end: str
    up_step: int | None
    held_steps: int


@dataclass(frozen=True, kw_only=True)
class SwingUpEvaluation:
    """Episodes that may take `up_steps` to get the pole up and must then hold it for `hold_steps`.

    RMS position and reversals count the steps in which the pole was up. `stopped` is why there are fewer episodes than
    planned.
    """

    first_seed: int
    up_steps: int
    hold_steps: int
    episodes: tuple[SwingUpEpisode, ...]
    rms_position_m: float
    largest_position_m: float
    reversals_per_step: float
    control_period_s: float
    faults: tuple[str, ...] = ()
    stopped: str | None = None

    @property
    def successes(self) -> int:
        """Episodes that swung up in time and held to the end."""
        return sum(episode.end == HELD for episode in self.episodes)

    @property
    def mean_steps(self) -> float:
        """Mean steps held."""
        return float(np.mean([episode.held_steps for episode in self.episodes]))

    @property
    def up_s(self) -> tuple[float, float]:
        """Median and longest time until the pole was up, over the episodes in which it was; NaN without any."""
        times = [episode.up_step for episode in self.episodes if episode.up_step is not None]
        if not times:
            return math.nan, math.nan
        return float(np.median(times)) * self.control_period_s, max(times) * self.control_period_s

    def as_dict(self) -> dict[str, object]:
        """For JSON: the figures, without the single episodes."""
        median_s, longest_s = (None if math.isnan(number) else round(number, 6) for number in self.up_s)
        return {
            "episodes": len(self.episodes),
            "first_seed": self.first_seed,
            "up_steps": self.up_steps,
            "hold_steps": self.hold_steps,
            "successes": self.successes,
            "ends": dict(Counter(episode.end for episode in self.episodes)),
            "median_up_s": median_s,
            "longest_up_s": longest_s,
            "mean_steps": self.mean_steps,
            "rms_position_m": self.rms_position_m,
            "largest_position_m": self.largest_position_m,
            "reversals_per_s": self.reversals_per_step / self.control_period_s,
            "faults": list(self.faults),
            **({} if self.stopped is None else {"stopped": self.stopped}),
        }

    def text(self) -> str:
        """The verdict as a line for a person."""
        median_s, longest_s = self.up_s
        hold_s = self.hold_steps * self.control_period_s
        others = Counter(episode.end for episode in self.episodes if episode.end != HELD)
        ends = "".join(f", {count} {end}" for end, count in others.most_common())
        up = f"up after {median_s:.2f} s (median), {longest_s:.2f} s (longest)"
        return (
            f"{self.successes} of {len(self.episodes)} swung up and held for {hold_s:g} s{ends}; "
            f"{'never up' if math.isnan(median_s) else up}"
        )


class _Sums:
    """What an evaluation adds up over its episodes."""

    def __init__(self) -> None:
        self.square_m2 = self.largest_m = 0.0
        self.held = self.reversals = 0


def evaluate_swing_up(
    controller: Controller,
    rig: Rig,
    *,
    episodes: int,
    first_seed: int,
    hold_steps: int,
    up_steps: int = MAX_EPISODE_STEPS,
    on_episode: Callable[[], object] | None = None,
    unattended: UnattendedRun | None = None,
) -> SwingUpEvaluation:
    """Run `controller` on `rig` over `episodes`, seeded first_seed, first_seed + 1, and so on.

    A simulated cart begins where the seed says, and without a firmware an episode ends where one would stop the motor.
    An `unattended` run decides after each episode whether another follows.
    Raises `UsageError` for a rig that cannot begin with a hanging pole.
    """
    sums, faults, found = _Sums(), [], []
    stopped = None
    for number in range(episodes):
        fault = None
        try:
            found.append(_episode(controller, rig, first_seed + number, (up_steps, hold_steps), sums))
        except RigError as error:
            fault = str(error)
            faults.append(f"episode {number}: {fault}")
            found.append(SwingUpEpisode(end=FAULT, up_step=None, held_steps=0))
        if on_episode is not None:
            on_episode()
        stopped = None if unattended is None else unattended.reason_to_stop(fault)
        if stopped is not None:
            break
    held = max(1, sums.held)
    return SwingUpEvaluation(
        first_seed=first_seed,
        up_steps=up_steps,
        hold_steps=hold_steps,
        episodes=tuple(found),
        rms_position_m=math.sqrt(sums.square_m2 / held),
        largest_position_m=sums.largest_m,
        reversals_per_step=sums.reversals / held,
        control_period_s=rig.cart.timing.control_period_s,
        faults=tuple(faults),
        stopped=stopped,
    )


def _episode(controller: Controller, rig: Rig, seed: int, most: tuple[int, int], sums: _Sums) -> SwingUpEpisode:
    measurement = start_rollout(rig, seed, Task.SWING_UP)
    controller.reset()
    up_steps, hold_steps = most
    swing_up = swing_up_task.SwingUp(rig.cart)
    limits = DriveLimits(rig.cart) if isinstance(rig, LockstepRig) else None
    if limits is not None:
        limits.begin(measurement.cart_position_m)
    step = side = 0
    while True:
        duty = controller.duty(task.observation(measurement))
        try:
            measurement = rig.step(duty)
        except RigError:
            end = _REACHED.get(getattr(rig, "fault", None) or "")
            if end is None:
                raise
            return SwingUpEpisode(end=end, up_step=swing_up.up_step, held_steps=_held(swing_up, step))
        step += 1
        position_m = measurement.cart_position_m
        sums.largest_m = max(sums.largest_m, abs(position_m))
        is_over, up_step = swing_up.observe(measurement), swing_up.up_step
        if up_step is not None:
            sums.held += 1
            sums.square_m2 += position_m * position_m
            sums.reversals += duty * side < 0
        side = (duty > 0.0) - (duty < 0.0) or side
        stopped = None
        if limits is not None:
            speed_m_s, angle_rad = measurement.cart_speed_m_s, measurement.pole_angle_rad
            stopped = limits.passed(position_m, speed_m_s, angle_rad, measurement.applied_duty)
        end = None
        if stopped is not None:
            end = stopped
        elif is_over:
            end = PAST_LIMIT if swing_up_task.is_terminated(measurement, rig.cart.limits) else FELL
        elif up_step is None and step >= up_steps:
            end = NOT_UP
        elif up_step is not None and step - up_step >= hold_steps:
            end = HELD
        if end is not None:
            rig.disarm()
            return SwingUpEpisode(end=end, up_step=up_step, held_steps=_held(swing_up, step))


def _held(swing_up: swing_up_task.SwingUp, step: int) -> int:
    return 0 if swing_up.up_step is None else step - swing_up.up_step
