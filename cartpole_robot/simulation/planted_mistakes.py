"""What goes wrong where a cart is built, planted in a virtual one: for practising bring-up, and to judge `check-rig`.

A mistake in the wiring changes what passes between the board and the cart, one of mechanics or electronics the cart
that is simulated, one of the USB bridge the line. The driver takes the cart for what its file says.
"""

from __future__ import annotations

import dataclasses

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import MOST_STEPS_PER_S, Stepper
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.line import Line, LineFaults
from cartpole_robot.simulation.mistake import Mistake, mistakes_of
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
from cartpole_robot.simulation.wired_stepper import (
    BeltSkips,
    DirectionReversed,
    DriverUnpowered,
    EnableInverted,
    MotorStalled,
    ScrewLoose,
)

LATENCY_MS = 16  # FTDI's latency timer as it is delivered
GEAR = 2.4  # 48 teeth on 20


_COUNTS_PER_M = {
    Mistake.COUNTS_PER_M_85: 0.85,
    Mistake.COUNTS_PER_M_95: 0.95,
    Mistake.COUNTS_PER_M_105: 1.05,
    Mistake.COUNTS_PER_M_115: 1.15,
}
_MICROSTEPS = 2
_WEAK, _GENTLE = 0.35, 0.15  # of the file's pull-out force, and of the acceleration that such a motor bears
_POLE_COUNTS = {
    Mistake.POLE_COUNTS_HALVED: 0.5,
    Mistake.POLE_COUNTS_DOUBLED: 2.0,
    Mistake.POLE_ENCODER_GEARED: GEAR,
}


def built_cart(cart: CartParams, mistake: Mistake | None) -> CartParams:
    """The cart that stands there, `cart` being the one in the file; its e-stop opens the relay of its supply.

    Raises `UsageError` for a mistake that only the other drive has.
    """
    if mistake is not None:
        _check_fits(cart, mistake)
    encoders, settings = encoders_and_settings(cart)
    opens = mistake is not Mistake.RELAY_WELDED  # a welded contact stays closed
    cart = dataclasses.replace(cart, firmware=dataclasses.replace(settings, estop_cuts_supply=opens))
    if cart.stepper is not None and (mistake in _COUNTS_PER_M or mistake is Mistake.MICROSTEPS):
        times = _MICROSTEPS if mistake is Mistake.MICROSTEPS else _COUNTS_PER_M[mistake]
        return _with_steps_per_m(cart, times * cart.stepper.steps_per_m)
    if cart.stepper is not None and mistake is Mistake.ACCELERATION_LOST:
        weak = dataclasses.replace(
            cart.stepper,
            pull_out_force_n=_WEAK * cart.stepper.pull_out_force_n,
            maximum_acceleration_m_s2=_GENTLE * cart.stepper.maximum_acceleration_m_s2,
        )
        return _with_stepper(cart, weak)
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


def _check_fits(cart: CartParams, mistake: Mistake) -> None:
    fitting = mistakes_of(has_stepper=cart.stepper is not None)
    if mistake not in fitting:
        this, other = ("a stepper", "a DC motor") if cart.stepper is not None else ("a DC motor", "a stepper")
        raise UsageError(
            f"the mistake {mistake} is one of {other}, and the cart {cart.name!r} has {this}; choose one of "
            f"{', '.join(fitting)}"
        )


def _with_steps_per_m(cart: CartParams, steps_per_m: float) -> CartParams:
    """The motor's driver makes this many steps of a metre, at the board's rate."""
    assert cart.stepper is not None
    assert cart.encoders is not None
    fastest_m_s = min(cart.stepper.maximum_speed_m_s, MOST_STEPS_PER_S / steps_per_m)
    stepper = dataclasses.replace(cart.stepper, steps_per_m=steps_per_m, maximum_speed_m_s=fastest_m_s)
    encoders = dataclasses.replace(cart.encoders, cart_counts_per_m=steps_per_m)
    return dataclasses.replace(cart, stepper=stepper, encoders=encoders)


def _with_stepper(cart: CartParams, stepper: Stepper) -> CartParams:
    """A plant with that motor; what the cart is commanded stays the firmware's."""
    table = (-1.0, 1.0)  # of so gentle a cart no weaker one would do, and nothing asks for it
    return dataclasses.replace(cart, stepper=stepper, action_duties=table, precise_duties=None, swing_up_duties=None)


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


_STEPPER_BOARDS: dict[Mistake, type[WiredBoard]] = {
    Mistake.DIRECTION_REVERSED: DirectionReversed,
    Mistake.ENABLE_INVERTED: EnableInverted,
    Mistake.DRIVER_OFF: DriverUnpowered,
    Mistake.MOTOR_STALLED: MotorStalled,
    Mistake.BELT_SLIPS: BeltSkips,
    Mistake.SET_SCREW_LOOSE: ScrewLoose,
}


def built_board(board: EquippedBoard, cart: CartParams, mistake: Mistake | None) -> Board:
    """`board` behind the wires of such a cart; `cart` is the one in the file."""
    boards = _BOARDS if cart.stepper is None else _BOARDS | _STEPPER_BOARDS
    kind = boards.get(mistake, WiredBoard) if mistake is not None else WiredBoard
    return kind(board, built_cart(cart, mistake))
