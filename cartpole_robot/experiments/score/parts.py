"""What a score consists of: swing-ups, minutes under pushes, and the six parts of the robustness score, on a cart.

Figures of the double pendulum become those of a cart by what they mean to the machine: a torque of the driven joint is
a share of the stall force; about the hinge, a share of the moment of the pole's weight. A speed of a joint is the
pole's own, and the cart's at half the pole's length. Viscous friction enters by its torque at the natural frequency.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import zlib
from dataclasses import dataclass

import numpy as np

from cartpole_robot import swing_up_task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.experiments.score.disturbed_cart import Disturbance, Push
from cartpole_robot.experiments.score.ranges import ScoreRanges, Span
from cartpole_robot.signals import State

REPORT_SEED = 21_500_000  # of every figure that is reported
TUNING_SEED = 22_500_000  # of the search for the strength of the pushes, and of whatever else is chosen


class Part(enum.StrEnum):
    """A part of the score."""

    SWING_UPS = "swing-ups"
    MINUTES = "minutes under pushes"
    MODEL = "model"
    SPEED_NOISE = "speed noise"
    FORCE_NOISE = "force noise"
    RESPONSE = "force response"
    DELAY = "delay"
    PUSHES = "pushes"


ROBUSTNESS = (Part.MODEL, Part.SPEED_NOISE, Part.FORCE_NOISE, Part.RESPONSE, Part.DELAY, Part.PUSHES)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something that takes `values`, each tried `repeats` times; `unit` is theirs, `own` the cart's own value."""

    part: Part
    name: str
    unit: str
    values: tuple[float, ...]
    own: float | None
    repeats: int = 1


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run: `plant` under `disturbance` from `start`; `seed` is that of what is random while it lasts."""

    plant: CartParams
    disturbance: Disturbance
    start: State
    duration_s: float
    seed: int


def rows_of(cart: CartParams, ranges: ScoreRanges) -> tuple[Row, ...]:
    """Every row of the score of `cart`."""
    varied, pushes = ranges.varied, ranges.pushes
    count = varied.values
    body, friction = cart.pole_cart, cart.friction
    share = 1.0 / ranges.pendulum.torque_n_m
    force_n, moment_n_m = share * cart.motor.stall_force_n, share * _weight_n_m(cart)
    half_m, rate = body.pole_half_length_m, swing_up_task.natural_frequency_rad_s(cart)
    damping_n_m = varied.viscous_n_m_s * ranges.pendulum.natural_rad_s  # a torque at the natural frequency
    cart_damping, pole_damping = damping_n_m * force_n / (rate * half_m), damping_n_m * moment_n_m / rate

    def model(name: str, unit: str, own: float, span: Span) -> Row:
        return Row(part=Part.MODEL, name=name, unit=unit, values=_spaced(span, count), own=own)

    def times(name: str, unit: str, own: float) -> Row:
        return model(name, unit, own, (varied.factor[0] * own, varied.factor[1] * own))

    def about(name: str, unit: str, own: float, width: float) -> Row:
        return model(name, unit, own, (max(0.0, own - width), own + width))

    return (
        Row(part=Part.SWING_UPS, name="swing-ups", unit="", values=_numbers(ranges.swing_ups.runs), own=None),
        Row(part=Part.MINUTES, name="minutes", unit="", values=_numbers(ranges.long_run.runs), own=None),
        times("pole_cart.cart_mass_kg", "kg", body.cart_mass_kg),
        times("pole_cart.pole_mass_kg", "kg", body.pole_mass_kg),
        times("pole_cart.pole_half_length_m", "m", half_m),
        times("pole_cart.pole_inertia_kg_m2", "kg m²", body.pole_inertia_kg_m2),
        about("friction.cart_viscous_n_s_m", "N s/m", friction.cart_viscous_n_s_m, cart_damping),
        about("friction.cart_coulomb_n", "N", friction.cart_coulomb_n, varied.coulomb_n_m * force_n),
        about("friction.pole_viscous_n_m_s", "N m s", friction.pole_viscous_n_m_s, pole_damping),
        about("friction.pole_coulomb_n_m", "N m", friction.pole_coulomb_n_m, varied.coulomb_n_m * moment_n_m),
        Row(
            part=Part.SPEED_NOISE,
            name="speed noise",
            unit="rad/s",
            values=_spaced(varied.speed_noise_rad_s, count),
            own=0.0,
            repeats=varied.noise_repeats,
        ),
        Row(
            part=Part.FORCE_NOISE,
            name="force noise",
            unit="of the stall force",
            values=_spaced((share * varied.torque_noise_n_m[0], share * varied.torque_noise_n_m[1]), count),
            own=0.0,
            repeats=varied.noise_repeats,
        ),
        Row(part=Part.RESPONSE, name="response", unit="each 2 ms", values=_spaced(varied.response, count), own=1.0),
        Row(part=Part.DELAY, name="delay", unit="s", values=_spaced(varied.delay_s, count), own=0.0),
        Row(part=Part.PUSHES, name="pushes", unit="", values=_numbers(pushes.profiles), own=None),
    )


def trial(cart: CartParams, ranges: ScoreRanges, row: Row, index: int, repeat: int, seed: int) -> Trial:
    """The run of the value `index` of `row`: the same for every controller."""
    value, drawn = row.values[index], [seed, zlib.crc32(row.name.encode()), index, repeat]
    rng = np.random.default_rng(drawn)
    hanging = State(0.0, 0.0, -math.pi, 0.0)
    plant, disturbance, start, duration_s = cart, Disturbance(), hanging, ranges.success.run_s
    match row.part:
        case Part.SWING_UPS:
            start, duration_s = swing_up_task.start_state(cart, rng), ranges.long_run.duration_s
        case Part.MINUTES:
            duration_s = ranges.long_run.duration_s
            disturbance = Disturbance(pushes=_minute_of_pushes(cart, ranges, rng))
        case Part.MODEL:
            plant = _changed(cart, row.name, value)
        case Part.SPEED_NOISE:
            of_cart_m_s = value * cart.pole_cart.pole_half_length_m
            disturbance = Disturbance(cart_noise_m_s=of_cart_m_s, pole_noise_rad_s=value)
        case Part.FORCE_NOISE:
            disturbance = Disturbance(drive_noise=value)
        case Part.RESPONSE:
            disturbance = Disturbance(response=value)
        case Part.DELAY:
            disturbance = Disturbance(late_s=value)
        case Part.PUSHES:
            disturbance = Disturbance(pushes=_run_of_pushes(cart, ranges, rng))
    of_run = int(rng.integers(1 << 62))
    return Trial(plant=plant, disturbance=disturbance, start=start, duration_s=duration_s, seed=of_run)


def _changed(cart: CartParams, key: str, value: float) -> CartParams:
    """`cart` with that one parameter; static friction keeps its ratio to Coulomb friction."""
    section, name = key.split(".")
    values = {name: value}
    if key == "friction.cart_coulomb_n":
        friction = cart.friction
        ratio = friction.cart_static_n / friction.cart_coulomb_n if friction.cart_coulomb_n else 1.0
        values["cart_static_n"] = ratio * value
    part = dataclasses.replace(getattr(cart, section), **values)
    changed: CartParams = dataclasses.replace(cart, **{section: part})
    return changed


def _run_of_pushes(cart: CartParams, ranges: ScoreRanges, rng: np.random.Generator) -> tuple[Push, ...]:
    """As many pushes on the cart as on the pole, in an order and with pauses drawn from `rng`."""
    pushes = ranges.pushes
    count = 2 * pushes.each
    room_s = (ranges.success.run_s - (count + 1) * pushes.apart_s) / count
    moments_s = np.cumsum(pushes.apart_s + room_s * rng.random(count))
    on_pole = rng.permutation([False, True] * pushes.each).tolist()
    return tuple(
        _push(cart, ranges, rng, at_s, is_on_pole) for at_s, is_on_pole in zip(moments_s.tolist(), on_pole, strict=True)
    )


def _minute_of_pushes(cart: CartParams, ranges: ScoreRanges, rng: np.random.Generator) -> tuple[Push, ...]:
    """Pushes evenly spaced but for a jitter, each on cart or pole."""
    run = ranges.long_run
    apart_s = run.duration_s / (run.pushes + 1)
    moments_s = apart_s * np.arange(1, run.pushes + 1) + run.jitter_s * rng.uniform(-1.0, 1.0, run.pushes)
    on_pole = (rng.random(run.pushes) < 0.5).tolist()
    return tuple(
        _push(cart, ranges, rng, at_s, is_on_pole) for at_s, is_on_pole in zip(moments_s.tolist(), on_pole, strict=True)
    )


def _push(cart: CartParams, ranges: ScoreRanges, rng: np.random.Generator, at_s: float, is_on_pole: bool) -> Push:
    pushes = ranges.pushes
    width_s = rng.uniform(*pushes.width_s)
    share = pushes.scale * rng.uniform(*pushes.torque_n_m) / ranges.pendulum.torque_n_m * rng.choice((-1.0, 1.0))
    most = _weight_n_m(cart) if is_on_pole else cart.motor.stall_force_n
    return Push(at_s=at_s, width_s=width_s, height=float(share) * most, is_on_pole=is_on_pole)


def _weight_n_m(cart: CartParams) -> float:
    """The moment of the pole's weight about its hinge while it lies level."""
    return cart.pole_cart.coupling_kg_m * cart.pole_cart.gravity_m_s2


def _spaced(span: Span, count: int) -> tuple[float, ...]:
    return tuple(np.linspace(*span, count).tolist())


def _numbers(count: int) -> tuple[float, ...]:
    return tuple(float(number) for number in range(1, count + 1))
