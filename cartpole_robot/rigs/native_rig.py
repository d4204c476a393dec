"""The simulated cart on the native engine."""

from __future__ import annotations

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import refuse_closed
from cartpole_robot.simulation.estimator import check_tick
from cartpole_robot.simulation.native_cart import native_cart


class NativeSimRig(LockstepRig):
    """Any cart, ideal or not, with a control period in one call of C; implements `cartpole_robot.rig.Rig`.

    The same seed gives the same delays and losses as on PyBullet.
    """

    def __init__(self, cart: CartParams, randomization: Randomization | None = None) -> None:
        """Raises `UsageError` for a cart that the native engine cannot represent."""
        super().__init__(cart, randomization)
        if cart.encoders is not None:
            check_tick(cart.timing.physics_step_s)
        self._native = native_cart(cart, self._measurement)
        self._native_step, self._place = self._native.step, self._native.place

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

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return State(*self._native.state())

    def close(self) -> None:
        """Refuse every further step. May be called twice."""
        self._native_step = self._place = refuse_closed


def _diverged(error: ArithmeticError) -> RigError:
    return RigError(f"{error}; use a shorter physics step")
