"""What `carts new` asks a builder, in order: of both drives, each with its unit, its bounds and its default."""

from __future__ import annotations

from typing import Any

from cartpole_robot.cart.new_cart.motors import known_motors
from cartpole_robot.cart.new_cart.question import Answers, Question, fixed, given
from cartpole_robot.cart.stepper import Drive

OWN_MOTOR = "own"
NO_ALARM = "none"
_MOST_PULSES = 51_200  # 256 microsteps of 200 full steps
_Q = Question


def is_stepper(answers: Answers) -> bool:
    """Whether a stepper moves the cart."""
    return bool(answers["drive"] == Drive.STEPPER)


def _wall_fault(answers: Answers, wall_mm: float) -> str | None:
    radius_mm = 0.5 * answers["pole_diameter_mm"]
    if wall_mm <= radius_mm:
        return None
    return f"pole_wall_mm = {wall_mm:g}, expected at most {radius_mm:g}, half of pole_diameter_mm (that is a full rod)"


def _idle_fault(answers: Answers, current_a: float) -> str | None:
    most_a = 0.5 * answers["stall_current_a"]
    if current_a <= most_a:
        return None
    return f"no_load_current_a = {current_a:g}, expected at most {most_a:g} A, half of stall_current_a"


def _supply_fault(answers: Answers, supply_v: float) -> str | None:
    if is_stepper(answers):
        return None
    rated_v = motor_number(answers, "rated_voltage_v")
    if supply_v <= 1.5 * rated_v:
        return None
    return f"supply_voltage_v = {supply_v:g}, expected at most {1.5 * rated_v:g} V, 1.5 times the motor's {rated_v:g} V"


def motor_number(answers: Answers, name: str) -> float:
    """A number of the chosen motor: the builder's own, or the known one's."""
    if answers["motor"] == OWN_MOTOR:
        return float(answers[name])
    return float(getattr(known_motors()[answers["motor"]], name))


def _pulses_fault(answers: Answers, pulses: int) -> str | None:
    full = answers["full_steps_per_turn"]
    if pulses % full == 0:
        return None
    return f"pulses_per_turn = {pulses}, expected a whole multiple of the {full} full steps of full_steps_per_turn"


def _motor_counts(answers: Answers) -> int | None:
    if answers["cart_encoder_on"] != "motor" or answers["motor"] == OWN_MOTOR:
        return None
    return known_motors()[answers["motor"]].encoder_counts_per_turn or None


def questions() -> tuple[Question, ...]:
    """Every question, in the order in which they are asked."""
    drives = tuple(each.value for each in Drive)
    text = "what moves the cart: a DC motor with brushes, or a stepper behind a driver with STEP, DIR and ENABLE"
    return (
        _Q(name="drive", text=text, choices=drives, default=fixed(Drive.DC.value)),
        *_motor_questions(),
        *_stepper_questions(),
        *_belt_questions(),
        *_encoder_questions(),
        *_body_questions(),
    )


def _motor_questions() -> tuple[Question, ...]:
    own = _where("motor", OWN_MOTOR)
    motors = tuple(known_motors())
    return (
        _Q(
            name="motor",
            text="the motor",
            choices=(*motors, OWN_MOTOR),
            default=fixed(motors[0]),
            **_where("drive", Drive.DC.value),
        ),
        _Q(name="stall_torque_n_m", text="stall torque behind the gear", unit="N m", low=1e-3, high=100.0, **own),
        _Q(
            name="no_load_speed_rpm",
            text="speed without load behind the gear",
            unit="rpm",
            low=1.0,
            high=30000.0,
            **own,
        ),
        _Q(name="stall_current_a", text="stall current", unit="A", low=0.05, high=100.0, **own),
        _Q(
            name="no_load_current_a",
            text="current without load",
            unit="A",
            low=0.0,
            high=50.0,
            default=lambda answers: round(0.04 * answers["stall_current_a"], 3),
            fault=_idle_fault,
            **own,
        ),
        _Q(name="rated_voltage_v", text="voltage at which these hold", unit="V", low=3.0, high=48.0, **own),
        _Q(name="gear_ratio", text="turns of the motor for one behind the gear", low=1.0, high=500.0, **own),
        _Q(
            name="rotor_inertia_kg_m2",
            text="inertia of the rotor, at the motor's shaft",
            unit="kg m2",
            low=1e-9,
            high=1e-2,
            default=fixed(1e-6),
            **own,
        ),
    )


