"""Column maps: TOML files that state what the columns of a foreign CSV mean.

A reading becomes this package's value as `sign * (reading - offset) / units`, so an offset is the reading at 0.
Where [angle] or [duty] has no sign, the motion determines it (`angle_sign`, `duty_sign`).
"""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.files.records import read_toml, record_from_table, require, require_positive

MAP_FORMAT = 1
PERIODS_S = (1e-4, 1.0)  # the shortest and the longest time between rows
_MOST_ROWS_LATE = 50


class TimeUnit(enum.StrEnum):
    """The unit a clock counts in."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def seconds(self) -> float:
        """Seconds in one unit."""
        return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[self.value]


class TimeBase(enum.StrEnum):
    """Which clock defines the second."""

    DEVICE = "device"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class TimeColumns:
    """The clocks: `device` paces the rows, `host` runs along; one is enough. `base` is the one that defines the second.

    `wraps_after` is where the device's counter restarts at 0, in its unit (2^32 for a uint32). `row_counter` is a
    column that numbers the rows, and restarts after `counter_wraps_after`; it paces them in place of a time. Without a
    device's clock, `period_s` is the time from one row to the next. A column may also hold ISO 8601 dates or times of
    day; then its unit does not count.
    """

    device: str | None = None
    host: str | None = None
    row_counter: str | None = None
    counter_wraps_after: float | None = None
    period_s: float | None = None
    unit: TimeUnit = TimeUnit.SECONDS
    host_unit: TimeUnit | None = None
    base: TimeBase | None = None
    wraps_after: float | None = None

    def __post_init__(self) -> None:
        require(
            not (self.device is None and self.host is None and self.period_s is None),
            "no clock; name its column in device or in host, or give the time between rows as period_s",
        )
        require(
            self.device is None or self.period_s is None,
            "device and period_s both say how far apart the rows are; leave one of them out",
        )
        require(
            self.base is not TimeBase.HOST or self.host is not None,
            "base = 'host', and no column is named in host; add it, or choose the other base",
        )
        require(
            self.base is not TimeBase.DEVICE or self.paces_without_host,
            "base = 'device', and no column is named in device; add it, or choose the other base",
        )
        require(
            self.counter_wraps_after is None or self.row_counter is not None,
            "counter_wraps_after without row_counter; name the column that counts rows",
        )
        require(
            self.period_s is None or PERIODS_S[0] <= self.period_s <= PERIODS_S[1],
            f"period_s = {self.period_s}, expected {PERIODS_S[0]:g} to {PERIODS_S[1]:g} s; correct it",
        )
        for name in ("wraps_after", "counter_wraps_after"):
            if getattr(self, name) is not None:
                require_positive(self, name)

    @property
    def paces_without_host(self) -> bool:
        """Whether the period is known without the host's clock."""
        return self.device is not None or self.period_s is not None

    @property
    def pacing(self) -> str:
        """The column that paces the rows; "period_s" where none does."""
        return self.row_counter or self.device or (self.host if self.period_s is None else None) or "period_s"


class LengthUnit(enum.StrEnum):
    """The unit of a position."""

    METRES = "m"
    CENTIMETRES = "cm"
    MILLIMETRES = "mm"
    INCHES = "in"
    COUNTS = "counts"


@dataclass(frozen=True, kw_only=True)
class PositionColumn:
    """The cart's position. `sign` chooses which way is right; `offset` is the reading in the middle of the track.

    `constant` replaces the column where the cart was held.
    """

    unit: LengthUnit
    column: str | None = None
    constant: float | None = None
    counts_per_m: float | None = None
    sign: int = 1
    offset: float = 0.0

    def __post_init__(self) -> None:
        _require_column_or_constant(self.column, self.constant)
        _require_sign(self.sign)
        _require_finite("offset", self.offset)
        _require_counts(self.unit is LengthUnit.COUNTS, "counts_per_m", self.counts_per_m)

    @property
    def per_m(self) -> float:
        """How much the column changes per metre."""
        fixed = {LengthUnit.METRES: 1.0, LengthUnit.CENTIMETRES: 100.0, LengthUnit.MILLIMETRES: 1000.0}
        fixed[LengthUnit.INCHES] = 1.0 / 0.0254
        return fixed[self.unit] if self.counts_per_m is None else self.counts_per_m


class AngleUnit(enum.StrEnum):
    """The unit of an angle."""

    RADIANS = "rad"
    DEGREES = "deg"
    TURNS = "turns"
    COUNTS = "counts"


class AngleZero(enum.StrEnum):
    """Where the pole is at angle 0."""

    UPRIGHT = "upright"
    HANGING = "hanging"


@dataclass(frozen=True, kw_only=True)
class AngleColumn:
    """The pole's angle. Without a `sign` the motion determines it. `wraps`: it restarts after a full turn.

    A potentiometer has no reading in its gap: rows whose reading is not from `lowest` to `highest` are left out.
    `constant` replaces the column where the pole was held, or taken off.
    """

    unit: AngleUnit
    zero: AngleZero
    column: str | None = None
    constant: float | None = None
    counts_per_turn: float | None = None
    sign: int | None = None
    offset: float = 0.0
    wraps: bool = True
    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
        _require_column_or_constant(self.column, self.constant)
        _require_sign(self.sign)
        _require_finite("offset", self.offset)
        lowest, highest = self.readable
        require(
            lowest < highest,
            f"lowest = {lowest:g} and highest = {highest:g} leave no reading, expected lowest to be less; swap them",
        )
        _require_counts(self.unit is AngleUnit.COUNTS, "counts_per_turn", self.counts_per_turn)

    @property
    def readable(self) -> tuple[float, float]:
        """The lowest and the highest valid reading."""
        return (
            -math.inf if self.lowest is None else self.lowest,
            math.inf if self.highest is None else self.highest,
        )

    @property
    def per_rad(self) -> float:
        """How much the column changes per radian."""
        if self.counts_per_turn is not None:
            return self.counts_per_turn / (2.0 * math.pi)
        fixed = {AngleUnit.DEGREES: 180.0 / math.pi, AngleUnit.TURNS: 0.5 / math.pi}
        return fixed.get(self.unit, 1.0)


