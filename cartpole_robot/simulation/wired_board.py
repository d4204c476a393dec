"""A board behind the wires of a cart, right ones or wrong ones: each class but the first has one thing wrong."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.simulation.virtual_cart import Board
from firmware_bridge.constants import TICK_S
from firmware_bridge.protocol import read_protocol

_LEFT, _RIGHT, _ESTOP = (
    int(read_protocol().enums["input_flag"][name]) for name in ("LEFT_SWITCH", "RIGHT_SWITCH", "ESTOP")
)
_POWER_ON = int(read_protocol().enums["reset_cause"]["POWER_ON"])
_GEAR_PLAY_RAD = math.radians(1.5)
TOOTH_M = 0.002  # of a GT2 belt
SKIPS_EVERY_M, SKIPS = 0.06, 0.4  # travel under drive, and how likely a tooth is skipped then
SCREW_PLAY_M, _SCREW_M_S = 0.004, 0.2  # 20 degrees of a 36-tooth pulley
_DIVIDER = 0.8


class EquippedBoard(Board, Protocol):
    """A board whose parts can be exchanged, as `Firmware` and `EmulatedChip` are."""

    def equip(self, *, fuse_high: int = ..., fuse_extended: int = ..., bootloader: int = ...) -> None:
        """Take these parts instead of the usual ones."""


class WiredBoard:
    """A board behind the wires of a right cart; implements `Board`.

    Every method but those of `Board` is a wire: what is at one end, by what is at the other.
    """

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        encoders, _ = encoders_and_settings(cart)
        self._board = board
        self.rail_v = 5.0  # of the board
        self.counts_per_m = encoders.cart_counts_per_m
        self._counts_per_rad = encoders.pole_counts_per_rad
        self._side = 0  # to which the bridge drives

    @property
    def time_us(self) -> int:
        return self._board.time_us

    def feed(self, received: bytes, /) -> None:
        self._board.feed(received)

    def take(self) -> bytes:
        return self._board.take()

    def has_sent(self) -> bool:
        return self._board.has_sent()

    def restart(self, cause: int, /) -> None:
        self._board.restart(cause)

    def equip(self, **parts: int) -> None:
        """As the board's own."""
        self.rail_v = parts.get("rail_mv", 1000.0 * self.rail_v) / 1000.0
        self._board.equip(**parts)

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        driven = self._board.tick(
            self.cart_counts(cart_counts),
            self.pole_counts(pole_counts),
            self.inputs(inputs),
            self.supply_mv(supply_mv),
        )
        pulses = self.pulses(driven)
        self._side = 0 if not pulses else -1 if pulses < 0 else 1
        return pulses

    def cart_counts(self, counts: int) -> int:
        return counts

    def pole_counts(self, counts: int) -> int:
        return counts

    def inputs(self, inputs: int) -> int:
        return inputs

    def supply_mv(self, supply_mv: int) -> int:
        return supply_mv

    def pulses(self, pulses: float | None) -> float | None:
        return pulses


class MotorLeadsSwapped(WiredBoard):
    """The bridge drives the motor the other way."""

    def pulses(self, pulses: float | None) -> float | None:
        return None if pulses is None else -pulses


class CartEncoderSwapped(WiredBoard):
    """Channels A and B of the cart's encoder have changed places."""

    def cart_counts(self, counts: int) -> int:
        return -counts


class PoleEncoderSwapped(WiredBoard):
    """Channels A and B of the pole's encoder have changed places."""

    def pole_counts(self, counts: int) -> int:
        return -counts


class ChannelDead(WiredBoard):
    """Channel B stays high: of four edges two are left, and they count forth and back."""

    def cart_counts(self, counts: int) -> int:
        return -1 if counts & 3 in (1, 2) else 0


class SwitchesSwapped(WiredBoard):
    """Each end switch is wired as the other one."""

    def inputs(self, inputs: int) -> int:
        swapped = (_RIGHT if inputs & _LEFT else 0) | (_LEFT if inputs & _RIGHT else 0)
        return inputs & ~(_LEFT | _RIGHT) | swapped


class SwitchStuck(WiredBoard):
    """The left end switch is pressed all the time, or its wire is cut."""

    def inputs(self, inputs: int) -> int:
        return inputs | _LEFT


class SwitchNeverCloses(WiredBoard):
    """The right end switch is shorted, or nothing reaches it."""

    def inputs(self, inputs: int) -> int:
        return inputs & ~_RIGHT


class EstopUnwired(WiredBoard):
    """Its contact is normally closed: one that is not there reads as pressed."""

    def inputs(self, inputs: int) -> int:
        return inputs | _ESTOP


class EstopShorted(WiredBoard):
    """The e-stop's contact reads as released all the time; its other contact still opens the relay."""

    def inputs(self, inputs: int) -> int:
        return inputs & ~_ESTOP


class BeltSlips(WiredBoard):
    """It skips teeth under drive: the motor, whose encoder counts, turns and the cart stays."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._rng = np.random.default_rng(1)
        self._before = self._travel = self._skipped = 0

    def reseed(self, seed: int) -> None:
        """Skip other teeth from now on."""
        self._rng = np.random.default_rng(seed)

    def cart_counts(self, counts: int) -> int:
        self._travel += (counts - self._before) * self._side
        self._before = counts
        if self._travel > SKIPS_EVERY_M * self.counts_per_m:
            self._travel = 0
            if self._rng.random() < SKIPS:
                self._skipped += self._side * round(TOOTH_M * self.counts_per_m)
        return counts + self._skipped


class SetScrewLoose(WiredBoard):
    """The motor's shaft turns in its pulley until it meets the other end of the play."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._ahead_m = 0.0

    def cart_counts(self, counts: int) -> int:
        most_m = 0.5 * SCREW_PLAY_M
        self._ahead_m = max(-most_m, min(most_m, self._ahead_m + self._side * _SCREW_M_S * TICK_S))
        return counts + round(self._ahead_m * self.counts_per_m)


class SupplyDividerOff(WiredBoard):
    """A resistor of the divider has another value."""

    def supply_mv(self, supply_mv: int) -> int:
        return round(_DIVIDER * supply_mv)


class BrakeWeak(WiredBoard):
    """A bridge that shorts the motor half of the time in which it should."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._is_open = False

    def pulses(self, pulses: float | None) -> float | None:
        self._is_open = not self._is_open
        return None if pulses == 0 and self._is_open else pulses


class PoleEncoderGeared(WiredBoard):
    """Its gear wheels have play: the encoder follows the pole when the teeth touch."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._at = 0

    def pole_counts(self, counts: int) -> int:
        half = round(0.5 * _GEAR_PLAY_RAD * self._counts_per_rad)
        self._at = max(counts - half, min(counts + half, self._at))
        return self._at


class BootloaderOld(WiredBoard):
    """A Nano as it was sold for years: its bootloader does not survive a watchdog reset."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        board.equip(fuse_high=0xDA, bootloader=0xFFFF)
        board.restart(_POWER_ON)  # then it looks what it is made of


class BrownOutDisabled(WiredBoard):
    """The chip runs on while its supply sags."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        board.equip(fuse_extended=0xFF)
        board.restart(_POWER_ON)
