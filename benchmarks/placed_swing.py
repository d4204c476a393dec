"""The virtual cart and the emulated chip for benchmarks: a hand places the pole, which may move, and lets go."""

from __future__ import annotations

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import driver_wiring
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import Measurement, State
from firmware_bridge.emulator import EmulatedChip

_REST_S = 60.0
_START_SHARE = 0.8  # of the limit of position: from farther out the rig takes the cart to the middle
_ROLLS_S = 0.25  # after a request to jog
_JOG_WITHIN_S = 20.0


class PlacedSwing:
    """A rig with a firmware; `reset` places cart and pole with the motor off and arms for a swing-up.

    Before, the motor is off for `rest_s` of the cart's time, which cools it; not on the emulated chip, where that would
    take too long. A stepper then creeps to the place, where no hand moves it.
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
        if self.cart.stepper is not None:  # which no hand moves
            self._jog(start.cart_position_m)
        self._rig.place(start)
        return self._rig.begin_swing(rng)

    def _jog(self, position_m: float) -> None:
        """Let the firmware creep to `position_m`, or as far as a swing-up may begin. Raises `RigError`."""
        rig = self._rig
        rig.make_ready_to_swing()
        encoders, settings = encoders_and_settings(self.cart)
        most_m, near_m = _START_SHARE * self.cart.limits.cart_position_m, _ROLLS_S * settings.homing_speed_m_s
        goal_m = max(near_m - most_m, min(most_m - near_m, position_m))
        link = rig.link
        ready, give_up_s = link.protocol.enums["cart_state"]["READY"], link.clock() + _JOG_WITHIN_S
        while link.clock() < give_up_s:
            state = link.newest_state(link.clock() + _ROLLS_S)
            if state is None:
                break
            left_m = goal_m - state.cart_counts / encoders.cart_counts_per_m
            if abs(left_m) > near_m:
                link.mode("JOG_LEFT" if left_m < 0.0 else "JOG_RIGHT")
            elif state.state == ready:
                return
        raise RigError(f"the cart did not creep to {goal_m:+.3f} m within {_JOG_WITHIN_S:g} s")

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
