"""The line to the cart of a bring-up, open from stage to stage, so that the cart homes as seldom as possible."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass

from cartpole_robot.bring_up.operator import Operator, SimulatedOperator, TerminalOperator
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.firmware_rig import FirmwareOptions, FirmwareRig
from cartpole_robot.rigs.open_rig import HIDDEN, SERIAL, check_rig_name, open_board
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand
from cartpole_robot.signals import TIME_MASK
from cartpole_robot.simulation.hand import BuildersHand
from cartpole_robot.simulation.planted_mistakes import built_cart
from cartpole_robot.simulation.virtual_cart import Board, VirtualCart, built_firmware
from cartpole_robot.simulation.wired_board import EquippedBoard
from firmware_bridge.errors import BridgeError
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from firmware_bridge.protocol import read_protocol
from firmware_bridge.transport import SerialTransport, Transport

_POLL_S = 300e-6


@dataclass
class DriveMeter:
    """How long the motor has been armed, and how long the cart has homed or gone to the middle, by the cart's clock."""

    armed_s: float = 0.0
    homing_s: float = 0.0
    _before: StateMessage | None = None

    def look(self, state: StateMessage) -> None:
        """Take account of a STATE."""
        before, self._before = self._before, state
        if before is None:
            return
        states = read_protocol().enums["cart_state"]
        passed_s = ((state.time_us - before.time_us) & TIME_MASK) * 1e-6
        if before.state == states["ARMED"]:
            self.armed_s += passed_s
        elif before.state == states["HOMING"]:
            self.homing_s += passed_s


class _KeptTransport(LockstepTransport):
    """A line to a virtual cart that outlives the sessions over it."""

    def close(self) -> None:
        """Do nothing: `CartLine.close` releases the cart."""


class CartLine:
    """The cart of the rig called `rig`. `virtual` is the simulated cart, None for a real one."""

    def __init__(
        self,
        rig: str,
        cart: CartParams,
        *,
        plant: CartParams | None = None,
        wires: Callable[[EquippedBoard, CartParams], Board] = lambda board, _: board,
    ) -> None:
        """Switch a simulated cart on; `plant` is what it really is, by default as its file says, behind those `wires`.

        Raises `UsageError` for a rig without a firmware, and `RigError`.
        """
        check_rig_name(rig)
        if rig == "sim":
            raise UsageError("bring-up needs a cart with a firmware; use --rig virtual, avr or serial:PORT")
        self.name = rig
        self.meter = DriveMeter()
        self.virtual: VirtualCart | None = None
        self._rig: FirmwareRig | None = None
        self._stack = ExitStack()
        self._port = rig.removeprefix(SERIAL) if rig.startswith(SERIAL) else None
        if self._port is None:
            self._switch_on(rig, cart, plant, wires)

    def _switch_on(
        self,
        rig: str,
        cart: CartParams,
        plant: CartParams | None,
        wires: Callable[[EquippedBoard, CartParams], Board],
    ) -> None:
        if rig.startswith(HIDDEN):
            plant, rig = load_cart(rig.removeprefix(HIDDEN)), "virtual"
        try:
            board = self._stack.enter_context(open_board(rig, plant or cart))
        except BridgeError as error:
            raise RigError(str(error)) from None
        built = built_cart(plant or cart, None)  # with the relay that the build guide has
        self.virtual = VirtualCart(built, board=wires(board or built_firmware(built), built))
        self._stack.callback(self.virtual.close)

    @property
    def is_real(self) -> bool:
        """Whether it is a port, with real time and perhaps a real cart behind it."""
        return self._port is not None

    def on_time(self) -> AbstractContextManager[object]:
        """Keeps this process punctual while it drives a cart in real time; a simulated one waits for it."""
        return punctual() if self.is_real else nullcontext()

    def transport(self) -> Transport:
        """A line for one session without a rig. Raises `BridgeError`."""
        self._let_go()
        if self._port is not None:
            return SerialTransport(self._port)
        assert self.virtual is not None
        return _KeptTransport(self.virtual)

    def operator(self) -> Operator | None:
        """The operator for steps by hand: a person at the terminal or a simulated one; None if there is neither."""
        if self.virtual is not None:
            return SimulatedOperator(BuildersHand(self.virtual))
        return TerminalOperator() if sys.stdin.isatty() else None

    def rig(self, cart: CartParams) -> FirmwareRig:
        """The rig that takes the cart for `cart`; with other limits than before it homes again. Raises `RigError`."""
        if self._rig is None:
            self._rig = self._opened(cart)
            self._rig.on_state = self.meter.look
        elif self._rig.cart != cart:
            self._rig.change_cart(cart)
        return self._rig

    def _opened(self, cart: CartParams) -> FirmwareRig:
        if self._port is not None:
            return SerialRig(cart, self._port, FirmwareOptions(poll_s=_POLL_S))
        assert self.virtual is not None
        hand = SimulatedHand(self.virtual, round(1000.0 * cart.timing.control_period_s))
        return FirmwareRig(cart, Link(_KeptTransport(self.virtual)), hand)

    def _let_go(self) -> None:
        rig, self._rig = self._rig, None
        if rig is not None:
            rig.close()

    def close(self) -> None:
        """Motor off, everything released. May be called twice. Raises `RigError` for a motor that may still run."""
        try:
            self._let_go()
        finally:
            self._stack.close()
