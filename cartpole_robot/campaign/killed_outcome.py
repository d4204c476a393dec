"""What became of a cart whose host was killed: motor off in time, at rest before the end; a stepper's steps counted.

A stepper answers the silence with a ramp to rest, and holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Stepper

HOMING_OFF_MS = 500
REST_M_S = 0.01
STANDS_MS = 100  # how long it must be at rest without a break: a cart that reverses is not
MOST_LOST_STEPS = 0.5  # none
_LOST_MS = 20
_IN_FORCE_S = 0.003  # a rate is in force one tick later, and shows in the difference of two counts
_STANDS_STEPS, _SLOWER = 1e-6, 1.0  # steps in a millisecond: none; less than before, that is a brake


class Moment(NamedTuple):
    """One millisecond of the cart: its clock and the machine's, position, speed, drive, and the last byte's time.

    Of a stepper the drive is the board's count of steps; `counts` is the cart's in the firmware's newest STATE.
    """

    time_ms: int
    clock_s: float
    position_m: float
    speed_m_s: float
    drive: float | None
    last_heard_ms: int
    counts: int = 0


@dataclass(frozen=True, kw_only=True)
class KilledHost:
    """One start: speed at the kill, ms from the host's last byte to motor off, greatest distance, longest standstill.

    If the motor never went off, `off_after_ms` extends to the end of the observation. A stepper is off with its last
    pulse; `lost_steps` is by how many its cart then stands farther from its count than before. `repeats` counts the
    tries before it that a busy machine spoiled.
    """

    speed_m_s: float
    off_after_ms: int
    is_off: bool
    farthest_m: float
    stood_ms: int
    lost_steps: float = 0.0
    repeats: int = 0

    def is_homing_off_in_time(self) -> bool:
        """Whether the motor of a homing cart was off within half a second."""
        return self.is_off and self.off_after_ms <= HOMING_OFF_MS

    def is_off_in_time(self, cart: CartParams) -> bool:
        """Whether the motor was off within the command timeout; a stepper, which ramps down first, soon after."""
        _, settings = encoders_and_settings(cart)
        within_s = settings.command_timeout_s
        if cart.stepper is not None:
            within_s += cart.stepper.maximum_speed_m_s / cart.stepper.maximum_acceleration_m_s2 + _IN_FORCE_S
        return self.is_off and self.off_after_ms <= round(1000.0 * within_s)

    def has_stopped(self, cart: CartParams) -> bool:
        """Whether the cart came to rest and never reached the end stop."""
        return self.farthest_m < (cart.limits.end_stop_m or math.inf) and self.stood_ms >= STANDS_MS

    def has_kept_count(self) -> bool:
        """Whether stopping lost none of a stepper's steps."""
        return abs(self.lost_steps) <= MOST_LOST_STEPS

    def message(self, cart: CartParams) -> str:
        """The outcome as text for a person."""
        if not self.is_off:
            return "never off"
        if not self.has_stopped(cart):
            rest = "at rest" if self.stood_ms >= STANDS_MS else "never stood still"
            return f"went to {1000 * self.farthest_m:.0f} mm, {rest}"
        if not self.has_kept_count():
            return f"{self.lost_steps:+.0f} steps lost"
        return "off and at rest" if self.is_off_in_time(cart) else "off late"


def has_lost_time(moments: Sequence[Moment]) -> bool:
    """Whether the cart's clock fell behind the machine's during the `moments`."""
    passed_ms = 1000.0 * (moments[-1].clock_s - moments[0].clock_s) if moments else 0.0
    return passed_ms - len(moments) > _LOST_MS


def was_starved(moments: Sequence[Moment], timeout_ms: int) -> bool:
    """Whether at one of the `moments`, of a living host, none of its bytes had come for as long as stops the motor."""
    return any(moment.time_ms - moment.last_heard_ms >= timeout_ms for moment in moments)


def outcome_of(
    moments: Sequence[Moment], *, driving_s: float, killed_s: float, stepper: Stepper | None = None
) -> KilledHost | None:
    """The outcome; None if the start does not count: the motor never ran, or was off before the kill.

    Motion before `driving_s` was homing.
    """
    run = [moment for moment in moments if moment.clock_s >= driving_s]
    if stepper is not None:
        return _outcome_of_stepper(run, stepper, killed_s)
    driven = [k for k, moment in enumerate(run) if moment.drive not in (None, 0.0)]
    if not driven or run[driven[0]].clock_s > killed_s:
        return None
    after = run[driven[-1] + 1 :]
    if after and after[0].clock_s < killed_s:
        return None
    off_ms = after[0].time_ms if after else run[-1].time_ms
    return KilledHost(
        speed_m_s=next(abs(moment.speed_m_s) for moment in reversed(run) if moment.clock_s <= killed_s),
        off_after_ms=off_ms - run[-1].last_heard_ms,
        is_off=bool(after),
        farthest_m=max(abs(moment.position_m) for moment in run[driven[0] :]),
        stood_ms=_longest(abs(moment.speed_m_s) < REST_M_S for moment in after),
    )


def _outcome_of_stepper(run: Sequence[Moment], stepper: Stepper, killed_s: float) -> KilledHost | None:
    """That of a cart on its pulses; none counts that the firmware braked before the kill."""
    pulses = [math.nan if moment.drive is None else moment.drive for moment in run]
    speeds = [abs(after - before) for before, after in itertools.pairwise(pulses)]  # steps in a millisecond
    living = [speed for speed, moment in zip(speeds, run, strict=False) if moment.clock_s <= killed_s]
    if not living or not max(living) > _SLOWER or not living[-1] > max(living) - _SLOWER:
        return None
    last = max(k for k, speed in enumerate(speeds) if not speed < _STANDS_STEPS)
    after = run[last + 1 :]
    return KilledHost(
        speed_m_s=1000.0 * living[-1] / stepper.steps_per_m,
        off_after_ms=after[0].time_ms - run[-1].last_heard_ms,
        is_off=len(after) > 1,
        farthest_m=max(abs(moment.position_m) for moment in run),
        stood_ms=_longest(abs(moment.speed_m_s) < REST_M_S for moment in after),
        lost_steps=_ahead(run[-1], stepper) - _ahead(run[0], stepper),
    )


def _ahead(moment: Moment, stepper: Stepper) -> float:
    """By how many steps the cart stands to the right of its count, from wherever that begins."""
    return moment.position_m * stepper.steps_per_m - moment.counts


def _longest(facts: Iterable[bool]) -> int:
    """The length of the longest run of true facts."""
    return max((len(list(part)) for is_true, part in itertools.groupby(facts) if is_true), default=0)
