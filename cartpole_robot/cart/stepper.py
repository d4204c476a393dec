"""The stepper of a cart: a motor that is commanded by pulses, and follows them until its torque is exceeded."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cartpole_robot.cart.parts import Friction, Motor, PoleCart
from cartpole_robot.files.records import require, require_not_negative, require_positive
from firmware_bridge.constants import TICK_S
from firmware_bridge.protocol import read_constants

_LIMITS = read_constants("limits.h")
MOST_STEPS_PER_S = _LIMITS["STEP_RATE_CEILING"]  # that the board's timer makes
FULL_STEPS_PER_PERIOD = 4  # full steps in an electrical period: a motor that slips loses a whole number of periods
_MOST_GAIN = 4095.0  # steps a second that a tick adds: 16 bits of 1/16
_MOST_MICROSTEPS = 256
_MOST_SETTLING_S = 0.05
_PULSE_S = (1e-6, 0.5e-6 * _LIMITS["PULSE_COUNTS_CEILING"])
_MOST_SETUP_S = 1e-6 * _LIMITS["SETUP_CEILING_US"]


class Drive(enum.StrEnum):
    """What moves a cart, and so what a duty means."""

    DC = "dc"  # the share of a voltage at a motor with brushes: a force
    STEPPER = "stepper"  # the share of the largest acceleration


@dataclass(frozen=True, kw_only=True)
class Stepper:
    """A stepper motor and its driver with STEP, DIR and ENABLE inputs, described at the cart.

    A duty is the share of `maximum_acceleration_m_s2` by which the firmware changes the cart's speed, up to
    `maximum_speed_m_s` to either side; duty 0 keeps the speed. A metre takes `steps_per_m` pulses, `microsteps` of
    which are a full step of the motor. Rotor and belt follow the pulses critically damped, with the time constant
    `settling_s`: 2 settling_s late at a steady speed, and with a jerk of no more than 0.74 times the largest
    acceleration over settling_s when a duty is reversed.

    The motor pushes with at most `pull_out_force_n`, and above `corner_speed_m_s` with less, as the inverse of the
    speed. A cart that needs more falls back; when it is two full steps behind, half an electrical period, the motor
    slips and pushes no more. It locks again once cart and pulses differ by less than `pull_in_speed_m_s`, a whole
    number of electrical periods off: those steps are lost, and nothing on the board counts them. Resonance is not
    modelled.

    The driver is on with ENABLE low if `enable_is_low`. A pulse lasts `pulse_width_s`, and comes at least
    `direction_setup_s` after a change of DIR. `supply_voltage_v` is the driver's. `alarm_is_low` is the level by which
    its alarm output reports a fault, if that is wired.
    """

    steps_per_m: float  # pulses per metre of travel
    microsteps: int  # pulses per full step, as set on the driver
    maximum_speed_m_s: float  # the firmware's ramp goes no faster
    maximum_acceleration_m_s2: float  # the acceleration at full duty
    pull_out_force_n: float  # largest force at the cart, up to corner_speed_m_s
    corner_speed_m_s: float  # above it, the force falls as the inverse of the speed
    pull_in_speed_m_s: float  # a motor that has slipped locks again below this difference of speed
    settling_s: float  # time constant with which rotor and belt follow the pulses
    pulse_width_s: float  # length of a STEP pulse
    direction_setup_s: float  # DIR is stable this long before a pulse
    enable_is_low: bool = True  # the driver is on while ENABLE is low
    supply_voltage_v: float | None = None  # the driver's supply
    alarm_is_low: bool | None = None  # the level by which the driver's alarm output reports a fault; none: not wired

    def __post_init__(self) -> None:
        require_positive(
            self,
            *("steps_per_m", "microsteps", "maximum_speed_m_s", "maximum_acceleration_m_s2", "pull_out_force_n"),
            *("corner_speed_m_s", "pull_in_speed_m_s", "settling_s"),
        )
        require_not_negative(self, "direction_setup_s")
        if self.supply_voltage_v is not None:
            require_positive(self, "supply_voltage_v")
        require(
            self.microsteps <= _MOST_MICROSTEPS,
            f"microsteps = {self.microsteps}, expected 1 to {_MOST_MICROSTEPS}; no driver divides further",
        )
        rate = self.steps_per_m * self.maximum_speed_m_s
        require(
            rate <= MOST_STEPS_PER_S * (1.0 + 1e-9),
            f"steps_per_m = {self.steps_per_m:g} at maximum_speed_m_s = {self.maximum_speed_m_s:g} is "
            f"{rate:.6g} steps a second, the board's timer makes at most {MOST_STEPS_PER_S}; set fewer microsteps, or "
            f"lower the speed to {MOST_STEPS_PER_S / self.steps_per_m:.3g}",
        )
        gain = self.steps_per_m * self.maximum_acceleration_m_s2 * TICK_S
        require(
            1.0 <= gain <= _MOST_GAIN,
            f"maximum_acceleration_m_s2 = {self.maximum_acceleration_m_s2:g} with steps_per_m = {self.steps_per_m:g} "
            f"adds {gain:.4g} steps a second in each millisecond, expected 1 to {_MOST_GAIN:g}; correct one of them",
        )
        require(
            self.settling_s <= _MOST_SETTLING_S,
            f"settling_s = {self.settling_s:g}, expected at most {_MOST_SETTLING_S:g}; a belt is stiffer",
        )
        least, most = _PULSE_S
        require(
            least <= self.pulse_width_s <= most,
            f"pulse_width_s = {self.pulse_width_s:g}, expected {least:g} to {most:g}, half of the shortest period",
        )
        require(
            self.direction_setup_s <= _MOST_SETUP_S,
            f"direction_setup_s = {self.direction_setup_s:g}, expected at most {_MOST_SETUP_S:g}, which is what the "
            "firmware leaves between a change of DIR and a pulse",
        )

    @property
    def full_step_m(self) -> float:
        """How far the cart travels in a full step of the motor."""
        return self.microsteps / self.steps_per_m

    @property
    def electrical_period_m(self) -> float:
        """How far the cart travels in an electrical period, four full steps."""
        return FULL_STEPS_PER_PERIOD * self.full_step_m

    @property
    def late_s(self) -> float:
        """How long after its duty an acceleration acts: a safety tick, and what rotor and belt take."""
        return TICK_S + self.counts_ahead_s

    @property
    def counts_ahead_s(self) -> float:
        """How long the cart takes, at a steady speed, to where its pulses have been counted."""
        return 2.0 * self.settling_s

    def force_at(self, speed_m_s: float) -> float:
        """The largest force at that speed, in N."""
        return self.pull_out_force_n * min(1.0, self.corner_speed_m_s / max(abs(speed_m_s), self.corner_speed_m_s))

    def needed_n(self, body: PoleCart, friction: Friction) -> float:
        """The force that the largest acceleration takes at the largest speed, the pole moving along with the cart."""
        rubbing = friction.cart_coulomb_n + friction.cart_viscous_n_s_m * self.maximum_speed_m_s
        return body.mass_kg * self.maximum_acceleration_m_s2 + rubbing

    def check_torque(self, body: PoleCart, friction: Friction) -> None:
        """Raises ValueError where the motor cannot push as hard as its acceleration takes."""
        needed_n, speed = self.needed_n(body, friction), self.maximum_speed_m_s
        has_n = self.force_at(speed)
        require(
            needed_n <= has_n,
            f"stepper.maximum_acceleration_m_s2 = {self.maximum_acceleration_m_s2:g} takes {needed_n:.3g} N with "
            f"{body.mass_kg:.3g} kg and friction, and the motor pulls out at {has_n:.3g} N at {speed:g} m/s; lower the "
            "acceleration or maximum_speed_m_s",
        )

    def equivalent_motor(self, body: PoleCart) -> Motor:
        """A DC motor without back-EMF whose full force accelerates the cart as this does."""
        return Motor(
            stall_force_n=body.mass_kg * self.maximum_acceleration_m_s2,
            supply_voltage_v=self.supply_voltage_v,
            lag_s=self.late_s,
        )
