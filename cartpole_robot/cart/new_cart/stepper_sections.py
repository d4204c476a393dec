"""The sections of the cart file of a cart with a stepper."""

from __future__ import annotations

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import RAIL_FRICTION, STATIC_SHARE, VISCOUS_N_S_M, rounded
from cartpole_robot.cart.new_cart.questions import NO_ALARM
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
from cartpole_robot.cart.new_cart.stepper_design import (
    BALANCE_M_S2,
    BELT_COULOMB_N,
    BOUNCE_FULL_STEPS,
    BOUNCE_S,
    LIVELY_M_S2,
    MARGIN_S,
    MOST_M_S2,
    MOST_SPEED_M_S,
    PRECISE_M_S2,
    PULL_IN_FULL_STEPS_S,
    PULL_OUT_SHARE,
    PULSE_FACTOR,
    SETTLING_S,
    SWING_UP_DUTIES,
    StepperDesign,
    both_sides,
)
from cartpole_robot.cart.stepper import MOST_STEPS_PER_S

_SHORTEST_PULSE_S = 1e-6


def stepper_description(interview: Interview, design: StepperDesign) -> str:
    """A line about the parts."""
    a = interview.answers
    return (
        f"home build: stepper of {a['holding_torque_n_m']:g} N m, {a['pulses_per_turn']} pulses a turn, at "
        f"{a['supply_voltage_v']:g} V, {design.belt}, {a['pole_encoder_counts_per_turn']}-count pole encoder"
    )


def stepper_sections(interview: Interview, design: StepperDesign) -> list[Section]:
    """The sections, in the order of the file."""
    return [
        pole_cart_section(interview, design, "at the belt: J / radius squared"),
        _stepper(interview, design),
        _friction(design),
        (
            "encoders",
            "Counts of all four edges. The cart needs no encoder: its position is counted in steps.",
            [
                (
                    "pole_counts_per_turn",
                    interview.answers["pole_encoder_counts_per_turn"],
                    interview.origin("pole_encoder_counts_per_turn"),
                )
            ],
        ),
        _actions(design),
        DELAY,
        TIMING,
        limits_section(design),
        _firmware(interview, design),
        start_section(design),
        scale_section(design),
    ]


def _stepper(interview: Interview, design: StepperDesign) -> Section:
    a, origin = interview.answers, interview.origin
    pulses, full = a["pulses_per_turn"], a["full_steps_per_turn"]
    torque = f"{a['holding_torque_n_m']:g} N m holding torque ({origin('holding_torque_n_m')})"
    slowed = (
        f"{a['rated_current_a']:g} A through {a['phase_inductance_mh']:g} mH ({origin('phase_inductance_mh')}) and the "
        f"back-EMF take {a['supply_voltage_v']:g} V ({origin('supply_voltage_v')}) at "
        f"{design.corner_turns_s:.3g} turns a second"
    )
    pushes = f"{design.needed_n:.3g} N of the {design.force_at(design.speed_m_s):.3g} N"
    entries: list[Entry] = [
        (
            "steps_per_m",
            design.steps_per_m,
            f"computed: {pulses} pulses a turn ({origin('pulses_per_turn')}), {design.belt}",
        ),
        ("microsteps", design.microsteps, f"computed: {pulses} pulses a turn, {full} full steps a turn"),
        (
            "maximum_speed_m_s",
            design.speed_m_s,
            f"chosen: at most {MOST_SPEED_M_S:g}, {MOST_STEPS_PER_S} steps a second, and slow enough for "
            f"{LIVELY_M_S2:g} m/s2",
        ),
        (
            "maximum_acceleration_m_s2",
            design.acceleration_m_s2,
            f"chosen: at most {MOST_M_S2:g}, and {pushes} at which the motor pulls out at full speed",
        ),
        (
            "pull_out_force_n",
            rounded(design.pull_out_n),
            f"computed: {PULL_OUT_SHARE:g} (assumed) of {torque} / {1e3 * design.radius_m:.4g} mm",
        ),
        ("corner_speed_m_s", rounded(design.corner_m_s), f"computed: {slowed}"),
        (
            "pull_in_speed_m_s",
            rounded(PULL_IN_FULL_STEPS_S * design.full_step_m),
            f"assumed: {PULL_IN_FULL_STEPS_S:g} full steps a second",
        ),
        ("settling_s", SETTLING_S, "assumed: rotor on its magnetic spring and belt"),
        (
            "pulse_width_s",
            max(_SHORTEST_PULSE_S, rounded(1e-6 * PULSE_FACTOR * a["least_pulse_us"])),
            f"computed: twice the {a['least_pulse_us']:g} us of the driver ({origin('least_pulse_us')})",
        ),
        (
            "direction_setup_s",
            rounded(1e-6 * PULSE_FACTOR * a["least_setup_us"]),
            f"computed: twice the {a['least_setup_us']:g} us of the driver ({origin('least_setup_us')})",
        ),
        ("enable_is_low", a["enable_is_low"], origin("enable_is_low")),
        ("supply_voltage_v", a["supply_voltage_v"], origin("supply_voltage_v")),
    ]
    if a["alarm_level"] != NO_ALARM:
        entries.append(("alarm_is_low", a["alarm_level"] == "low", origin("alarm_level")))
    comment = (
        "bring-up finds the largest acceleration that loses no step, identify the delay, settling and steps per metre."
    )
    return ("stepper", comment, entries)


