"""The sections [position], [angle] and [duty] of a column map: column, unit, sign and offset of each signal.

A reading becomes this package's value as `sign * (reading - offset) / units`, so an offset is the reading at 0.
Where [angle] or [duty] has no sign, the motion determines it (`angle_sign`, `duty_sign`).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_positive

_MOST_ROWS_LATE = 50


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
