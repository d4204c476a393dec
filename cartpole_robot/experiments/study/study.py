"""A study: its cells, and the key of everything that a cell's result depends on."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.folder import CellRecord, check_key
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.config import TrainingConfig

Value = int | float | str | bool
STUDY = "study"
_LONGEST_TEXT = 200


class Scale(enum.StrEnum):
    """The scale of the figure's axis of the varied field."""

    LOG = "log"
    LINEAR = "linear"
    CATEGORIES = "categories"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a study. `point` has this cell's values of the grid's fields; `key` identifies all its inputs."""

    key: str
    preset: str
    cart: str
    point: Mapping[str, Value]
    seed: int

    @property
    def label(self) -> str:
        return f"{self.preset} on {self.cart}, {point_text(self.point)}, seed {self.seed}"

    def __post_init__(self) -> None:
        """Raises ValueError for a key that is no hash, and for a point with anything but numbers and texts."""
        check_key(self.key)
        for name, value in self.point.items():
            require(isinstance(value, Value), f"point has {name[:40]!r} = {str(value)[:40]}, expected a number or text")


@dataclass(frozen=True, kw_only=True)
class StudyCellRecord(CellRecord):
    """The file of a finished cell; one whose training diverged has an `error` and no results."""

    seed: int | None = None
    steps: int | None = None
    episodes: int | None = None
    training_s: float | None = None
    last_mean_steps: float | None = None
    selected_mean_steps: float | None = None
    on_pybullet_episodes: int | None = None
    on_pybullet_mean_steps: float | None = None
    selected_at_step: int | None = None
    first_500_step: int | None = None
    first_500_s: float | None = None
    episode_steps: tuple[int, ...] = ()
    evaluations: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(len(row) == 3 for row in self.evaluations), "an evaluation has other than 3 numbers")


@dataclass(frozen=True, kw_only=True)
class CellTask:
    """Everything a cell needs, as plain values that can be sent to another process or machine."""

    key: str
    label: str
    config: dict[str, Any]
    cart: dict[str, Any]
    seed: int
    engine: Engine
    package_version: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: its cells in the order in which they run, and the exact trainings behind them.

    `configs` has each preset's configuration with the study's steps and episodes, before the grid; `engines` has what
    simulates each cart, `engine_notes` what a user should know about the choice. They are empty for a study read from
    its folder, which has only `record`.
    """

    name: str
    title: str
    scale: Scale
    fields: tuple[str, ...]
    cells: tuple[Cell, ...]
    record: Mapping[str, Any]
    configs: Mapping[str, TrainingConfig] = dataclasses.field(default_factory=dict)
    carts: Mapping[str, CartParams] = dataclasses.field(default_factory=dict)
    engines: Mapping[str, Engine] = dataclasses.field(default_factory=dict)
    engine_notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return STUDY

    @property
    def keys(self) -> Iterable[str]:
        return (cell.key for cell in self.cells)

    @property
    def record_kind(self) -> type[CellRecord]:
        return StudyCellRecord

    def has_grown(self, name: str, before: Any, now: Any) -> bool:
        """Seeds may be added, and with them cells."""
        if name == "seeds":
            return bool(now[0] <= before[0] <= before[1] <= now[1])
        return name == "cells" and {json.dumps(cell, sort_keys=True) for cell in before} <= {
            json.dumps(cell, sort_keys=True) for cell in now
        }

    @functools.cached_property
    def points(self) -> tuple[Mapping[str, Value], ...]:
        """The distinct grid points."""
        seen: dict[str, Mapping[str, Value]] = {}
        for cell in self.cells:
            seen.setdefault(json.dumps(dict(cell.point)), cell.point)
        return tuple(seen.values())

    @functools.cached_property
    def series(self) -> tuple[tuple[str, str], ...]:
        """Each preset on each cart."""
        return tuple(dict.fromkeys((cell.preset, cell.cart) for cell in self.cells))

    def series_name(self, preset: str, cart: str) -> str:
        """The preset, and the cart where there are several."""
        return preset if len({cart for _, cart in self.series}) == 1 else f"{preset} on {cart}"


def point_text(point: Mapping[str, Value]) -> str:
    """A grid point as text: "replay memory 1000"."""
    return ", ".join(f"{field_text(name)} {value_text(value)}" for name, value in point.items())


def field_text(name: str) -> str:
    """A field's name with spaces."""
    return name.replace("_", " ")


def value_text(value: Value) -> str:
    """A grid value as text, with thousands separators."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def cell_config(base: TrainingConfig, point: Mapping[str, Any], *, where: str) -> TrainingConfig:
    """`base` with the point's values. Raises `UsageError` naming the field and what is wrong with its value."""
    return record_from_table(TrainingConfig, {**dataclasses.asdict(base), **point}, where=f"{where}: [grid]")


def cell_key(config: TrainingConfig, cart: CartParams, seed: int, engine: Engine) -> str:
    """A hash of all that a training's result depends on, except the code; without names and descriptions."""
    values = dataclasses.asdict(config)
    del values["name"], values["description"]
    if not values["extension_steps"]:  # as of cells that an earlier version trained
        del values["extension_steps"]
    inputs = {"config": values, "cart": cart.fingerprint(), "seed": seed, "engine": engine}
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def task_of(study: Study, cell: Cell, package_version: str) -> CellTask:
    """What another process needs to run that cell."""
    config = cell_config(study.configs[cell.preset], cell.point, where=study.name)
    return CellTask(
        key=cell.key,
        label=cell.label,
        config=dataclasses.asdict(config),
        cart=study.carts[cell.cart].as_dict(),
        seed=cell.seed,
        engine=study.engines[cell.cart],
        package_version=package_version,
    )


def study_of_record(name: str, record: Mapping[str, Any], *, where: str) -> Study:
    """The study that `record` describes, for showing only. Raises `UsageError`."""
    try:
        grid = record["grid"]
        require(isinstance(grid, Mapping) and bool(grid), "grid is no table")
        cells = [record_from_table(Cell, cell, where="cell") for cell in record["cells"]]
        require(bool(cells), "it has no cells")
        for cell in cells:
            require(cell.point.keys() == grid.keys(), f"cell {cell.key} is not in the grid")
        return Study(
            name=name[:_LONGEST_TEXT],
            title=str(record["title"]),
            scale=Scale(record["scale"]),
            fields=tuple(grid),
            cells=tuple(cells),
            record=record,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: is damaged ({type(error).__name__}: {error}); restore it from a copy") from None
