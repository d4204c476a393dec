"""The plant's own equations in NumPy, for many runs at a time, as derivatives need them.

PyBullet steps one cart at a time and takes some 5 us a step; here a step of a hundred runs takes about as long as one.
`agrees` compares it with PyBullet; callers check that first.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import SATURATION_POWER
from cartpole_robot.open_loop.model import Model
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.shooting import Predict
from cartpole_robot.open_loop.windows import Predictor, Window, guessed_starts, window_places
from cartpole_robot.simulation.cart import STANDING_M_S

Floats = NDArray[np.float64]
_AFTERWARDS_S = 1e3  # how long the last duty holds: longer than any delay
_COMPARED = 3  # windows in which plant and twin are compared
_SAME = 1e-9  # m and rad after a window: floating-point rounding, amplified as the pole falls


class Twin:
    """Runs models through windows as `Predictor` does, all windows of all tries at once."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], step_s: float) -> None:
        """`step_s` is the physics step of every model that will be run."""
        self._step_s = step_s
        self._asked = [_Asked(series) for series in all_series]
        self._of_series = np.array([window.series for window in windows], int)
        self._begins_s = np.array([all_series[window.series].time_s[window.first] for window in windows])
        self._is_coasting = np.array([_coasts(all_series[window.series], window) for window in windows], bool)
        places = [window_places(all_series, window, step_s) for window in windows]
        steps = np.array([math.ceil(at[-1] - 1e-6) for at in places])
        self._steps = int(steps.max(initial=0))
        # The longest first: those still running are the first ones.
        self._order = np.argsort(-steps, kind="stable")
        self._running = np.searchsorted(-steps[self._order], -np.arange(self._steps), side="left")
        self._before = np.concatenate(
            [np.minimum(at.astype(int), last - 1) for at, last in zip(places, steps, strict=True)]
        )
        self._share = np.concatenate(places) - self._before
        self._window = np.repeat(np.argsort(self._order), [len(at) for at in places])
        self._duties: dict[float, Floats] = {}

    def predictions(self, tries: Sequence[tuple[Model, Floats]]) -> list[Floats]:
        """The predicted readings of each of `tries`, all windows' entries in one array (entries, 2)."""
        self._duties = {model.delay_s: self._duties_of(model.delay_s) for model, _ in tries}
        duties = np.stack([self._duties[model.delay_s] for model, _ in tries], axis=2)
        starts = np.stack([at[self._order] for _, at in tries], axis=1)
        with np.errstate(all="ignore"):  # a try may diverge; its residual shows that
            ran = _run([model.cart for model, _ in tries], starts, duties, self._running)
            read = ran[self._before, :, self._window]
            read += self._share[:, None, None] * (ran[self._before + 1, :, self._window] - read)
        read[:, 0] *= np.array([model.position_sign for model, _ in tries])
        signs = np.array([model.angle_sign for model, _ in tries])
        read[:, 1] = signs * read[:, 1] + np.array([model.angle_zero_rad for model, _ in tries])
        return list(np.moveaxis(read, 2, 0))

    def _duties_of(self, delay_s: float) -> Floats:
        """The mean duty of each step, as by `plant_runs.step_duties`, (steps, windows), the longest window first."""
        known = self._duties.get(delay_s)
        if known is not None:
            return known
        edges_s = self._begins_s + self._step_s * np.arange(self._steps + 1)[:, None]
        sums = np.empty_like(edges_s)
        for number, asked in enumerate(self._asked):
            mine = self._of_series == number
            sums[:, mine] = asked.until(edges_s[:, mine] - delay_s)
        means: Floats = (np.diff(sums, axis=0) / self._step_s).round(10)
        means[:, self._is_coasting] = np.nan
        ordered: Floats = means[:, self._order]
        return ordered


def _coasts(series: Series, window: Window) -> bool:
    return series.is_coasting is not None and bool(series.is_coasting[window.first])


class _Asked:
    """The duties of a series, integrated over time: linear between two commands."""

    def __init__(self, series: Series) -> None:
        duties = np.nan_to_num(series.duty)
        self._times_s = np.append(series.time_s, series.time_s[-1] + _AFTERWARDS_S)
        self._sums = np.concatenate([[0.0], np.cumsum(duties * np.diff(self._times_s))])

    def until(self, times_s: Floats) -> Floats:
        """The integral up to each time."""
        sums: Floats = np.interp(times_s, self._times_s, self._sums)
        return sums


