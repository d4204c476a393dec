"""`check-rig` with a simulated operator on a virtual cart with a planted mistake, in lockstep."""

from __future__ import annotations

from collections.abc import Callable

from cartpole_robot.bring_up.check import RigCheck, Step
from cartpole_robot.bring_up.findings import StepResult
from cartpole_robot.bring_up.operator import SimulatedOperator
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.simulation.hand import BuildersHand
from cartpole_robot.simulation.mistake import Mistake
from cartpole_robot.simulation.planted_mistakes import LATENCY_MS, built_board, built_cart, built_line
from cartpole_robot.simulation.virtual_cart import VirtualCart, built_firmware
from cartpole_robot.simulation.wired_board import EquippedBoard
from firmware_bridge.usb import described

_FTDI = (0x0403, 0x6001)


def rehearse(
    cart: CartParams,
    mistake: Mistake | None,
    *,
    steps: tuple[Step, ...] | None = None,
    spoil: Callable[[VirtualCart], None] = lambda _: None,
    board: EquippedBoard | None = None,
) -> list[StepResult]:
    """What `check-rig` finds, told that it is `cart`; `spoil` may change the virtual cart before it is switched on.

    The firmware runs on `board`, by default built for this machine; it is the caller's to close.
    """
    wired = built_board(built_firmware(cart) if board is None else board, cart, mistake)
    virtual = VirtualCart(built_cart(cart, mistake), board=wired)
    virtual.line = built_line(mistake)
    spoil(virtual)
    latency_ms = LATENCY_MS if mistake is Mistake.LATENCY_16_MS else 1
    check = RigCheck(
        cart=cart,
        open_line=lambda: LockstepTransport(virtual),
        port="virtual",
        operator=SimulatedOperator(BuildersHand(virtual)),
        may_move=True,
        on_result=lambda _: None,
        steps=steps,
        usb=described(*_FTDI, "FT232R USB UART", latency_ms),
    )
    check.run()
    return check.results
