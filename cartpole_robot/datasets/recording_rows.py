"""The rows of a recording, built from a foreign table and its column map."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.datasets.column_map import ColumnMap
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.row_clock import RowClock
from cartpole_robot.datasets.signals import RawSignals
from cartpole_robot.datasets.smoothing import slopes
from cartpole_robot.datasets.time_columns import TimeBase
from cartpole_robot.recording.format import Flag
from cartpole_robot.signals import NO_COUNT, TIME_MASK

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A table with its map, clock and signals, and the settled signs."""

    table: CsvTable
    column_map: ColumnMap
    clock: RowClock
    raw: RawSignals
    cart: CartParams
    angle_sign: int
    duty_sign: int

    def part(self, rows: slice) -> Reading:
        """The reading of a part of the rows: one recording."""
        return dataclasses.replace(
            self, table=self.table.rows(rows), clock=self.clock.rows(rows), raw=self.raw.rows(rows)
        )


def recording_rows(reading: Reading) -> Columns:
    """The columns of a recording, by name, each of shape (rows,). Raises `UsageError` for counts that are not whole."""
    clock, rows = reading.clock, len(reading.table)
    counts = reading.column_map.counts
    columns: Columns = {
        "tick": clock.ticks - clock.ticks[0],
        "mcu_time_us": _mcu_time_us(clock, has_device=reading.column_map.time.device is not None),
        "host_time_s": clock.host_time_s,
        "cart_counts": _counts(reading.table, counts.cart),
        "pole_counts": _counts(reading.table, counts.pole),
        "lateness_s": np.full(rows, math.nan),
        **_motion(reading),
        **_duties(reading),
    }
    latency = reading.column_map.latency
    if latency is not None:
        columns["lateness_s"] = reading.table.columns[latency.column] * latency.unit.seconds
    columns.update(_others(reading, columns))
    return columns


def _motion(reading: Reading) -> Columns:
    """Positions and speeds; speeds that were not recorded are the slopes of the positions."""
    raw, column_map, table = reading.raw, reading.column_map, reading.table
    angle_rad = raw.angle_rad(reading.angle_sign)
    speeds = column_map.speeds
    if speeds.cart is None:
        cart_speed = slopes(raw.position_m, reading.clock)
    else:
        cart_speed = column_map.position.sign * table.columns[speeds.cart] / column_map.position.per_m
    if speeds.pole is None:
        pole_speed = slopes(angle_rad, reading.clock)
    else:
        pole_speed = reading.angle_sign * table.columns[speeds.pole] / column_map.angle.per_rad
    return {
        "cart_position_m": raw.position_m,
        "cart_speed_m_s": cart_speed,
        "pole_angle_rad": raw.direction_rad(reading.angle_sign),
        "pole_speed_rad_s": pole_speed,
    }


def _duties(reading: Reading) -> Columns:
    """Requested and applied duty; the applied one is NaN after a gap, unless the file gives it."""
    raw = reading.raw
    requested = reading.duty_sign * raw.duty
    requested[-1] = math.nan  # no row shows the effect of the last request
    if raw.applied_duty is not None:
        return {"requested_duty": requested, "applied_duty": reading.duty_sign * raw.applied_duty}
    applied = np.concatenate([[math.nan], requested[:-1]])
    applied[1:][np.diff(reading.clock.ticks) > 1] = math.nan
    return {"requested_duty": requested, "applied_duty": applied}


def _others(reading: Reading, columns: Columns) -> Columns:
    """The columns taken over as they are; else the task's reward, the flag of the last row, and NaN."""
    table, limits = reading.table, reading.cart.limits
    unknown = np.full(len(table), math.nan)
    is_inside = (np.abs(columns["cart_position_m"]) <= limits.cart_position_m) & (
        np.abs(columns["pole_angle_rad"]) <= limits.pole_angle_rad
    )
    flags = np.zeros(len(table))
    flags[-1] = Flag.TRUNCATED
    otherwise = {
        "motor_power_w": unknown,
        "reward": np.where(is_inside & (columns["tick"] > 0), task.REWARD_PER_STEP, 0.0),
        "command_age_s": unknown,
        "shadow_duty": unknown,
        "flags": flags,
    }
    given = dataclasses.asdict(reading.column_map.as_is)
    found: Columns = {
        name: values if given[name] is None else table.columns[given[name]] for name, values in otherwise.items()
    }
    found["flags"] = _whole(table, given["flags"] or "flags", found["flags"], (0, TIME_MASK))
    return found


def _mcu_time_us(clock: RowClock, *, has_device: bool) -> NDArray[np.int64]:
    """The pacing clock in microseconds: as in the file, or scaled and from 0 where the host defines the second."""
    time_us = clock.time_us
    if clock.host_s_per_device_s is not None and clock.base is TimeBase.HOST:
        time_us = np.round((time_us - time_us[0]) * clock.host_s_per_device_s).astype(np.int64)
    elif not has_device:
        time_us = time_us - time_us[0]
    return time_us & TIME_MASK


def _counts(table: CsvTable, column: str | None) -> NDArray[np.int64]:
    if column is None:
        return np.full(len(table), NO_COUNT)
    readings = table.columns[column]
    return _whole(table, column, np.where(np.isnan(readings), NO_COUNT, readings), (NO_COUNT, 2**31 - 1))


def _whole(table: CsvTable, column: str, numbers: NDArray[np.float64], between: tuple[int, int]) -> NDArray[np.int64]:
    is_whole = (numbers == np.round(numbers)) & (numbers >= between[0]) & (numbers <= between[1])
    for row in np.nonzero(~is_whole)[0][:1].tolist():
        raise table.refusal(row, column, f"{numbers[row]:g}, expected a whole number; take the column out of the map")
    return numbers.astype(np.int64)
