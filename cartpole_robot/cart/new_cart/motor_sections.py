"""The sections of the cart file of a cart with a DC motor."""

from __future__ import annotations

import math

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import STATIC_SHARE, VISCOUS_N_S_M, rounded
from cartpole_robot.cart.new_cart.motor_design import DEAD_ZONE_DUTY, MotorDesign
from cartpole_robot.cart.new_cart.motors import known_motors
from cartpole_robot.cart.new_cart.questions import OWN_MOTOR
from cartpole_robot.cart.new_cart.sections import (
    DELAY,
    POLE_FRICTION,
    TIMING,
    Entry,
    Section,
    firmware_section,
    limits_section,
    pole_cart_section,
    scale_section,
    start_section,
)
from firmware_bridge.protocol import read_constants

_MOST_SUPPLY_V = 1e-3 * read_constants("limits.h")["SUPPLY_MOST_MV"]


def motor_description(interview: Interview, design: MotorDesign) -> str:
    """A line about the parts."""
    a = interview.answers
    name = "own motor" if a["motor"] == OWN_MOTOR else known_motors()[a["motor"]].description.split(";")[0]
    counts = a["pole_encoder_counts_per_turn"]
    return f"home build: {name}, at {a['supply_voltage_v']:g} V, {design.belt}, {counts}-count pole encoder"


def motor_sections(interview: Interview, design: MotorDesign) -> list[Section]:
    """The sections, in the order of the file."""
    return [
        pole_cart_section(interview, design, "through the gear"),
        _motor(design, interview),
        _friction(design),
        _encoders(interview, design),
        _actions(design),
        DELAY,
        TIMING,
        limits_section(design),
        _firmware(interview, design),
        start_section(design),
        scale_section(design),
    ]


def _motor(design: MotorDesign, interview: Interview) -> Section:
    sources = design.motor_sources
    comment = "identify corrects force, damping and dead zone from a recording of excite."
    name = interview.answers["motor"]
    if name != OWN_MOTOR:
        comment = f"{name}: {known_motors()[name].sources['stall_torque_n_m']}.\n{comment}"
    return (
        "motor",
        comment,
        [
            ("stall_force_n", rounded(design.stall_n), sources["stall_force_n"]),
            ("supply_voltage_v", interview.answers["supply_voltage_v"], interview.origin("supply_voltage_v")),
            ("stall_current_a", rounded(design.stall_a), sources["stall_current_a"]),
            ("back_emf_n_s_m", rounded(design.back_emf), sources["back_emf_n_s_m"]),
            (
                "dead_zone_duty",
                DEAD_ZONE_DUTY,
                "assumed: what the H-bridge's switching takes; 0.01 to 0.08 by its data sheet",
            ),
        ],
    )


def _friction(design: MotorDesign) -> Section:
    return (
        "friction",
        "",
        [
            ("cart_coulomb_n", rounded(design.coulomb_n, 3), design.friction_source),
            ("cart_static_n", rounded(design.static_n, 3), f"assumed: {STATIC_SHARE:g} times cart_coulomb_n"),
            ("cart_viscous_n_s_m", VISCOUS_N_S_M, "assumed: belt and rail"),
            *POLE_FRICTION,
        ],
    )


def _encoders(interview: Interview, design: MotorDesign) -> Section:
    a = interview.answers
    counts, place = a["cart_encoder_counts_per_turn"], a["cart_encoder_on"]
    origin = interview.origin("cart_encoder_counts_per_turn")
    if place == "motor" and origin != "entered":
        origin = a["motor"]
    through = f" x {design.encoder_gear:g}" if place == "motor" else ""
    source = (
        f"computed: {counts}{through} counts a turn ({origin}, on the {place}), "
        f"{2e3 * math.pi * design.wheel_m:.4g} mm a turn"
    )
    return (
        "encoders",
        "Counts of all four edges. check-rig measures the track between the switches against cart_counts_per_m.",
        [
            ("cart_counts_per_m", rounded(design.counts_per_m, 6), source),
            (
                "pole_counts_per_turn",
                a["pole_encoder_counts_per_turn"],
                interview.origin("pole_encoder_counts_per_turn"),
            ),
        ],
    )


def _actions(design: MotorDesign) -> Section:
    source = (
        "computed: pushes cart and pole by 3 m/s2 beyond friction, and catches a pole that leans by arming_angle_rad"
    )
    return (
        "actions",
        "What a trained policy may choose between; benchmarks/action_tables.py compares others.",
        [("duty", [-design.action, design.action], source)],
    )


def _firmware(interview: Interview, design: MotorDesign) -> Section:
    volts = interview.answers["supply_voltage_v"]
    margin = f"for what the braking distance in the firmware neglects at {design.fastest_m_s:.2g} m/s"
    wrong_signs = (
        "If homing ends in POLARITY or POLE_SIGN, or check-rig finds a wrong\n"
        "sign, set is_motor_reversed, is_cart_reversed or is_pole_reversed = true here."
    )
    own: list[Entry] = [
        (
            "homing_speed_m_s",
            design.homing_m_s,
            "chosen: at most 60 % of what homing_duty reaches, and it stops within 1/64 of the travel limit",
        ),
        ("homing_duty", design.homing, "computed: moving_duty + 0.1, or what swings the pole; at most 0.5"),
        ("moving_duty", design.moving, "computed: twice what static friction and dead zone take"),
        (
            "still_travel_m",
            design.still_m,
            "computed: 4 cm, as diy_arduino; longer for a coarser encoder, a longer pole, or one that its hinge holds",
        ),
        ("continuous_duty", 0.5, "assumed: half of the stall torque, as Pololu advises for its gear motors"),
        ("reversals_per_s", 100, "as diy_arduino"),
        ("supply_min_v", rounded(max(4.0, 0.75 * volts)), "computed: 75 % of the supply"),
        (
            "supply_max_v",
            rounded(min(_MOST_SUPPLY_V, volts * 5.0 / 3.0)),
            "computed: five thirds of the supply, at most 30 V: braking raises it up to the clamp D2 of "
            "docs/hardware/building.md, whose parts are for 12 V; without a clamp, 125 %",
        ),
    ]
    return firmware_section(interview, design, wrong_signs=wrong_signs, margin=margin, own=own)