class Beyond(enum.StrEnum):
    """What happens to a command beyond full drive."""

    REFUSE = "refuse"
    CLIP = "clip"


@dataclass(frozen=True, kw_only=True)
class DutyColumn:
    """The command. The column reads `offset` at duty 0 and `full_scale` more at duty 1, and lags by `rows_late` rows.

    `direction` is the column of a command that has its size in `column`: the duty is positive where it reads
    `direction_positive`, and negative elsewhere.
    `constant` replaces the column where the motor was off (0). Wherever the column `off_where_zero` reads 0 the motor
    was off, whatever the command reads. `applied` is the column of the duty that was in force until the row, in the
    same unit; without it, the command of the previous row is taken.
    """

    column: str | None = None
    constant: float | None = None
    applied: str | None = None
    off_where_zero: str | None = None
    offset: float = 0.0
    full_scale: float = 1.0
    direction: str | None = None
    direction_positive: float = 1.0
    sign: int | None = None
    rows_late: int = 0
    beyond: Beyond = Beyond.REFUSE

    def __post_init__(self) -> None:
        _require_column_or_constant(self.column, self.constant)
        _require_sign(self.sign)
        _require_finite("offset", self.offset)
        _require_finite("direction_positive", self.direction_positive)
        require_positive(self, "full_scale")
        require(
            self.direction is None or (self.column is not None and self.applied is None),
            "direction needs a column, and no applied; take one of them out",
        )
        require(
            0 <= self.rows_late <= _MOST_ROWS_LATE,
            f"rows_late = {self.rows_late}, expected 0 to {_MOST_ROWS_LATE}; correct it",
        )


@dataclass(frozen=True, kw_only=True)
class SpeedColumns:
    """Speeds as the device measured them, each in the unit of its position per second, with its sign.

    One that is not named is the slope of its position.
    """

    cart: str | None = None
    pole: str | None = None


@dataclass(frozen=True, kw_only=True)
class CountColumns:
    """Raw counts, kept as they are; no sign applies to them."""

    cart: str | None = None
    pole: str | None = None


@dataclass(frozen=True, kw_only=True)
class LatencyColumn:
    """How long after the measurement the command came into force; becomes `lateness_s`."""

    column: str
    unit: TimeUnit = TimeUnit.SECONDS


@dataclass(frozen=True, kw_only=True)
class OwnColumns:
    """Columns that already follow this package's convention, by its names; an empty cell was not measured."""

    motor_power_w: str | None = None
    reward: str | None = None
    command_age_s: str | None = None
    shadow_duty: str | None = None
    flags: str | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """A whole column map; `cart` is the name or file of the cart that was recorded.

    `columns` names the columns of a file without a header. `decimal` is "." or ","; without it the cells show which.
    """

    time: TimeColumns
    position: PositionColumn
    angle: AngleColumn
    duty: DutyColumn
    speeds: SpeedColumns = SpeedColumns()
    counts: CountColumns = CountColumns()
    latency: LatencyColumn | None = None
    as_is: OwnColumns = OwnColumns()
    description: str = ""
    cart: str | None = None
    separator: str = ","
    decimal: str | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            len(self.separator) == 1,
            f'separator = {self.separator!r}, expected one character, such as ";" or "\\t"; correct it',
        )
        require(self.decimal in (None, ".", ","), f'decimal = {self.decimal!r}, expected "." or ","; correct it')
        require(len(set(self.columns)) == len(self.columns), "columns has a name twice; rename all but one")

    def as_dict(self) -> dict[str, Any]:
        """Everything as nested plain values, defaults included."""
        return {"format": MAP_FORMAT, **dataclasses.asdict(self)}


def load_map(path: Path) -> ColumnMap:
    """The map in that file. Raises `UsageError` naming file, section, key and what was expected."""
    tables = read_toml(path, purpose="column map", expected_format=MAP_FORMAT)
    found = record_from_table(ColumnMap, tables, where=str(path))
    if found.cart is not None and found.cart.endswith(".toml"):  # relative to the map
        found = dataclasses.replace(found, cart=str(path.parent / found.cart))
    return found


def _require_sign(sign: int | None) -> None:
    require(sign in (None, 1, -1), f"sign = {sign}, expected 1 or -1; correct it")


def _require_column_or_constant(column: str | None, constant: float | None) -> None:
    require((column is None) != (constant is None), "expected either column or constant; give one of them")
    require(constant is None or math.isfinite(constant), f"constant = {constant}, expected a finite number; correct it")


def _require_finite(name: str, value: float) -> None:
    require(math.isfinite(value), f"{name} = {value:g}, expected a finite number; correct it")


def _require_counts(is_in_counts: bool, name: str, value: float | None) -> None:
    require(
        is_in_counts == (value is not None),
        f"{name} is {'missing' if is_in_counts else 'given'}; give it with unit = 'counts', and only then",
    )
    require(
        value is None or (math.isfinite(value) and value > 0.0),
        f"{name} = {value}, expected a finite number greater than 0; give the direction by sign",
    )
