"""PyBullet's plant run from a state under recorded duties: where would the cart have gone?

No encoders, no firmware, no clock of its own: the plant, motor and friction of every simulated rig, and their true
positions and angles. This is the reference that the native engine's windows are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import equivalent_body
from cartpole_robot.open_loop.model import TERMS, Model, model_of
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import START_SIGNALS, Runs, Try, Window
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import STANDING_M_S, in_engine
from cartpole_robot.simulation.motor import rewindable_force
from cartpole_robot.simulation.native_cart import stepper_drive
from cartpole_robot.simulation.plant import Plant

if TYPE_CHECKING:
    from cartpole_robot.simulation._native import StepperDrive

Floats = NDArray[np.float64]
_SHORTER = 0.6  # of the pole's length: what is loaded, for the engine can emulate longer poles only


class OpenLoop:
    """One plant that runs repeatedly, from any state and with any parameters."""

    def __init__(self, cart: CartParams) -> None:
        """Load the plant."""
        self._load(cart)
        self._become(cart)

    def _load(self, cart: CartParams) -> None:
        self._loaded = cart
        self._plant = Plant(
            cart.pole_cart,
            cart.timing.physics_step_s,
            friction=in_engine(cart.friction),
            end_stop_m=_end_stop_m(cart),
        )

    @property
    def step_s(self) -> float:
        """The physics step."""
        return self._loaded.timing.physics_step_s

    def change(self, cart: CartParams) -> None:
        """Continue as `cart`, of the same physics step."""
        if _end_stop_m(cart) != _end_stop_m(self._loaded) or not _is_emulated(cart, self._loaded):
            self._plant.close()
            self._load(_with_shorter_pole(cart))
        self._become(cart)

    def _become(self, cart: CartParams) -> None:
        self._plant.change(cart.pole_cart, in_engine(cart.friction))
        self._force, _, self._hold = rewindable_force(cart)
        self._has_stiction = cart.friction.cart_static_n > cart.friction.cart_coulomb_n
        self._stepper = None if cart.stepper is None else stepper_drive(cart)

    def run(self, start: State, duties: Sequence[float]) -> Floats:
        """Shape (len(duties) + 1, 4): position m, speed m/s, angle rad (unwrapped), angular speed rad/s.

        The first row is `start`, the motor without current; each further one is a physics step later, under the duty of
        that step, NaN for an open bridge. Values beyond the range of any cart are returned as computed. Position and
        speed of a stepper's cart are those of its pulses, in `start` too; NaN holds it at rest.
        """
        if self._stepper is not None:
            return self._run_stepper(self._stepper, start, duties)
        plant = self._plant
        plant.place(start)
        plant.hold_or_release(False)
        self._hold(0.0)
        advance, force, hold_or_release = plant.advance, self._force, plant.hold_or_release
        has_stiction = self._has_stiction
        speed = start.cart_speed_m_s
        found = [start[:2]]
        poles = [start[2:]]
        append, append_pole = found.append, poles.append
        for duty in duties:
            if has_stiction:
                hold_or_release(-STANDING_M_S < speed < STANDING_M_S)
            cart, pole = advance(force(duty, speed) if duty == duty else force(0.0, speed, True), 1)
            speed = cart[1]
            append(cart[:2])
            append_pole(pole[:2])
        return np.hstack([np.array(found), np.array(poles)])

    def _run_stepper(self, stepper: StepperDrive, start: State, duties: Sequence[float]) -> Floats:
        """`run` of a stepper's cart: `run_stepper` of window.c on this engine."""
        is_held = bool(duties) and math.isnan(duties[0])
        place_m, speed_m_s = start.cart_position_m, 0.0 if is_held else start.cart_speed_m_s
        x, v = stepper.trail(place_m, speed_m_s, 0.0 if is_held or not duties else duties[0])
        plant, force = self._plant, self._force
        plant.place(State(x, v, start.pole_angle_rad, start.pole_speed_rad_s))
        found = [(place_m, speed_m_s, start.pole_angle_rad, start.pole_speed_rad_s)]
        for duty in duties:
            target_m_s, most_n, place_m, speed_m_s = stepper.glide(0.0 if is_held else duty, x, v)
            plant.drive_cart(target_m_s, most_n)
            (x, v, *_), (angle, rate, *_) = plant.advance(force(0.0, v, True), 1)
            found.append((place_m, speed_m_s, angle, rate))
        return np.array(found)

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()


