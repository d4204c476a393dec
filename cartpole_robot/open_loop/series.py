"""The part of a recording that models are fitted to: measured positions and angles, and requested duties."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.metadata import RolloutEnd
from firmware_bridge._host import PULSE_PERIOD, pulses_of
from firmware_bridge.protocol import read_protocol

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_MOST_RAD_S2 = 300.0  # gravity and a hard pushed cart give a short pole less than 150
_LEAST_JUMP_RAD = 0.03
_OPENS_US = 600_000  # after the end of driving: until then the bridge may short the motor, or a command be on its way
_MOST_DUTY = 1.0 + 1e-6
_FEWEST_ROWS = 3
_SIMULATED = "sim"
STEPS_LOST = "STEPS_LOST"
_DRIVES = {Drive.DC: "a DC motor", Drive.STEPPER: "a stepper"}
_ONE = int(read_protocol().constants["PROTOCOL_DUTY_ONE"])
_LATE_SHARE = 0.5  # of a period: a measurement this much later than due comes after a gap


@dataclass(frozen=True, kw_only=True)
class Series:
    """One recording as arrays of shape (n,), one entry per control tick, SI units, angles unwrapped.

    `time_us` counts from the first entry, in whole microseconds: however long the recording, times are exact.
    `duty[k]` was requested at tick k, NaN where nothing was; a firmware's is rounded to the whole timer cycles in which
    its bridge drives. Where `is_coasting`, the motor was off and the bridge open; None: nowhere. `begins` are the first
    entries of the stretches without gaps or jumps, the first being 0; a coasting stretch is one of its own. `fault`
    is the fault that ended the rollout, if any. A stepper's position is its count of steps.
    """

    name: str
    cart: CartParams
    period_s: float
    time_us: Ints
    position_m: Floats
    angle_rad: Floats
    duty: Floats
    begins: tuple[int, ...]
    is_coasting: Bools | None = None
    fault: str | None = None

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def time_s(self) -> Floats:
        """The entries' times since the first one."""
        return self.seconds(0, len(self))

    def seconds(self, first: int, end: int, since: int = 0) -> Floats:
        """The times of entries `first` to before `end` since entry `since`, s."""
        times_s: Floats = (self.time_us[first:end] - self.time_us[since : since + 1]) / 1e6
        return times_s

    def stretches(self) -> list[tuple[int, int]]:
        """(first, one past the last) entry of each stretch without gaps; none of a series without entries."""
        if not self.begins:
            return []
        return list(zip(self.begins, [*self.begins[1:], len(self)], strict=True))


def series_of(recording: Recording) -> Series:
    """The series in `recording`.

    Raises `UsageError`, naming file and row, for a clock that does not advance, a value that is no number, a duty
    beyond full drive, or too few rows.
    """
    path, cart = recording.path, recording.cart
    if len(recording.rows) < _FEWEST_ROWS:
        raise UsageError(
            f"{path}: has {len(recording.rows)} rows, expected at least {_FEWEST_ROWS}; record a longer rollout"
        )
    time_us = recording.time_us()
    bad = np.flatnonzero(np.diff(time_us) <= 0)
    if len(bad):
        clock = recording.column("mcu_time_us")
        raise UsageError(
            f"{path}: row {bad[0] + 1}: its time {clock[bad[0] + 1]} us is not after {clock[bad[0]]} us of the row "
            "before; two rollouts in one file, or rows out of order: cut the file there"
        )
    period_s = cart.timing.control_period_s
    position_m = recording.column("cart_position_m").astype(float)
    angle_rad = recording.column("pole_angle_rad").astype(float)
    for name, column in (("cart_position_m", position_m), ("pole_angle_rad", angle_rad)):
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise UsageError(f"{path}: row {bad[0]}: {name} = {column[bad[0]]}, expected a number; leave the row out")
    _check_duties(recording)
    angle_rad = np.unwrap(angle_rad)
    is_coasting = (recording.column("flags") & Flag.MOTOR_OFF) != 0
    is_known = ~is_coasting
    if is_coasting.any():
        is_known |= time_us >= time_us[np.argmax(is_coasting)] + _OPENS_US
        is_coasting = is_coasting[is_known]
        time_us, position_m, angle_rad = time_us[is_known], position_m[is_known], angle_rad[is_known]
    if len(time_us) < _FEWEST_ROWS:
        raise UsageError(
            f"{path}: has {len(time_us)} rows that are not within {_OPENS_US / 1e6:g} s of the motor's being switched "
            f"off, expected at least {_FEWEST_ROWS}; record a longer rollout"
        )
    gaps = np.flatnonzero(np.diff(time_us) > (1.0 + _LATE_SHARE) * cart.timing.control_period_us) + 1
    begins = {0, *gaps.tolist(), *_jumps(angle_rad, period_s, gaps)}
    return Series(
        name=path.name,
        cart=cart,
        period_s=period_s,
        time_us=time_us - time_us[0],
        position_m=position_m,
        angle_rad=angle_rad,
        duty=_at_bridge(recording)[is_known],
        begins=tuple(sorted(begins)),
        is_coasting=is_coasting if is_coasting.any() else None,
        fault=recording.outcome.reason if recording.outcome and recording.outcome.end is RolloutEnd.FAULT else None,
    )


