"""What is known of one cart: frozen, validated, in SI units.

`CartParams` is read from a cart file by `cartpole_robot.cart_files.load_cart`. Changed copies come from
`dataclasses.replace`, which validates again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cartpole_robot.configuration import record_from_table, require, require_positive
from cartpole_robot.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PoleCart:
    """The rigid body: a cart that slides along a level track and a pole hinged on it.

    `pole_half_length_m` is the distance from the hinge to the pole's centre of mass, half of a uniform pole;
    `pole_inertia_kg_m2` is about that centre, across the plane of motion.
    """

    cart_mass_kg: float
    pole_mass_kg: float
    pole_half_length_m: float
    pole_inertia_kg_m2: float
    gravity_m_s2: float

    def __post_init__(self) -> None:
        require_positive(self, *(f.name for f in dataclasses.fields(self)))


@dataclass(frozen=True, kw_only=True)
class Motor:
    """What moves the cart. `stall_force_n` is the force on a cart at rest at full duty."""

    stall_force_n: float

    def __post_init__(self) -> None:
        require_positive(self, "stall_force_n")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The two clocks of a rollout: the physics step and the control period, a whole number of the first."""

    physics_step_s: float
    control_period_s: float

    def __post_init__(self) -> None:
        require_positive(self, "physics_step_s", "control_period_s")
        steps = self.control_period_s / self.physics_step_s
        if abs(steps - round(steps)) > 1e-9 * steps or round(steps) < 1:
            low = max(1, math.floor(steps)) * self.physics_step_s
            high = (math.floor(steps) + 1) * self.physics_step_s
            choices = f"{high:g} s" if low >= high else f"{high:g} s or {low:g} s"
            raise ValueError(
                f"control period {self.control_period_s:g} s is not a whole number of {self.physics_step_s:g} s "
                f"physics steps; use {choices}"
            )

    @property
    def physics_steps_per_period(self) -> int:
        """Physics steps in one control period."""
        return round(self.control_period_s / self.physics_step_s)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where an episode ends: the cart's distance from the middle, the pole's angle from upright."""

    cart_position_m: float
    pole_angle_rad: float

    def __post_init__(self) -> None:
        require_positive(self, "cart_position_m", "pole_angle_rad")
        require(
            self.pole_angle_rad < math.pi / 2,
            f"pole_angle_rad = {self.pole_angle_rad:g}, expected less than pi/2; a lying pole cannot be balanced",
        )


@dataclass(frozen=True, kw_only=True)
class ObservationScale:
    """The size of each signal while balancing; a network sees the observation divided by it."""

    cart_position_m: float
    cart_speed_m_s: float
    pole_angle_rad: float
    pole_speed_rad_s: float

    def __post_init__(self) -> None:
        require_positive(self, *(f.name for f in dataclasses.fields(self)))

    def as_tuple(self) -> tuple[float, float, float, float]:
        """The four sizes in the order of the observation."""
        return (self.cart_position_m, self.cart_speed_m_s, self.pole_angle_rad, self.pole_speed_rad_s)


@dataclass(frozen=True, kw_only=True)
class StartSpread:
    """An episode starts with each signal drawn uniformly from [-spread, spread]."""

    cart_position_m: float
    cart_speed_m_s: float
    pole_angle_rad: float
    pole_speed_rad_s: float

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            require(
                math.isfinite(value) and value >= 0.0,
                f"{f.name} = {value:g}, expected a finite number of at least 0; correct it",
            )

    def as_tuple(self) -> tuple[float, float, float, float]:
        """The four spreads in the order of the observation."""
        return (self.cart_position_m, self.cart_speed_m_s, self.pole_angle_rad, self.pole_speed_rad_s)


@dataclass(frozen=True, kw_only=True)
class CartParams:
    """One cart, whole.

    `action_duties` is the action table: the duty in [-1, 1] that each discrete action asks for. `sources` says
    where each number comes from, by "section.key"; it takes no part in comparisons.
    """

    name: str
    description: str
    pole_cart: PoleCart
    motor: Motor
    timing: Timing
    limits: Limits
    observation_scale: ObservationScale
    start: StartSpread
    action_duties: tuple[float, ...]
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        duties = self.action_duties
        require(
            len(duties) >= 2, f"the action table has {len(duties)} entries, expected at least 2; add another action"
        )
        for duty in duties:
            require(
                math.isfinite(duty) and abs(duty) <= 1.0,
                f"the action table asks for duty {duty:g}, expected -1 to 1; lower it, or raise motor.stall_force_n",
            )
        require(len(set(duties)) == len(duties), f"the action table {list(duties)} has equal entries; make them differ")
        require(
            min(duties) < 0.0 < max(duties),
            f"the action table {list(duties)} pushes to one side only; give it a negative and a positive entry",
        )
        for key in ("cart_position_m", "pole_angle_rad"):
            spread, limit = getattr(self.start, key), getattr(self.limits, key)
            require(
                spread < limit,
                f"start.{key} = {spread:g} reaches the limit {limit:g} at which an episode ends; start closer to 0",
            )

    def as_dict(self) -> dict[str, object]:
        """The numbers as nested dicts, without the sources: what provenance records."""
        values = dataclasses.asdict(dataclasses.replace(self, sources={}))
        del values["sources"]
        return values

    def fingerprint(self) -> str:
        """SHA-256 of the numbers: equal for carts that behave the same, whatever their name and sources."""
        values = self.as_dict()
        del values["name"], values["description"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


SECTIONS: dict[str, type] = {
    "pole_cart": PoleCart,
    "motor": Motor,
    "timing": Timing,
    "limits": Limits,
    "start": StartSpread,
    "observation_scale": ObservationScale,
}
"""The parts of a cart that are records of their own, by the name they have in cart files and in `CartParams`."""


def cart_from_dict(values: Mapping[str, Any], *, where: str) -> CartParams:
    """The cart that `CartParams.as_dict` wrote, perhaps by way of JSON. Raises `UsageError` beginning with `where`."""
    plain = {**values, "action_duties": tuple(values.get("action_duties", ()))}
    for name, kind in SECTIONS.items():
        plain[name] = record_from_table(kind, _as_table(values.get(name), f"{where}: {name}"), where=f"{where}: {name}")
    try:
        return CartParams(**plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from None


def _as_table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} is missing; export or train again")
    return value