def _run(carts: Sequence[CartParams], starts: Floats, duties: Floats, running: NDArray[np.int_]) -> Floats:
    """Position and angle after each step, shape (steps + 1, 2, windows, tries).

    `starts` is (windows, tries, 4), `duties` (steps, windows, tries), NaN for an open bridge; `running` has
    for each step the number of windows, the first ones, that it is part of. Semi-implicit Euler of the cart-pole
    equations, then the dry friction of the cart and of the pole, each an impulse that stops its joint or is limited,
    then the ends of the track: as the engine solves them, in one sweep.
    """
    c = _Coefficients(carts)
    step_s = carts[0].timing.physics_step_s
    steps, windows, tries = duties.shape
    found = np.empty((steps + 1, 2, windows, tries))
    x, v, angle, rate = np.moveaxis(starts, 2, 0)
    found[0] = x, angle
    beyond = np.abs(duties) - c.dead_zone
    drives = np.maximum(beyond, 0.0) / (1.0 - c.dead_zone)
    targets = np.nan_to_num(c.slope * np.sign(duties) * (drives - c.saturation * drives**SATURATION_POWER))
    is_open = np.isnan(duties) | ((beyond <= 0.0) & c.coasts)
    is_any_open = is_open.any(axis=(1, 2))
    has_lag = bool(c.keep.any())
    has_ends = bool(np.isfinite(c.end).any())
    drive = np.zeros((windows, tries))
    for number, count in enumerate(running.tolist()):
        if count < len(x):
            x, v, angle, rate, drive = x[:count], v[:count], angle[:count], rate[:count], drive[:count]
        target = targets[number, :count]
        drive = target + c.keep * (drive - target) if has_lag else target
        force = (drive - c.damping * v) * c.mean
        if is_any_open[number]:
            opened = is_open[number, :count]
            drive = np.where(opened, 0.0, drive)
            force = np.where(opened, -c.viscous * v * c.mean_coasting, force)
        cosine, sine = c.coupling * np.cos(angle), np.sin(angle)
        along = force + c.coupling * sine * rate * rate
        about = c.moment * sine - c.pole_viscous * rate
        share = 1.0 / (c.mass * c.inertia - cosine * cosine)
        of_cart, of_pole, of_both = c.inertia * share, c.mass * share, cosine * share
        dry = np.where(np.abs(v) < STANDING_M_S, c.standing, c.sliding)
        v = v + step_s * (of_cart * along - of_both * about)
        rate = rate + step_s * (of_pole * about - of_both * along)
        impulse = np.minimum(np.maximum(-v / of_cart, -dry), dry)
        v = v + impulse * of_cart
        rate = rate - impulse * of_both
        impulse = np.minimum(np.maximum(-rate / of_pole, -c.pole_dry), c.pole_dry)
        rate = rate + impulse * of_pole
        v = v - impulse * of_both
        if has_ends:
            room = np.maximum(c.end - np.abs(x), 0.0) / step_s
            impulse = np.where(np.abs(v) > room, np.sign(v) * room - v, 0.0) / of_cart
            impulse = np.where(np.sign(v) == np.sign(x), impulse, 0.0)
            v = v + impulse * of_cart
            rate = rate - impulse * of_both
        x = x + step_s * v
        angle = angle + step_s * rate
        found[number + 1, 0, :count] = x
        found[number + 1, 1, :count] = angle
    return found


class _Coefficients:
    """The coefficients of each cart, arrays of shape (carts,); the motor's part is as in `motor.rewindable_force`."""

    def __init__(self, carts: Sequence[CartParams]) -> None:
        step_s = carts[0].timing.physics_step_s
        bodies, motors, frictions = zip(*((cart.pole_cart, cart.motor, cart.friction) for cart in carts), strict=True)
        cart_mass = _of(bodies, "cart_mass_kg")
        self.mass = _of(bodies, "mass_kg")
        self.coupling = _of(bodies, "coupling_kg_m")
        self.inertia = _of(bodies, "hinge_inertia_kg_m2")
        self.moment = self.coupling * _of(bodies, "gravity_m_s2")
        self.sliding = step_s * _of(frictions, "cart_coulomb_n")
        self.standing = step_s * _of(frictions, "cart_static_n")
        self.pole_dry = step_s * _of(frictions, "pole_coulomb_n_m")
        self.pole_viscous = _of(frictions, "pole_viscous_n_m_s")
        self.viscous = _of(frictions, "cart_viscous_n_s_m")
        self.damping = _of(carts, "damping_n_s_m")
        self.mean = 1.0 / (1.0 + 0.5 * self.damping * step_s / cart_mass)
        self.mean_coasting = 1.0 / (1.0 + 0.5 * self.viscous * step_s / cart_mass)
        self.dead_zone = _of(motors, "dead_zone_duty")
        self.saturation = _of(motors, "saturation")
        self.slope = _of(motors, "stall_force_n") / (1.0 - self.saturation)
        self.keep = np.array([math.exp(-step_s / motor.lag_s) if motor.lag_s > 0.0 else 0.0 for motor in motors])
        ends = (cart.limits.end_stop_m for cart in carts)
        self.end = np.array([math.inf if end is None else end for end in ends])
        self.coasts = np.array([not motor.brakes_at_zero for motor in motors])


def _of(parts: Sequence[object], name: str) -> Floats:
    return np.array([getattr(part, name) for part in parts], float)


def agrees(predictor: Predictor, twin: Twin, tries: Sequence[tuple[Model, Floats]]) -> bool:
    """Whether the plant and its twin, both over the same windows, predict the same for each of `tries`."""
    return all(
        bool(np.allclose(np.concatenate(predictor.predict(model, starts)), found, rtol=0.0, atol=_SAME))
        for (model, starts), found in zip(tries, twin.predictions(tries), strict=True)
    )


def twin_knows(
    all_series: Sequence[Series], windows: Sequence[Window], models: Sequence[Model], loaded: CartParams
) -> bool:
    """Whether plant and twin agree on a few of `windows` for each of `models`; `loaded` as `Predictor` takes it."""
    few = [windows[k] for k in np.unique(np.linspace(0, len(windows) - 1, _COMPARED).astype(int))]
    starts = guessed_starts(all_series, few, models[0])
    with contextlib.closing(Predictor(all_series, few, loaded)) as plant:
        return agrees(plant, Twin(all_series, few, plant.step_s), [(model, starts) for model in models])


def quick_predictions(
    all_series: Sequence[Series], windows: Sequence[Window], plant: Predictor, model: Model
) -> Predict:
    """Predictions of `model` only, over `windows`: by the twin where it agrees with the plant, else by the plant."""
    if twin_knows(all_series, windows, [model], model.cart):
        return Twin(all_series, windows, plant.step_s).predictions
    return lambda tries: [np.concatenate(plant.predict(each, at)) for each, at in tries]
