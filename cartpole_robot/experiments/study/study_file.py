"""Study files: presets, carts, values of training fields and seeds, in TOML."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.study.study import Cell, Scale, Study, Value, cell_config, cell_key, point_text
from cartpole_robot.files.records import check_keys, read_toml, record_from_table, require
from cartpole_robot.rigs.engine_choice import chosen_engine
from cartpole_robot.rollout.evaluation import SELECTION_SEED
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.config import TrainingConfig, load_preset

STUDY_FORMAT = 1
MOST_CELLS = 100_000
_PRESETS = "cartpole_robot.experiments.study.presets"
_NOT_IN_A_GRID = ("name", "description")


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The keys of a study file outside its table `[grid]`. Seeds count up from `first_seed`."""

    format: int
    title: str
    presets: tuple[str, ...]
    carts: tuple[str, ...] = ("gym",)
    seeds: int
    first_seed: int = 0
    steps: int | None = None
    episodes: int | None = None
    scale: Scale = Scale.CATEGORIES

    def __post_init__(self) -> None:
        require(self.format == STUDY_FORMAT, f"format = {self.format}, this version reads {STUDY_FORMAT}; correct it")
        require(bool(self.title.strip()), "title is empty; write what is varied")
        for name in ("presets", "carts"):
            values = getattr(self, name)
            require(bool(values), f"{name} is empty; name at least one")
            require(len(set(values)) == len(values), f"{name} names one twice; remove one of them")
        for name in ("steps", "episodes", "seeds"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} = {value}, expected at least 1; correct it")
        require(
            self.first_seed >= 0 and self.first_seed + self.seeds <= SELECTION_SEED,
            f"seeds {self.first_seed} to {self.first_seed + self.seeds - 1}, expected 0 to {SELECTION_SEED - 1}: "
            "the others are reserved for evaluation",
        )


def study_names() -> tuple[str, ...]:
    """Names of the package's studies, as on the command line."""
    files = resources.files(_PRESETS).iterdir()
    return tuple(sorted(Path(item.name).stem.replace("_", "-") for item in files if item.name.endswith(".toml")))


