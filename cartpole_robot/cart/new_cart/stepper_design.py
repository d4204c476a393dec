"""What a builder's parts make of a cart with a stepper: speed, acceleration, torque and limits."""

from __future__ import annotations

import math

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import (
    ARMING_RAD,
    GRAVITY_M_S2,
    LEAST_MARGIN_M,
    PUSH_M_S2,
    RAIL_FRICTION,
    STATIC_SHARE,
    VISCOUS_N_S_M,
    BodyDesign,
    rounded,
    rounded_up,
)
from cartpole_robot.cart.stepper import FULL_STEPS_PER_PERIOD, MOST_STEPS_PER_S
from cartpole_robot.errors import UsageError
from firmware_bridge.constants import TICK_S
from firmware_bridge.protocol import read_constants

MOST_SPEED_M_S = 1.0
PULL_OUT_SHARE = 0.6  # of the holding torque
TORQUE_SHARE = 2.0 / 3.0  # of the pull-out force that the largest acceleration takes
BELT_COULOMB_N = 1.0
SETTLING_S = 0.004
PULL_IN_FULL_STEPS_S = 250.0
PULSE_FACTOR = 2.0  # times what the data sheet allows
BOUNCE_S, BOUNCE_FULL_STEPS = 0.007, 3.0
_LEAST_SPEED_M_S, _SPEED_STEP_M_S = 0.3, 0.05
LIVELY_M_S2, MOST_M_S2 = 8.0, 20.0
MARGIN_S = 0.04  # travel at full speed between the travel limit and the switch
_MOST_HOMING_M_S = 0.15
_MOST_HELD_RAD = 0.012
_HOMING_MOST_S = 1e-3 * read_constants("limits.h")["HOMING_MOST_MS"]
_HOMING_TRACKS = 3.0
BALANCE_M_S2 = 2.25  # of diy_stepper's tables, chosen by training
PRECISE_M_S2 = (6.0, 1.2, 0.3)
SWING_UP_DUTIES = (1.0, 0.5, 0.2)


def _down(value: float, step: float) -> float:
    """The last whole `step` at or below `value`."""
    return round(math.floor(value / step + 1e-9) * step, 6)


