"""The balancing task, as pure functions: observation, reward, and the end of an episode.

It is the contract of Gymnasium's CartPole-v1: the observation is [x m, x' m/s, theta rad, theta' rad/s], theta
positive when the pole leans toward +x; reward 1 a step; the episode ends where |x| or |theta| passes the cart's
limit.
"""

from __future__ import annotations

import enum
import math

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Limits, StartSpread
from cartpole_robot.signals import Measurement, State


class Task(enum.StrEnum):
    """What a policy is trained for."""

    BALANCE = "balance"  # keep an upright pole up
    SWING_UP = "swing_up"  # swing a hanging pole up and keep it up


OBSERVATION_LAYOUT = ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")
SIGN_CONVENTION = "angle 0 upright, positive leaning toward +x; duty positive pushes toward +x"
REWARD_PER_STEP = 1.0
SUCCESS_STEPS = 475.0  # mean steps of an episode from which CartPole-v1 counts as solved


def observation(measurement: Measurement) -> NDArray[np.float32]:
    """A new array of shape (4,), float32: position m, speed m/s, angle rad, angular speed rad/s."""
    return np.array(
        (
            measurement.cart_position_m,
            measurement.cart_speed_m_s,
            measurement.pole_angle_rad,
            measurement.pole_speed_rad_s,
        ),
        np.float32,
    )


def is_terminated(measurement: Measurement, limits: Limits) -> bool:
    """Whether the cart or the pole is past its limit."""
    return (
        abs(measurement.cart_position_m) > limits.cart_position_m
        or abs(measurement.pole_angle_rad) > limits.pole_angle_rad
    )


def start_state(spread: StartSpread, rng: np.random.Generator) -> State:
    """A start drawn uniformly within the spread, four numbers from `rng` in the order of the observation."""
    high = np.array(spread.as_tuple())
    return State(*rng.uniform(-high, high).tolist())


def observation_bound(cart: CartParams) -> NDArray[np.float32]:
    """The bounds of CartPole-v1's observation space, shape (4,), float32: twice each limit, and infinite speeds.

    The observation that ends an episode is inside. A model of Stable-Baselines3 moves only between equal spaces.
    """
    limits = cart.limits
    bound = (2.0 * limits.cart_position_m, math.inf, 2.0 * limits.pole_angle_rad, math.inf)
    return np.array(bound, dtype=np.float32)


def observation_bound_v0(cart: CartParams) -> NDArray[np.float32]:
    """The bounds of the environment's version 0, shape (4,), float32: all finite.

    A speed is at most what full drive (to its stronger side) and gravity together give over the whole range between
    the limits, times 2: the cart from one end of its range to the other, v² = 2 a (2 x), the pole likewise, from the
    edge of the start spread.
    """
    body, limits = cart.pole_cart, cart.limits
    force_n = cart.motor.strongest_force_n + body.pole_mass_kg * body.gravity_m_s2
    cart_acceleration = force_n / body.cart_mass_kg
    pole_acceleration = body.coupling_kg_m * (body.gravity_m_s2 + cart_acceleration) / body.hinge_inertia_kg_m2
    bound = observation_bound(cart)
    bound[1] = 2.0 * (cart.start.cart_speed_m_s + math.sqrt(4.0 * cart_acceleration * limits.cart_position_m))
    bound[3] = 2.0 * (cart.start.pole_speed_rad_s + math.sqrt(4.0 * pole_acceleration * limits.pole_angle_rad))
    return bound
