"""The sections of a cart file that do not depend on its drive."""

from __future__ import annotations

import math
from typing import Any

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import ARMING_RAD, GRAVITY_M_S2, BodyDesign, rounded
from firmware_bridge.constants import ILLEGAL_MOST

Entry = tuple[str, Any, str]  # a key, its value, its source
Section = tuple[str, str, list[Entry]]  # a name, the comment above it, its entries
DELAY: Section = (
    "delay",
    "A command works from the next control tick on: the same delay on every rig.",
    [("apply", "next_tick", "the firmware's default")],
)
TIMING: Section = (
    "timing",
    "",
    [
        ("physics_step_s", 0.001, "the firmware's millisecond"),
        ("control_period_s", 0.02, "50 Hz, as the carts of the package"),
    ],
)
POLE_FRICTION: tuple[Entry, ...] = (
    ("pole_viscous_n_m_s", 1e-4, "assumed: two ball bearings"),
    ("pole_coulomb_n_m", 5e-4, "assumed: a third of the 1.5e-3 N m starting torque such encoders are sold with"),
)
_END_STOP_M = 0.01
_EPISODE_RAD = math.radians(12.0)


def pole_cart_section(interview: Interview, design: BodyDesign, through: str) -> Section:
    """Masses and lengths; the rotor counts `through` a gear or a belt."""
    a = interview.answers
    slides = f"{design.slides_kg:g} kg that slides ({interview.origin('cart_mass_kg')})"
    half = f"half of {a['pole_length_m']:g} m ({interview.origin('pole_length_m')}): a uniform pole"
    return (
        "pole_cart",
        "Weigh cart and pole. A pole with a heavy hub is not uniform: docs/guides/carts.md says what to do.",
        [
            (
                "cart_mass_kg",
                rounded(design.cart_kg),
                f"computed: {slides} + {design.rotor_kg:.3g} kg, the rotor {through}",
            ),
            ("pole_mass_kg", rounded(design.pole_kg), design.pole_source),
            ("pole_half_length_m", rounded(0.5 * a["pole_length_m"]), f"computed: {half}"),
            ("gravity_m_s2", GRAVITY_M_S2, "standard"),
        ],
    )


def limits_section(design: BodyDesign) -> Section:
    """Where an episode ends."""
    return (
        "limits",
        "Where an episode ends.",
        [
            (
                "cart_position_m",
                design.episode_m,
                f"computed: {1e3 * (design.travel_m - design.episode_m):.0f} mm before firmware.travel_limit_m",
            ),
            ("pole_angle_rad", _EPISODE_RAD, "12 degrees, as CartPole-v1"),
            ("arming_angle_rad", ARMING_RAD, "assumed: what a hand holds"),
            ("end_stop_m", round(design.switch_m + _END_STOP_M, 4), "assumed: 1 cm past the switches"),
        ],
    )


def start_section(design: BodyDesign) -> Section:
    """How an episode starts."""
    source = "assumed: a pole held upright by hand"
    position_m = min(0.03, round(0.1 * design.episode_m, 4))
    names = ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")
    values = (position_m, 0.0, 0.03, 0.05)
    return (
        "start",
        "How an episode starts: each signal between minus and plus this.",
        [(n, v, source) for n, v in zip(names, values, strict=True)],
    )


def scale_section(design: BodyDesign) -> Section:
    """The size of each signal."""
    return (
        "observation_scale",
        "The size of each signal while balancing; a network sees the observation divided by it.",
        [
            ("cart_position_m", design.episode_m, "limits.cart_position_m"),
            ("cart_speed_m_s", 0.5, "as diy_arduino, met while a trained policy balances"),
            ("pole_angle_rad", 0.21, "limits.pole_angle_rad"),
            ("pole_speed_rad_s", 1.5, "as diy_arduino, met while a trained policy balances"),
        ],
    )


def firmware_section(
    interview: Interview, design: BodyDesign, *, wrong_signs: str, margin: str, own: list[Entry]
) -> Section:
    """What the firmware holds the cart to; `own` has its drive's entries, `margin` why travel_limit_m is what it is."""
    comment = (
        f"What the firmware holds the cart to. {wrong_signs}\n"
        "bandgap_v is missing until it is measured on this board: without it the firmware takes the 5 V rail for 5 V\n"
        "at start-up. With estop_cuts_supply, CLEAR after a press waits until the supply was below supply_min_v."
    )
    track_m, origin = interview.answers["track_m"], interview.origin
    entries: list[Entry] = [
        (
            "switch_m",
            round(design.switch_m, 4),
            f"half of the {track_m:g} m between the switches ({origin('track_m')})",
        ),
        ("travel_limit_m", design.travel_m, f"computed: {1e3 * design.margin_m:.0f} mm before the switches, {margin}"),
        ("pole_limit_rad", 0.35, "20 degrees: an episode ends before"),
        ("command_timeout_s", 0.06, "three control periods"),
        *own,
        ("estop_cuts_supply", interview.answers["estop_cuts_supply"], origin("estop_cuts_supply")),
        ("illegal_edges_most", ILLEGAL_MOST, "the firmware's ceiling; lower it once check-rig has counted none"),
    ]
    return ("firmware", comment, entries)
