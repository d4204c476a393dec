"""The parts of a cart, one per section of a cart file: frozen, validated records in SI units."""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass

from cartpole_robot.files.records import require, require_not_negative, require_positive
from firmware_bridge.constants import BANDGAP_V, ILLEGAL_MOST, SWING_MOST_S, UPRIGHT_S


@dataclass(frozen=True, kw_only=True)
class PoleCart:
    """The rigid body: a cart that slides along a level track, and a pole hinged on it."""

    cart_mass_kg: float  # everything that slides but the pole
    pole_mass_kg: float
    pole_half_length_m: float  # from the hinge to the pole's centre of mass: half the length of a uniform pole
    pole_inertia_kg_m2: float  # about the centre of mass, about an axis perpendicular to the plane of motion
    gravity_m_s2: float

    def __post_init__(self) -> None:
        require_positive(self, *(f.name for f in dataclasses.fields(self)))

    @property
    def mass_kg(self) -> float:
        """The mass of cart and pole together."""
        return self.cart_mass_kg + self.pole_mass_kg

    @property
    def coupling_kg_m(self) -> float:
        """The pole's mass times the distance of its centre from the hinge: m l, which couples pole and cart."""
        return self.pole_mass_kg * self.pole_half_length_m

    @property
    def hinge_inertia_kg_m2(self) -> float:
        """The pole's inertia about its hinge: I + m l²."""
        return self.pole_inertia_kg_m2 + self.coupling_kg_m * self.pole_half_length_m

    @property
    def equal_pendulum_m(self) -> float:
        """The length of the point pendulum that swings alike: the hinge inertia over m l."""
        return self.hinge_inertia_kg_m2 / self.coupling_kg_m


def equivalent_body(body: PoleCart, loaded: PoleCart) -> PoleCart:
    """The body that hangs at `loaded`'s hinge distance and moves exactly as `body` does.

    A hinged pole shows in the equations of motion only through M + m, m l and I + m l²; those are kept, so that the
    engine can simulate another length without loading another URDF. Raises ValueError where this needs a mass or an
    inertia that is not positive: for a much longer pole, load a shorter one.
    """
    half_m = loaded.pole_half_length_m
    if body.pole_half_length_m == half_m:
        return body
    pole_mass_kg = body.coupling_kg_m / half_m
    cart_mass_kg = body.mass_kg - pole_mass_kg
    inertia = body.pole_inertia_kg_m2 + body.coupling_kg_m * (body.pole_half_length_m - half_m)
    if cart_mass_kg <= 0.0 or inertia <= 0.0:
        raise ValueError(
            f"a pole of half-length {body.pole_half_length_m:g} m cannot stand in for one of {half_m:g} m on this "
            "cart; draw its length from a narrower range"
        )
    return PoleCart(
        cart_mass_kg=cart_mass_kg,
        pole_mass_kg=pole_mass_kg,
        pole_half_length_m=half_m,
        pole_inertia_kg_m2=inertia,
        gravity_m_s2=body.gravity_m_s2,
    )


MOST_ANGLE_ZERO_RAD = 0.5
SATURATION_POWER = 5  # of 2, 3, 5, 7, 9 and 13 the best fit to the one real cart: docs/results/real_cart.md
MOST_SATURATION = 0.198  # below 1 / SATURATION_POWER, above which more duty would give less force
_MOST_STEPS = 50
_SAME_LEVEL = 1e-15


