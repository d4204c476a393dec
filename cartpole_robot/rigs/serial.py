"""The serial rig: a cart on a port, or on a pseudo-terminal, with a person or its simulation to raise its pole."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import weakref

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions, FirmwareRig
from cartpole_robot.signals import Measurement, State
from firmware_bridge.clock import ArrivalClock
from firmware_bridge.errors import BridgeError, LinkError
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from firmware_bridge.transport import SerialTransport

_PINGS = 16
_PSEUDO_TERMINALS = ("/dev/pts/", "/dev/ttys")  # of Linux and macOS
_HOMING_TAKES = "10 to 30 s"  # with a DC motor
_POLE_S = 15.0  # for the pole, at most: it hangs still, and swings


def homing_takes(cart: CartParams) -> str:
    """How long homing usually takes, for a message; a stepper crosses its track twice, and a third time in part."""
    if cart.stepper is None or cart.firmware is None:
        return _HOMING_TAKES
    track_s = 2.0 * cart.firmware.switch_m / cart.firmware.homing_speed_m_s
    return f"{10 * round(0.25 * track_s)} to {10 * math.ceil(0.1 * (3.5 * track_s + _POLE_S))} s"


class PersonHand:
    """Tells a person on stderr what to do; implements `firmware_rig.Hand`."""

    brings_cart = False
    homing_takes = _HOMING_TAKES

    def let_hang(self) -> None:
        text = f"homing ({self.homing_takes}): let the pole hang still and keep clear of the cart ..."
        print(text, file=sys.stderr, flush=True)

    def stand_clear(self) -> None:
        """Announce a homing that needs no hand."""
        print(f"homing ({self.homing_takes}): keep clear of the cart ...", file=sys.stderr, flush=True)

    def raise_pole(self, start: State) -> None:
        print("hold the pole upright and still ...", file=sys.stderr, flush=True)

    def has_arrived(self) -> bool:
        """True: the firmware checks it."""
        return True

    def let_go_at(self, time_us: int) -> None:
        """Do nothing: a person lets go when asked to."""

    def let_go(self) -> None:
        print("armed: let go", file=sys.stderr, flush=True)


class VirtualCartHand(PersonHand):
    """Reports on stderr what the process of a virtual cart does with the pole; implements `firmware_rig.Hand`."""

    homing_takes = "up to 30 s"  # a cart file may home faster than a cart of metal, as the demo's does

    def let_hang(self) -> None:
        print(f"homing the virtual cart ({self.homing_takes}) ...", file=sys.stderr, flush=True)

    def stand_clear(self) -> None:
        """Announce a homing that needs no hand."""
        self.let_hang()

    def raise_pole(self, start: State) -> None:
        print("the rig raises the virtual cart's pole; there is nothing to do for you ...", file=sys.stderr, flush=True)

    def let_go(self) -> None:
        print("armed: the rig lets go of the pole", file=sys.stderr, flush=True)


class PseudoTerminalHand(PersonHand):
    """As `PersonHand`, for a port that is a pseudo-terminal: behind it is a virtual cart, or a program's real one."""

    def let_hang(self) -> None:
        print("homing: at a real cart, let the pole hang still and keep clear ...", file=sys.stderr, flush=True)

    def raise_pole(self, start: State) -> None:
        text = "a virtual cart raises its pole itself; at a real one, hold the pole upright and still ..."
        print(text, file=sys.stderr, flush=True)


def hand_at(port: str) -> PersonHand:
    """The hand of a cart on `port`: a person's, or perhaps a virtual cart's own."""
    is_pseudo_terminal = os.path.realpath(port).startswith(_PSEUDO_TERMINALS)
    return PseudoTerminalHand() if is_pseudo_terminal else PersonHand()


class SerialRig(FirmwareRig):
    """The cart on `port`; implements `cartpole_robot.rig.Rig`, near its start instead of exactly at it.

    A rig that is dropped without `close` asks the cart to disarm and releases the port.
    """

    def __init__(
        self, cart: CartParams, port: str, options: FirmwareOptions = NO_OPTIONS, *, is_virtual: bool = False
    ) -> None:
        """Open the port and a session. With `is_virtual` no person is asked to do anything: a process simulates both.

        Raises `RigError` for a port that cannot be opened or has no cart behind it.
        """
        try:
            link = Link(SerialTransport(port, options.poll_s), traces=options.traces)
        except BridgeError as error:
            raise RigError(str(error)) from None
        self._has_warned = is_virtual
        self._abandoned = weakref.finalize(self, _abandon, link, os.getpid())
        hand = VirtualCartHand() if is_virtual else hand_at(port)
        hand.homing_takes = homing_takes(cart)
        super().__init__(cart, link, hand, options=options, arrivals=ArrivalClock())

    def close(self) -> None:
        """Motor off, port released. May be called twice. Raises `RigError` as `FirmwareRig.close` does."""
        try:
            super().close()
        finally:
            self._abandoned.detach()

    def arrival_s(self) -> float:
        """When the newest measurement arrived, on the monotonic clock."""
        return self._link.received_s

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of an episode; the line's round trip is measured first. Raises `RigError`."""
        self._measure_round_trip()
        return super().reset(start, rng)

    def begin_swing(
        self, rng: np.random.Generator, *, checks_zero: bool = False, may_be_held: bool = True
    ) -> Measurement:
        """As `FirmwareRig.begin_swing`; the line's round trip is measured first, and people are warned once."""
        self._prepare_swing()
        return super().begin_swing(rng, checks_zero=checks_zero, may_be_held=may_be_held)

    def begin_hanging(self, start: State, rng: np.random.Generator) -> Measurement:
        """As `FirmwareRig.begin_hanging`; the line's round trip is measured first, and people are warned once."""
        self._prepare_swing()
        return super().begin_hanging(start, rng)

    def _homed(self) -> StateMessage:
        if self._pole_may_fall and isinstance(self._hand, PersonHand):  # else the hand has announced it
            self._hand.stand_clear()
        return super()._homed()

    def _prepare_swing(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            print("swinging up: keep clear of the cart and of the pole's circle ...", file=sys.stderr, flush=True)
        self._measure_round_trip()

    def _measure_round_trip(self) -> None:
        try:
            self.link.drain()
            try:
                self._ping()
            except LinkError:  # this host may have slept meanwhile
                self.link.drain()
                self._ping()
        except BridgeError as error:
            raise RigError(str(error)) from None

    def _ping(self) -> None:
        for _ in range(_PINGS):
            self.link.ping()


def _abandon(link: Link, owner: int) -> None:
    """Ask the cart to disarm, without waiting for its answer; does nothing in a fork of the process `owner`."""
    if os.getpid() == owner:
        with contextlib.suppress(BridgeError):
            link.post_mode("DISARM")
        link.close()
