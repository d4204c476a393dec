"""The model of a cart, and its terms: one number each, to read and to change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MOST_ANGLE_ZERO_RAD, MOST_SATURATION, Apply, Delay
from cartpole_robot.cart.stepper import Stepper

Floats = NDArray[np.float64]
_ANY_FORCE_N = 1e6


@dataclass(frozen=True, kw_only=True)
class Model:
    """A cart, and how a recording shows it.

    A command takes effect `delay_s` after the measurement it responds to. A measured angle is `angle_sign` times the
    true one plus `angle_zero_rad`, a measured position `position_sign` times `position_scale` times the true one. The
    scale is that of a stepper's cart that travels another distance in a step than its file says.
    """

    cart: CartParams
    delay_s: float
    angle_zero_rad: float = 0.0
    angle_sign: int = 1
    position_sign: int = 1
    position_scale: float = 1.0

    def shown(self, true: Floats) -> Floats:
        """The readings that a recording shows of true positions (m) and angles (rad), shape (entries, 2)."""
        signs = np.array([self.position_sign * self.position_scale, self.angle_sign])
        zeros = np.array([0.0, self.angle_zero_rad])
        found: Floats = true * signs + zeros
        return found

    def true(self, readings: Floats) -> Floats:
        """The true positions and angles of readings; `shown` reversed."""
        signs = np.array([self.position_sign * self.position_scale, self.angle_sign])
        zeros = np.array([0.0, self.angle_zero_rad])
        found: Floats = (readings - zeros) / signs
        return found


def model_of(cart: CartParams, recorded: CartParams | None = None) -> Model:
    """The model that the cart file describes.

    A recording's board made the steps that the file of the `recorded` cart asks for: with that, a stepper's cart gets
    its largest speed and acceleration in steps, and its position is shown as that file counts.
    """
    zero_rad = 0.0 if cart.readings is None else cart.readings.pole_angle_zero_rad
    model = Model(cart=cart, delay_s=cart.mean_delay_s, angle_zero_rad=zero_rad)
    stepper = cart.stepper
    board = None if recorded is None else recorded.stepper
    if stepper is None or board is None or board_of(stepper) == board_of(board):
        return model
    longer = board.steps_per_m / stepper.steps_per_m
    return _changed(
        dataclasses.replace(freed(model), position_scale=1.0 / longer),
        "stepper",
        maximum_speed_m_s=longer * board.maximum_speed_m_s,
        maximum_acceleration_m_s2=longer * board.maximum_acceleration_m_s2,
    )


def board_of(stepper: Stepper) -> tuple[float, float, float]:
    """What a board makes of a duty: steps per metre, largest speed in m/s and largest acceleration in m/s²."""
    return stepper.steps_per_m, stepper.maximum_speed_m_s, stepper.maximum_acceleration_m_s2


def freed(model: Model) -> Model:
    """The model with full-drive actions and an arming angle of almost 0, so that any plant is a valid cart.

    A cart must be able to hold its pole with its own actions; a model that a search tries need not. A stepper loses no
    step, and its track has no end.
    """
    limits = dataclasses.replace(model.cart.limits, arming_angle_rad=1e-6)
    cart, stepper = model.cart, model.cart.stepper
    if stepper is not None:
        stepper = dataclasses.replace(stepper, pull_out_force_n=_ANY_FORCE_N)
        limits = dataclasses.replace(limits, end_stop_m=None)
    cart = dataclasses.replace(cart, action_duties=(-1.0, 1.0), limits=limits, stepper=stepper)
    return dataclasses.replace(model, cart=cart)


def with_room(model: Model, farthest_m: float) -> Model:
    """The model with a track that reaches at least `farthest_m`, the largest measured distance from the middle."""
    end_stop_m = model.cart.limits.end_stop_m
    if end_stop_m is None or end_stop_m >= farthest_m:
        return model
    return _changed(model, "limits", end_stop_m=farthest_m)


@dataclass(frozen=True, kw_only=True)
class Term:
    """One number of a model.

    `size(model)` is a significant change of it, in its unit; a derivative is taken over a fraction of it. The search
    stays between `low` and `high`.
    """

    name: str
    label: str
    unit: str
    read: Callable[[Model], float]
    write: Callable[[Model, float], Model]
    size: Callable[[Model], float]
    low: float = 0.0
    high: float = float("inf")


def _changed(model: Model, part: str, **changes: Any) -> Model:
    """The model with other numbers in one part of its cart, such as `motor` or `friction`."""
    changed = dataclasses.replace(getattr(model.cart, part), **changes)
    cart: CartParams = dataclasses.replace(model.cart, **{part: changed})
    return dataclasses.replace(model, cart=cart)


def _with_damping(model: Model, value: float) -> Model:
    """Viscous friction stays as in the cart file, as far as the sum allows; the rest is back-EMF."""
    viscous = min(model.cart.friction.cart_viscous_n_s_m, value)
    model = _changed(model, "motor", back_emf_n_s_m=value - viscous)
    return _changed(model, "friction", cart_viscous_n_s_m=viscous)


def _with_coulomb(model: Model, value: float) -> Model:
    friction = model.cart.friction
    ratio = friction.cart_static_n / friction.cart_coulomb_n if friction.cart_coulomb_n > 0.0 else 1.0
    return _changed(model, "friction", cart_coulomb_n=value, cart_static_n=value * max(1.0, ratio))


def _with_same_slope(model: Model, **changes: float) -> Model:
    """Another dead zone or saturation; the slope of force against duty at the dead zone's end stays."""
    bent = _changed(model, "motor", **changes).cart.motor
    return _changed(model, "motor", **changes, stall_force_n=model.cart.motor.slope_n * bent.reach_duty)


