"""Predictions of the native engine repeated on PyBullet, the reference engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.error import predicted
from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import Window
from cartpole_robot.simulation.engine import Engine, is_installed

Floats = NDArray[np.float64]
_MOST_STEPS = 25_000  # of PyBullet, which takes a quarter of a second for them
_ROUNDING = 1e-6  # m and rad after a window: rounding stays below, amplified while a pole falls


class Repeated(NamedTuple):
    """`windows` of all `of`, run again on PyBullet: the largest difference of a predicted position and angle."""

    windows: int
    of: int
    position_m: float
    angle_rad: float

    def as_dict(self) -> dict[str, float]:
        """For JSON: the largest differences in SI units."""
        return self._asdict()

    def text(self) -> str:
        """For a user."""
        runs = f"{self.windows} runs" if self.windows == self.of else f"{self.windows} of {self.of} runs"
        return f"PyBullet repeats {runs} within {self.position_m:.1e} m and {self.angle_rad:.1e} rad"

    @property
    def is_same(self) -> bool:
        """Whether the two engines differ by rounding alone."""
        return self.position_m <= _ROUNDING and self.angle_rad <= _ROUNDING


def repeated_on_pybullet(
    engine: Engine,
    all_series: Sequence[Series],
    model: Model,
    windows: Sequence[Window],
    starts: Floats,
    found: Sequence[Floats],
) -> Repeated | None:
    """The runs that `engine` has `found` for `windows`, as many of them, evenly spread, as take a quarter of a second.

    None where PyBullet ran them already, is not installed, or where there is nothing to repeat.
    """
    if engine is Engine.PYBULLET or not windows or not is_installed(Engine.PYBULLET):
        return None
    chosen = spread(all_series, windows, model.cart.timing.physics_step_s)
    again = predicted(all_series, model, [windows[k] for k in chosen], starts[chosen], Engine.PYBULLET)
    off = [np.max(np.abs(one - found[k]), axis=0) for one, k in zip(again, chosen, strict=True)]
    position_m, angle_rad = np.max(off, axis=0).tolist()  # NaN where a run diverged
    return Repeated(windows=len(chosen), of=len(windows), position_m=position_m, angle_rad=angle_rad)


def spread(
    all_series: Sequence[Series], windows: Sequence[Window], step_s: float, most_steps: int = _MOST_STEPS
) -> list[int]:
    """The numbers of evenly spread `windows` that take at most `most_steps` physics steps, or of one."""
    lengths_us = (all_series[w.series].time_us[w.end - 1] - all_series[w.series].time_us[w.first] for w in windows)
    steps = float(sum(lengths_us)) / 1e6 / step_s
    count = len(windows) if steps <= most_steps else max(1, int(len(windows) * most_steps / steps))
    chosen: list[int] = np.linspace(0, len(windows) - 1, count).round().astype(int).tolist()
    return chosen