def load_study(name: str | Path, *, seeds: int | None = None, engine: Engine | None = None) -> Study:
    """Load a study by name or from a .toml file; `seeds` replaces its number of seeds.

    `engine` None is the choice of `rigs.engine_choice` for each cart. Raises `UsageError` naming file, key and value.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return _parsed(path, path.stem, seeds, engine)
    if str(name) not in study_names():
        raise UsageError(f"study {str(name)!r} is not known; expected {', '.join(study_names())}, or a .toml file")
    entry = resources.files(_PRESETS).joinpath(f"{str(name).replace('-', '_')}.toml")
    with resources.as_file(entry) as file:
        return _parsed(file, str(name), seeds, engine)


def _parsed(path: Path, name: str, seeds: int | None, engine: Engine | None) -> Study:
    table = read_toml(path, purpose="study file")
    where = str(path)
    check_keys(table, [*(field.name for field in dataclasses.fields(StudyFile)), "grid"], where=where)
    head = {key: value for key, value in table.items() if key != "grid"}
    file = record_from_table(StudyFile, head if seeds is None else {**head, "seeds": seeds}, where=where)
    grid = _grid(table.get("grid"), file, where)
    configs = {preset: _base(preset, file, path) for preset in file.presets}
    carts = {cart: _cart(cart, path) for cart in file.carts}
    choices = {cart: chosen_engine(params, engine) for cart, params in carts.items()}
    engines = {cart: choice.engine for cart, choice in choices.items() if choice.engine is not None}
    cells = []
    for preset, cart, seed, values in itertools.product(
        file.presets,
        file.carts,
        range(file.first_seed, file.first_seed + file.seeds),
        itertools.product(*grid.values()),
    ):
        config = cell_config(configs[preset], dict(zip(grid, values, strict=True)), where=where)
        point = {field: getattr(config, field) for field in grid}  # 1 as 1.0 where the field is a number
        key = cell_key(config, carts[cart], seed, engines[cart])
        cells.append(Cell(key=key, preset=preset, cart=cart, point=point, seed=seed))
    _check_points(cells, where)
    if file.scale is not Scale.CATEGORIES:
        _check_scale(grid, file.scale, where)
    record = {
        "title": file.title,
        "scale": file.scale.value,
        "engines": engines,
        "grid": grid,
        "seeds": [file.first_seed, file.first_seed + file.seeds - 1],
        "configurations": {preset: dataclasses.asdict(config) for preset, config in configs.items()},
        "carts": {cart: params.as_dict() for cart, params in carts.items()},
        "cells": [dataclasses.asdict(cell) for cell in cells],
    }
    return Study(
        name=name,
        title=file.title,
        scale=file.scale,
        fields=tuple(grid),
        cells=tuple(cells),
        record=record,
        configs=configs,
        carts=carts,
        engines=engines,
        engine_notes=tuple(f"{cart}: {choice.note}" for cart, choice in choices.items() if choice.note is not None),
    )


def _grid(table: Any, file: StudyFile, where: str) -> dict[str, list[Value]]:
    if not isinstance(table, dict) or not table:
        raise UsageError(f"{where}: [grid] is missing or empty; add it with a training field and its values")
    known = [field.name for field in dataclasses.fields(TrainingConfig) if field.name not in _NOT_IN_A_GRID]
    check_keys(table, known, where=f"{where}: [grid]")
    for name, values in table.items():
        here = f"{where}: [grid] {name}"
        if not isinstance(values, list) or not values:
            raise UsageError(f"{here} = {values!r}, expected a list of at least one value; write [first, second]")
        for value in values:
            if not isinstance(value, int | float | str):
                raise UsageError(f"{here}: {value!r} is among its values, expected numbers or texts; correct it")
        if len({str(value) for value in values}) < len(values):
            raise UsageError(f"{here} = {values!r}: contains a value twice; remove one of them")
        if getattr(file, name, None) is not None:
            raise UsageError(f"{where}: {name} is both at the top and in [grid]; keep one of them")
    count = file.seeds * len(file.presets) * len(file.carts) * math.prod(map(len, table.values()))
    if count > MOST_CELLS:
        raise UsageError(f"{where}: has {count} cells, expected at most {MOST_CELLS}; take fewer values or seeds")
    return table


def _check_scale(grid: Mapping[str, list[Value]], scale: Scale, where: str) -> None:
    if len(grid) > 1:
        raise UsageError(f"{where}: scale = '{scale}' is for a grid of one field, it has {len(grid)}; use 'categories'")
    for name, values in grid.items():
        for value in values:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or (scale is Scale.LOG and float(value) <= 0.0):
                wanted = "numbers above 0" if scale is Scale.LOG else "numbers"
                raise UsageError(f"{where}: scale = '{scale}' needs {wanted}, {name} has {value!r}; use 'categories'")


def _relative_to(path: Path, name: str) -> str | Path:
    """File names in a study file are relative to its folder."""
    return path.parent / name if name.endswith(".toml") else name


def _base(preset: str, file: StudyFile, path: Path) -> TrainingConfig:
    try:
        config = load_preset(_relative_to(path, preset)).changed(steps=file.steps, episodes=file.episodes)
        return dataclasses.replace(config, extension_steps=0)  # cells of one length
    except UsageError as error:
        raise UsageError(f"{path}: presets: {error}") from None


def _cart(cart: str, path: Path) -> CartParams:
    try:
        return load_cart(_relative_to(path, cart))
    except UsageError as error:
        raise UsageError(f"{path}: carts: {error}") from None


def _check_points(cells: list[Cell], where: str) -> None:
    """Raise `UsageError` for grid values that are equal, as 1 and 1.0."""
    seen = set()
    for cell in cells:
        name = (cell.preset, cell.cart, json.dumps(dict(cell.point)), cell.seed)
        if name in seen:
            raise UsageError(f"{where}: [grid] has {point_text(cell.point)} twice; remove one of them")
        seen.add(name)
