"""The parameters of a cart: frozen, validated, in SI units.

`CartParams` is read from a cart file by `cartpole_robot.cart.cart_file.load_cart`. Changed copies come from
`dataclasses.replace`, which validates again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from cartpole_robot.cart.parts import (
    Apply,
    Delay,
    Encoders,
    FirmwareSettings,
    Friction,
    Limits,
    Motor,
    ObservationScale,
    PoleCart,
    Readings,
    StartSpread,
    Timing,
)
from cartpole_robot.cart.stepper import Drive, Stepper
from cartpole_robot.files.records import require
from firmware_bridge.constants import ESTIMATOR_COUNT_S, MAX_OUTPUTS, TICK_S

_LONGEST_NAME = 100
_COARSE = 4  # entries of an action table each of which must move the cart
_MOVES = 1.25  # times what static friction and dead zone take
_NAME_SIGNS = " _.,+-()=@#~"  # beside letters and digits: a name is written into C, HTML, TOML and file names
MAX_COUNTS_PER_UNIT = 2e7  # counts are 32 bits: a hundred metres, a dozen turns
_NO_MOTOR = Motor(stall_force_n=1.0)  # stands for one that is not given


@dataclass(frozen=True, kw_only=True)
class CartParams:
    """All parameters of one cart.

    `action_duties` is the action table: the duty in [-1, 1] that each discrete action requests. `swing_up_duties` is
    that of the swing-up task and `precise_duties` the finer one of a precise policy, None where the cart has none of
    its own. A cart without
    `encoders` is an ideal one whose state is known exactly; one without `firmware` is for simulation only. `sources`
    names the source of each number, by "section.key"; comparisons ignore it.

    One drive moves a cart: a DC `motor`, or a `stepper`. `motor` is then the equivalent one, whatever was given, for
    code that counts in forces.
    """

    name: str
    description: str
    pole_cart: PoleCart
    motor: Motor = _NO_MOTOR
    stepper: Stepper | None = None
    friction: Friction
    delay: Delay
    timing: Timing
    limits: Limits
    observation_scale: ObservationScale
    start: StartSpread
    action_duties: tuple[float, ...]
    encoders: Encoders | None = None
    firmware: FirmwareSettings | None = None
    readings: Readings | None = None
    swing_up_duties: tuple[float, ...] | None = None
    precise_duties: tuple[float, ...] | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        self._check_drive()
        self._check_table(self.action_duties, "the action table", least=self.action_duties)
        finer = (
            ("the action table of the swing-up", self.swing_up_duties),
            ("the precise action table", self.precise_duties),
        )
        for name, table in finer:
            if table is not None:
                self._check_table(table, name, least=(min(table, default=0.0), max(table, default=0.0)))
        for key in ("cart_position_m", "pole_angle_rad"):
            spread, limit = getattr(self.start, key), getattr(self.limits, key)
            require(
                spread < limit,
                f"start.{key} = {spread:g} reaches the limit {limit:g} at which an episode ends; start closer to 0",
            )

        if self.firmware is not None and self.limits.end_stop_m is not None:
            require(
                self.firmware.switch_m < self.limits.end_stop_m,
                f"firmware.switch_m = {self.firmware.switch_m:g} is not before limits.end_stop_m = "
                f"{self.limits.end_stop_m:g}; a switch must close before the cart hits the stop",
            )
        self._check_force()
        self._check_encoders()

    def _check_drive(self) -> None:
        """Raises ValueError without a drive, and for a stepper that does not fit the cart's body or its counts."""
        if self.stepper is None:
            require(
                self.motor is not _NO_MOTOR,
                "has neither the section [motor] nor [stepper], expected one of them: a DC motor or a stepper moves "
                "the cart; add it",
            )
            return
        object.__setattr__(self, "motor", self.stepper.equivalent_motor(self.pole_cart))
        self.stepper.check_torque(self.pole_cart, self.friction)
        require(
            self.encoders is not None,
            "a cart with a [stepper] has no [encoders], expected them: its position is counted in steps and its pole "
            "by an encoder; add the section with pole_counts_per_turn",
        )
        assert self.encoders is not None  # for the type checker
        require(
            math.isclose(self.encoders.cart_counts_per_m, self.stepper.steps_per_m, rel_tol=1e-9),
            f"encoders.cart_counts_per_m = {self.encoders.cart_counts_per_m:g} differs from stepper.steps_per_m = "
            f"{self.stepper.steps_per_m:g}, and the steps are what is counted; leave the first out",
        )
        require(
            math.isclose(self.timing.physics_step_s, TICK_S, rel_tol=1e-9),
            f"timing.physics_step_s = {self.timing.physics_step_s:g}, expected {TICK_S:g} for a cart with a [stepper], "
            "whose speed the firmware changes each millisecond; correct it",
        )

    def _check_table(self, duties: tuple[float, ...], name: str, *, least: tuple[float, ...]) -> None:
        """Raises ValueError for a table that no policy has, and where one of `least` moves nothing.

        Of a fine table the weak duties may lie in the dead zone of a cart that is drawn at random: one choice less.
        """
        require(
            2 <= len(duties) <= MAX_OUTPUTS,
            f"{name} has {len(duties)} entries, expected 2 to {MAX_OUTPUTS}; change their number",
        )
        largest = "motor.stall_force_n" if self.stepper is None else "stepper.maximum_acceleration_m_s2"
        for duty in duties:
            require(
                math.isfinite(duty) and abs(duty) <= 1.0,
                f"{name} asks for duty {duty:g}, expected -1 to 1; lower it, or raise {largest}",
            )
        require(len(set(duties)) == len(duties), f"{name} {list(duties)} has equal entries; make them differ")
        require(
            min(duties) < 0.0 < max(duties),
            f"{name} {list(duties)} pushes to one side only; give it a negative and a positive entry",
        )
        if len(duties) > _COARSE:
            least = (min(duties), max(duties))
        for duty in least:
            zone = self.motor.dead_zone_at(duty)
            require(
                duty == 0.0 or abs(duty) > zone,
                f"{name} asks for duty {duty:g}, inside the dead zone of {zone:g}; raise it",
            )

    def _check_force(self) -> None:
        """Raises ValueError for a table of balancing whose force is too weak to catch the leaning pole."""
        motor, body = self.motor, self.pole_cart
        static_n = self.friction.cart_static_n if self.stepper is None else 0.0
        needed_n = body.mass_kg * body.gravity_m_s2 * math.tan(self.limits.arming_angle_rad)
        for name, table in (("the actions", self.action_duties), ("the precise actions", self.precise_duties)):
            if table is None:
                continue
            usable = min(-motor.level(min(table)), motor.level(max(table)))
            force_n = usable * motor.stall_force_n - static_n
            require(
                force_n > needed_n,
                f"{name} leave {force_n:.3g} N beyond friction, and a pole leaning by arming_angle_rad = "
                f"{self.limits.arming_angle_rad:g} needs {needed_n:.3g} N; use a stronger action or a smaller arming "
                "angle",
            )

    def _check_encoders(self) -> None:
        """Raises ValueError where one count in a control period reads as more than a quarter of the speed scale.

        The estimator fits a line through 16 ms: however short the period, one count reads as one in 10.6 ms at most.
        """
        if self.encoders is None:
            return
        period_s = max(self.timing.control_period_s, ESTIMATOR_COUNT_S)
        for name, counts, unit, scale in (
            ("cart_counts_per_m", self.encoders.cart_counts_per_m, "m/s", self.observation_scale.cart_speed_m_s),
            (
                "pole_counts_per_turn",
                self.encoders.pole_counts_per_rad,
                "rad/s",
                self.observation_scale.pole_speed_rad_s,
            ),
        ):
            speed = 1.0 / (counts * period_s)
            require(
                speed <= scale / 4.0,
                f"encoders.{name} is too coarse: one count in {period_s:.3g} s reads as {speed:.3g} {unit}, expected "
                f"at most {scale / 4.0:.3g} (a quarter of its scale); use a finer encoder or a longer control period",
            )
            require(
                counts <= MAX_COUNTS_PER_UNIT,
                f"encoders.{name} overflows its counter: {counts:.3g} counts/{unit.split('/')[0]}, expected "
                f"at most {MAX_COUNTS_PER_UNIT:g}; correct it",
            )

    @property
    def swing_up_table(self) -> tuple[float, ...]:
        """The action table of the swing-up task: its own, or that of balancing."""
        return self.swing_up_duties or self.action_duties

    @property
    def precise_table(self) -> tuple[float, ...]:
        """The action table of a precise policy: the cart's own, or one derived from its friction and balancing duties.

        With dry friction that is 0, at which the cart comes to rest, and three duties to each side; without it, four
        duties to each side. The weakest moves the cart, the strongest is full.
        """
        return self.precise_duties or self._graded_table()

    def with_table(self, duties: tuple[float, ...]) -> CartParams:
        """This cart with `duties` as its action table if that is its precise table, else this cart."""
        if duties == self.action_duties or duties != self.precise_table:
            return self
        sources = dict(self.sources)
        sources["actions.duty"] = sources.get("actions.precise_duty", "derived: the precise table of actions.duty")
        return dataclasses.replace(self, action_duties=duties, precise_duties=duties, sources=sources)

    def _graded_table(self) -> tuple[float, ...]:
        strongest = min(-min(self.action_duties), max(self.action_duties))
        static = self.friction.cart_static_n / self.motor.stall_force_n if self.stepper is None else 0.0
        zone = max(self.motor.right_dead_zone_duty, self.motor.left_dead_zone_duty)
        moving = 0.0 if self.compensates_dead_zone else zone
        moving = _MOVES * (moving + (1.0 - moving) * static)
        shares = ((0.0, 0.0), (1.0, 0.4), (2.0, 1.25)) if static else ((1.0, 0.25), (2.0, 0.65), (4.0, 1.5))
        grades = (*(max(times * moving, share * strongest) for times, share in shares), 1.0)
        sides = [round(min(1.0, grade), 3) for grade in grades]
        return tuple(sorted({*sides, *(-side for side in sides)}))

    @property
    def drive(self) -> Drive:
        """What moves the cart."""
        return Drive.DC if self.stepper is None else Drive.STEPPER

    @property
    def is_mirror_image(self) -> bool:
        """Whether the motor pushes to both sides alike, so that the cart is its own mirror image."""
        return self.motor.gain_asymmetry == 0.0 and self.motor.dead_zone_asymmetry_duty == 0.0

    @property
    def damping_n_s_m(self) -> float:
        """The damping of the cart while the bridge is not open: back-EMF and viscous friction."""
        return self.motor.back_emf_n_s_m + self.friction.cart_viscous_n_s_m

    @property
    def terminal_speed_m_s(self) -> float:
        """The speed at full drive to the stronger side on an endless track; infinite without damping.

        A stepper's is its largest.
        """
        if self.stepper is not None:
            return self.stepper.maximum_speed_m_s
        if self.damping_n_s_m == 0.0:
            return math.inf
        return (self.motor.strongest_force_n - self.friction.cart_coulomb_n) / self.damping_n_s_m

    @property
    def compensates_dead_zone(self) -> bool:
        """Whether the firmware adds the motor's dead zone to every command."""
        return self.firmware is not None and self.firmware.compensates_dead_zone

    @property
    def commanded_motor(self) -> Motor:
        """The motor as a command finds it: without a dead zone where the firmware compensates for it."""
        if not self.compensates_dead_zone:
            return self.motor
        return dataclasses.replace(self.motor, dead_zone_duty=0.0, dead_zone_asymmetry_duty=0.0)

    def bridge_duty(self, duty: float) -> float:
        """The duty at the bridge of a command in [-1, 1]."""
        return self.motor.compensated(duty) if self.compensates_dead_zone else duty

    @property
    def mean_delay_s(self) -> float:
        """How long after its measurement a command takes effect; jitter enters with its mean."""
        return self.delay.effect(self.delay.latency_s + 0.5 * self.delay.jitter_s, self.timing.control_period_s)

    def as_dict(self) -> dict[str, object]:
        """The numbers as nested dicts, without the sources; with the motor or the stepper, not both."""
        values = dataclasses.asdict(dataclasses.replace(self, sources={}))
        del values["sources"]
        del values["stepper" if self.stepper is None else "motor"]
        for name in ("readings", "swing_up_duties", "precise_duties"):
            if values[name] is None:
                del values[name]
        return values

    def fingerprint(self) -> str:
        """SHA-256 of the numbers: equal for carts that behave the same; names, readings and sources do not count.

        Nor do the swing-up's and the precise action table, which the interface of a policy has that uses them.
        """
        values = self.as_dict()
        for name in ("name", "description", "readings", "swing_up_duties", "precise_duties"):
            values.pop(name, None)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check_name(name: str) -> None:
    """Raises ValueError for a name that is empty, too long, or has a sign that ends a comment or a string somewhere."""
    require(
        0 < len(name) <= _LONGEST_NAME,
        f"the cart's name has {len(name)} characters, expected 1 to {_LONGEST_NAME}; rename its file",
    )
    wrong = [
        each
        for each in name
        if not (each.isalnum() or each in _NAME_SIGNS or unicodedata.category(each).startswith("M"))
    ]
    require(
        not wrong,
        f"the cart's name {name!r} has {''.join(wrong[:5])!r}, expected letters, digits and {_NAME_SIGNS.strip()}; "
        "rename its file",
    )