def _stepper_questions() -> tuple[Question, ...]:
    """Of motor and driver; the defaults are those of the parts of `diy_stepper`."""
    of = _where("drive", Drive.STEPPER.value)
    return (
        _Q(
            name="holding_torque_n_m",
            text="holding torque of the stepper, at its rated current",
            unit="N m",
            low=0.01,
            high=30.0,
            default=fixed(0.59),
            **of,
        ),
        _Q(
            name="rated_current_a",
            text="its rated current per phase, to which the driver is set",
            unit="A",
            low=0.1,
            high=10.0,
            default=fixed(2.0),
            **of,
        ),
        _Q(
            name="phase_inductance_mh",
            text="its inductance per phase",
            unit="mH",
            low=0.1,
            high=100.0,
            default=fixed(3.0),
            **of,
        ),
        _Q(
            name="rotor_inertia_g_cm2",
            text="inertia of its rotor",
            unit="g cm2",
            low=1.0,
            high=10000.0,
            default=fixed(82.0),
            **of,
        ),
        _Q(
            name="full_steps_per_turn",
            text="its full steps per turn (1.8 degrees: 200)",
            low=20,
            high=400,
            is_whole=True,
            default=fixed(200),
            **of,
        ),
        _Q(
            name="pulses_per_turn",
            text="pulses per turn, as set by the driver's switches",
            low=20,
            high=_MOST_PULSES,
            is_whole=True,
            default=lambda answers: 4 * answers["full_steps_per_turn"],
            fault=_pulses_fault,
            **of,
        ),
        _Q(
            name="least_pulse_us",
            text="shortest STEP pulse that the driver's data sheet allows",
            unit="us",
            low=0.05,
            high=12.5,
            default=fixed(2.5),
            **of,
        ),
        _Q(
            name="least_setup_us",
            text="how long before a pulse its data sheet wants DIR to be stable",
            unit="us",
            low=0.0,
            high=100.0,
            default=fixed(5.0),
            **of,
        ),
        _Q(
            name="enable_is_low",
            text="is the driver on while the board's pin ENABLE is low",
            choices=("yes", "no"),
            default=fixed(True),
            **of,
        ),
        _Q(
            name="alarm_level",
            text="level by which the driver's alarm output reports a fault, none if it is not wired",
            choices=(NO_ALARM, "low", "high"),
            default=fixed(NO_ALARM),
            **of,
        ),
    )


def _belt_questions() -> tuple[Question, ...]:
    return (
        _Q(
            name="supply_voltage_v",
            text="supply of the motor, or of a stepper's driver",
            unit="V",
            low=5.5,
            high=24.0,
            default=lambda answers: 24.0 if is_stepper(answers) else motor_number(answers, "rated_voltage_v"),
            fault=_supply_fault,
        ),
        _Q(
            name="pulley_teeth",
            text="teeth of the pulley that drives the belt (0: give its radius)",
            high=500,
            is_whole=True,
            default=lambda answers: 20 if is_stepper(answers) else 36,
        ),
        _Q(
            name="pulley_pitch_mm",
            text="pitch of the belt",
            unit="mm",
            low=0.5,
            high=20.0,
            default=fixed(2.0),
            applies=lambda answers: answers.get("pulley_teeth", 0) > 0,
            condition="pulley_teeth is not 0",
        ),
        _Q(
            name="pulley_radius_mm",
            text="radius at which the belt or rack runs",
            unit="mm",
            low=1.0,
            high=200.0,
            **_where("pulley_teeth", 0),
        ),
    )


def _encoder_questions() -> tuple[Question, ...]:
    of = _where("drive", Drive.DC.value)
    return (
        _Q(
            name="cart_encoder_on",
            text="where the cart's encoder sits: the motor's shaft, the pulley's, or a separate wheel or pinion",
            choices=("motor", "pulley", "wheel"),
            default=fixed("motor"),
            **of,
        ),
        _Q(
            name="encoder_wheel_radius_mm",
            text="radius of that wheel",
            unit="mm",
            low=1.0,
            high=200.0,
            **_where("cart_encoder_on", "wheel"),
        ),
        _Q(
            name="cart_encoder_counts_per_turn",
            text="counts per turn of the cart's encoder (four times its lines)",
            low=4,
            high=100000,
            is_whole=True,
            default=_motor_counts,
            **of,
        ),
        _Q(
            name="pole_encoder_counts_per_turn",
            text="counts per turn of the pole's encoder (four times its lines)",
            low=200,
            high=20000,
            is_whole=True,
            default=fixed(2400),
        ),
    )


def _body_questions() -> tuple[Question, ...]:
    tube: dict[str, Any] = {"applies": given("pole_mass_kg", 0.0), "condition": "pole_mass_kg = 0"}
    return (
        _Q(
            name="track_m",
            text="track between the two places where the switches close",
            unit="m",
            low=0.4,
            high=5.0,
            default=fixed(0.94),
        ),
        _Q(
            name="cart_mass_kg",
            text="what slides, without the pole: carriage, pole encoder, belt",
            unit="kg",
            low=0.01,
            high=50.0,
            default=fixed(0.35),
        ),
        _Q(
            name="pole_length_m",
            text="pole, from its hinge to its tip",
            unit="m",
            low=0.05,
            high=3.0,
            default=fixed(0.5),
        ),
        _Q(
            name="pole_mass_kg",
            text="mass of the pole (0: compute it from its tube)",
            unit="kg",
            high=10.0,
            default=fixed(0.0),
        ),
        _Q(name="pole_diameter_mm", text="its diameter", unit="mm", low=1.0, high=100.0, default=fixed(12.0), **tube),
        _Q(
            name="pole_wall_mm",
            text="its wall (half of the diameter: a full rod)",
            unit="mm",
            low=0.1,
            high=50.0,
            default=fixed(2.0),
            fault=_wall_fault,
            **tube,
        ),
        _Q(
            name="pole_density_kg_m3",
            text="its density (aluminium 2700, carbon 1600, beech 700, steel 7850)",
            unit="kg/m3",
            low=100.0,
            high=20000.0,
            default=fixed(2700.0),
            **tube,
        ),
        _Q(
            name="estop_cuts_supply",
            text="does the e-stop also cut the motor's supply",
            choices=("yes", "no"),
            default=fixed(True),
        ),
    )


def _where(name: str, value: Any) -> dict[str, Any]:
    """The condition of a question that is asked only where the answer to `name` is `value`, and implies it."""
    return {"applies": given(name, value), "condition": f"{name} = {value}", "implied": (name, value)}
