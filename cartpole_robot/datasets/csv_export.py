"""A recording as CSV, with the column map that `import` reads it back with."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.cart.cart_file import cart_names
from cartpole_robot.errors import UsageError
from cartpole_robot.files.new_file import check_is_new, new_file
from cartpole_robot.recording.format import COLUMNS, COUNT_COLUMNS, Recording
from cartpole_robot.signals import NO_COUNT
from cartpole_robot.terminal.printable import printable
from cartpole_robot.terminal.progress import progress_bar

CSV_SUFFIX, MAP_SUFFIX = ".csv", ".map.toml"
_BAR_ROWS = 4096

_MAP = """\
# How `cartpole-robot import` reads {name} back: cartpole-robot import {name} --map {map_name} --out again.parquet

format = 1
{cart}
[time]
device = "mcu_time_us"
unit = "us"
wraps_after = 4294967296        # a uint32
host = "host_time_s"
host_unit = "s"
base = "device"

[position]
column = "cart_position_m"
unit = "m"

[angle]
column = "pole_angle_rad"
unit = "rad"
zero = "upright"
sign = 1

[duty]
column = "requested_duty"
applied = "applied_duty"
sign = 1

[speeds]
cart = "cart_speed_m_s"
pole = "pole_speed_rad_s"

[counts]
cart = "cart_counts"
pole = "pole_counts"

[latency]
column = "lateness_s"
unit = "s"

[as_is]
motor_power_w = "motor_power_w"
reward = "reward"
command_age_s = "command_age_s"
shadow_duty = "shadow_duty"
flags = "flags"
"""


def export_csv(recording: Recording, path: Path) -> dict[str, Any]:
    """Write the CSV at `path` and its map next to it; returns what was written.

    Units are in the names of the columns, numbers have enough digits to restore the same bits, and a value that was
    not measured (NaN, no count) is an empty cell. Raises `UsageError` where one of the two files exists already.
    """
    if path.suffix != CSV_SUFFIX:
        raise UsageError(f"{path}: ends in {path.suffix!r}, expected a name that ends in {CSV_SUFFIX}; change --out")
    map_path = path.with_name(path.stem + MAP_SUFFIX)
    check_is_new(map_path)
    with new_file(path) as partial:
        _write_rows(recording, partial)
        with new_file(map_path) as partial_map:
            partial_map.write_text(_map_text(recording, path.name, map_path.name), encoding="utf-8")
    return {"csv": str(path), "map": str(map_path), "rows": len(recording.rows)}


def _write_rows(recording: Recording, path: Path) -> None:
    names = [name for name, _, _ in COLUMNS]
    columns = [_cells(recording.column(name), name) for name in names]
    with (
        path.open("w", encoding="utf-8", newline="") as file,
        progress_bar(len(recording.rows), "writing", " rows", quiet=True) as bar,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for number, row in enumerate(zip(*columns, strict=True), start=1):
            writer.writerow(row)
            if number % _BAR_ROWS == 0:
                bar.update(_BAR_ROWS)


def _cells(column: Any, name: str) -> list[Any]:
    """Each number with the fewest digits that restore it in its own precision."""
    if name in COUNT_COLUMNS:
        return ["" if count == NO_COUNT else count for count in column.tolist()]
    if column.dtype.kind != "f":
        return list(column.tolist())
    return ["" if np.isnan(number) else str(number) for number in column]


def _map_text(recording: Recording, name: str, map_name: str) -> str:
    cart = recording.cart.name
    line = f'cart = "{cart}"\n' if cart in cart_names() else f"# name the cart, which was {cart!r}, with --cart FILE\n"
    return _MAP.format(name=shlex.quote(printable(name)), map_name=shlex.quote(printable(map_name)), cart=line)
