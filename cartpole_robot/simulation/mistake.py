"""The mistakes that can be planted in a virtual cart, by name; `planted_mistakes` builds them in."""

from __future__ import annotations

import enum


class Mistake(enum.StrEnum):
    """One thing that is wrong."""

    MOTOR_LEADS_SWAPPED = "motor-leads-swapped"
    CART_ENCODER_SWAPPED = "cart-encoder-swapped"
    POLE_ENCODER_SWAPPED = "pole-encoder-swapped"
    CHANNEL_DEAD = "channel-dead"  # one of the cart's encoder
    SWITCHES_SWAPPED = "switches-swapped"
    SWITCH_STUCK = "switch-stuck"  # the left one
    SWITCH_NEVER_CLOSES = "switch-never-closes"  # the right one
    ESTOP_UNWIRED = "estop-unwired"
    ESTOP_SHORTED = "estop-shorted"
    RELAY_WELDED = "relay-welded"
    COUNTS_PER_M_85 = "counts-per-metre-85-percent"
    COUNTS_PER_M_95 = "counts-per-metre-95-percent"
    COUNTS_PER_M_105 = "counts-per-metre-105-percent"
    COUNTS_PER_M_115 = "counts-per-metre-115-percent"
    POLE_COUNTS_HALVED = "pole-counts-halved"
    POLE_COUNTS_DOUBLED = "pole-counts-doubled"
    BELT_SLIPS = "belt-slips"
    SET_SCREW_LOOSE = "set-screw-loose"  # of the motor's pulley
    SUPPLY_DIVIDER_OFF = "supply-divider-off"
    DEAD_ZONE_DOUBLED = "dead-zone-doubled"
    BRAKE_WEAK = "brake-weak"
    LATENCY_16_MS = "latency-16-ms"
    BOOTLOADER_OLD = "bootloader-old"
    BROWN_OUT_DISABLED = "brown-out-disabled"
    POLE_ENCODER_GEARED = "pole-encoder-geared"
    DIRECTION_REVERSED = "direction-reversed"  # from here on of a stepper alone
    ENABLE_INVERTED = "enable-inverted"
    DRIVER_OFF = "driver-off"  # no supply at the driver itself
    MOTOR_STALLED = "motor-stalled"  # held, and no pulse moves it
    MICROSTEPS = "microsteps"  # twice as many as in the file
    ACCELERATION_LOST = "acceleration-loses-steps"  # a motor a third as strong as in the file


_OF_A_STEPPER = {
    *(Mistake.DIRECTION_REVERSED, Mistake.ENABLE_INVERTED, Mistake.DRIVER_OFF, Mistake.MOTOR_STALLED),
    *(Mistake.MICROSTEPS, Mistake.ACCELERATION_LOST),
}
_OF_A_DC_MOTOR = {
    *(Mistake.MOTOR_LEADS_SWAPPED, Mistake.CART_ENCODER_SWAPPED, Mistake.CHANNEL_DEAD),
    *(Mistake.DEAD_ZONE_DOUBLED, Mistake.BRAKE_WEAK),
}


def mistakes_of(*, has_stepper: bool) -> tuple[Mistake, ...]:
    """The mistakes that a cart with a stepper, or one with a DC motor, can have."""
    others = _OF_A_DC_MOTOR if has_stepper else _OF_A_STEPPER
    return tuple(mistake for mistake in Mistake if mistake not in others)