def check_is_ideal(cart: CartParams) -> None:
    """Raises `ValueError` naming the first parameter of a cart without encoders that is not ideal.

    Such a cart is a force and a state known exactly: anything else would be ignored silently.
    """
    motor = Motor(
        stall_force_n=cart.motor.stall_force_n,
        supply_voltage_v=cart.motor.supply_voltage_v,
        stall_current_a=cart.motor.stall_current_a,
        brakes_at_zero=cart.motor.brakes_at_zero,
    )
    for section, ideal in (("friction", Friction()), ("motor", motor), ("delay", Delay(apply=Apply.AT_ONCE))):
        part = getattr(cart, section)
        for item in dataclasses.fields(part):
            found, expected = getattr(part, item.name), getattr(ideal, item.name)
            require(
                found == expected,
                f"{section}.{item.name} = {found}, expected {expected} for a cart without [encoders], whose state is "
                "known exactly; add [encoders], or remove it",
            )


SECTIONS: dict[str, type] = {
    "pole_cart": PoleCart,
    "motor": Motor,
    "stepper": Stepper,
    "friction": Friction,
    "encoders": Encoders,
    "firmware": FirmwareSettings,
    "delay": Delay,
    "timing": Timing,
    "limits": Limits,
    "start": StartSpread,
    "observation_scale": ObservationScale,
    "readings": Readings,
}
"""The parts of a cart that are records of their own, by their name in cart files and in `CartParams`."""
