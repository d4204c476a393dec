"""The avr rig: the image that is flashed runs on an emulated ATmega328P, in lockstep with the simulated cart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.simulation.engine import Engine
from firmware_bridge.emulator import DriverWiring, EmulatedChip
from firmware_bridge.errors import BridgeError
from firmware_bridge.second_emulator import Chip


class ChipRig(VirtualRig):
    """The virtual rig with an emulated chip as its board: every instruction, its pins and its serial line."""

    def __init__(
        self,
        cart: CartParams,
        switch_on: Callable[[], Chip],
        randomization: Randomization | None = None,
        *,
        options: FirmwareOptions = NO_OPTIONS,
        engine: Engine = Engine.NATIVE,
    ) -> None:
        """Switch the cart on with the chip that `switch_on` returns, which `close` switches off.

        Raises `RigError` for its `BridgeError`, `UsageError` for a cart that no firmware can drive.
        """
        try:
            self._chip = switch_on()
        except BridgeError as error:
            raise RigError(str(error)) from None
        try:
            super().__init__(cart, randomization, board=self._chip, options=options, engine=engine)
        except BaseException:
            self._chip.close()
            raise

    @property
    def chip(self) -> Chip:
        """The chip, for tests that break its wires, clock or program, and for the emulator's counters."""
        return self._chip

    def close(self) -> None:
        """Motor off, chip switched off. May be called twice."""
        super().close()
        self._chip.close()


class AvrRig(ChipRig):
    """The rig whose chip simavr emulates."""

    def __init__(
        self,
        cart: CartParams,
        randomization: Randomization | None = None,
        *,
        image: Path | None = None,
        options: FirmwareOptions = NO_OPTIONS,
        engine: Engine = Engine.NATIVE,
    ) -> None:
        """Switch the cart on, flashed with the ELF file `image` or with this package's firmware.

        The first use on a machine compiles firmware and emulator, which takes a few seconds. Raises `RigError` if a
        tool is missing or the image is not for this chip and host, `UsageError` for a cart that no firmware can drive.
        """
        driver = driver_wiring(cart)
        super().__init__(
            cart, lambda: EmulatedChip(image, driver=driver), randomization, options=options, engine=engine
        )


def driver_wiring(cart: CartParams) -> DriverWiring | None:
    """The driver of a stepper's cart as its file has it; None for a DC motor's, whose chip has a bridge."""
    return None if cart.stepper is None else DriverWiring(is_enable_low=cart.stepper.enable_is_low)
