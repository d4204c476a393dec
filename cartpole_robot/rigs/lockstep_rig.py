"""What the rigs without firmware share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.signals import Measurement, State, wrap_angle_rad

_STILL_S = 0.1  # as long as a firmware wants to see it
_STILL_M = 1e-4
_COASTING_S = 10.0


class LockstepRig(ABC):
    """What simulated rigs share: the cart's time passes only in `step`."""

    def __init__(self, cart: CartParams, randomization: Randomization | None) -> None:
        self._cart = self._episode_cart = cart
        self._randomization = randomization
        self._period_us = cart.timing.control_period_us
        self._measurement = Measurement()
        self._duty = 0.0
        self._compensates = (
            cart.compensates_dead_zone
        )  # by the numbers of `cart`, whatever is drawn, as a firmware does

    @property
    def cart(self) -> CartParams:
        """The cart this rig simulates."""
        return self._cart

    @property
    def episode_cart(self) -> CartParams:
        """The cart of this episode: `cart`, or what the randomisation drew."""
        return self._episode_cart

    @abstractmethod
    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`; what is random is drawn from `rng`."""

    @abstractmethod
    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. May be called twice."""

    @abstractmethod
    def step(self, duty: float) -> Measurement:
        """The measurement one control period later."""

    def command(self, duty: float) -> None:
        """Keep `duty` for the period that `measure` simulates."""
        self._duty = duty

    def measure(self) -> Measurement:
        """`step` with the commanded duty."""
        return self.step(self._duty)

    is_swinging = True  # no firmware ends the episode

    def begin_swing(
        self, rng: np.random.Generator, *, checks_zero: bool = False, may_be_held: bool = True
    ) -> Measurement:
        """The first measurement of a swing-up: at first the pole hangs, with a motion drawn from `rng`.

        Later the cart coasts to rest from where the episode before left it, or a stepper brakes it. One that does not
        come to rest inside its limits, as a firmware would have stopped it, is put there. `checks_zero` and
        `may_be_held` have no effect. Raises `RigError`.
        """
        state = self._coasted() if self._was_begun else hanging_state(self._cart, rng)
        return self.reset(state, rng)

    def _coasted(self) -> State:
        limits, period_s = self._cart.limits, self._cart.timing.control_period_s
        if self._cart.stepper is not None:  # at duty 0 it would travel on; a firmware brakes as hard as it can
            x, v, angle, rate = self.true_state()
            return self._inside(x + v * abs(v) / (2.0 * self._cart.stepper.maximum_acceleration_m_s2), angle, rate)
        still_steps, before_m = 0, math.nan
        for _ in range(round(_COASTING_S / period_s)):
            position_m = self.true_state().cart_position_m
            if abs(position_m) > limits.cart_position_m:
                break
            still_steps = still_steps + 1 if abs(position_m - before_m) < _STILL_M else 0
            if still_steps * period_s >= _STILL_S:
                break
            before_m = position_m
            self.step(0.0)
        x, _, angle, rate = self.true_state()
        return self._inside(x, angle, rate)

    def _inside(self, x: float, angle: float, rate: float) -> State:
        """The cart at rest at `x`, or where that is past its limit halfway to it."""
        limit_m = self._cart.limits.cart_position_m
        inside_m = min(limit_m, max(-limit_m, x))
        return State(0.5 * inside_m if inside_m != x else x, 0.0, wrap_angle_rad(angle), rate)

    def begin_episode(self) -> Measurement:
        """The newest measurement at tick 0."""
        self._measurement.tick = self._measurement.mcu_time_us = 0
        return self._measurement

    @property
    def _was_begun(self) -> bool:
        return self._measurement.tick > 0

    def disarm(self) -> None:  # noqa: B027 - not abstract
        """Do nothing: time stands still between episodes."""


def hanging_state(cart: CartParams, rng: np.random.Generator) -> State:
    """A cart at rest within half of its limit, its pole hanging at up to 90 degrees and swinging."""
    body = cart.pole_cart
    swing_rad_s = math.sqrt(body.coupling_kg_m * body.gravity_m_s2 / body.hinge_inertia_kg_m2)
    x, angle, rate = rng.uniform(-1.0, 1.0, size=3).tolist()
    x_m = 0.5 * x * cart.limits.cart_position_m
    return State(x_m, 0.0, wrap_angle_rad(math.pi * (1.0 + 0.5 * angle)), 0.5 * rate * swing_rad_s)