@dataclass(frozen=True, kw_only=True)
class Motor:
    """The motor: a DC motor on an H-bridge, described by forces at the cart.

    At duty d and speed v the force is `stall_force_n` * level(d) - `back_emf_n_s_m` * v, through a first-order lag. A
    positive duty pushes to the right, toward +x. With the dead zone z, e = (|d| - z) / (1 - z) is the drive past it.
    Then level(d) is e, or with saturation s it is (e - s e^5) / (1 - s); both give ±1 at full duty.

    Stall force and dead zone are means of both sides. To the right, level has the factor 1 + `gain_asymmetry`, and z is
    `dead_zone_duty` + `dead_zone_asymmetry_duty`; to the left, minus replaces plus.
    """

    stall_force_n: float  # force at full duty on a cart that stands still
    supply_voltage_v: float | None = None  # the supply voltage at which the forces hold
    stall_current_a: float | None = None  # used for power figures only
    back_emf_n_s_m: float = 0.0  # braking force per speed
    dead_zone_duty: float = 0.0  # the duty that the motor needs before it pulls
    saturation: float = 0.0  # s above
    gain_asymmetry: float = 0.0  # negative for a motor that is weaker to the right
    dead_zone_asymmetry_duty: float = 0.0  # positive for a wider dead zone to the right
    lag_s: float = 0.0  # time constant of the force
    brakes_at_zero: bool = True  # duty 0 shorts the motor, so that back-EMF brakes; false: the cart coasts

    def __post_init__(self) -> None:
        require_positive(self, "stall_force_n")
        require_not_negative(self, "back_emf_n_s_m", "dead_zone_duty", "saturation", "lag_s")
        require(
            self.dead_zone_duty < 1.0,
            f"dead_zone_duty = {self.dead_zone_duty:g} reaches full duty, expected less than 1; measure it again",
        )
        require(
            abs(self.gain_asymmetry) < 1.0,
            f"gain_asymmetry = {self.gain_asymmetry:g}, expected between -1 and 1, where one side has no force; give "
            "(right - left) / (right + left) of the stall forces",
        )
        require(
            abs(self.dead_zone_asymmetry_duty) <= min(self.dead_zone_duty, 0.5),
            f"dead_zone_asymmetry_duty = {self.dead_zone_asymmetry_duty:g}, expected at most 0.5 and at most "
            f"dead_zone_duty = {self.dead_zone_duty:g}, where one side has no dead zone; give (right - left) / 2 and "
            "(right + left) / 2 of the dead zones",
        )
        require(
            self.dead_zone_duty + abs(self.dead_zone_asymmetry_duty) < 1.0,
            f"dead_zone_duty = {self.dead_zone_duty:g} with dead_zone_asymmetry_duty = "
            f"{self.dead_zone_asymmetry_duty:g} reaches full duty on one side, expected less than 1; measure both "
            "sides again",
        )
        require(
            self.saturation <= MOST_SATURATION,
            f"saturation = {self.saturation:g}, expected at most {MOST_SATURATION:g}: more duty would give less force",
        )
        for name in ("supply_voltage_v", "stall_current_a"):
            if getattr(self, name) is not None:
                require_positive(self, name)

    @property
    def right_share(self) -> float:
        """The stall force to the right, over the mean of both sides."""
        return 1.0 + self.gain_asymmetry

    @property
    def left_share(self) -> float:
        """The stall force to the left, over the mean of both sides."""
        return 1.0 - self.gain_asymmetry

    @property
    def strongest_force_n(self) -> float:
        """The stall force to the stronger side."""
        return self.stall_force_n * max(self.right_share, self.left_share)

    @property
    def right_dead_zone_duty(self) -> float:
        """The dead zone of positive duties."""
        return self.dead_zone_duty + self.dead_zone_asymmetry_duty

    @property
    def left_dead_zone_duty(self) -> float:
        """The dead zone of negative duties, as a positive duty."""
        return self.dead_zone_duty - self.dead_zone_asymmetry_duty

    @property
    def slope_n(self) -> float:
        """The slope of the force over the duty, in N per unit of duty, at the end of the mean dead zone."""
        return self.stall_force_n / self.reach_duty

    @property
    def right_slope_n(self) -> float:
        """`slope_n` of positive duties."""
        return self.stall_force_n * self.right_share / self._reach(self.right_dead_zone_duty)

    @property
    def left_slope_n(self) -> float:
        """`slope_n` of negative duties."""
        return self.stall_force_n * self.left_share / self._reach(self.left_dead_zone_duty)

    @property
    def reach_duty(self) -> float:
        """The duty beyond the mean dead zone at which the force, with its slope there, would reach the stall force."""
        return self._reach(self.dead_zone_duty)

    def _reach(self, dead_zone: float) -> float:
        return (1.0 - dead_zone) * (1.0 - self.saturation)

    def dead_zone_at(self, duty: float) -> float:
        """The dead zone, a positive duty, on the side to which `duty` pushes."""
        return self.right_dead_zone_duty if math.copysign(1.0, duty) > 0.0 else self.left_dead_zone_duty

    def compensated(self, duty: float) -> float:
        """`duty` counted from the dead zone's end, in shares of what is left, as a firmware that compensates has it."""
        zone = self.dead_zone_at(duty)
        return math.copysign(zone + (1.0 - zone) * abs(duty), duty) if duty else 0.0

    def share_at(self, duty: float) -> float:
        """The stall force to the side to which `duty` pushes, over the mean of both."""
        return self.right_share if math.copysign(1.0, duty) > 0.0 else self.left_share

    def level(self, duty: float) -> float:
        """The share of the stall force at `duty` in [-1, 1]: 0 in the dead zone, ±1 at full duty, asymmetry apart."""
        dead_zone = self.dead_zone_at(duty)
        past = abs(duty) - dead_zone
        if past <= 0.0:
            return 0.0
        drive = past / (1.0 - dead_zone)
        if self.saturation > 0.0:
            drive = (drive - self.saturation * drive**SATURATION_POWER) / (1.0 - self.saturation)
        return math.copysign(drive * self.share_at(duty), duty)

    def duty_for(self, level: float) -> float:
        """The duty that gives `level`; beyond ±1 for a level beyond that of full duty."""
        drive = abs(level) / self.share_at(level)
        dead_zone = self.dead_zone_at(level)
        if 0.0 < drive < 1.0 and self.saturation > 0.0:
            # Newton's method approaches from below, because the level is concave in the duty
            asked, drive = drive * (1.0 - self.saturation), 0.0
            for _ in range(_MOST_STEPS):
                missing = asked - drive + self.saturation * drive**SATURATION_POWER
                if missing <= _SAME_LEVEL:
                    break
                drive += missing / (1.0 - SATURATION_POWER * self.saturation * drive ** (SATURATION_POWER - 1))
        return math.copysign(dead_zone + (1.0 - dead_zone) * drive, level)


