"""The mapped columns as signals: SI units, +x to the right, angle 0 upright, duty in [-1, 1]."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.datasets.column_map import ColumnMap
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.signal_columns import AngleColumn, AngleUnit, AngleZero, Beyond, DutyColumn, PositionColumn
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.printable import counted

Numbers = NDArray[np.float64]

_MOST_TURNS = 1.02  # that a wrapping column may span
_MOST_HALF_TURNS = 0.01  # of the rows may turn by more than half a turn: a potentiometer's gap, not a wrong unit
_FEW_OUTLIERS = 0.01  # of the rows
_OUTLIER_RAD = 0.25  # beyond the others
_TRACKS = 3.0  # no cart is this many half tracks from the middle
_LEAST_TRAVEL = 0.005  # of the way to the limit: less does not count as motion
_LEAST_DUTY = 0.1  # would move a cart


@dataclass(frozen=True, kw_only=True)
class RawSignals:
    """The signals of a table, each of shape (rows,), before the signs of angle and duty are settled.

    The angles count from the column's zero, which is `zero_rad` from upright: `read_angle_rad` as it was read,
    `continuous_angle_rad` without its wraps. `duty` is what was requested after the row, NaN where unknown;
    `applied_duty` is None where the file does not give it.
    """

    position_m: Numbers
    read_angle_rad: Numbers
    continuous_angle_rad: Numbers
    zero_rad: float
    duty: Numbers
    applied_duty: Numbers | None
    clipped_rows: int

    def angle_rad(self, sign: int) -> Numbers:
        """The continuous angle from upright with that sign."""
        return sign * self.continuous_angle_rad + self.zero_rad

    def rows(self, which: NDArray[np.bool_] | slice) -> RawSignals:
        """The signals of the rows `which` alone."""
        each = ("position_m", "read_angle_rad", "continuous_angle_rad", "duty")
        applied = None if self.applied_duty is None else self.applied_duty[which]
        return dataclasses.replace(self, applied_duty=applied, **{name: getattr(self, name)[which] for name in each})

    def direction_rad(self, sign: int) -> Numbers:
        """The angle from upright in [-pi, pi) with that sign; a reading that is there already stays bit-identical."""
        angle_rad = sign * self.read_angle_rad + self.zero_rad
        is_inside = (angle_rad >= -math.pi) & (angle_rad < math.pi)
        return np.where(is_inside, angle_rad, (angle_rad + math.pi) % (2.0 * math.pi) - math.pi)


def read_signals(table: CsvTable, column_map: ColumnMap, cart: CartParams) -> RawSignals:
    """The signals of `table` in our units. Raises `UsageError` for numbers that cannot be in the map's unit."""
    position, angle = column_map.position, column_map.angle
    position_m = position.sign * (_readings(table, position) - position.offset) / position.per_m
    _check_position(table, column_map, cart, position_m)
    read_angle_rad = (_readings(table, angle) - angle.offset) / angle.per_rad
    duty, clipped = _duty(table, column_map)
    applied = None
    if column_map.duty.applied is not None:
        readings = table.columns[column_map.duty.applied]
        applied = np.clip((readings - column_map.duty.offset) / column_map.duty.full_scale, -1.0, 1.0)
    signals = RawSignals(
        position_m=position_m,
        read_angle_rad=read_angle_rad,
        continuous_angle_rad=_continuous(table, column_map, read_angle_rad),
        zero_rad=0.0 if angle.zero is AngleZero.UPRIGHT else math.pi,
        duty=duty,
        applied_duty=applied,
        clipped_rows=clipped,
    )
    _check_moves(table, column_map, cart, signals)
    return signals


def _readings(table: CsvTable, source: PositionColumn | AngleColumn | DutyColumn) -> Numbers:
    """The column of `source`, or its constant in each row."""
    if source.column is None:
        return np.full(len(table), source.constant, np.float64)
    return table.columns[source.column]


def _check_position(table: CsvTable, column_map: ColumnMap, cart: CartParams, position_m: Numbers) -> None:
    position = column_map.position
    column = position.column or "constant"
    end_m = cart.limits.end_stop_m or cart.limits.cart_position_m
    for row in np.nonzero(np.abs(position_m) > _TRACKS * end_m)[0][:1].tolist():
        raise table.refusal(
            row,
            column,
            f"{_readings(table, position)[row]:g} is a cart {position_m[row]:.4g} m from the middle, and "
            f"the track of {cart.name} ends {end_m:g} m from it; correct unit ({position.unit.value}) or offset "
            f"({position.offset:g}) in [position], or name the cart with --cart",
        )


