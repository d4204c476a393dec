"""What identification looks at of a recording: measured positions and angles, and what was asked of the motor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.params import CartParams
from cartpole_robot.recording import Recording
from cartpole_robot.signals import TIME_MASK

Floats = NDArray[np.float64]
_MOST_RAD_S2 = 300.0  # gravity and a hard pushed cart give a short pole less than 150
_LEAST_JUMP_RAD = 0.03
_LATE_SHARE = 0.5  # of a period: a measurement this much later than due comes after a gap


@dataclass(frozen=True, kw_only=True)
class Series:
    """One recording as arrays of shape (n,), one entry a control tick, SI units, angles running on past a turn.

    `duty[k]` is what was requested at tick k, NaN where nothing was. `begins` are the entries at which a stretch
    without gaps and jumps begins, the first being 0.
    """

    name: str
    cart: CartParams
    period_s: float
    time_s: Floats
    position_m: Floats
    angle_rad: Floats
    duty: Floats
    begins: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.time_s)

    def stretches(self) -> list[tuple[int, int]]:
        """(first, behind the last) entry of each stretch without gaps."""
        return list(zip(self.begins, [*self.begins[1:], len(self)], strict=True))


def series_of(recording: Recording) -> Series:
    """The series in `recording`.

    Raises `UsageError` naming file and row where its clock does not go on, a number is none, or too few rows are there.
    """
    path, cart = recording.path, recording.cart
    if len(recording.rows) < 3:
        raise UsageError(f"{path}: has {len(recording.rows)} rows, expected at least 3; record a longer rollout")
    clock = recording.column("mcu_time_us").astype(np.int64)
    steps_us = np.diff(clock) & TIME_MASK
    bad = np.flatnonzero((steps_us == 0) | (steps_us > TIME_MASK // 2))
    if len(bad):
        raise UsageError(
            f"{path}: row {bad[0] + 1}: its time {clock[bad[0] + 1]} us is not after {clock[bad[0]]} us of the row "
            "before; two rollouts in one file, or rows out of order: cut the file there"
        )
    period_s = cart.timing.control_period_s
    time_s = np.concatenate([[0.0], np.cumsum(steps_us * 1e-6)])
    position_m = recording.column("cart_position_m").astype(float)
    angle_rad = recording.column("pole_angle_rad").astype(float)
    for name, column in (("cart_position_m", position_m), ("pole_angle_rad", angle_rad)):
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise UsageError(f"{path}: row {bad[0]}: {name} = {column[bad[0]]}, expected a number; leave the row out")
    angle_rad = np.unwrap(angle_rad)
    gaps = np.flatnonzero(np.diff(time_s) > (1.0 + _LATE_SHARE) * period_s) + 1
    begins = sorted({0, *gaps.tolist(), *_jumps(angle_rad, period_s)})
    return Series(
        name=path.name,
        cart=cart,
        period_s=period_s,
        time_s=time_s,
        position_m=position_m,
        angle_rad=angle_rad,
        duty=recording.column("requested_duty").astype(float),
        begins=tuple(begins),
    )


def _jumps(angle_rad: Floats, period_s: float) -> list[int]:
    """Entries before which the angle does what no pole does: a potentiometer's gap, a reading gone wrong."""
    bend = np.abs(np.diff(angle_rad, 2))
    wrong = np.flatnonzero(bend > max(_LEAST_JUMP_RAD, _MOST_RAD_S2 * period_s**2)) + 1
    return [int(k) for entry in wrong for k in (entry, entry + 1)]


def check_moved(series: Series) -> None:
    """Raises `UsageError` for a cart that never moved: it tells nothing."""
    if np.ptp(series.position_m) < 1e-3 and np.ptp(series.angle_rad) < math.radians(1.0):
        raise UsageError(
            f"{series.name}: neither cart nor pole ever moved (by {1000 * np.ptp(series.position_m):.2f} mm and "
            f"{math.degrees(np.ptp(series.angle_rad)):.2f} degrees): there is nothing to identify; record one "
            "that does"
        )


def is_same_run(one: Series, other: Series) -> bool:
    """Whether both begin with the same readings: two copies of one run, of which one may have been cut shorter."""
    shared = min(len(one), len(other))
    return bool(
        (one.position_m[:shared] == other.position_m[:shared]).all()
        and (one.angle_rad[:shared] == other.angle_rad[:shared]).all()
    )