def _with_dead_zone(model: Model, value: float) -> Model:
    """Another mean dead zone; the difference of both sides stays as far as neither falls below 0."""
    asymmetry = model.cart.motor.dead_zone_asymmetry_duty
    asymmetry = min(max(asymmetry, -value), value)
    return _with_same_slope(model, dead_zone_duty=value, dead_zone_asymmetry_duty=asymmetry)


def _with_dead_zone_asymmetry(model: Model, value: float) -> Model:
    """Another difference of the dead zones; where one would fall below 0 it is 0, and the other has all of it."""
    dead_zone = max(model.cart.motor.dead_zone_duty, abs(value))
    return _changed(model, "motor", dead_zone_duty=dead_zone, dead_zone_asymmetry_duty=value)


def _with_length(model: Model, value: float) -> Model:
    """A pole of the same mass and build, longer or shorter: its inertia scales with the square."""
    body = model.cart.pole_cart
    inertia = body.pole_inertia_kg_m2 * (value / body.pole_half_length_m) ** 2
    return _changed(model, "pole_cart", pole_half_length_m=value, pole_inertia_kg_m2=inertia)


def _settling_s(model: Model) -> float:
    stepper = model.cart.stepper
    return math.nan if stepper is None else stepper.settling_s


def _steps_per_m(model: Model) -> float:
    stepper = model.cart.stepper
    return math.nan if stepper is None else stepper.steps_per_m


def _with_steps_per_m(model: Model, value: float) -> Model:
    """A cart that travels another distance in a step; its board makes the same steps as before."""
    stepper, encoders = model.cart.stepper, model.cart.encoders
    assert stepper is not None
    assert encoders is not None
    longer = stepper.steps_per_m / value
    stepper = dataclasses.replace(
        stepper,
        steps_per_m=value,
        maximum_speed_m_s=longer * stepper.maximum_speed_m_s,
        maximum_acceleration_m_s2=longer * stepper.maximum_acceleration_m_s2,
    )
    encoders = dataclasses.replace(encoders, cart_counts_per_m=value)
    cart = dataclasses.replace(model.cart, stepper=stepper, encoders=encoders)
    return dataclasses.replace(model, cart=cart, position_scale=model.position_scale / longer)


