"""Opens a rig by its name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.rig import Rig
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.cart.randomization import Randomization
    from cartpole_robot.simulation.wired_board import EquippedBoard

RIG_NAMES = ("sim", "virtual", "virtual:CART", "avr", "avr:ELF", "serial:PORT")
SIMULATED_BOARDS = ("virtual", "avr", "avr:ELF")  # the firmware on a simulated cart
PLANT_RIGS = ("virtual", "sim")  # those that simulate any cart in front of a driver that assumes another
SERIAL = "serial:"
HIDDEN = "virtual:"
AVR = "avr:"


def check_rig_name(rig: str) -> None:
    """Raise `UsageError` unless `rig` names a rig."""
    is_port = rig.startswith(SERIAL) and rig != SERIAL
    is_hidden = rig.startswith(HIDDEN) and rig != HIDDEN
    if rig not in ("sim", "virtual") and not _is_chip(rig) and not is_port and not is_hidden:
        raise UsageError(f"rig {rig!r} is not known; expected one of {', '.join(RIG_NAMES)}")


def is_real(rig: str) -> bool:
    """Whether the rig of that name may be a real cart, which moves only with permission."""
    return rig.startswith(SERIAL)


def check_may_move(rig: str, *, may_move: bool) -> None:
    """Raise `UsageError` for a real cart without permission to move, which --arm gives on the command line."""
    if is_real(rig) and not may_move:
        raise UsageError(f"rig {rig!r} moves a real cart; keep clear of it and add --arm")


def open_rig(
    rig: str, cart: CartParams, randomization: Randomization | None = None, *, engine: Engine | None = None
) -> Rig:
    """The rig called `rig`, driving `cart`; with `randomization` a simulated one draws its cart for each episode.

    "virtual:CART" simulates that cart, a name or a file, and its driver takes it for `cart`. `engine` None is PyBullet
    where it is installed. Raises `UsageError` for an unknown name, and for an engine that the rig does not have.
    """
    check_rig_name(rig)
    if rig == "sim":
        from cartpole_robot.rigs.sim import simulated_rig

        return simulated_rig(cart, randomization, engine=engine)
    if engine is not None:
        raise UsageError(f"rig {rig!r} has no choice of engine; leave out the engine, or use the rig sim")
    if rig == "virtual":
        from cartpole_robot.rigs.virtual import VirtualRig

        return VirtualRig(cart, randomization)
    if _is_chip(rig):
        from cartpole_robot.rigs.avr import AvrRig

        return AvrRig(cart, randomization, image=_image(rig))
    if randomization is not None:
        reason = "its cart is the one it names" if rig.startswith(HIDDEN) else "a real cart has its own"
        raise UsageError(f"rig {rig!r}: no parameters are drawn here, {reason}; use sim, virtual or avr")
    if rig.startswith(HIDDEN):
        from cartpole_robot.cart.cart_file import load_cart
        from cartpole_robot.rigs.virtual import VirtualRig

        return VirtualRig(cart, plant=load_cart(rig.removeprefix(HIDDEN)))
    from cartpole_robot.rigs.serial import SerialRig

    return SerialRig(cart, rig.removeprefix(SERIAL))


def open_board(rig: str, cart: CartParams) -> AbstractContextManager[EquippedBoard | None]:
    """A context with what runs the firmware of the simulated `cart`: None for "virtual", the chip for "avr", "avr:ELF".

    Raises `UsageError` for the name of another rig, `BridgeError` as `EmulatedChip` does.
    """
    if rig == "virtual":
        return nullcontext()
    if not _is_chip(rig):
        raise UsageError(f"rig {rig!r} has no simulated cart with a firmware; expected virtual, avr or avr:ELF")
    from cartpole_robot.rigs.avr import driver_wiring
    from firmware_bridge.emulator import EmulatedChip

    return EmulatedChip(_image(rig), driver=driver_wiring(cart))


def _is_chip(rig: str) -> bool:
    return rig == "avr" or (rig.startswith(AVR) and rig != AVR)


def _image(rig: str) -> Path | None:
    """The ELF file in a chip's name; None for the package's own firmware."""
    return Path(rig.removeprefix(AVR)) if rig != "avr" else None
