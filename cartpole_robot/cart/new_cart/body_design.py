"""What a builder's parts make of a cart, whatever drives it: belt, pole, and where the track ends."""

from __future__ import annotations

import math

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.errors import UsageError

GRAVITY_M_S2 = 9.81
ARMING_RAD = 0.1
POLE_COULOMB_N_M = 5e-4
RAIL_FRICTION = 0.02
STATIC_SHARE = 1.3
VISCOUS_N_S_M = 0.5
PUSH_M_S2 = 3.0
LEAST_MARGIN_M = 0.02
_LEAST_EPISODE_M = 0.05
_STILL_M, _COUNTS, _POLE_M, _HELD_RAD = 0.04, 2400, 0.5, 2.5e-3  # what diy_arduino's pole may stand still for, and why
_COARSE = 2.0  # times a pole's encoder may be coarser than diy_arduino's, for a pole as fast as its


def rounded(value: float, digits: int = 4) -> float:
    """`value` to that many significant digits."""
    return float(f"{value:.{digits}g}")


def rounded_up(value: float, step: float) -> float:
    """The next whole `step` at or above `value`."""
    return round(math.ceil(value / step - 1e-9) * step, 6)


class BodyDesign:
    """What the parts of either drive have in common: belt, pole, and where the track ends; SI units.

    A subclass sets `rotor_kg`, the rotor as seen at the cart, and with `_end_of_track` the margin before the switches.
    """

    margin_m: float
    travel_m: float
    episode_m: float
    rotor_kg: float

    def __init__(self, interview: Interview) -> None:
        self.answers = interview.answers
        self.origin = interview.origin
        self.notes: list[str] = []
        self.switch_m = 0.5 * self.answers["track_m"]
        a = self.answers
        if a["pulley_teeth"]:
            around_mm = a["pulley_teeth"] * a["pulley_pitch_mm"]
            self.radius_m = around_mm / (2000.0 * math.pi)
            self.belt = f"{a['pulley_teeth']} teeth x {a['pulley_pitch_mm']:g} mm = {around_mm:.4g} mm a turn"
        else:
            self.radius_m = a["pulley_radius_mm"] / 1000.0
            self.belt = f"radius {a['pulley_radius_mm']:g} mm"
        self.slides_kg = a["cart_mass_kg"]
        self.pole_source = self.origin("pole_mass_kg")
        self.pole_kg = a["pole_mass_kg"]
        if not self.pole_kg:
            outer_mm = 0.5 * a["pole_diameter_mm"]
            inner_mm = outer_mm - a["pole_wall_mm"]
            area_m2 = math.pi * (outer_mm**2 - inner_mm**2) * 1e-6
            self.pole_kg = area_m2 * a["pole_length_m"] * a["pole_density_kg_m3"]
            self.pole_source = (
                f"computed from the tube: {a['pole_diameter_mm']:g} mm, wall {a['pole_wall_mm']:g} mm, "
                f"{a['pole_length_m']:g} m, {a['pole_density_kg_m3']:g} kg/m3"
            )

    @property
    def cart_kg(self) -> float:
        """What slides, and the rotor."""
        return float(self.slides_kg + self.rotor_kg)

    @property
    def mass_kg(self) -> float:
        """Cart and pole."""
        return float(self.cart_kg + self.pole_kg)

    @property
    def still_m(self) -> float:
        """How far the pole may stand still: farther with a coarser encoder, a longer pole, or one its hinge holds."""
        coarse = max(1.0, _COUNTS / self.answers["pole_encoder_counts_per_turn"])
        slow = max(1.0, self.answers["pole_length_m"] / _POLE_M)
        held = max(1.0, self.held_rad / _HELD_RAD)
        return float(min(round(_STILL_M * coarse * slow * held, 3), round(0.5 * self.travel_m, 3)))

    @property
    def weight_n_m(self) -> float:
        """The torque of the pole's weight about its hinge, when it lies level."""
        return float(self.pole_kg * GRAVITY_M_S2 * 0.5 * self.answers["pole_length_m"])

    @property
    def held_rad(self) -> float:
        """How far from upright the friction of its hinge still holds the pole."""
        return POLE_COULOMB_N_M / self.weight_n_m

    def _end_of_track(self, margin_m: float, fastest_m_s: float, remedy: str) -> None:
        """Travel limit and end of an episode, from the margin before the switches."""
        track_m = self.answers["track_m"]
        self.margin_m = margin_m
        self.travel_m = round(self.switch_m - margin_m, 4)
        self.episode_m = math.floor(1e3 * (self.travel_m - max(0.02, 0.03 * track_m))) / 1e3
        if self.episode_m < _LEAST_EPISODE_M:
            need_m = track_m + 2.0 * (_LEAST_EPISODE_M - self.episode_m)
            raise UsageError(
                f"track_m = {track_m:g}, expected at least {need_m:.2f} m: at {fastest_m_s:.2g} m/s this cart needs "
                f"{1e3 * margin_m:.0f} mm before each switch; choose {remedy} or a longer track"
            )

    def _note_coarse(self, faults: str) -> None:
        counts, length_m = self.answers["pole_encoder_counts_per_turn"], self.answers["pole_length_m"]
        least = _COUNTS / _COARSE * math.sqrt(length_m / _POLE_M)
        if counts < least:
            self.notes.append(
                f"the pole's encoder gives {counts} counts a turn, which is coarse for a pole of {length_m:g} m: "
                f"balancing may end in {faults}; choose one of at least {math.ceil(least)} counts"
            )

    def _note_rotor(self, remedy: str) -> None:
        if self.rotor_kg > 4.0 * self.slides_kg:
            self.notes.append(
                f"the rotor, seen at the belt, weighs {self.rotor_kg:.3g} kg, the cart {self.slides_kg:.3g} kg: "
                f"{remedy} makes the cart livelier"
            )