TERMS = {
    term.name: term
    for term in (
        Term(
            name="delay",
            label="delay",
            unit="s",
            read=lambda model: model.delay_s,
            write=lambda model, value: dataclasses.replace(model, delay_s=value),
            size=lambda model: model.cart.timing.control_period_s,
            high=0.5,
        ),
        Term(
            name="motor_gain",
            label="motor gain (stall force)",
            unit="N",
            read=lambda model: model.cart.motor.stall_force_n,
            write=lambda model, value: _changed(model, "motor", stall_force_n=value),
            size=lambda model: model.cart.motor.stall_force_n,
            low=1e-3,
        ),
        Term(
            name="damping",
            label="back-EMF and viscous friction",
            unit="N s/m",
            read=lambda model: model.cart.damping_n_s_m,
            write=_with_damping,
            size=lambda model: max(model.cart.damping_n_s_m, model.cart.pole_cart.cart_mass_kg),
        ),
        Term(
            name="back_emf",
            label="back-EMF",
            unit="N s/m",
            read=lambda model: model.cart.motor.back_emf_n_s_m,
            write=lambda model, value: _changed(model, "motor", back_emf_n_s_m=value),
            size=lambda model: max(model.cart.damping_n_s_m, model.cart.pole_cart.cart_mass_kg),
        ),
        Term(
            name="viscous",
            label="viscous friction of the cart",
            unit="N s/m",
            read=lambda model: model.cart.friction.cart_viscous_n_s_m,
            write=lambda model, value: _changed(model, "friction", cart_viscous_n_s_m=value),
            size=lambda model: max(0.3 * model.cart.damping_n_s_m, 0.3 * model.cart.pole_cart.cart_mass_kg),
        ),
        Term(
            name="coulomb",
            label="Coulomb friction of the cart",
            unit="N",
            read=lambda model: model.cart.friction.cart_coulomb_n,
            write=_with_coulomb,
            size=lambda model: max(model.cart.friction.cart_coulomb_n, 0.05 * model.cart.motor.stall_force_n),
        ),
        Term(
            name="dead_zone",
            label="dead zone",
            unit="duty",
            read=lambda model: model.cart.motor.dead_zone_duty,
            write=_with_dead_zone,
            size=lambda model: max(model.cart.motor.dead_zone_duty, 0.03),
            high=0.5,
        ),
        Term(
            name="saturation",
            label="saturation of the motor",
            unit="of 1",
            read=lambda model: model.cart.motor.saturation,
            write=lambda model, value: _with_same_slope(model, saturation=value),
            size=lambda model: 0.1,
            high=MOST_SATURATION,
        ),
        Term(
            name="gain_asymmetry",
            label="motor gain, right against left",
            unit="of 1",
            read=lambda model: model.cart.motor.gain_asymmetry,
            write=lambda model, value: _changed(model, "motor", gain_asymmetry=value),
            size=lambda model: 0.1,
            low=-0.5,
            high=0.5,
        ),
        Term(
            name="dead_zone_asymmetry",
            label="dead zone, right against left",
            unit="duty",
            read=lambda model: model.cart.motor.dead_zone_asymmetry_duty,
            write=_with_dead_zone_asymmetry,
            size=lambda model: max(model.cart.motor.dead_zone_duty, 0.03),
            low=-0.25,
            high=0.25,
        ),
        Term(
            name="cart_mass",
            label="effective mass of the cart",
            unit="kg",
            read=lambda model: model.cart.pole_cart.cart_mass_kg,
            write=lambda model, value: _changed(model, "pole_cart", cart_mass_kg=value),
            size=lambda model: model.cart.pole_cart.cart_mass_kg,
            low=1e-3,
        ),
        Term(
            name="pole_viscous",
            label="viscous friction of the pole",
            unit="N m s/rad",
            read=lambda model: model.cart.friction.pole_viscous_n_m_s,
            write=lambda model, value: _changed(model, "friction", pole_viscous_n_m_s=value),
            size=lambda model: 0.01 * _swing_damping(model),
        ),
        Term(
            name="pole_coulomb",
            label="Coulomb friction of the pole",
            unit="N m",
            read=lambda model: model.cart.friction.pole_coulomb_n_m,
            write=lambda model, value: _changed(model, "friction", pole_coulomb_n_m=value),
            size=lambda model: 0.005 * _weight_moment(model),
        ),
        Term(
            name="pole_length",
            label="pole length (half)",
            unit="m",
            read=lambda model: model.cart.pole_cart.pole_half_length_m,
            write=_with_length,
            size=lambda model: model.cart.pole_cart.pole_half_length_m,
            low=0.01,
        ),
        Term(
            name="angle_zero",
            label="angle zero",
            unit="rad",
            read=lambda model: model.angle_zero_rad,
            write=lambda model, value: dataclasses.replace(model, angle_zero_rad=value),
            size=lambda model: 0.02,
            low=-MOST_ANGLE_ZERO_RAD,
            high=MOST_ANGLE_ZERO_RAD,
        ),
        Term(
            name="motor_lag",
            label="lag of the motor",
            unit="s",
            read=lambda model: model.cart.motor.lag_s,
            write=lambda model, value: _changed(model, "motor", lag_s=value),
            size=lambda model: 0.01,
            high=0.5,
        ),
        Term(
            name="settling",
            label="settling of motor and belt",
            unit="s",
            read=_settling_s,
            write=lambda model, value: _changed(model, "stepper", settling_s=value),
            size=lambda model: 0.004,
            low=1e-4,
            high=0.05,
        ),
        Term(
            name="steps_per_m",
            label="steps per metre",
            unit="1/m",
            read=_steps_per_m,
            write=_with_steps_per_m,
            size=_steps_per_m,
            low=1.0,
        ),
    )
}
"""By name, in the order in which results are reported."""

_OF_A_STEPPER = ("settling", "steps_per_m")
_OF_ANY_DRIVE = ("delay", "pole_viscous", "pole_coulomb", "pole_length", "angle_zero")


def terms_of(cart: CartParams) -> tuple[str, ...]:
    """The names of the terms that a cart with that drive has."""
    if cart.stepper is None:
        return tuple(name for name in TERMS if name not in _OF_A_STEPPER)
    return tuple(name for name in TERMS if name in (*_OF_ANY_DRIVE, *_OF_A_STEPPER))


def _weight_moment(model: Model) -> float:
    """The torque in N m that holds the pole level."""
    body = model.cart.pole_cart
    return body.pole_mass_kg * body.gravity_m_s2 * body.pole_half_length_m


def _swing_damping(model: Model) -> float:
    """N m s/rad at which a hanging pole would hardly swing: twice the square root of inertia times stiffness."""
    body = model.cart.pole_cart
    return float(2.0 * (body.hinge_inertia_kg_m2 * _weight_moment(model)) ** 0.5)


def identified_delay(model: Model) -> Delay:
    """The delay as a cart file stores it."""
    return Delay(apply=Apply.ON_ARRIVAL, latency_s=max(1e-4, model.delay_s))
