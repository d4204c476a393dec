"""The commented cart file that `carts new` writes: every number with its source."""

from __future__ import annotations

import json
import math
from typing import Any

from cartpole_robot.cart.answers import Interview
from cartpole_robot.cart.from_parts import (
    ARMING_RAD,
    DEAD_ZONE_DUTY,
    GRAVITY_M_S2,
    STATIC_SHARE,
    VISCOUS_N_S_M,
    CartDesign,
    rounded,
)
from cartpole_robot.cart.motors import known_motors
from cartpole_robot.cart.questions import OWN_MOTOR, questions
from firmware_bridge.constants import ILLEGAL_MOST

_END_STOP_M = 0.01
_EPISODE_RAD = math.radians(12.0)
Entry = tuple[str, Any, str]  # a key, its value, its source
_Section = tuple[str, str, list[Entry]]  # a name, the comment above it, its entries


def cart_file_text(interview: Interview) -> tuple[str, list[str]]:
    """The text of the cart file for these answers, and what their builder should know about it.

    Raises `UsageError` for parts that make no cart-pole.
    """
    design = CartDesign(interview)
    lines = [
        "# Written by cartpole-robot carts new. Correct what you measure, and its source with it. The answers:",
        *(f"#   {line}" for line in _answer_lines(interview)),
        "",
        "format = 1",
        f"description = {_quoted(_description(interview, design))}",
        'source = "assumed"',
    ]
    for name, comment, entries in _sections(interview, design):
        lines += ["", *(f"# {line}" for line in comment.splitlines()), f"[{name}]"]
        lines += [
            f"{key} = {{ value = {json.dumps(value)}, source = {_quoted(source)} }}" for key, value, source in entries
        ]
    return "\n".join(lines) + "\n", design.notes


def _answer_lines(interview: Interview) -> list[str]:
    def shown(value: Any) -> str:
        return json.dumps(value) if isinstance(value, str | bool) else f"{value:g}"

    names = [question.name for question in questions() if question.name in interview.answers]
    return [
        f"{name} = {shown(interview.answers[name])}{'' if name in interview.entered else '  # the default'}"
        for name in names
    ]


def _description(interview: Interview, design: CartDesign) -> str:
    a = interview.answers
    name = "own motor" if a["motor"] == OWN_MOTOR else known_motors()[a["motor"]].description.split(";")[0]
    counts = a["pole_encoder_counts_per_turn"]
    return f"home build: {name}, at {a['supply_voltage_v']:g} V, {design.belt}, {counts}-count pole encoder"


def _sections(interview: Interview, design: CartDesign) -> list[_Section]:
    return [
        _pole_cart(interview, design),
        _motor(design, interview),
        _friction(design),
        _encoders(interview, design),
        _actions(design),
        (
            "delay",
            "A command works from the next control tick on: the same delay on every rig.",
            [("apply", "next_tick", "the firmware's default")],
        ),
        (
            "timing",
            "",
            [
                ("physics_step_s", 0.001, "the firmware's millisecond"),
                ("control_period_s", 0.02, "50 Hz, as the carts of the package"),
            ],
        ),
        _limits(design),
        _firmware(interview, design),
        _start(design),
        _scale(design),
    ]


def _pole_cart(interview: Interview, design: CartDesign) -> _Section:
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
                f"computed: {slides} + {design.rotor_kg:.3g} kg, the rotor through the gear",
            ),
            ("pole_mass_kg", rounded(design.pole_kg), design.pole_source),
            ("pole_half_length_m", rounded(0.5 * a["pole_length_m"]), f"computed: {half}"),
            ("gravity_m_s2", GRAVITY_M_S2, "standard"),
        ],
    )


def _motor(design: CartDesign, interview: Interview) -> _Section:
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


def _friction(design: CartDesign) -> _Section:
    return (
        "friction",
        "",
        [
            ("cart_coulomb_n", rounded(design.coulomb_n, 3), design.friction_source),
            ("cart_static_n", rounded(design.static_n, 3), f"assumed: {STATIC_SHARE:g} times cart_coulomb_n"),
            ("cart_viscous_n_s_m", VISCOUS_N_S_M, "assumed: belt and rail"),
            ("pole_viscous_n_m_s", 1e-4, "assumed: two ball bearings"),
            (
                "pole_coulomb_n_m",
                5e-4,
                "assumed: a third of the 1.5e-3 N m starting torque such encoders are sold with",
            ),
        ],
    )


def _encoders(interview: Interview, design: CartDesign) -> _Section:
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


def _actions(design: CartDesign) -> _Section:
    source = (
        "computed: pushes cart and pole by 3 m/s2 beyond friction, and catches a pole that leans by arming_angle_rad"
    )
    return (
        "actions",
        "What a trained policy may choose between; benchmarks/action_tables.py compares others.",
        [("duty", [-design.action, design.action], source)],
    )


def _limits(design: CartDesign) -> _Section:
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


def _firmware(interview: Interview, design: CartDesign) -> _Section:
    a = interview.answers
    volts = a["supply_voltage_v"]
    margin = f"{1e3 * design.margin_m:.0f} mm before the switches"
    why = f"for what the braking distance in the firmware neglects at {design.fastest_m_s:.2g} m/s"
    comment = (
        "What the firmware holds the cart to. If homing ends in POLARITY or POLE_SIGN, or check-rig finds a wrong\n"
        "sign, set is_motor_reversed, is_cart_reversed or is_pole_reversed = true here.\n"
        "bandgap_v is missing until it is measured on this board: without it the firmware takes the 5 V rail for 5 V\n"
        "at start-up. With estop_cuts_supply, CLEAR after a press waits until the supply was below supply_min_v."
    )
    entries: list[Entry] = [
        (
            "switch_m",
            round(design.switch_m, 4),
            f"half of the {a['track_m']:g} m between the switches ({interview.origin('track_m')})",
        ),
        ("travel_limit_m", design.travel_m, f"computed: {margin}, {why}"),
        ("pole_limit_rad", 0.35, "20 degrees: an episode ends before"),
        ("command_timeout_s", 0.06, "three control periods"),
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
            "computed: 4 cm, as diy_arduino; longer for a longer pole or a coarser encoder",
        ),
        ("continuous_duty", 0.5, "assumed: half of the stall torque, as Pololu advises for its gear motors"),
        ("reversals_per_s", 100, "as diy_arduino"),
        ("supply_min_v", rounded(max(4.0, 0.75 * volts)), "computed: 75 % of the supply"),
        ("supply_max_v", rounded(1.25 * volts), "computed: 125 % of the supply"),
        ("estop_cuts_supply", a["estop_cuts_supply"], interview.origin("estop_cuts_supply")),
        ("illegal_edges_most", ILLEGAL_MOST, "the firmware's ceiling; lower it once check-rig has counted none"),
    ]
    return ("firmware", comment, entries)


def _start(design: CartDesign) -> _Section:
    source = "assumed: a pole held upright by hand"
    position_m = min(0.03, round(0.1 * design.episode_m, 4))
    names = ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")
    values = (position_m, 0.0, 0.03, 0.05)
    return (
        "start",
        "How an episode starts: each signal between minus and plus this.",
        [(n, v, source) for n, v in zip(names, values, strict=True)],
    )


def _scale(design: CartDesign) -> _Section:
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


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