def _end_stop_m(cart: CartParams) -> float | None:
    return None if cart.encoders is None else cart.limits.end_stop_m  # an ideal cart's track has no end


def _is_emulated(cart: CartParams, loaded: CartParams) -> bool:
    try:
        equivalent_body(cart.pole_cart, loaded.pole_cart)
    except ValueError:
        return False
    return True


def _with_shorter_pole(cart: CartParams) -> CartParams:
    length = TERMS["pole_length"]
    model = model_of(cart)
    return length.write(model, _SHORTER * length.read(model)).cart


class PlantPredictor:
    """Runs models through windows on PyBullet; implements `windows.Predictor`."""

    def __init__(self, all_series: Sequence[Series], windows: Sequence[Window], cart: CartParams) -> None:
        """`cart` has the physics step of every model that will run."""
        self._series, self._windows = list(all_series), list(windows)
        self._loop = OpenLoop(cart)

    def run(self, tries: Sequence[Try]) -> list[Runs]:
        """As `windows.Predictor.run`."""
        return [self._run(model, starts) for model, starts in tries]

    def _run(self, model: Model, starts: Floats) -> Runs:
        self._loop.change(model.cart)
        step_s = self._loop.step_s
        readings: list[Floats] = []
        ends = np.zeros((len(self._windows), START_SIGNALS))
        for number, (window, start) in enumerate(zip(self._windows, starts, strict=True)):
            series = self._series[window.series]
            places = series.seconds(window.first, window.end, window.first) / step_s
            ran = self._loop.run(State(*start.tolist()), _duties_in(series, window, places, model.delay_s, step_s))
            steps = np.arange(len(ran))
            ends[number] = [np.interp(places[-1], steps, signal) for signal in ran.T]
            readings.append(np.column_stack([np.interp(places, steps, ran[:, 0]), np.interp(places, steps, ran[:, 2])]))
        return Runs(readings=model.shown(np.concatenate(readings)), ends=ends)

    def close(self) -> None:
        self._loop.close()


def _duties_in(series: Series, window: Window, places: Floats, delay_s: float, step_s: float) -> list[float]:
    """The duty of each physics step from the window's start to its last entry, NaN with the bridge open."""
    steps = math.ceil(places[-1] - 1e-6)
    if series.is_coasting is not None and series.is_coasting[window.first]:
        return [math.nan] * steps
    back = max(0, window.first - 2 - int(delay_s / series.period_s))
    times_s = series.seconds(back, window.end, window.first)
    return step_duties(0.0, times_s, np.nan_to_num(series.duty[back : window.end]), delay_s, step_s, steps)


def step_duties(
    begin_s: float, times_s: Floats, duties: Floats, delay_s: float, step_s: float, steps: int
) -> list[float]:
    """The mean duty of each of `steps` physics steps from `begin_s` on.

    `duties[k]` was requested at `times_s[k]` and holds from `delay_s` later until the next one does. One that takes
    effect within a step shares it with the one before, as in `delay.CommandDelay`. Before the first it is 0.
    """
    if len(times_s) == 0:
        return [0.0] * steps
    edges = np.concatenate([[-np.inf], (times_s + delay_s - begin_s) / step_s])
    levels = np.concatenate([[0.0], duties])
    grid = np.arange(steps + 1, dtype=float)
    at = np.searchsorted(edges, grid, side="right") - 1
    sums = np.concatenate([[0.0], np.cumsum(levels[1:-1] * np.diff(edges[1:]))])
    inside = np.maximum(at - 1, 0)
    total = np.where(at > 0, sums[inside] + levels[at] * (grid - edges[np.maximum(at, 1)]), 0.0)
    means: list[float] = np.diff(total).round(12).tolist()
    return means
