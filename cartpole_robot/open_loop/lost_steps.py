"""Where a stepper's cart jumped against its count of steps: the pole shows it, the recorded position does not.

Steps that are lost leave the count as it is, and move the cart to another place than it says. A pole whose pivot jumps
by d leans by -d cos(a) / l more at once (l: the length of the point pendulum that swings alike), and moves on from
there. Of each window such a jump is tried at each entry; one counts that explains most of what is left of a window
that stands out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.open_loop.error import farthest_m
from cartpole_robot.open_loop.model import Model, freed, with_room
from cartpole_robot.open_loop.predictor import predictor_on
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Shooting
from cartpole_robot.open_loop.windows import Window, bounded, by_window, guessed_starts, windows_of
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]
_WINDOW_S, _STRIDE_S = 0.5, 0.25
_MOST_WINDOWS, _MOST_ENTRIES = 1000, 100_000
_ROUNDS = 3  # of corrected start states
_STANDS_OUT = 9.0  # times the median window's squares
_EXPLAINS = 0.75  # of its squares
_SAME_S = 0.4  # windows overlap: two jumps that are closer are one
_EDGE = 2  # entries at either end at which a jump looks like another start, or hardly shows


class Jump(NamedTuple):
    """The cart at `time_s` of the series went to a place `distance_m` to the right of its count.

    `explained` are the squared residuals, each in units of its noise, that it takes from its window's.
    """

    window: int
    time_s: float
    distance_m: float
    explained: float

    def text(self) -> str:
        """For a user."""
        side = "right" if self.distance_m > 0.0 else "left"
        return f"{1e3 * abs(self.distance_m):.1f} mm to the {side} at {self.time_s:.2f} s"


def lost_steps(series: Series, model: Model, engine: Engine) -> list[Jump]:
    """The jumps of a stepper's cart in `series`, in order, as `model` sees them; none for a DC motor's cart."""
    if model.cart.stepper is None or series.is_coasting is not None:
        return []
    windows = bounded(windows_of([series], _WINDOW_S, stride_s=_STRIDE_S), _MOST_WINDOWS, _MOST_ENTRIES)
    if not windows:
        return []
    model = with_room(freed(model), farthest_m([series]))
    with contextlib.closing(predictor_on(engine, [series], windows, model.cart)) as predictor:
        shooting = Shooting([series], windows, predictor)
        starts = guessed_starts([series], windows, model)
        for _ in range(_ROUNDS):
            slopes = shooting.slopes_by_starts(model, shooting.residual(model, starts), starts)
            residual, starts = shooting.correct_starts(model, starts, slopes)
    found = jumps_in([series], windows, model, by_window(windows, residual), slopes, shooting.noise)
    found.sort(key=lambda jump: -jump.explained)
    kept: list[Jump] = []
    for jump in found:
        if all(abs(jump.time_s - other.time_s) > _SAME_S for other in kept):
            kept.append(jump)
    return sorted(kept, key=lambda jump: jump.time_s)


def jumps_in(
    all_series: Sequence[Series],
    windows: Sequence[Window],
    model: Model,
    residuals: Sequence[Floats],
    slopes: Sequence[Floats],
    noise: Floats,
) -> list[Jump]:
    """At most one jump in each of `windows`, given the `residuals` (entries, 2) of `model` in units of `noise`.

    `slopes` are their derivatives by the start states, (2 * entries, 4).
    """
    stepper = model.cart.stepper
    if stepper is None or not windows:
        return []
    squares = np.array([float(np.mean(residual[:, 1] ** 2)) for residual in residuals])
    usual = max(float(np.median(squares)), 1e-12)
    found = []
    for number in np.flatnonzero(squares > _STANDS_OUT * usual).tolist():
        window, residual = windows[number], residuals[number]
        series = all_series[window.series]
        basis = np.linalg.qr(slopes[number])[0]
        left = residual.ravel() - basis @ (basis.T @ residual.ravel())
        before = float(left @ left)
        best: tuple[float, int, float] | None = None
        for entry in range(_EDGE, len(residual) - _EDGE):
            column = np.zeros_like(residual)
            column[entry:, 1] = _leans(series, window, model, entry) / noise[1]
            flat = column.ravel() - basis @ (basis.T @ column.ravel())
            size = float(flat @ flat)
            if size <= 0.0:
                continue
            distance_m = -float(flat @ left) / size  # the residual is predicted minus measured
            explained = distance_m**2 * size
            if best is None or explained > best[0]:
                best = explained, entry, distance_m
        if best is None or best[0] < _EXPLAINS * before or abs(best[2]) < 0.5 * stepper.electrical_period_m:
            continue
        time_s = float(series.time_us[window.first + best[1]]) / 1e6
        found.append(Jump(window=number, time_s=time_s, distance_m=best[2], explained=best[0]))
    return found


def _leans(series: Series, window: Window, model: Model, entry: int) -> Floats:
    """What a jump by 1 m to the right at `entry` of the window makes of the angle at it and after, linearised."""
    part = slice(window.first, window.end)
    place_m, angle = model.true(np.column_stack([series.position_m[part], series.angle_rad[part]])).T
    time_s = series.time_us[part] / 1e6
    body = model.cart.pole_cart
    length_m = body.equal_pendulum_m
    speed = np.gradient(place_m, time_s)
    acceleration, rate = np.gradient(speed, time_s), np.gradient(angle, time_s)
    pull = (body.gravity_m_s2 * np.cos(angle) + acceleration * np.sin(angle)) / length_m
    lean, lean_rate = -np.cos(angle[entry]) / length_m, -np.sin(angle[entry]) * rate[entry] / length_m
    found = [lean]
    for k in range(entry, len(angle) - 1):
        step_s = time_s[k + 1] - time_s[k]
        lean_rate += step_s * pull[k] * lean
        lean += step_s * lean_rate
        found.append(lean)
    return model.angle_sign * np.array(found)
