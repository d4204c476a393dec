"""The plant run from a state under recorded duties: where would the cart have gone?

No encoders, no firmware, no clock of its own: the plant, motor and friction of every simulated rig, and their true
positions and angles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import equivalent_body
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import STANDING_M_S, in_engine
from cartpole_robot.simulation.motor import rewindable_force
from cartpole_robot.simulation.plant import Plant

Samples = NDArray[np.float64]


class OpenLoop:
    """One plant that runs repeatedly, from any state and with any parameters.

    `loaded` is the cart with the shortest pole of all that will run: the engine can emulate a longer one, see
    `cart.parts.equivalent_body`.
    """

    def __init__(self, cart: CartParams, *, loaded: CartParams | None = None) -> None:
        """Load the plant. Its end stops are those of `loaded`; `change` does not move them."""
        self._cart = cart
        self._loaded = loaded or cart
        self._plant = Plant(
            self._loaded.pole_cart,
            cart.timing.physics_step_s,
            friction=in_engine(self._loaded.friction),
            end_stop_m=self._loaded.limits.end_stop_m,
        )
        self.change(cart)

    @property
    def cart(self) -> CartParams:
        return self._cart

    @property
    def step_s(self) -> float:
        """The physics step."""
        return self._cart.timing.physics_step_s

    def change(self, cart: CartParams) -> None:
        """Continue as `cart`, of the same physics step. Raises ValueError as `cart.parts.equivalent_body` does."""
        equivalent_body(cart.pole_cart, self._loaded.pole_cart)
        self._plant.change(cart.pole_cart, in_engine(cart.friction))
        self._cart = cart
        self._force, _, self._hold = rewindable_force(cart)
        self._has_stiction = cart.friction.cart_static_n > cart.friction.cart_coulomb_n

    def run(self, start: State, duties: Sequence[float], *, held_n: float = 0.0) -> Samples:
        """Shape (len(duties) + 1, 4): position m, speed m/s, angle rad (unwrapped), angular speed rad/s.

        The first row is `start`; each further one is a physics step later, under the duty of that step, NaN for an
        open bridge. `held_n` is the force that a motor with a lag still exerts at the start. Values beyond the range
        of any cart are returned as computed.
        """
        plant = self._plant
        plant.place(start)
        plant.hold_or_release(False)
        self._hold(held_n)
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

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()


def step_duties(
    begin_s: float, times_s: NDArray[np.float64], duties: NDArray[np.float64], delay_s: float, step_s: float, steps: int
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
