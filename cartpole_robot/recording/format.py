"""What a recording holds, in either form in which it is stored: columns, flags and metadata.

A file holds one rollout, with one row per control tick. Row k holds the measurement at tick k, the duty that was then
requested, the duty in force until then and the reward of the step that led there; the last row requests nothing (NaN).
`shadow_duty` is what the policy in a shadow deployment, which does not drive, would have requested.
`host_time_s` is the host's monotonic clock, the same for every process on it; `signals.Measurement` explains the rest.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files import formats
from cartpole_robot.files.records import require
from cartpole_robot.recording.metadata import Outcome, RecordingMetadata
from cartpole_robot.signals import TIME_MASK

RECORDING_FORMAT = 3

# Name, code of `struct`, dtype; SI units, little-endian, packed.
COLUMNS = (
    ("tick", "I", "<u4"),  # control ticks since the start
    ("mcu_time_us", "I", "<u4"),  # clock of the microcontroller in µs; wraps after 71.6 minutes
    ("host_time_s", "d", "<f8"),  # monotonic clock of the host when it received the tick
    ("cart_counts", "i", "<i4"),  # raw counts of the cart's encoder, or a stepper's steps; empty without encoders
    ("pole_counts", "i", "<i4"),  # raw counts of the pole's encoder; empty without encoders
    ("cart_position_m", "d", "<f8"),  # distance from the middle of the track, positive to the right
    ("cart_speed_m_s", "d", "<f8"),  # estimated speed
    ("pole_angle_rad", "d", "<f8"),  # 0 upright, positive leaning to the right
    ("pole_speed_rad_s", "d", "<f8"),  # estimated speed
    ("requested_duty", "d", "<f8"),  # duty requested in response to this tick; NaN in the last row
    ("applied_duty", "d", "<f8"),  # duty in force until this tick
    ("motor_power_w", "f", "<f4"),  # electrical power of the motor in W; NaN if not measured, as of a stepper
    ("reward", "f", "<f4"),  # reward of the step that led to this tick
    ("lateness_s", "f", "<f4"),  # delay of this tick at the host, beyond the shortest delay
    ("command_age_s", "f", "<f4"),  # age of the newest command
    ("shadow_duty", "f", "<f4"),  # duty that the policy of a shadow deployment would have requested
    ("flags", "I", "<u4"),  # sum of the flags below
)
COUNT_COLUMNS = ("cart_counts", "pole_counts")
ROW_DTYPE = np.dtype([(name, kind) for name, _, kind in COLUMNS])

MOST_ROWS = 5_000_000  # 2.8 hours at 500 Hz: 560 MB of memory


def check_rows(count: int) -> None:
    """Raise ValueError for more rows than a recording can have."""
    require(0 <= count <= MOST_ROWS, f"it claims {count} rows, expected at most {MOST_ROWS}")


def check_rewards(rows: NDArray[np.void]) -> None:
    """Raise ValueError for rewards that have no finite sum: they count the steps."""
    with np.errstate(over="ignore"):
        total = float(np.nansum(rows["reward"], dtype=np.float64))
    require(math.isfinite(total), f"its rewards sum to {total}")


class Flag(enum.IntFlag):
    """Flags of a row's tick."""

    TERMINATED = 1  # the cart or the pole passed its limit
    TRUNCATED = 2  # the rollout reached its duration
    FALLBACK = 4  # the regulator drove as the policy's fallback
    ON_BOARD = 8  # the policy in the firmware drove
    MOTOR_OFF = 16  # nothing drove: after the end, bridge open


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded rollout.

    `rows` is a structured array with the fields of `COLUMNS`; counts are `NO_COUNT` without an encoder. `outcome` is
    how the rollout ended, None if the writer was interrupted or `is_being_written`. `rows_damaged` counts skipped rows.
    """

    path: Path
    metadata: RecordingMetadata
    rows: NDArray[np.void]
    outcome: Outcome | None
    rows_damaged: int = 0
    is_being_written: bool = False

    @property
    def cart(self) -> CartParams:
        """The cart that was driven."""
        return self.metadata.cart

    def time_us(self) -> NDArray[np.int64]:
        """The cart's clock since the first row in microseconds, shape (rows,), with its wraps undone.

        `mcu_time_us` wraps after 71.6 minutes; across a longer gap the ticks tell how often it did. A clock that goes
        back is returned as it is.
        """
        ticks, clock = (self.rows[name].astype(np.int64) for name in ("tick", "mcu_time_us"))
        steps_us = np.diff(clock) & TIME_MASK
        expected_us = (np.diff(ticks) & TIME_MASK) * self.cart.timing.control_period_us
        steps_us += np.rint((expected_us - steps_us) / (TIME_MASK + 1)).astype(np.int64) * (TIME_MASK + 1)
        return np.concatenate([np.zeros(min(1, len(clock)), np.int64), np.cumsum(steps_us)])

    def column(self, name: str) -> NDArray[Any]:
        """One column, shape (rows,)."""
        column: NDArray[Any] = self.rows[name]
        return column


def other_format(path: Path, found: object, header: Mapping[str, Any]) -> UsageError:
    """The error for a recording of another format; its `header`, which may hold anything, says who wrote it."""
    return formats.other_format(path, "recording", found, header, expected=RECORDING_FORMAT, remedy="record it again")
