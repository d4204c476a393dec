"""What goes wrong where a cart is built, planted in a virtual one: for practising bring-up, and to judge `check-rig`.

A mistake in the wiring changes what passes between the board and the cart, one of mechanics or electronics the cart
that is simulated, one of the USB bridge the line. The driver takes the cart for what its file says.
"""

from __future__ import annotations

import dataclasses

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.simulation.line import Line, LineFaults
from cartpole_robot.simulation.mistake import Mistake
from cartpole_robot.simulation.virtual_cart import Board
from cartpole_robot.simulation.wired_board import (
    BeltSlips,
    BootloaderOld,
    BrakeWeak,
    BrownOutDisabled,
    CartEncoderSwapped,
    ChannelDead,
    EquippedBoard,
    EstopShorted,
    EstopUnwired,
    MotorLeadsSwapped,
    PoleEncoderGeared,
    PoleEncoderSwapped,
    SetScrewLoose,
    SupplyDividerOff,
    SwitchesSwapped,
    SwitchNeverCloses,
    SwitchStuck,
    WiredBoard,
)

LATENCY_MS = 16  # FTDI's latency timer as it is delivered
GEAR = 2.4  # 48 teeth on 20


_COUNTS_PER_M = {
    Mistake.COUNTS_PER_M_85: 0.85,
    Mistake.COUNTS_PER_M_95: 0.95,
    Mistake.COUNTS_PER_M_105: 1.05,
    Mistake.COUNTS_PER_M_115: 1.15,
}
_POLE_COUNTS = {
    Mistake.POLE_COUNTS_HALVED: 0.5,
    Mistake.POLE_COUNTS_DOUBLED: 2.0,
    Mistake.POLE_ENCODER_GEARED: GEAR,
}


def built_cart(cart: CartParams, mistake: Mistake | None) -> CartParams:
    """The cart that stands there, `cart` being the one in the file; its e-stop opens the relay of its supply."""
    encoders, settings = encoders_and_settings(cart)
    opens = mistake is not Mistake.RELAY_WELDED  # a welded contact stays closed
    cart = dataclasses.replace(cart, firmware=dataclasses.replace(settings, estop_cuts_supply=opens))
    if mistake in _COUNTS_PER_M:
        counts = encoders.cart_counts_per_m * _COUNTS_PER_M[mistake]
        return dataclasses.replace(cart, encoders=dataclasses.replace(encoders, cart_counts_per_m=counts))
    if mistake in _POLE_COUNTS:
        turn = round(encoders.pole_counts_per_turn * _POLE_COUNTS[mistake])
        return dataclasses.replace(cart, encoders=dataclasses.replace(encoders, pole_counts_per_turn=turn))
    if mistake is Mistake.DEAD_ZONE_DOUBLED:
        motor = dataclasses.replace(cart.motor, dead_zone_duty=2.0 * cart.motor.dead_zone_duty)
        return dataclasses.replace(cart, motor=motor)
    return cart


def built_line(mistake: Mistake | None) -> Line | None:
    """The line of such a cart, where it is not a perfect one."""
    return Line(LineFaults(usb_latency_ms=LATENCY_MS)) if mistake is Mistake.LATENCY_16_MS else None


_BOARDS: dict[Mistake, type[WiredBoard]] = {
    Mistake.MOTOR_LEADS_SWAPPED: MotorLeadsSwapped,
    Mistake.CART_ENCODER_SWAPPED: CartEncoderSwapped,
    Mistake.POLE_ENCODER_SWAPPED: PoleEncoderSwapped,
    Mistake.CHANNEL_DEAD: ChannelDead,
    Mistake.SWITCHES_SWAPPED: SwitchesSwapped,
    Mistake.SWITCH_STUCK: SwitchStuck,
    Mistake.SWITCH_NEVER_CLOSES: SwitchNeverCloses,
    Mistake.ESTOP_UNWIRED: EstopUnwired,
    Mistake.ESTOP_SHORTED: EstopShorted,
    Mistake.BELT_SLIPS: BeltSlips,
    Mistake.SET_SCREW_LOOSE: SetScrewLoose,
    Mistake.SUPPLY_DIVIDER_OFF: SupplyDividerOff,
    Mistake.BRAKE_WEAK: BrakeWeak,
    Mistake.BOOTLOADER_OLD: BootloaderOld,
    Mistake.BROWN_OUT_DISABLED: BrownOutDisabled,
    Mistake.POLE_ENCODER_GEARED: PoleEncoderGeared,
}


def built_board(board: EquippedBoard, cart: CartParams, mistake: Mistake | None) -> Board:
    """`board` behind the wires of such a cart; `cart` is the one in the file."""
    kind = _BOARDS.get(mistake, WiredBoard) if mistake is not None else WiredBoard
    return kind(board, built_cart(cart, mistake))