class StepperDesign(BodyDesign):
    """What follows from the parts of a cart with a stepper, each number after those it depends on; SI units.

    Raises `UsageError` for parts that make no cart-pole.
    """

    def __init__(self, interview: Interview) -> None:
        super().__init__(interview)
        self._motor()
        self._speed_and_acceleration()
        margin_m = max(LEAST_MARGIN_M, rounded_up(MARGIN_S * self.speed_m_s, 0.005))
        self._end_of_track(margin_m, self.speed_m_s, "a smaller pulley")
        self._homing()

    def _motor(self) -> None:
        a = self.answers
        turn_m = 2.0 * math.pi * self.radius_m
        self.rotor_kg = 1e-7 * a["rotor_inertia_g_cm2"] / self.radius_m**2
        self.steps_per_m = rounded(a["pulses_per_turn"] / turn_m, 12)
        self.microsteps = a["pulses_per_turn"] // a["full_steps_per_turn"]
        self.full_step_m = turn_m / a["full_steps_per_turn"]
        self.pull_out_n = PULL_OUT_SHARE * a["holding_torque_n_m"] / self.radius_m
        periods = a["full_steps_per_turn"] / FULL_STEPS_PER_PERIOD
        inductive = periods * 1e-3 * a["phase_inductance_mh"] * a["rated_current_a"]
        back_emf = a["holding_torque_n_m"] / (math.sqrt(2.0) * a["rated_current_a"])
        self.corner_rad_s = a["supply_voltage_v"] / (inductive + back_emf)
        self.corner_m_s = self.corner_rad_s * self.radius_m
        self.coulomb_n = BELT_COULOMB_N + RAIL_FRICTION * (self.slides_kg + self.pole_kg) * GRAVITY_M_S2
        self.static_n = STATIC_SHARE * self.coulomb_n
        self._note_coarse("POLE_SIGN")
        self._note_held()
        self._note_rotor("a larger pulley")

    @property
    def corner_turns_s(self) -> float:
        """Turns a second above which the torque falls."""
        return float(self.corner_rad_s / (2.0 * math.pi))

    def force_at(self, speed_m_s: float) -> float:
        """The pull-out force at that speed, in N."""
        return float(self.pull_out_n * min(1.0, self.corner_m_s / speed_m_s))

    def acceleration_at(self, speed_m_s: float) -> float:
        """What two thirds of the pull-out force at that speed leave for cart and pole, in m/s²."""
        rubbing_n = self.coulomb_n + VISCOUS_N_S_M * speed_m_s
        return float((TORQUE_SHARE * self.force_at(speed_m_s) - rubbing_n) / self.mass_kg)

    def _note_held(self) -> None:
        if self.held_rad > _MOST_HELD_RAD:
            self.notes.append(
                f"the hinge's assumed friction holds this pole within {1e3 * self.held_rad:.2g} mrad; beyond "
                f"{1e3 * _MOST_HELD_RAD:g} mrad homing may end in POLE_PERIOD, and balancing in POLE_STILL; choose a "
                "longer or heavier pole"
            )

    def _speed_and_acceleration(self) -> None:
        """The fastest speed at which the motor still accelerates well, at most 1 m/s."""
        timer_m_s = MOST_STEPS_PER_S / self.steps_per_m
        if timer_m_s < _LEAST_SPEED_M_S:
            pulses = self.answers["pulses_per_turn"]
            most = pulses * timer_m_s / _LEAST_SPEED_M_S
            raise UsageError(
                f"pulses_per_turn = {pulses} on this pulley is {self.steps_per_m:.5g} steps/m, and the board makes "
                f"{MOST_STEPS_PER_S} steps a second: {timer_m_s:.2g} m/s, expected at least {_LEAST_SPEED_M_S:g}; set "
                f"the driver to at most {most:.4g} pulses a turn"
            )
        self.speed_m_s = min(MOST_SPEED_M_S, _down(timer_m_s, 0.01))
        while self.acceleration_at(self.speed_m_s) < LIVELY_M_S2 and self.speed_m_s > _LEAST_SPEED_M_S:
            self.speed_m_s = max(_LEAST_SPEED_M_S, round(self.speed_m_s - _SPEED_STEP_M_S, 2))
        acceleration = min(MOST_M_S2, self.acceleration_at(self.speed_m_s))
        least = max(PUSH_M_S2, 1.3 * GRAVITY_M_S2 * math.tan(ARMING_RAD))
        if acceleration < least:
            needs_n = (least * self.mass_kg + self.coulomb_n + VISCOUS_N_S_M * self.speed_m_s) / TORQUE_SHARE
            raise UsageError(
                f"the motor is too weak for this cart: it pulls out at {self.force_at(self.speed_m_s):.3g} N at "
                f"{self.speed_m_s:g} m/s, expected at least {needs_n:.3g} N to push {self.mass_kg:.3g} kg; choose "
                "another motor or pulley, a higher supply or a lighter cart"
            )
        self.acceleration_m_s2 = _down(acceleration, 0.5)
        self.needed_n = self.mass_kg * self.acceleration_m_s2 + self.coulomb_n + VISCOUS_N_S_M * self.speed_m_s
        least_steps = 1.0 / (TICK_S * self.acceleration_m_s2)  # a whole step a second more in each tick
        if self.steps_per_m < least_steps:
            raise UsageError(
                f"pulses_per_turn = {self.answers['pulses_per_turn']} on this pulley is {self.steps_per_m:.4g} "
                f"steps/m, expected at least {least_steps:.4g}; set more pulses a turn"
            )

    def duties(self, accelerations_m_s2: tuple[float, ...]) -> list[float]:
        """Shares of the largest acceleration, the strongest first, that push so hard."""
        return [min(1.0, rounded(each / self.acceleration_m_s2, 2)) for each in accelerations_m_s2]

    @property
    def balance_duty(self) -> list[float]:
        """The action table for balancing."""
        (duty,) = self.duties((BALANCE_M_S2,))
        return [-duty, duty]

    @property
    def precise_duty(self) -> list[float]:
        """The action table of the preset `precise`."""
        return both_sides(self.duties(PRECISE_M_S2))

    def _homing(self) -> None:
        slow_m_s = _down(BOUNCE_FULL_STEPS * self.full_step_m / BOUNCE_S, 0.01)
        in_time_m_s = rounded_up(1.25 * _HOMING_TRACKS * self.answers["track_m"] / _HOMING_MOST_S, 0.01)
        self.homing_m_s = min(_MOST_HOMING_M_S, max(slow_m_s, in_time_m_s))


def both_sides(duties: list[float]) -> list[float]:
    """A table with these duties to both sides, and 0."""
    return [*(-duty for duty in duties), 0.0, *reversed(duties)]
