"""A virtual cart with the imperfections of a profile: what its hooks call every millisecond."""

from __future__ import annotations

import random

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import State
from cartpole_robot.simulation.imperfections.belt import Belt, SlackBelt
from cartpole_robot.simulation.imperfections.boot import BootingBoard
from cartpole_robot.simulation.imperfections.bridge import Bridge
from cartpole_robot.simulation.imperfections.contacts import BouncingContacts, Contacts
from cartpole_robot.simulation.imperfections.encoders import Chatter, ChatteringEncoder
from cartpole_robot.simulation.imperfections.profile import Profile
from cartpole_robot.simulation.imperfections.supply import RAIL_V, MotorSupply, Rail
from cartpole_robot.simulation.imperfections.usb import Usb, UsbChip
from cartpole_robot.simulation.virtual_cart import Board, VirtualCart


def spoil(virtual: VirtualCart, cart: CartParams, profile: Profile, seed: int = 0) -> None:
    """Give `virtual`, which simulates `cart`, the imperfections of a `fitting` profile, drawn with `seed`."""
    if not profile.sections:
        return
    virtual.imperfect = Imperfect(cart, profile, seed)
    if profile.boot is not None:
        virtual.board = BootingBoard(virtual.board, profile.boot)


class Imperfect:
    """The imperfections of one cart."""

    def __init__(self, cart: CartParams, profile: Profile, seed: int) -> None:
        encoders, _ = encoders_and_settings(cart)
        self._is_stepper = cart.stepper is not None
        self._usb = UsbChip(profile.usb or Usb(), random.Random(f"usb {seed}"))
        self._contacts = BouncingContacts(profile.contacts or Contacts(), random.Random(f"contacts {seed}"))
        self._encoder = ChatteringEncoder(profile.encoders or Chatter(), random.Random(f"encoders {seed}"))
        self._bridge = profile.bridge or Bridge()
        self._belt = SlackBelt(profile.belt or Belt(), cart.motor, cart.pole_cart.cart_mass_kg)
        self._rail = profile.rail or Rail()
        self.supply = None if profile.supply is None else MotorSupply(profile.supply, cart.motor)
        self._per_m, self._per_rad = encoders.cart_counts_per_m, encoders.pole_counts_per_rad
        self._supply_v = 0.0
        self._rail_v = self._rail.voltage(0.0)
        self._equipped: tuple[Board, int] | None = None

    def to_host(self, data: bytes, time_ms: int) -> bytes:
        """What reaches the host at `time_ms`, `data` being what the cart has sent since the last call."""
        return self._usb.to_host(data, time_ms)

    def to_cart_s(self) -> float:
        """How long what the host sends now is on its way."""
        return self._usb.wait_s()

    def at_motor(self, drive: float | None, source_mv: int, nominal_mv: int, speed_m_s: float) -> float | None:
        """The duty that gives, at the nominal supply, what moves the cart over the next millisecond.

        `drive` is the duty at the bridge's inputs, None with the bridge open; None is returned where nothing does. A
        stepper has neither bridge nor slack belt nor supply of a profile: its count stays what it is.
        """
        if self._is_stepper:
            self._supply_v, self._rail_v = source_mv / 1000.0, self._rail.voltage(0.0)
            return drive
        duty = None if drive is None else self._bridge.left_of(drive)
        source_v = source_mv / 1000.0
        motor_a = 0.0
        self._supply_v = source_v
        if self.supply is not None:
            self._supply_v = self.supply.voltage(source_v, duty, speed_m_s)
            motor_a = self.supply.motor_a
        self._rail_v = self._rail.voltage(motor_a)
        if duty is not None:
            duty *= self._supply_v * 1000.0 / nominal_mv
        return self._belt.before(duty, speed_m_s)

    def moved(self, speed_m_s: float) -> None:
        """That millisecond has passed."""
        if self._is_stepper:
            return
        self._belt.after(speed_m_s)

    def counts(self, state: State) -> tuple[int, int]:
        """What the encoders read, cart and pole, from the middle of the track and upright."""
        read = self._encoder.read
        cart_m = state.cart_position_m + self._belt.offset_m
        return read(cart_m * self._per_m), read(state.pole_angle_rad * self._per_rad)

    def inputs(self, inputs: int, time_ms: int) -> int:
        """What the board reads of switches and e-stop at `inputs`."""
        return self._contacts.read(inputs, time_ms)

    def power(self, board: Board) -> int:
        """Give `board` its 5 V rail; returns the supply for its next tick, a board's without a rail as it reads it."""
        equip = getattr(board, "equip", None)
        if equip is None:
            return round(1000.0 * self._supply_v * RAIL_V / self._rail_v)
        rail_mv = round(1000.0 * self._rail_v)
        if self._equipped != (board, rail_mv):
            self._equipped = board, rail_mv
            equip(rail_mv=rail_mv)
        return round(1000.0 * self._supply_v)
