"""What `carts new` asks a builder: each question with its unit, its bounds and its default, in order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.new_cart.motors import known_motors

OWN_MOTOR = "own"
_LONGEST_SHOWN = 60
_NUMBER = re.compile(r"[-+.\deE]+", re.ASCII)
Answers = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question: `choices` are the words it takes, or `low` to `high` the numbers, in `unit`.

    It is asked where it `applies` to the answers so far; `default` is computed from them, None where there is none.
    `fault` finds what does not fit an answer before it.
    """

    name: str
    text: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    choices: tuple[str, ...] = ()
    default: Callable[[Answers], Any] = lambda _: None
    applies: Callable[[Answers], bool] = lambda _: True
    condition: str = ""
    fault: Callable[[Answers, Any], str | None] = lambda *_: None

    @property
    def is_yes_or_no(self) -> bool:
        """Whether the answer is a truth value."""
        return self.choices == ("yes", "no")

    def checked(self, answer: Any, before: Answers) -> Any:
        """`answer`, a text or a value of TOML, as the value it means. Raises ValueError with what was expected."""
        value = self._choice(answer) if self.choices else self._number(answer)
        fault = self.fault(before, value)
        if fault is not None:
            raise ValueError(fault)
        return value

    def _choice(self, answer: Any) -> Any:
        word = {True: "yes", False: "no"}.get(answer, answer) if isinstance(answer, bool) else answer
        if word not in self.choices:
            raise ValueError(f"{self.name} = {_shown(answer)}, expected one of {', '.join(self.choices)}")
        return word == "yes" if self.is_yes_or_no else word

    def _number(self, answer: Any) -> float | int:
        try:
            number = math.nan if isinstance(answer, bool) else float(answer)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        expected = f"{self.low:g} to {self.high:g}{' ' * bool(self.unit)}{self.unit}"
        if not self.low <= number <= self.high:
            hint = "; is it in another unit?" if self.unit and math.isfinite(number) else ""
            raise ValueError(f"{self.name} = {_shown(answer)}, expected {expected}{hint}")
        if self.is_whole and not number.is_integer():
            raise ValueError(f"{self.name} = {_shown(answer)}, expected a whole number, {expected}")
        return int(number) if self.is_whole else number


def _shown(answer: Any) -> str:
    """An answer in one line: a number as it was entered, anything else quoted and cut."""
    text = str(answer) if isinstance(answer, str) and _NUMBER.fullmatch(answer) else repr(answer)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _is(name: str, *values: Any) -> Callable[[Answers], bool]:
    return lambda answers: answers.get(name) in values


def _fixed(value: Any) -> Callable[[Answers], Any]:
    return lambda _: value


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
    rated_v = motor_number(answers, "rated_voltage_v")
    if supply_v <= 1.5 * rated_v:
        return None
    return f"supply_voltage_v = {supply_v:g}, expected at most {1.5 * rated_v:g} V, 1.5 times the motor's {rated_v:g} V"


def motor_number(answers: Answers, name: str) -> float:
    """A number of the chosen motor: the builder's own, or the known one's."""
    if answers["motor"] == OWN_MOTOR:
        return float(answers[name])
    return float(getattr(known_motors()[answers["motor"]], name))


def _motor_counts(answers: Answers) -> int | None:
    if answers["cart_encoder_on"] != "motor" or answers["motor"] == OWN_MOTOR:
        return None
    return known_motors()[answers["motor"]].encoder_counts_per_turn or None


