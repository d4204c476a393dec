"""Rows on control ticks: the period of a recording, its gaps, and how two clocks agree."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.column_map import TimeBase, TimeColumns
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.errors import UsageError

_OFF_BEAT = 0.2  # of a period: a row further than this from its tick is off the beat
_MOST_OFF_BEAT = 0.05  # of all rows; a host's clock has a few late ones
_MOST_GAPS = 0.1  # places, of all rows: more are not gaps but another period
_OTHER_CLOCK = 0.1  # two clocks that differ by more do not show the same time
_LONGEST_PERIOD_S = 1.0
_SHORTEST_PERIOD_S = 1e-4


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Rows that are missing before the row on `line` of the file."""

    line: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class RowClock:
    """When each row was measured.

    `ticks` (rows,) count control periods from the first row, `device_time_s` (rows,) is the pacing clock as in the
    file, `host_time_s` (rows,) the other clock, or the same again. A period is `nominal_period_s` by the pacing clock;
    its true length is `period_s`, in whole microseconds: `host_s_per_device_s` times as long where the host's clock
    defines the second. `worst_jitter_s` is the largest distance of a row from its tick.
    """

    ticks: NDArray[np.int64]
    device_time_s: NDArray[np.float64]
    host_time_s: NDArray[np.float64]
    nominal_period_s: float
    period_s: float
    base: TimeBase
    host_s_per_device_s: float | None
    worst_jitter_s: float
    gaps: tuple[Gap, ...]

    def as_dict(self) -> dict[str, object]:
        """What was found, without the times of the rows: plain JSON values."""
        return {
            "nominal_period_s": self.nominal_period_s,
            "period_s": self.period_s,
            "base": self.base.value,
            "host_s_per_device_s": self.host_s_per_device_s,
            "worst_jitter_s": self.worst_jitter_s,
            "gaps": [dataclasses.asdict(gap) for gap in self.gaps],
        }

    def pieces(self) -> list[slice]:
        """The rows between gaps."""
        breaks = [0, *(np.nonzero(np.diff(self.ticks) > 1)[0] + 1).tolist(), len(self.ticks)]
        return [slice(first, last) for first, last in itertools.pairwise(breaks)]


def read_clock(table: CsvTable, time: TimeColumns) -> RowClock:
    """The clock of the rows. Raises `UsageError` for time that stops or goes backwards, and for a changing period."""
    pacing = time.device or time.host or ""
    unit = time.unit if time.device is not None else (time.host_unit or time.unit)
    readings = table.columns[pacing]
    if time.wraps_after is not None:
        readings = np.unwrap(readings, period=time.wraps_after)
    device_time_s = readings * unit.seconds
    period_s, ticks = _ticks(table, pacing, device_time_s)
    fit = np.polynomial.Polynomial.fit(ticks, device_time_s, 1).convert()
    period_s = float(fit.coef[1])
    jitter_s = np.abs(device_time_s - fit(ticks))
    worst = int(jitter_s.argmax())
    if jitter_s[worst] > 0.5 * period_s:
        raise table.refusal(
            worst,
            pacing,
            f"is {jitter_s[worst]:.4g} s off its tick, and the period is {period_s:.4g} s: it changes in the "
            "course of the file; name a steadier clock, or import the parts one by one",
        )
    host_time_s = device_time_s
    ratio = None
    if time.host is not None and time.device is not None:
        host_time_s = table.columns[time.host] * (time.host_unit or time.unit).seconds
        _check_host(table, time.host, host_time_s)
        ratio = float(np.polyfit(device_time_s - device_time_s[0], host_time_s - host_time_s[0], 1)[0])
    base = time.base or (TimeBase.HOST if time.device is None else TimeBase.DEVICE)
    if base is TimeBase.HOST and ratio is not None and abs(ratio - 1.0) > _OTHER_CLOCK:
        raise UsageError(
            f"{table.path}: columns {pacing!r} and {time.host!r}: the host's clock counts {ratio:.4g} s per second of "
            f"the device's, expected 1 within {_OTHER_CLOCK:g}; correct unit or host_unit in [time], or choose the "
            "other base"
        )
    true_period_s = period_s * (ratio if base is TimeBase.HOST and ratio is not None else 1.0)
    return RowClock(
        ticks=ticks,
        device_time_s=device_time_s,
        host_time_s=host_time_s,
        nominal_period_s=period_s,
        period_s=round(true_period_s * 1e6) / 1e6,
        base=base,
        host_s_per_device_s=ratio,
        worst_jitter_s=float(jitter_s[worst]),
        gaps=tuple(
            Gap(line=int(table.lines[row + 1]), missing=int(step) - 1)
            for row, step in enumerate(np.diff(ticks))
            if step > 1
        ),
    )


def _ticks(table: CsvTable, column: str, time_s: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    """The period, roughly, and on which tick each row is."""
    steps_s = np.diff(time_s)
    for row in np.nonzero(steps_s <= 0.0)[0][:1].tolist():
        fault = "two rows at once" if steps_s[row] == 0.0 else "time goes backwards"
        raise table.refusal(
            row + 1,
            column,
            f"{fault}, {time_s[row]:.10g} s and then {time_s[row + 1]:.10g} s, expected a growing time; remove one "
            "row, or give wraps_after in [time] where the counter restarts",
        )
    period_s = float(np.median(steps_s))
    if not _SHORTEST_PERIOD_S <= period_s <= _LONGEST_PERIOD_S:
        raise UsageError(
            f"{table.path}: column {column!r}: the rows are {period_s:.4g} s apart, expected {_SHORTEST_PERIOD_S:g} to "
            f"{_LONGEST_PERIOD_S:g} s; correct the unit in [time]"
        )
    periods = steps_s / period_s
    whole = np.round(periods)
    off = np.nonzero(np.abs(periods - whole) > _OFF_BEAT)[0]
    torn = np.nonzero(whole > 1)[0]
    for rows, share in ((off, _MOST_OFF_BEAT), (torn, _MOST_GAPS)):
        if len(rows) > share * len(steps_s):
            raise table.refusal(
                int(rows[0]) + 1,
                column,
                f"comes after {steps_s[rows[0]]:.4g} s, most rows after {period_s:.4g} s; {len(rows)} of "
                f"{len(steps_s)} rows deviate, expected one period; import the parts one by one, or resample the file",
            )
    for row in np.nonzero(whole < 1)[0][:1].tolist():
        raise table.refusal(
            row + 1,
            column,
            f"comes {steps_s[row]:.4g} s after the row before, and the period is {period_s:.4g} s: two rows on one "
            "tick; remove one of them, or name a steadier clock",
        )
    return period_s, np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)


def _check_host(table: CsvTable, column: str, time_s: NDArray[np.float64]) -> None:
    for row in np.nonzero(np.diff(time_s) < 0.0)[0][:1].tolist():
        raise table.refusal(
            row + 1,
            column,
            f"time goes backwards, {time_s[row]:.10g} s and then {time_s[row + 1]:.10g} s; correct it, or leave the "
            "host's clock out of the map",
        )
