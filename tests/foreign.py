"""A foreign recording: a simulated cart, written in any convention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State

PERIOD_S = 0.02
HEADER = ("t", "t_host", "x", "theta", "u")

Columns = dict[str, NDArray[np.float64]]


def driven_swing(rows: int = 400) -> Columns:
    """The truth by the names in `HEADER`: PyBullet's hanging pole under a cart pushed back and forth."""
    rig = simulated_rig(load_cart("sensorsini"))
    rng = np.random.default_rng(3)
    measured = rig.reset(State(0.0, 0.0, math.pi - 0.9, 0.0), rng)
    found: dict[str, list[float]] = {name: [] for name in HEADER}
    for row in range(rows):
        duty = 0.55 * math.sin(2.0 * math.pi * 1.3 * row * PERIOD_S) + 0.35 * math.sin(
            2.0 * math.pi * 3.1 * row * PERIOD_S
        )
        duty = float(np.clip(duty - 2.0 * measured.cart_position_m, -1.0, 1.0))
        numbers = (row * PERIOD_S, 7.0 + row * PERIOD_S, measured.cart_position_m, measured.pole_angle_rad, duty)
        for name, number in zip(HEADER, numbers, strict=True):
            found[name].append(number)
        measured = rig.step(duty)
    rig.close()
    return {name: np.array(column) for name, column in found.items()}


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A foreign convention: centimetres, degrees and percent, with signs of its own."""

    position_sign: int = 1
    angle_sign: int = 1
    is_hanging_zero: bool = False
    duty_sign: int = 1

    def columns(self, truth: Mapping[str, NDArray[np.float64]]) -> Columns:
        """The columns of `truth` in this convention."""
        angle = truth["theta"] - (math.pi if self.is_hanging_zero else 0.0)
        wrapped = (self.angle_sign * angle + math.pi) % (2.0 * math.pi) - math.pi
        return {
            "t": truth["t"],
            "t_host": truth["t_host"],
            "x": self.position_sign * truth["x"] * 100.0,
            "theta": np.degrees(wrapped),
            "u": self.duty_sign * truth["u"] * 100.0,
        }

    def map_text(self, *, angle_sign: int | None = None, duty_sign: int | None = 1) -> str:
        """A map that fits this convention; the signs are as given."""
        zero = "hanging" if self.is_hanging_zero else "upright"
        return "\n".join(
            [
                "format = 1",
                'cart = "sensorsini"',
                "[time]",
                'device = "t"',
                "[position]",
                'column = "x"',
                'unit = "cm"',
                f"sign = {self.position_sign}",
                "[angle]",
                'column = "theta"',
                'unit = "deg"',
                f'zero = "{zero}"',
                *([] if angle_sign is None else [f"sign = {angle_sign}"]),
                "[duty]",
                'column = "u"',
                "full_scale = 100.0",
                *([] if duty_sign is None else [f"sign = {duty_sign}"]),
                "",
            ]
        )


def write_csv(path: Path, columns: Mapping[str, NDArray[np.float64]]) -> Path:
    """Write the columns as a CSV, every number with all its digits."""
    lines = [",".join(columns)]
    lines += [",".join(repr(float(number)) for number in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path