def questions() -> tuple[Question, ...]:
    """Every question, in the order in which they are asked."""
    own: dict[str, Any] = {"applies": _is("motor", OWN_MOTOR), "condition": f"motor = {OWN_MOTOR}"}
    tube: dict[str, Any] = {"applies": _is("pole_mass_kg", 0.0), "condition": "pole_mass_kg = 0"}
    motors = tuple(known_motors())
    q = Question
    return (
        q(name="motor", text="the motor", choices=(*motors, OWN_MOTOR), default=_fixed(motors[0])),
        q(name="stall_torque_n_m", text="stall torque behind the gear", unit="N m", low=1e-3, high=100.0, **own),
        q(
            name="no_load_speed_rpm",
            text="speed without load behind the gear",
            unit="rpm",
            low=1.0,
            high=30000.0,
            **own,
        ),
        q(name="stall_current_a", text="stall current", unit="A", low=0.05, high=100.0, **own),
        q(
            name="no_load_current_a",
            text="current without load",
            unit="A",
            low=0.0,
            high=50.0,
            default=lambda answers: round(0.04 * answers["stall_current_a"], 3),
            fault=_idle_fault,
            **own,
        ),
        q(name="rated_voltage_v", text="voltage at which these hold", unit="V", low=3.0, high=48.0, **own),
        q(name="gear_ratio", text="turns of the motor for one behind the gear", low=1.0, high=500.0, **own),
        q(
            name="rotor_inertia_kg_m2",
            text="inertia of the rotor, at the motor's shaft",
            unit="kg m2",
            low=1e-9,
            high=1e-2,
            default=_fixed(1e-6),
            **own,
        ),
        q(
            name="supply_voltage_v",
            text="motor supply",
            unit="V",
            low=5.5,
            high=24.0,
            default=lambda answers: motor_number(answers, "rated_voltage_v"),
            fault=_supply_fault,
        ),
        q(
            name="pulley_teeth",
            text="teeth of the pulley that drives the belt (0: give its radius)",
            high=500,
            is_whole=True,
            default=_fixed(36),
        ),
        q(
            name="pulley_pitch_mm",
            text="pitch of the belt",
            unit="mm",
            low=0.5,
            high=20.0,
            default=_fixed(2.0),
            applies=lambda answers: answers.get("pulley_teeth", 0) > 0,
            condition="pulley_teeth is not 0",
        ),
        q(
            name="pulley_radius_mm",
            text="radius at which the belt or rack runs",
            unit="mm",
            low=1.0,
            high=200.0,
            applies=_is("pulley_teeth", 0),
            condition="pulley_teeth = 0",
        ),
        q(
            name="cart_encoder_on",
            text="where the cart's encoder sits: the motor's shaft, the pulley's, or a separate wheel or pinion",
            choices=("motor", "pulley", "wheel"),
            default=_fixed("motor"),
        ),
        q(
            name="encoder_wheel_radius_mm",
            text="radius of that wheel",
            unit="mm",
            low=1.0,
            high=200.0,
            applies=_is("cart_encoder_on", "wheel"),
            condition="cart_encoder_on = wheel",
        ),
        q(
            name="cart_encoder_counts_per_turn",
            text="counts per turn of the cart's encoder (four times its lines)",
            low=4,
            high=100000,
            is_whole=True,
            default=_motor_counts,
        ),
        q(
            name="pole_encoder_counts_per_turn",
            text="counts per turn of the pole's encoder (four times its lines)",
            low=200,
            high=20000,
            is_whole=True,
            default=_fixed(2400),
        ),
        q(
            name="track_m",
            text="track between the two places where the switches close",
            unit="m",
            low=0.4,
            high=5.0,
            default=_fixed(0.94),
        ),
        q(
            name="cart_mass_kg",
            text="what slides, without the pole: carriage, pole encoder, belt",
            unit="kg",
            low=0.01,
            high=50.0,
            default=_fixed(0.35),
        ),
        q(
            name="pole_length_m",
            text="pole, from its hinge to its tip",
            unit="m",
            low=0.05,
            high=3.0,
            default=_fixed(0.5),
        ),
        q(
            name="pole_mass_kg",
            text="mass of the pole (0: compute it from its tube)",
            unit="kg",
            high=10.0,
            default=_fixed(0.0),
        ),
        q(name="pole_diameter_mm", text="its diameter", unit="mm", low=1.0, high=100.0, default=_fixed(12.0), **tube),
        q(
            name="pole_wall_mm",
            text="its wall (half of the diameter: a full rod)",
            unit="mm",
            low=0.1,
            high=50.0,
            default=_fixed(2.0),
            fault=_wall_fault,
            **tube,
        ),
        q(
            name="pole_density_kg_m3",
            text="its density (aluminium 2700, carbon 1600, beech 700, steel 7850)",
            unit="kg/m3",
            low=100.0,
            high=20000.0,
            default=_fixed(2700.0),
            **tube,
        ),
        q(
            name="estop_cuts_supply",
            text="does the e-stop also cut the motor's supply",
            choices=("yes", "no"),
            default=_fixed(True),
        ),
    )
