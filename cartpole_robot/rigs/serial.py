"""The serial rig: a cart on a serial port, or on a pseudo-terminal, with a person to raise its pole."""

from __future__ import annotations

import sys

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.signals import Measurement, State
from firmware_bridge.clock import ArrivalClock
from firmware_bridge.errors import BridgeError
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from firmware_bridge.transport import SerialTransport

_PINGS = 16


class PersonHand:
    """Tells a person on stderr what to do; implements `firmware_rig.Hand`."""

    brings_cart = False

    def let_hang(self) -> None:
        """Tell what comes."""
        print("homing: let the pole hang still and keep clear of the cart ...", file=sys.stderr, flush=True)

    def raise_pole(self, start: State) -> None:
        """Ask for the pole."""
        print("hold the pole upright and still ...", file=sys.stderr, flush=True)

    def has_arrived(self) -> bool:
        """True: the firmware sees whether it is so."""
        return True

    def let_go_at(self, time_us: int) -> None:
        """Nothing: a person lets go when told."""

    def let_go(self) -> None:
        """Say that the controller has it."""
        print("armed: let go", file=sys.stderr, flush=True)


class SerialRig(FirmwareRig):
    """The cart on `port`; implements `cartpole_robot.rig.Rig`, near its start instead of exactly at it."""

    def __init__(self, cart: CartParams, port: str) -> None:
        """Open the port and a session. Raises `RigError` for a port that cannot be opened or has no cart behind it."""
        try:
            self._serial = SerialTransport(port)
        except BridgeError as error:
            raise RigError(str(error)) from None
        self._arrivals = ArrivalClock()
        self._clock_of: int | None = None
        self._lateness_s = self._poll_s = 0.0
        super().__init__(cart, Link(self._serial), PersonHand())

    def poll_before_due(self, poll_s: float) -> None:
        """From so long before a measurement is due, poll the port instead of sleeping, for twice as long at most."""
        self._poll_s = poll_s
        self._serial.poll_for_s = 2.0 * poll_s

    @property
    def received_s(self) -> float:
        """When the newest measurement had come, on the monotonic clock."""
        return self._link.received_s

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of an episode; the line's round trip is measured first. Raises `RigError`."""
        try:
            for _ in range(_PINGS):
                self.link.ping()
        except BridgeError as error:
            raise RigError(str(error)) from None
        return super().reset(start, rng)

    def _next_state(self) -> StateMessage:
        state = super()._next_state()
        if self._link.session != self._clock_of:  # another session: its clock began anew
            self._arrivals, self._clock_of = ArrivalClock(), self._link.session
        self._lateness_s = self._arrivals.lateness_s(state.time_us, self._link.received_s)
        if self._poll_s:
            self._serial.poll_from_s = self._arrivals.due_s(self._period_s) - self._poll_s
        return state

    def _measure(self, state: StateMessage) -> Measurement:
        measurement = super()._measure(state)
        measurement.lateness_s = self._lateness_s
        return measurement
