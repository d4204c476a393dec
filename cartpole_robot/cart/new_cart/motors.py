"""The motors that `carts new` offers, from `motors.toml`: each number with its source."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from cartpole_robot.files.records import read_toml, record_from_table, require_not_negative, require_positive

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class KnownMotor:
    """A motor as its data sheet has it, at the output shaft and at `rated_voltage_v`; `sources` is by key.

    `encoder_counts_per_turn` is that of an encoder on the motor's own shaft; 0 where there is none.
    """

    description: str
    stall_torque_n_m: float
    no_load_speed_rpm: float
    stall_current_a: float
    no_load_current_a: float
    rated_voltage_v: float
    gear_ratio: float
    encoder_counts_per_turn: int
    rotor_inertia_kg_m2: float
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_positive(self, "stall_torque_n_m", "no_load_speed_rpm", "stall_current_a", "rated_voltage_v")
        require_positive(self, "gear_ratio", "rotor_inertia_kg_m2")
        require_not_negative(self, "no_load_current_a", "encoder_counts_per_turn")


@functools.cache
def known_motors() -> Mapping[str, KnownMotor]:
    """The motors of `motors.toml` by name, in its order."""
    with resources.as_file(resources.files("cartpole_robot.cart.new_cart").joinpath("motors.toml")) as path:
        tables = read_toml(path, purpose="table of motors", expected_format=_FORMAT)
        return {name: _motor(table, f"{path.name}: [{name}]") for name, table in tables.items()}


def _motor(table: dict[str, Any], where: str) -> KnownMotor:
    source = str(table.pop("source"))
    plain: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, entry in table.items():
        has_own = isinstance(entry, dict)
        plain[key] = entry["value"] if has_own else entry
        sources[key] = entry["source"] if has_own else source
    return record_from_table(KnownMotor, {**plain, "sources": sources}, where=where)
