"""The swing-up task, as pure functions: observation, reward, start, the end of an episode, and what upright means.

The pole hangs, turns freely, and is to be swung up and held. The observation is [x m, x' m/s, sin theta, cos theta,
theta' rad/s], with theta 0 upright and positive when the pole leans toward +x. An episode ends where |x| passes the
cart's limit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Limits
from cartpole_robot.signals import Measurement, State, wrap_angle_rad

OBSERVATION_LAYOUT = ("cart_position_m", "cart_speed_m_s", "pole_angle_sin", "pole_angle_cos", "pole_speed_rad_s")
UPRIGHT_S = 0.5  # without a break; a pole that only passes through is not up
LARGE_MOTION_SHARE = 0.5  # of the starts
_TIMES_CART_SPEED, _TIMES_POLE_SPEED = 3.0, 6.0  # of those met while balancing, as a swing-up meets them
_LN_10 = math.log(10.0)
_POLE_SPEED_MARGIN = 1.3  # times the pole's natural frequency: 5 rad/s of dm_control's pole, whose own is 3.84 rad/s


def observation(measurement: Measurement) -> NDArray[np.float32]:
    """A new array of shape (5,), float32."""
    return seen_by_policy(
        (
            measurement.cart_position_m,
            measurement.cart_speed_m_s,
            measurement.pole_angle_rad,
            measurement.pole_speed_rad_s,
        )
    )


def seen_by_policy(state: tuple[float, float, float, float] | NDArray[np.float32]) -> NDArray[np.float32]:
    """The observation at a state: position m, speed m/s, angle rad, angular speed rad/s."""
    position_m, speed_m_s, angle_rad, rate_rad_s = state
    return np.array((position_m, speed_m_s, math.sin(angle_rad), math.cos(angle_rad), rate_rad_s), np.float32)


def observation_bound(cart: CartParams) -> NDArray[np.float32]:
    """The bounds of the observation space, shape (5,), float32: twice the position limit, and infinite speeds."""
    return np.array((2.0 * cart.limits.cart_position_m, math.inf, 1.0, 1.0, math.inf), np.float32)


def observation_scale(cart: CartParams) -> tuple[float, float, float, float, float]:
    """The size of each number of the observation, by which a network divides it.

    It follows the cart file's scale alone, so that a policy fits a cart whose mass or pole turns out otherwise.
    """
    scale = cart.observation_scale
    return (
        scale.cart_position_m,
        _TIMES_CART_SPEED * scale.cart_speed_m_s,
        1.0,
        1.0,
        _TIMES_POLE_SPEED * scale.pole_speed_rad_s,
    )


def is_terminated(measurement: Measurement, limits: Limits) -> bool:
    """Whether the cart is past its limit."""
    return abs(measurement.cart_position_m) > limits.cart_position_m


def is_upright(angle_rad: float, cart: CartParams) -> bool:
    """Whether the pole is within its limit, whatever turns it has made.

    That is the firmware's, beyond which it stops the motor, and without a firmware that of an episode of balancing.
    """
    limit_rad = cart.limits.pole_angle_rad if cart.firmware is None else cart.firmware.pole_limit_rad
    return abs(wrap_angle_rad(angle_rad)) <= limit_rad


def reward(measurement: Measurement, duty: float, cart: CartParams) -> float:
    """The reward of a step with `duty` that led to `measurement`, in [0, 1].

    It is that of the task cartpole swingup in dm_control (Tassa et al., DeepMind Control Suite, arXiv 1801.00690): the
    product of an upright pole, a cart in the middle, a small duty and a slowly turning pole. Each is 1 at its best; the
    worst leaves 0, 1/2, 4/5 and 1/2. Their margins, 2 m of a track of ±1.8 m and 5 rad/s, become the cart's own: its
    position limit, and `_POLE_SPEED_MARGIN` times the pole's natural frequency.
    """
    upright = 0.5 * (1.0 + math.cos(measurement.pole_angle_rad))
    centred = 0.5 * (1.0 + _nearness(measurement.cart_position_m / cart.limits.cart_position_m))
    effort = min(1.0, abs(duty))
    small_duty = 0.2 * (5.0 - effort * effort)
    margin_rad_s = _POLE_SPEED_MARGIN * natural_frequency_rad_s(cart)
    slow = 0.5 * (1.0 + _nearness(measurement.pole_speed_rad_s / margin_rad_s))
    return upright * centred * small_duty * slow


def _nearness(distance: float) -> float:
    """1 at 0, a tenth at 1 and less beyond: a bell curve, dm_control's tolerance with bounds 0 and margin 1."""
    return math.exp(-_LN_10 * distance * distance)


def natural_frequency_rad_s(cart: CartParams) -> float:
    """The angular frequency of the pole's small free swing about hanging, cart held: sqrt(m g l / J)."""
    body = cart.pole_cart
    return math.sqrt(body.coupling_kg_m * body.gravity_m_s2 / body.hinge_inertia_kg_m2)


class SwingUp:
    """How far one swing-up has come, control step by control step.

    `up_step` is the step from which the pole has been upright for `UPRIGHT_S` without a break, None before. From then
    on a pole that is not upright has fallen.
    """

    def __init__(self, cart: CartParams) -> None:
        self._cart = cart
        self._needed = max(1, math.ceil(UPRIGHT_S / cart.timing.control_period_s - 1e-9))
        self._step = self._run = 0
        self.up_step: int | None = None

    def observe(self, measurement: Measurement) -> bool:
        """Take the measurement after one more step; returns whether cart or fallen pole ends the episode."""
        return self.has_fallen(measurement.pole_angle_rad) or is_terminated(measurement, self._cart.limits)

    def has_fallen(self, angle_rad: float) -> bool:
        """Take the pole's angle after one more step; returns whether it was up and is no more."""
        self._step += 1
        is_up = is_upright(angle_rad, self._cart)
        self._run = self._run + 1 if is_up else 0
        if self.up_step is not None:
            return not is_up
        if self._run >= self._needed:
            self.up_step = self._step - self._needed
        return False


def start_state(cart: CartParams, rng: np.random.Generator) -> State:
    """Where an episode begins: the cart at rest within the middle half of its range, the pole below the horizontal.

    The pole hangs and swings a little, or, in the share `LARGE_MOTION_SHARE` of the starts, has any angle there and up
    to 1.5 times its natural frequency as its speed, three quarters of that with which a pole from upright passes the
    lowest point: a swing-up after a fall begins at once.
    """
    reach_rad, most_rad_s = (0.5 * math.pi, 1.5) if rng.random() < LARGE_MOTION_SHARE else (0.1, 0.1)
    return _start(cart, rng, reach_rad, most_rad_s)


def start_anywhere(cart: CartParams, rng: np.random.Generator) -> State:
    """A start with the pole at any angle, upright too, and otherwise as with a large motion: only to learn from."""
    return _start(cart, rng, math.pi, 1.5)


def _start(cart: CartParams, rng: np.random.Generator, reach_rad: float, most_rate: float) -> State:
    position, angle, rate = rng.uniform(-1.0, 1.0, size=3).tolist()
    most_rad_s = most_rate * natural_frequency_rad_s(cart)
    return State(0.5 * cart.limits.cart_position_m * position, 0.0, math.pi + reach_rad * angle, most_rad_s * rate)
