"""A board behind the wires and the belt of a stepper's cart, each with one thing wrong."""

from __future__ import annotations

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.simulation.wired_board import SCREW_PLAY_M, SKIPS, SKIPS_EVERY_M, TOOTH_M, EquippedBoard, WiredBoard


class DirectionReversed(WiredBoard):
    """The motor turns the other way: DIR inverted, or a coil's wires exchanged."""

    def pulses(self, pulses: float | None) -> float | None:
        return None if pulses is None else -pulses


class EnableInverted(WiredBoard):
    """The driver is on while the firmware has it off, and off while the firmware drives."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._held = 0.0

    def pulses(self, pulses: float | None) -> float | None:
        if pulses is None:
            return self._held
        self._held = pulses
        return None


class DriverUnpowered(WiredBoard):
    """The driver has no supply, behind a divider that has it."""

    def pulses(self, pulses: float | None) -> float | None:
        return None


class MotorStalled(WiredBoard):
    """The driver holds the motor and no pulse reaches it, or its torque moves nothing."""

    def pulses(self, pulses: float | None) -> float | None:
        return None if pulses is None else 0.0


class BeltSkips(WiredBoard):
    """It skips teeth on the way: the motor turns and the cart stays."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._rng = np.random.default_rng(1)
        self._before = self._travel = self._skipped = 0.0

    def pulses(self, pulses: float | None) -> float | None:
        if pulses is None:
            return None
        self._travel, self._before = self._travel + pulses - self._before, pulses
        if abs(self._travel) > SKIPS_EVERY_M * self.counts_per_m:
            side = 1.0 if self._travel > 0.0 else -1.0
            self._travel = 0.0
            if self._rng.random() < SKIPS:
                self._skipped += side * TOOTH_M * self.counts_per_m
        return pulses - self._skipped


class ScrewLoose(WiredBoard):
    """The motor's shaft turns in its pulley until it meets the other end of the play."""

    def __init__(self, board: EquippedBoard, cart: CartParams) -> None:
        super().__init__(board, cart)
        self._at: float | None = None

    def pulses(self, pulses: float | None) -> float | None:
        if pulses is None:
            return None
        half = 0.5 * SCREW_PLAY_M * self.counts_per_m
        at = pulses if self._at is None else self._at
        self._at = max(pulses - half, min(pulses + half, at))
        return self._at
