"""The virtual cart and the emulated chip for benchmarks: a hand places the pole, which may move, and lets go."""

from __future__ import annotations

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import driver_wiring
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import Measurement, State
from firmware_bridge.emulator import EmulatedChip

_REST_S = 60.0


class PlacedSwing:
    """A rig with a firmware; `reset` places cart and pole with the motor off and arms for a swing-up.

    Before, the motor is off for `rest_s` of the cart's time, which cools it; not on the emulated chip, where that would
    take too long.
    """

    def __init__(self, name: str, cart: CartParams, plant: CartParams) -> None:
        """The rig called `name`, virtual or avr, whose firmware and driver take `plant` for `cart`."""
        self.cart = cart
        self.rest_s = 0.0 if name == "avr" else _REST_S
        self._chip = EmulatedChip(None, driver=driver_wiring(cart)) if name == "avr" else None
        self._rig = VirtualRig(cart, board=self._chip, plant=plant)
        self.true_state = self._rig.true_state

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement after arming; the pole has moved on since `start`. Raises `RigError`."""
        self._rig.disarm()
        for _ in range(round(self.rest_s / self.cart.timing.control_period_s)):
            self._rig.watch()
        self._rig.place(start)
        return self._rig.begin_swing(rng)

    def step(self, duty: float) -> Measurement:
        """The rig's. Raises `RigError` also for a pole that leaves its limit after it has been upright."""
        measurement = self._rig.step(duty)
        if not self._rig.is_running:
            raise RigError(f"past a limit, once upright: {measurement.state()}")
        return measurement

    def close(self) -> None:
        """Motor off, everything released."""
        self._rig.close()
        if self._chip is not None:
            self._chip.close()
