"""What a swing-up needs of SciPy: the regulator that catches the pole, and the region in which it does, verified."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.lqr_design import LqrWeights, lqr_and_cost
from cartpole_robot.policy.swing_model import Array, SwingModel
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign, friction_drive
from cartpole_robot.policy.track import track_of
from firmware_bridge.constants import ESTIMATOR_LAG_S

MOST_WRONG = 0.2  # the share by which force, friction and pole length may be wrong
MOST_LATE_S = 0.02
_TRIED = 1500
_DIRECTIONS = 128
_RADII = np.arange(0.4, 2.85, 0.15)  # in standard deviations of the states from which a catch succeeds
_FRESH = 1000  # directions that did not choose the radius
_SMALLER = 0.95
_MARGIN = 0.95
_FINE_S = 0.01
_SETTLING_S = 1.6
_DESIGNS_KEPT = 16


def catch_weights(cart: CartParams) -> LqrWeights:
    """The weights of the regulator that catches: the middle of the track counts, and a strong motor is used gently.

    Full drive costs as its acceleration over gravity does: with a strong motor and a coarse encoder a stiff regulator
    only amplifies the counts.
    """
    drive = drive_model(cart)
    strength = drive.full_force_n / (drive.mass_kg * cart.pole_cart.gravity_m_s2)
    return LqrWeights(cart_position=4.0, duty=1.2 * strength)


@lru_cache(_DESIGNS_KEPT)
def design_swing_up(cart: CartParams, weights: LqrWeights | None = None) -> SwingUpDesign:
    """The regulator of `cart` and the region in which it catches. Raises `UsageError` where there is none.

    The region is an ellipsoid in the four signals and the past drives. It has the shape of the states from which
    simulated catches succeed (their covariance), and the largest size at which every sampled state inside succeeds.
    Equal carts share one design, so its arrays are read-only.
    """
    lqr, _ = lqr_and_cost(cart, weights or catch_weights(cart))
    rng = np.random.default_rng(1)
    spread = _wide_spread(cart, len(lqr.duty_gain))
    size = len(spread)
    inside = _directions(rng, size, _TRIED) * (2.2 * rng.random(_TRIED) ** (1.0 / size))
    tried = _clipped(spread[:, None] * inside)
    good = tried[:, catches_on_all(cart, lqr, tried)]
    if good.shape[1] < 10 * size:
        raise UsageError(
            f"cart {cart.name!r}: the regulator catches from {good.shape[1]} of {_TRIED} states near upright, expected "
            f"at least {10 * size}; use a stronger motor, a longer pole or a longer track"
        )
    covariance = good @ good.T / good.shape[1]
    rim = np.linalg.cholesky(covariance) @ _directions(rng, size, _DIRECTIONS)
    states = _clipped(rim[:, :, None] * _RADII)
    holds = np.all(catches_on_all(cart, lqr, states.reshape(size, -1)).reshape(_DIRECTIONS, -1), axis=0)
    if not holds[0]:
        raise UsageError(f"cart {cart.name!r}: no region is found in which the regulator catches the pole")
    radius = _RADII[-1] if holds.all() else _RADII[np.argmin(holds) - 1]
    fresh = np.linalg.cholesky(covariance) @ _directions(rng, size, _FRESH)
    while not catches_on_all(cart, lqr, _clipped(radius * fresh)).all():
        radius *= _SMALLER
    design = SwingUpDesign(lqr=lqr, catch_cost=np.linalg.inv(covariance) / (_MARGIN * radius) ** 2)
    for array in (lqr.state_gain, lqr.duty_gain, design.catch_cost):
        array.setflags(write=False)
    return design


def swing_up_of(cart: CartParams) -> SwingUpController:
    """The swing-up controller of `cart`, ready to run. Raises `UsageError` where there is none."""
    return SwingUpController(cart, design_swing_up(cart))


def _wide_spread(cart: CartParams, past: int) -> Array:
    """The standard deviation of the states to try: a third of the track, 0.2 rad, and the speeds that go with them."""
    model, wide_m = SwingModel(cart), 0.3 * cart.limits.cart_position_m
    return np.array((wide_m, wide_m * model.rate_hanging_rad_s, 0.2, 0.2 * model.rate_hanging_rad_s, *[0.4] * past))


def _directions(rng: np.random.Generator, size: int, many: int) -> Array:
    drawn = rng.normal(size=(size, many))
    return np.asarray(drawn / np.sqrt((drawn**2).sum(axis=0)))


def _clipped(states: Array) -> Array:
    states[4:] = np.clip(states[4:], -1.0, 1.0)
    return states


def catches_on_all(cart: CartParams, lqr: Lqr, starts: Array) -> NDArray[np.bool_]:
    """Whether the regulator of `cart` settles from each column of starts (4 + k, many), on the cart and on wrong ones.

    With saturation, delay and dry friction; inside the track, and always able to stop there.
    """
    holds = np.ones(starts.shape[1], bool)
    for other, late_s in wrong_carts(cart):
        left = np.flatnonzero(holds)
        holds[left] = is_caught(cart, other, late_s, lqr, starts[:, left])
    return holds


def wrong_carts(cart: CartParams) -> Iterator[tuple[CartParams, float]]:
    """The cart and those it may be mistaken for, each with the time by which its commands are later."""
    yield cart, 0.0
    yield cart, MOST_LATE_S
    cart = dataclasses.replace(cart, action_duties=(-1.0, 1.0))  # a table's weakest duty may be too weak for some
    body, friction = cart.pole_cart, cart.friction
    for factor in (1.0 - MOST_WRONG, 1.0 + MOST_WRONG):
        rubbing = {name: factor * value for name, value in dataclasses.asdict(friction).items()}
        if cart.stepper is None:
            motor = dataclasses.replace(cart.motor, stall_force_n=factor * cart.motor.stall_force_n)
            yield dataclasses.replace(cart, motor=motor), 0.0
        else:  # its acceleration is what the pulses say, whatever rubs on the cart
            rubbing = {name: value for name, value in rubbing.items() if name.startswith("pole_")}
        long = dataclasses.replace(
            body,
            pole_half_length_m=factor * body.pole_half_length_m,
            pole_inertia_kg_m2=factor**2 * body.pole_inertia_kg_m2,
        )
        yield dataclasses.replace(cart, friction=dataclasses.replace(friction, **rubbing)), 0.0
        yield dataclasses.replace(cart, pole_cart=long), 0.0


def is_caught(cart: CartParams, other: CartParams, late_s: float, lqr: Lqr, starts: Array) -> NDArray[np.bool_]:
    """Whether the regulator of `cart` settles `other`, inside the track, from each column of starts (4 + k, many)."""
    model, track, period_s = SwingModel(other), track_of(cart), cart.timing.control_period_s
    many = starts.shape[1]
    state = tuple(starts[:4])
    drives = list(starts[4:])  # the most recent first
    late_s += cart.mean_delay_s + cart.motor.lag_s
    fine = max(1, round(period_s / _FINE_S))
    fine_s = period_s / fine
    ages = [max(0, math.ceil((late_s - (k + 0.5) * fine_s) / period_s)) for k in range(fine)]
    while len(drives) < max(ages) + 1:
        drives.append(drives[-1] if drives else np.zeros(many))
    lag = round((ESTIMATOR_LAG_S if cart.encoders is not None else 0.0) / fine_s)
    speed, rate = state[1], state[3]
    inside = np.ones(many, bool)
    friction = friction_drive(cart)
    for _ in range(round(_SETTLING_S / period_s)):
        wanted = -(lqr.state_gain @ np.stack((state[0], speed, state[2], rate)))
        for gain, past in zip(lqr.duty_gain, drives, strict=False):
            wanted -= gain * past
        drives.insert(0, np.clip(wanted, -1.0, 1.0))
        drives.pop()
        pushes = np.stack([drives[age] for age in ages])
        pushes = np.clip(pushes + friction * np.tanh(speed / 0.05), -1.0, 1.0)
        moved = model.rollouts(state, pushes, fine_s)
        state = tuple(part[-1] for part in moved)
        speed, rate = moved.speed_m_s[-1 - min(lag, fine - 1)], moved.rate_rad_s[-1 - min(lag, fine - 1)]
        stop = np.abs(moved.position_m + moved.speed_m_s * np.abs(moved.speed_m_s) * (0.5 / track.brake_m_s2))
        inside &= (stop.max(axis=0) <= track.most_m) & (np.abs(moved.angle_rad[-1]) < 1.0)
    settled = (np.abs(state[2]) < 0.1) & (np.abs(state[0]) < 0.3 * track.position_m)
    return np.asarray(inside & settled)