def _check_duties(recording: Recording) -> None:
    """Raises `UsageError`, naming file and row, for a duty beyond full drive: an import clips or refuses those."""
    duty = recording.column("requested_duty")
    bad = np.flatnonzero(np.abs(duty) > _MOST_DUTY)
    if len(bad):
        raise UsageError(
            f"{recording.path}: row {bad[0]}: requested_duty = {duty[bad[0]]:g}, expected -1 to 1 ({len(bad)} of "
            f"{len(duty)} rows are beyond); no drive does more: record it again, or import it with the right scale"
        )


def _at_bridge(recording: Recording) -> Floats:
    """The requested duties; where a firmware drove, or was simulated, as it compensates the dead zone and rounds."""
    duty: Floats = recording.column("requested_duty").astype(float)
    cart = recording.cart
    if cart.stepper is not None:
        return np.asarray(np.rint(duty.clip(-1.0, 1.0) * _ONE) / _ONE)  # in a simulation too
    if cart.firmware is None:
        return duty
    duty = duty.clip(-1.0, 1.0)
    if cart.firmware.compensates_dead_zone:
        dead_zone = np.where(duty > 0.0, cart.motor.right_dead_zone_duty, cart.motor.left_dead_zone_duty)
        duty = np.sign(duty) * (dead_zone + (1.0 - dead_zone) * np.abs(duty))
    if recording.metadata.rig == _SIMULATED:
        return duty
    asked = np.isfinite(duty)
    duty[asked] = [pulses_of(round(value * _ONE)) / PULSE_PERIOD for value in duty[asked].tolist()]
    return duty


def _jumps(angle_rad: Floats, period_s: float, gaps: NDArray[np.intp]) -> list[int]:
    """Entries before which the angle does what no pole does: a potentiometer's gap, a false reading."""
    bend = np.abs(np.diff(angle_rad, 2))
    for first_of_three in (gaps - 1, gaps - 2):  # a bend across a gap says nothing
        bend[first_of_three[(first_of_three >= 0) & (first_of_three < len(bend))]] = 0.0
    wrong = np.flatnonzero(bend > max(_LEAST_JUMP_RAD, _MOST_RAD_S2 * period_s**2)) + 1
    return [int(k) for entry in wrong for k in (entry, entry + 1)]


def driven_part(series: Series) -> Series:
    """The entries before the first at which the motor was off, as a series."""
    if series.is_coasting is None:
        return series
    return dataclasses.replace(part_of(series, 0, int(np.argmax(series.is_coasting))), is_coasting=None)


def part_of(series: Series, first: int, end: int) -> Series:
    """Entries `first` to before `end`, as a separate series."""
    return dataclasses.replace(
        series,
        time_us=series.time_us[first:end] - series.time_us[first : first + 1],
        position_m=series.position_m[first:end],
        angle_rad=series.angle_rad[first:end],
        duty=series.duty[first:end],
        begins=tuple(sorted({0, *(b - first for b in series.begins if first < b < end)})) if end > first else (),
        is_coasting=None if series.is_coasting is None else series.is_coasting[first:end],
    )


def check_drive(series: Series, cart: CartParams) -> None:
    """Raises `UsageError` for a recording of a cart with another drive than that of `cart`: their duties differ."""
    if series.cart.drive is not cart.drive:
        raise UsageError(
            f"{series.name}: is a recording of the cart {series.cart.name!r} with {_DRIVES[series.cart.drive]}, and "
            f"{cart.name!r} has {_DRIVES[cart.drive]}: their duties are shares of other things; give the recorded "
            "cart, or one with its drive"
        )


def check_lost_no_steps(series: Series) -> None:
    """Raises `UsageError` for a recording that ended because steps were lost."""
    if series.fault is not None and series.fault.startswith(STEPS_LOST):
        raise UsageError(
            f"{series.name}: ended with {series.fault}: from some moment before, its counts are not where the cart "
            "was; record again with smaller accelerations, or lower stepper.maximum_acceleration_m_s2"
        )


def check_moved(series: Series) -> None:
    """Raises `UsageError` for a cart that never moved: it shows nothing of the model."""
    if np.ptp(series.position_m) < 1e-3 and np.ptp(series.angle_rad) < math.radians(1.0):
        raise UsageError(
            f"{series.name}: neither cart nor pole ever moved (by {1000 * np.ptp(series.position_m):.2f} mm and "
            f"{math.degrees(np.ptp(series.angle_rad)):.2f} degrees): there is nothing to identify; record one "
            "that does"
        )


def is_same_run(one: Series, other: Series) -> bool:
    """Whether both begin with the same readings: two copies of one run, one of them possibly cut short."""
    shared = min(len(one), len(other))
    return bool(
        (one.position_m[:shared] == other.position_m[:shared]).all()
        and (one.angle_rad[:shared] == other.angle_rad[:shared]).all()
    )
