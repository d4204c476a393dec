"""Column maps: TOML files that state what the columns of a foreign CSV mean."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.datasets.signal_columns import AngleColumn, DutyColumn, PositionColumn
from cartpole_robot.datasets.time_columns import TimeColumns, TimeUnit
from cartpole_robot.files.packaged import MAPS
from cartpole_robot.files.records import read_toml, record_from_table, require

MAP_FORMAT = 1


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
    """The map in that file, or the package's map of that name where there is no such file.

    Raises `UsageError` naming file, section, key and what was expected.
    """
    if str(path) in MAPS.names() and not path.exists():
        with resources.as_file(resources.files(MAPS.package).joinpath(f"{path}.toml")) as file:
            return load_map(file)
    tables = read_toml(path, purpose="column map", expected_format=MAP_FORMAT)
    found = record_from_table(ColumnMap, tables, where=str(path))
    if found.cart is not None and found.cart.endswith(".toml"):  # relative to the map
        found = dataclasses.replace(found, cart=str(path.parent / found.cart))
    return found
