"""The simulated cart on the native engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import refuse_closed
from cartpole_robot.simulation.estimator import check_tick
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived, TabledPolicy, native_cart

if TYPE_CHECKING:
    from cartpole_robot.simulation._native import NativeCart


class NativeSimRig(LockstepRig):
    """Any cart, ideal or not, with a control period in one call of C; implements `cartpole_robot.rig.Rig`.

    The same seed gives the same delays and losses as on PyBullet.
    """

    def __init__(self, cart: CartParams, randomization: Randomization | None = None) -> None:
        """Raises `NotRepresentedError` for a cart, or a delay drawn for it, that the native engine cannot represent."""
        super().__init__(cart, randomization)
        if cart.encoders is not None:
            check_tick(cart.timing.physics_step_s)
        if randomization is not None:
            native_cart(randomization.upper_corner(), self._measurement)
        self._native = native_cart(cart, self._measurement)
        self._native_step, self._place, self._episode = self._native.step, self._native.place, self._native.episode
        if self._compensates:
            self._native_step = self._compensated_step
        self._ends = (cart.limits.cart_position_m, cart.limits.pole_angle_rad)

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The measurement at `start`; randomised parameters, then delays and losses are drawn from `rng`."""
        self._duty = 0.0
        if self._randomization is not None:
            self._episode_cart = drawn = self._randomization.draw(rng)
            self._native.change(drawn)
        try:
            return self._place(start, rng.bit_generator)
        except ArithmeticError as error:
            raise _diverged(error) from None

    def step(self, duty: float) -> Measurement:
        """The measurement one control period later. Raises `RigError` when the physics has no finite answer."""
        try:
            return self._native_step(duty)
        except ArithmeticError as error:
            raise _diverged(error) from None

    def _compensated_step(self, duty: float) -> Measurement:
        return self._native.step(self.sent_duty(duty))

    def sent_duty(self, duty: float) -> float:
        """What `step` has the cart in C do for `duty`."""
        if not self._compensates:
            return duty
        if not -1.0 <= duty <= 1.0:
            duty = math.copysign(1.0, duty)
        return self._cart.bridge_duty(duty)

    @property
    def native_cart(self) -> NativeCart:
        """The cart in C, for another extension that steps it (cart_api.h)."""
        return self._native

    def episode(self, policy: TabledPolicy, most_steps: int, sums: EpisodeSums) -> Survived:
        """Steps from the newest measurement to a fall or fault, `most_steps` at most: `step` in a loop in C.

        Signal handlers and other threads run after every few thousand steps. Not for a cart whose firmware compensates
        the dead zone. Raises ValueError for a policy that does not take the inputs of its history, or has more actions
        than duties.
        """
        steps, is_terminated, fault, found = self._episode(*policy, self._ends, most_steps, sums)
        return Survived(steps, is_terminated, fault and _remedied(fault), EpisodeSums(*found))

    def begin_episode(self) -> Measurement:
        """The newest measurement at tick 0."""
        return self._native.restart()

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return State(*self._native.state())

    def close(self) -> None:
        """Refuse every further step. May be called twice."""
        self._native_step = self._place = self._episode = refuse_closed


def _diverged(error: ArithmeticError) -> RigError:
    return RigError(_remedied(error))


def _remedied(fault: object) -> str:
    return f"{fault}; use a shorter physics step"