@dataclass(frozen=True, kw_only=True)
class Friction:
    """Dry and viscous friction of the cart on its track and of the pole in its hinge."""

    cart_viscous_n_s_m: float = 0.0  # grows with the cart's speed
    cart_coulomb_n: float = 0.0  # dry friction that brakes a moving cart
    cart_static_n: float = 0.0  # dry friction that holds a resting cart
    pole_viscous_n_m_s: float = 0.0  # grows with the pole's speed
    pole_coulomb_n_m: float = 0.0  # dry friction of the hinge

    def __post_init__(self) -> None:
        require_not_negative(self, *(f.name for f in dataclasses.fields(self)))
        require(
            self.cart_static_n >= self.cart_coulomb_n,
            f"cart_static_n = {self.cart_static_n:g} is below cart_coulomb_n = {self.cart_coulomb_n:g}; "
            "give at least the same",
        )


class PoleSensor(enum.StrEnum):
    """The sensor on the pole's shaft."""

    ENCODER = "encoder"  # incremental, with two channels
    POTENTIOMETER = "potentiometer"  # analogue; this project's firmware cannot read it


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """The encoders. All four edges of a line count."""

    cart_counts_per_m: float
    pole_counts_per_turn: int
    pole_sensor: PoleSensor = PoleSensor.ENCODER  # type of the pole's sensor

    def __post_init__(self) -> None:
        require_positive(self, "cart_counts_per_m", "pole_counts_per_turn")

    @property
    def pole_counts_per_rad(self) -> float:
        """Counts per radian at the pole."""
        return self.pole_counts_per_turn / (2.0 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Readings:
    """An offset in recordings of this cart, which only comparison and identification correct."""

    pole_angle_zero_rad: float = 0.0  # the recorded angle of an upright pole

    def __post_init__(self) -> None:
        require(
            abs(self.pole_angle_zero_rad) <= MOST_ANGLE_ZERO_RAD,
            f"pole_angle_zero_rad = {self.pole_angle_zero_rad:g}, expected at most {MOST_ANGLE_ZERO_RAD:g} to either "
            "side; correct the offset of the angle in the map, and import again",
        )


class Apply(enum.StrEnum):
    """When a command takes effect."""

    AT_ONCE = "at_once"  # in the same control period: an ideal cart without delay
    NEXT_TICK = "next_tick"  # at the first control tick after its arrival, usually one period after the measurement
    ON_ARRIVAL = "on_arrival"  # on arrival


@dataclass(frozen=True, kw_only=True)
class Delay:
    """The time from measurement to action."""

    apply: Apply  # when a command takes effect
    latency_s: float = 0.0  # fixed latency of the host
    jitter_s: float = 0.0  # largest additional latency, drawn uniformly
    drop_probability: float = 0.0  # share of lost commands; the previous one then holds

    def __post_init__(self) -> None:
        require_not_negative(self, "latency_s", "jitter_s", "drop_probability")
        require(
            self.drop_probability < 1.0,
            f"drop_probability = {self.drop_probability:g}, expected less than 1; no command would ever arrive",
        )
        require(
            self.apply is not Apply.ON_ARRIVAL or self.latency_s > 0.0,
            "latency_s = 0 with apply = 'on_arrival', but every host takes time to answer; give the measured latency",
        )
        require(
            self.apply is not Apply.AT_ONCE or self.latency_s == self.jitter_s == self.drop_probability == 0.0,
            "apply = 'at_once' has no latency, jitter or drops; choose 'next_tick' or 'on_arrival'",
        )

    def effect(self, arrival: float, period: float) -> float:
        """When a command that arrives at `arrival` takes effect, both counted from its measurement.

        `arrival` and the control period `period` are in the same unit, and so is the result.
        """
        if self.apply is Apply.AT_ONCE:
            return 0.0
        if self.apply is Apply.ON_ARRIVAL:
            return arrival
        return period * max(1, math.ceil(arrival / period - 1e-9))


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The two time steps of a rollout."""

    physics_step_s: float  # step of the simulation
    control_period_s: float  # one control step; a whole number of physics steps

    def __post_init__(self) -> None:
        require_positive(self, "physics_step_s", "control_period_s")
        require(
            self.physics_step_s >= 1e-6 and self.control_period_s <= 10.0,
            f"physics_step_s = {self.physics_step_s:g} and control_period_s = {self.control_period_s:g}, "
            "expected at least 1e-06 and at most 10; correct them",
        )
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

    @property
    def control_period_us(self) -> int:
        """The control period in the microseconds of the microcontroller's clock."""
        return round(self.control_period_s * 1e6)


MAX_EPISODE_STEPS = 500  # an episode within the cart's limits ends after this number of control periods


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where an episode ends, and where the track does."""

    cart_position_m: float  # the episode ends at this distance from the middle
    pole_angle_rad: float  # the episode ends at this angle from upright
    arming_angle_rad: float  # largest angle at which the motor may be switched on
    end_stop_m: float | None = None  # distance from the middle to the end of the track; none: an endless track

    def __post_init__(self) -> None:
        require_positive(self, "cart_position_m", "pole_angle_rad", "arming_angle_rad")
        require(
            self.arming_angle_rad <= self.pole_angle_rad,
            f"arming_angle_rad = {self.arming_angle_rad:g} is past pole_angle_rad = {self.pole_angle_rad:g}; lower it",
        )
        require(
            self.end_stop_m is None or self.end_stop_m > self.cart_position_m,
            f"end_stop_m = {self.end_stop_m or 0.0:g} is not past cart_position_m = {self.cart_position_m:g}; "
            "end the episode before the cart hits the stop",
        )
        require(
            self.pole_angle_rad < math.pi / 2,
            f"pole_angle_rad = {self.pole_angle_rad:g}, expected less than pi/2; a lying pole cannot be balanced",
        )


@dataclass(frozen=True, kw_only=True)
class FirmwareSettings:
    """The limits that the firmware enforces on a cart, and how it finds its zeros."""

    switch_m: float  # distance of each end switch from the middle
    travel_limit_m: float  # the firmware brakes the cart so that it stops within this distance from the middle
    pole_limit_rad: float  # the motor is off beyond this angle
    command_timeout_s: float  # the motor is off after this time without a command
    homing_speed_m_s: float
    homing_duty: float  # largest duty while homing
    moving_duty: float  # the smallest duty that must move the cart; else CART_STUCK
    still_travel_m: float  # the distance after which the pole's encoder must have counted; else POLE_STILL
    continuous_duty: float  # the duty that the motor bears for any time; more heat than that is MOTOR_HOT
    reversals_per_s: int  # largest number of reversals
    supply_min_v: float  # the motor is off below this supply voltage
    supply_max_v: float  # the motor is off above this supply voltage
    compensates_dead_zone: bool = False  # add the motor's dead zone to every command
    brake_decel_m_s2: float | None = None  # deceleration with the motor shorted; none: computed from the motor
    is_motor_reversed: bool = False  # the motor is wired the other way round
    is_cart_reversed: bool = False  # the cart's encoder is wired the other way round
    is_pole_reversed: bool = False  # the pole's encoder is wired the other way round
    estop_cuts_supply: bool = False  # the e-stop also cuts the motor's supply; the firmware then checks that it falls
    illegal_edges_most: int = ILLEGAL_MOST  # tolerated impossible encoder transitions in 0.1 s
    bandgap_v: float | None = None  # the microcontroller's voltage reference, measured on this board
    # twice the median of 13 s that a gentle energy law takes on `diy_arduino`
    swing_timeout_s: float = 30.0  # time limit of a swing-up; 0 forbids it
    # a pole that only passes through is within its limit for less than 0.2 s
    upright_s: float = 0.5  # a swing-up is done after this time within pole_limit_rad

    def __post_init__(self) -> None:
        require_positive(
            self,
            *("switch_m", "travel_limit_m", "pole_limit_rad", "command_timeout_s", "homing_speed_m_s", "homing_duty"),
            *("moving_duty", "still_travel_m", "continuous_duty", "reversals_per_s", "supply_min_v", "supply_max_v"),
        )
        require(
            self.travel_limit_m < self.switch_m,
            f"travel_limit_m = {self.travel_limit_m:g} is not before switch_m = {self.switch_m:g}; "
            "stop before the switches",
        )
        require(
            self.supply_min_v < self.supply_max_v,
            f"supply_min_v = {self.supply_min_v:g} is not below supply_max_v = {self.supply_max_v:g}; swap them",
        )
        if self.brake_decel_m_s2 is not None:
            require_positive(self, "brake_decel_m_s2")
        for name in ("homing_duty", "moving_duty", "continuous_duty"):
            value = getattr(self, name)
            require(value <= 1.0, f"{name} = {value:g}, expected at most 1; lower it")
        require(
            1 <= self.illegal_edges_most <= ILLEGAL_MOST,
            f"illegal_edges_most = {self.illegal_edges_most}, expected 1 to {ILLEGAL_MOST}",
        )
        least, most = BANDGAP_V
        require(
            self.bandgap_v is None or least <= self.bandgap_v <= most,
            f"bandgap_v = {self.bandgap_v}, expected {least:g} to {most:g} V of a sound chip; measure again, "
            "or leave it out",
        )
        require(
            0.0 <= self.swing_timeout_s <= SWING_MOST_S,
            f"swing_timeout_s = {self.swing_timeout_s:g}, expected 0 (no swing-up) to {SWING_MOST_S:g} s",
        )
        least, most = UPRIGHT_S
        require(
            least <= self.upright_s <= most,
            f"upright_s = {self.upright_s:g}, expected {least:g} to {most:g} s; less is a pole that passes through",
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
        require_not_negative(self, *(f.name for f in dataclasses.fields(self)))

    def as_tuple(self) -> tuple[float, float, float, float]:
        """The four spreads in the order of the observation."""
        return (self.cart_position_m, self.cart_speed_m_s, self.pole_angle_rad, self.pole_speed_rad_s)
