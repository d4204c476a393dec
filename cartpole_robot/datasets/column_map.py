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
_MOST_ROWS_LATE = 50


class TimeUnit(enum.StrEnum):
    """The unit a clock counts in."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"

    @property
    def seconds(self) -> float:
        """Seconds in one unit."""
        return {TimeUnit.SECONDS: 1.0, TimeUnit.MILLISECONDS: 1e-3, TimeUnit.MICROSECONDS: 1e-6}[self]


class TimeBase(enum.StrEnum):
    """Which clock defines the second."""

    DEVICE = "device"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class TimeColumns:
    """The clocks: `device` paces the rows, `host` runs along; one is enough. `base` is the one that defines the second.

    `wraps_after` is where the device's counter restarts at 0, in its unit (2^32 for a uint32).
    """

    device: str | None = None
    host: str | None = None
    unit: TimeUnit = TimeUnit.SECONDS
    host_unit: TimeUnit | None = None
    base: TimeBase | None = None
    wraps_after: float | None = None

    def __post_init__(self) -> None:
        require(self.device is not None or self.host is not None, "no clock; name its column in device or in host")
        for name in ("device", "host"):
            require(
                self.base != name or getattr(self, name) is not None,
                f"base = {name!r}, and no column is named in {name}; add it, or choose the other base",
            )
        if self.wraps_after is not None:
            require_positive(self, "wraps_after")


class LengthUnit(enum.StrEnum):
    """The unit of a position."""

    METRES = "m"
    CENTIMETRES = "cm"
    MILLIMETRES = "mm"
    COUNTS = "counts"


@dataclass(frozen=True, kw_only=True)
class PositionColumn:
    """The cart's position. `sign` chooses which way is right; `offset` is the reading in the middle of the track."""

    column: str
    unit: LengthUnit
    counts_per_m: float | None = None
    sign: int = 1
    offset: float = 0.0

    def __post_init__(self) -> None:
        _require_sign(self.sign)
        _require_finite("offset", self.offset)
        _require_counts(self.unit is LengthUnit.COUNTS, "counts_per_m", self.counts_per_m)

    @property
    def per_m(self) -> float:
        """How much the column changes per metre."""
        fixed = {LengthUnit.METRES: 1.0, LengthUnit.CENTIMETRES: 100.0, LengthUnit.MILLIMETRES: 1000.0}
        return fixed[self.unit] if self.counts_per_m is None else self.counts_per_m


class AngleUnit(enum.StrEnum):
    """The unit of an angle."""

    RADIANS = "rad"
    DEGREES = "deg"
    COUNTS = "counts"


class AngleZero(enum.StrEnum):
    """Where the pole is at angle 0."""

    UPRIGHT = "upright"
    HANGING = "hanging"


@dataclass(frozen=True, kw_only=True)
class AngleColumn:
    """The pole's angle. Without a `sign` the motion determines it. `wraps`: it restarts after a full turn.

    A potentiometer has no reading in its gap: rows whose reading is not from `lowest` to `highest` are left out.
    """

    column: str
    unit: AngleUnit
    zero: AngleZero
    counts_per_turn: float | None = None
    sign: int | None = None
    offset: float = 0.0
    wraps: bool = True
    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
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
        return 180.0 / math.pi if self.unit is AngleUnit.DEGREES else 1.0


class Beyond(enum.StrEnum):
    """What happens to a command beyond full drive."""

    REFUSE = "refuse"
    CLIP = "clip"


@dataclass(frozen=True, kw_only=True)
class DutyColumn:
    """The command. `full_scale` is the reading at duty 1; `rows_late` is by how many rows it was logged late.

    `constant` replaces the column where the motor was off (0). Wherever the column `off_where_zero` reads 0 the motor
    was off, whatever the command reads. `applied` is the column of the duty that was in force until the row, in the
    same unit; without it, the command of the previous row is taken.
    """

    column: str | None = None
    constant: float | None = None
    applied: str | None = None
    off_where_zero: str | None = None
    full_scale: float = 1.0
    sign: int | None = None
    rows_late: int = 0
    beyond: Beyond = Beyond.REFUSE

    def __post_init__(self) -> None:
        require(
            (self.column is None) != (self.constant is None), "expected either column or constant; give one of them"
        )
        _require_sign(self.sign)
        require_positive(self, "full_scale")
        require(
            0 <= self.rows_late <= _MOST_ROWS_LATE,
            f"rows_late = {self.rows_late}, expected 0 to {_MOST_ROWS_LATE}; correct it",
        )


@dataclass(frozen=True, kw_only=True)
class SpeedColumns:
    """Speeds as the device measured them, each in the unit of its position per second, with its sign."""

    cart: str
    pole: str


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
    """A whole column map; `cart` is the name or file of the cart that was recorded."""

    time: TimeColumns
    position: PositionColumn
    angle: AngleColumn
    duty: DutyColumn
    speeds: SpeedColumns | None = None
    counts: CountColumns = CountColumns()
    latency: LatencyColumn | None = None
    as_is: OwnColumns = OwnColumns()
    description: str = ""
    cart: str | None = None
    separator: str = ","

    def __post_init__(self) -> None:
        require(
            len(self.separator) == 1,
            f'separator = {self.separator!r}, expected one character, such as ";" or "\\t"; correct it',
        )

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