def _continuous(table: CsvTable, column_map: ColumnMap, angle_rad: Numbers) -> Numbers:
    """The angle without its wraps, if the column has some."""
    column, unit = column_map.angle.column, column_map.angle.unit
    if column is None:
        return angle_rad
    advice = "is its unit deg?" if unit is AngleUnit.RADIANS else "correct unit or counts_per_turn in [angle]"
    turns = float(np.ptp(angle_rad)) / (2.0 * math.pi)
    if column_map.angle.wraps and turns > _MOST_TURNS:
        readings = table.columns[column]
        low, high = np.quantile(angle_rad, (_FEW_OUTLIERS, 1.0 - _FEW_OUTLIERS)).tolist()
        is_far = (angle_rad < low - _OUTLIER_RAD) | (angle_rad > high + _OUTLIER_RAD)
        if high - low < _MOST_TURNS * 2.0 * math.pi and is_far.any():
            usual = readings[~is_far]
            raise table.refusal(
                int(np.argmax(is_far)),
                column,
                f"reads {readings[is_far][0]:g} ({counted(int(is_far.sum()), 'row')} so far off), the others "
                f"{usual.min():g} to {usual.max():g}; leave such readings out with lowest and highest in [angle]",
            )
        raise UsageError(
            f"{table.path}: column {column!r}: reads from {readings.min():g} to {readings.max():g}, as {unit.value} "
            f"{turns:.3g} turns, expected at most one in a column that wraps; {advice} (or set wraps = false)"
        )
    if column_map.angle.wraps:
        angle_rad = np.unwrap(angle_rad)
    fast = np.nonzero(np.abs(np.diff(angle_rad)) > math.pi)[0]
    if len(fast) > _MOST_HALF_TURNS * len(angle_rad):
        raise table.refusal(
            int(fast[0]) + 1,
            column,
            f"turns by {angle_rad[fast[0] + 1] - angle_rad[fast[0]]:.4g} rad from one row to the next "
            f"({counted(len(fast), 'row')} in all), expected less than half a turn; {advice}",
        )
    return angle_rad


def _duty(table: CsvTable, column_map: ColumnMap) -> tuple[Numbers, int]:
    """The requested duty, and how many were clipped."""
    command = column_map.duty
    name = command.column or "constant"
    readings = _readings(table, command)
    duty = (readings - command.offset) / command.full_scale
    if command.direction is not None:
        for row in np.nonzero(duty < 0.0)[0][:1].tolist():
            raise table.refusal(
                row, name, f"{readings[row]:g} is below the offset, expected the command's size; take direction out"
            )
        directions = table.columns[command.direction]
        is_right = directions == command.direction_positive
        if not is_right.any() and (duty > 0.0).any():
            readings_of_it = np.unique(directions[np.isfinite(directions)])
            raise UsageError(
                f"{table.path}: column {command.direction!r}: never reads direction_positive = "
                f"{command.direction_positive:g} (it reads {', '.join(f'{each:g}' for each in readings_of_it[:5])}); "
                "correct that in [duty]"
            )
        duty = np.where(is_right, duty, -duty)
    if command.off_where_zero is not None:
        duty = np.where(table.columns[command.off_where_zero] == 0.0, 0.0, duty)
    for row in np.nonzero(np.isnan(duty[:-1]))[0][:1].tolist():
        raise table.refusal(row, name, "is empty, expected a number; fix it, or remove that line")
    beyond = np.nonzero(np.abs(duty) > 1.0 + 1e-9)[0]
    if len(beyond) and command.beyond is Beyond.REFUSE:
        largest = float(np.nanmax(np.abs(duty))) * command.full_scale
        low, high = float(np.nanmin(readings)), float(np.nanmax(readings))
        middle = (
            ""
            if low < command.offset or command.direction
            else (f" (it reads from {low:g} to {high:g}: if the motor is off in the middle, give that as offset)")
        )
        raise table.refusal(
            int(beyond[0]),
            name,
            f"{duty[beyond[0]] * command.full_scale:g} is beyond full_scale = {command.full_scale:g} "
            f"({counted(len(beyond), 'row')} in all); expected at most that: raise full_scale in [duty] (the largest "
            f'command is {largest:g}), or set beyond = "clip" where the motor saturates there{middle}',
        )
    duty = np.clip(duty, -1.0, 1.0)
    if command.rows_late:
        duty = np.concatenate([duty[command.rows_late :], np.full(command.rows_late, np.nan)])
    return duty, len(beyond)


def _check_moves(table: CsvTable, column_map: ColumnMap, cart: CartParams, signals: RawSignals) -> None:
    """Raises `UsageError` where the motor was driven and the cart did not move, or where nothing moved at all."""
    position = column_map.position
    if position.column is None and column_map.angle.column is None:
        raise UsageError(f"{table.path}: [position] and [angle] are constant, expected a column in one; name it")
    travel_m = float(np.ptp(signals.position_m))
    least_m = _LEAST_TRAVEL * cart.limits.cart_position_m
    strongest = float(np.nanmax(np.abs(signals.duty), initial=0.0))
    dead_zone = max(cart.motor.right_dead_zone_duty, cart.motor.left_dead_zone_duty)
    if position.column is not None and travel_m < least_m and strongest > max(_LEAST_DUTY, dead_zone):
        raise UsageError(
            f"{table.path}: column {position.column!r}: the cart moves by {travel_m * 1000.0:.3g} mm in "
            f"all while the duty goes up to {strongest:.3g}, expected some motion; correct column or unit "
            f"({position.unit.value}) in [position]"
        )
    if travel_m < least_m and float(np.ptp(signals.continuous_angle_rad)) < 0.02:
        raise UsageError(
            f"{table.path}: columns {position.column or 'constant'!r} and {column_map.angle.column or 'constant'!r}: "
            "neither cart nor pole moves, expected a recording of motion; correct the columns or their units"
        )