def _friction(design: StepperDesign) -> Section:
    coulomb = f"assumed: {BELT_COULOMB_N:g} N of the belt, and {RAIL_FRICTION:g} of the weight on the rail"
    return (
        "friction",
        "A stepper overcomes the cart's friction until it loses steps.",
        [
            ("cart_coulomb_n", rounded(design.coulomb_n, 3), coulomb),
            ("cart_static_n", rounded(design.static_n, 3), f"assumed: {STATIC_SHARE:g} times cart_coulomb_n"),
            ("cart_viscous_n_s_m", VISCOUS_N_S_M, "assumed: belt and rail"),
            *POLE_FRICTION,
        ],
    )


def _actions(design: StepperDesign) -> Section:
    precise = ", ".join(f"{each:g}" for each in PRECISE_M_S2)
    return (
        "actions",
        "What a trained policy may choose between: shares of maximum_acceleration_m_s2.",
        [
            ("duty", design.balance_duty, f"computed: {BALANCE_M_S2:g} m/s2, as diy_stepper"),
            ("precise_duty", design.precise_duty, f"computed: {precise} m/s2, as diy_stepper"),
            ("swing_up_duty", both_sides([*SWING_UP_DUTIES]), "as diy_stepper"),
        ],
    )


def _firmware(interview: Interview, design: StepperDesign) -> Section:
    volts = interview.answers["supply_voltage_v"]
    wrong_signs = (
        "If homing or check-rig finds a wrong direction or sign, set\n"
        "is_motor_reversed or is_pole_reversed = true here."
    )
    margin = f"{1e3 * MARGIN_S:g} ms at full speed, 20 mm at least"
    bounce = f"{BOUNCE_FULL_STEPS:g} full steps while a switch bounces for {1e3 * BOUNCE_S:g} ms"
    own: list[Entry] = [
        ("homing_speed_m_s", design.homing_m_s, f"chosen: {bounce}, faster on a long track, and at most 0.15"),
        (
            "still_travel_m",
            design.still_m,
            "computed: 4 cm, as diy_stepper; longer for a coarser encoder, a longer pole, or one that its hinge holds",
        ),
        ("supply_min_v", rounded(max(4.0, volts * 5.0 / 6.0)), "computed: five sixths of the supply"),
        ("supply_max_v", rounded(volts * 7.0 / 6.0), "computed: seven sixths of the supply"),
    ]
    return firmware_section(interview, design, wrong_signs=wrong_signs, margin=margin, own=own)
