"""The design of a cart's linear-quadratic regulator from its parameters, with its delay: SciPy's part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr import Lqr, LqrController, Matrix
from firmware_bridge.constants import ESTIMATOR_LAG_S


@dataclass(frozen=True, kw_only=True)
class LqrWeights:
    """What one unit of each signal costs, relative to the cart's limits, and what a full duty costs.

    The state costs (signal / limit)², the input (weight * duty)².
    """

    cart_position: float = 1.0
    cart_speed: float = 0.3
    pole_angle: float = 1.0
    pole_speed: float = 0.3
    duty: float = 0.5


def default_weights(cart: CartParams) -> LqrWeights:
    """The weights of the regulator of `cart` unless others are given.

    A stepper gets a calmer one: no friction takes up what the regulator makes of single counts of the pole's encoder.
    On `diy_stepper` the angle is 4.5 mrad (RMS) and the position 8 mm; with a DC motor's weights 7.3 mrad and 6.6 mm,
    at four times the acceleration.
    """
    return LqrWeights() if cart.stepper is None else LqrWeights(duty=4.0)


def linear_model(cart: CartParams) -> tuple[Matrix, Matrix]:
    """A (4, 4) and B (4,) of x' = A x + B duty about upright, SI units; no dry friction, dead zone, saturation.

    A stepper's cart accelerates by the duty alone.
    """
    body, motor, friction, drive = cart.pole_cart, cart.motor, cart.friction, drive_model(cart)
    coupling = body.coupling_kg_m
    mass = np.array([[drive.mass_kg, coupling], [coupling, body.hinge_inertia_kg_m2]])
    # Generalised forces for the state (x, x', angle, angle') and for the duty.
    forces = np.array(
        [[0.0, -drive.damping_n_s_m, 0.0, 0.0], [0.0, 0.0, coupling * body.gravity_m_s2, -friction.pole_viscous_n_m_s]]
    )
    acceleration = np.linalg.solve(mass, forces)
    # The regulator counts duty from the dead zone's end, in shares of what is left, and makes up for an asymmetry; a
    # motor that saturates comes to its force at full duty by a steeper slope.
    steeper = (1.0 - motor.dead_zone_duty) / motor.reach_duty
    per_duty = np.linalg.solve(mass, np.array([drive.full_force_n * steeper, 0.0]))
    a = np.zeros((4, 4))
    a[0, 1] = a[2, 3] = 1.0
    a[1], a[3] = acceleration
    return a, np.array([0.0, per_duty[0], 0.0, per_duty[1]])


def delay_s(cart: CartParams) -> float:
    """Time from a measurement to the middle of what its command does, beyond the command's own hold: latency and lag.

    The speed estimate's lag is counted in full, although the positions have none: slightly too cautious.
    """
    lag_s = ESTIMATOR_LAG_S if cart.encoders is not None else 0.0
    return cart.mean_delay_s + cart.motor.lag_s + lag_s


def design_lqr(cart: CartParams, weights: LqrWeights | None = None) -> Lqr:
    """The regulator of `cart` at its control period. Raises `UsageError` where none exists."""
    return lqr_and_cost(cart, weights)[0]


def lqr_and_cost(cart: CartParams, weights: LqrWeights | None = None) -> tuple[Lqr, Matrix]:
    """The regulator, and P (4 + k, 4 + k): z·P z is what it costs from z, the four signals and k past drives.

    Raises `UsageError` where none exists.
    """
    from scipy.linalg import expm, solve_discrete_are

    weights = weights or default_weights(cart)
    period_s = cart.timing.control_period_s
    a, b = linear_model(cart)
    late_s = delay_s(cart)
    whole = int(late_s / period_s + 1e-9)
    past = math.ceil(late_s / period_s - 1e-9)
    fresh_s = period_s * (whole + 1) - late_s  # of the oldest period's effect, how long the newer of two duties works

    def held(duration_s: float) -> tuple[Matrix, Matrix]:
        block = np.zeros((5, 5))
        block[:4, :4], block[:4, 4] = a * duration_s, b * duration_s
        power = expm(block)
        return power[:4, :4], power[:4, 4]

    step, all_b = held(period_s)
    _, newer_b = held(fresh_s)
    older_b = all_b - newer_b
    # The augmented state: the four signals, then the duties sent 1, 2, ... periods ago.
    size = 4 + past
    model, inlet = np.zeros((size, size)), np.zeros((size, 1))
    model[:4, :4] = step
    for effect, age in ((newer_b, whole), (older_b, whole + 1)):
        if age == 0:
            inlet[:4, 0] += effect
        elif age <= past:
            model[:4, 3 + age] += effect
    if past:
        inlet[4, 0] = 1.0
        model[5:, 4:-1] += np.eye(past - 1)
    limits = cart.limits
    scale = cart.observation_scale
    costs = (
        weights.cart_position / limits.cart_position_m,
        weights.cart_speed / scale.cart_speed_m_s,
        weights.pole_angle / limits.pole_angle_rad,
        weights.pole_speed / scale.pole_speed_rad_s,
    )
    state_cost = np.diag([*(c**2 for c in costs), *[0.0] * past])
    try:
        solution = solve_discrete_are(model, inlet, state_cost, np.array([[weights.duty**2]]))
    except (np.linalg.LinAlgError, ValueError) as error:
        raise UsageError(f"cart {cart.name!r}: no regulator can be found ({error}); check its parameters") from None
    gain = np.linalg.solve(weights.duty**2 + inlet.T @ solution @ inlet, inlet.T @ solution @ model)[0]
    return Lqr(state_gain=gain[:4], duty_gain=gain[4:]), np.asarray(solution)


def regulator_of(cart: CartParams, weights: LqrWeights | None = None) -> LqrController:
    """The regulator of `cart`, ready to run. Raises `UsageError` if none exists."""
    return LqrController(design_lqr(cart, weights), cart.commanded_motor)
