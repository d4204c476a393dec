"""What a builder's parts make of a cart with a DC motor: forces, friction, duties and limits."""

from __future__ import annotations

import math

from cartpole_robot.cart.firmware_figures import braking_distance_m
from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import (
    ARMING_RAD,
    GRAVITY_M_S2,
    LEAST_MARGIN_M,
    PUSH_M_S2,
    RAIL_FRICTION,
    STATIC_SHARE,
    VISCOUS_N_S_M,
    BodyDesign,
    rounded_up,
)
from cartpole_robot.cart.new_cart.motors import known_motors
from cartpole_robot.cart.new_cart.questions import OWN_MOTOR, motor_number
from cartpole_robot.errors import UsageError
from firmware_bridge.constants import ESTIMATOR_LAG_S, TICK_S

HOMING_MOST_DUTY = 0.5  # limits.h: HOMING_DUTY_CEILING; what follows is homing.c's
POLARITY_SHARE = 32
SWING_COUNTS = 4
SWING_CROSSINGS = 5
_KICK_STEPS = 60
DEAD_ZONE_DUTY = 0.03
_HOMING_M_S = 0.15
_FEW_COUNTS_PER_M = 2000
_EDGES_PER_S, _MOST_EDGES_PER_S = 40_000, 200_000  # limits.h: COUNTS_PER_TICK_MOST
_MOST_HOMING_COUNTS_S = 65_000  # a field of CFG has 16 bits
_POLE_TURNS_PER_S = 3.0  # of a pole that falls past hanging
_SPEEDS = 50  # speeds at which the firmware's braking distance is compared with the real one


class MotorDesign(BodyDesign):
    """What follows from the parts of a cart with a DC motor, each number after those it depends on; SI units.

    Raises `UsageError` for parts that make no cart-pole.
    """

    def __init__(self, interview: Interview) -> None:
        super().__init__(interview)
        self._motor_and_belt()
        self._bodies()
        self._duties()
        self._limits()
        self._encoders()
        self._homing()

    def _motor_source(self, name: str) -> str:
        if self.answers["motor"] == OWN_MOTOR:
            return self.origin(name)
        source = known_motors()[self.answers["motor"]].sources[name]
        return source if source.startswith("assumed") else str(self.answers["motor"])

    def _motor_and_belt(self) -> None:
        a = self.answers
        number = {n: motor_number(a, n) for n in _MOTOR_NUMBERS}
        rated_v = number["rated_voltage_v"]
        share = a["supply_voltage_v"] / rated_v
        idle_share = number["no_load_current_a"] / number["stall_current_a"]
        rated_n = number["stall_torque_n_m"] / self.radius_m
        rated_m_s = number["no_load_speed_rpm"] * 2.0 * math.pi / 60.0 * self.radius_m
        self.gear = number["gear_ratio"]
        self.rotor_kg = number["rotor_inertia_kg_m2"] * (self.gear / self.radius_m) ** 2
        self.stall_n = rated_n * share
        self.stall_a = number["stall_current_a"] * share
        self.gear_n = rated_n * idle_share
        self.back_emf = (rated_n - self.gear_n) / rated_m_s
        at = "" if share == 1.0 else f", times {a['supply_voltage_v']:g} V / {rated_v:g} V"
        torque, speed = number["stall_torque_n_m"], number["no_load_speed_rpm"]
        self.motor_sources = {
            "stall_force_n": f"computed: {torque:.4g} N m ({self._motor_source('stall_torque_n_m')}) / "
            f"{self.radius_m * 1e3:.4g} mm ({self.belt}){at}",
            "stall_current_a": f"{self._motor_source('stall_current_a')}{at}",
            "back_emf_n_s_m": f"computed: {rated_n - self.gear_n:.4g} N / ({speed:g} rpm "
            f"({self._motor_source('no_load_speed_rpm')}) x {self.radius_m * 1e3:.4g} mm = {rated_m_s:.3g} m/s)",
        }
        self.friction_source = (
            f"computed: {100.0 * idle_share:.2g} % of the stall force, the current without load "
            f"({self._motor_source('no_load_current_a')}), is {self.gear_n:.3g} N; assumed: {RAIL_FRICTION:g} of the "
            "weight on the rail"
        )

    def _bodies(self) -> None:
        self.coulomb_n = self.gear_n + RAIL_FRICTION * (self.slides_kg + self.pole_kg) * GRAVITY_M_S2
        self.static_n = STATIC_SHARE * self.coulomb_n
        self.damping = self.back_emf + VISCOUS_N_S_M
        self.top_m_s = (self.stall_n - self.coulomb_n) / self.damping
        self._note_coarse("MOTOR_HOT")
        self._note_rotor("a larger pulley or a smaller gear ratio")

    def duty_for(self, force_n: float) -> float:
        """The duty that gives the force at rest."""
        return DEAD_ZONE_DUTY + (1.0 - DEAD_ZONE_DUTY) * force_n / float(self.stall_n)

    def _duties(self) -> None:
        lean_n = 1.3 * self.mass_kg * GRAVITY_M_S2 * math.tan(ARMING_RAD) + self.static_n
        wanted_n = max(lean_n, self.mass_kg * PUSH_M_S2 + self.coulomb_n)
        if self.duty_for(lean_n) > 0.95 or self.top_m_s < 0.3:
            raise UsageError(
                f"the motor is too weak or too slow for this cart: it pushes with {self.stall_n:.3g} N and reaches "
                f"{max(0.0, self.top_m_s):.2g} m/s; expected at least {lean_n / 0.95:.3g} N and 0.3 m/s; choose "
                "another motor or pulley, or a lighter cart"
            )
        self.action = min(1.0, rounded_up(self.duty_for(wanted_n), 0.05))
        self.moving = rounded_up(2.0 * self.duty_for(self.static_n), 0.01)
        if self.moving > HOMING_MOST_DUTY - 0.05:
            raise UsageError(
                f"friction takes a duty of {0.5 * self.moving:.2g} to overcome, expected at most "
                f"{0.5 * HOMING_MOST_DUTY - 0.025:g}, so that homing at {HOMING_MOST_DUTY:g} moves the cart; "
                "choose a stronger motor or a smaller pulley"
            )

    def _limits(self) -> None:
        self.fastest_m_s = min(self.top_m_s, math.sqrt(2.0 * self.stall_n / self.mass_kg * self.answers["track_m"]))
        deceleration = self.top_m_s**2 / (2.0 * self._braking_m(self.top_m_s))
        speeds = [self.fastest_m_s * step / _SPEEDS for step in range(1, _SPEEDS + 1)]
        short_m = max(self._braking_m(v) - v * v / (2.0 * deceleration) for v in speeds)
        late_m = self.fastest_m_s * (ESTIMATOR_LAG_S + TICK_S)
        margin_m = max(LEAST_MARGIN_M, rounded_up(1.25 * (max(0.0, short_m) + late_m), 0.005))
        self._end_of_track(margin_m, self.fastest_m_s, "a slower gear")

    def _encoders(self) -> None:
        a = self.answers
        place = a["cart_encoder_on"]
        self.wheel_m = a["encoder_wheel_radius_mm"] / 1000.0 if place == "wheel" else self.radius_m
        self.encoder_gear = self.gear if place == "motor" else 1.0
        turn_m = 2.0 * math.pi * self.wheel_m
        self.counts_per_m = a["cart_encoder_counts_per_turn"] * self.encoder_gear / turn_m
        if self.counts_per_m < _FEW_COUNTS_PER_M:
            self.notes.append(
                f"the cart's encoder gives {self.counts_per_m:.0f} counts/m, and below {_FEW_COUNTS_PER_M} the "
                "firmware may take a balancing cart for a stuck one (CART_STUCK): choose a finer encoder"
            )
        edges = self.top_m_s * self.counts_per_m + _POLE_TURNS_PER_S * a["pole_encoder_counts_per_turn"]
        too_many = f"at full speed the encoders give {edges:.0f} edges a second"
        if edges > _MOST_EDGES_PER_S:
            raise UsageError(f"{too_many}, expected at most {_MOST_EDGES_PER_S}; choose a coarser encoder")
        if edges > _EDGES_PER_S:
            self.notes.append(f"{too_many}, and the firmware is made for {_EDGES_PER_S}: choose a coarser encoder")

    def _homing(self) -> None:
        """The push of homing swings the pole visibly, and homing's speed ends within what POLARITY leaves."""
        needed_rad = 1.3 * self._swing_needed_rad()
        self.homing = round(min(HOMING_MOST_DUTY, self.moving + 0.1), 2)
        while self.homing < HOMING_MOST_DUTY and self.swing_rad(self.homing) < needed_rad:
            self.homing = min(HOMING_MOST_DUTY, rounded_up(self.homing + 0.01, 0.05))
        if (swing_rad := self.swing_rad(self.homing)) < needed_rad:
            self.notes.append(
                f"homing's push at duty {self.homing:g} swings the pole by {math.degrees(swing_rad):.2g} degrees, and "
                f"{math.degrees(needed_rad):.2g} are wanted to see its period against its hinge's assumed friction: "
                "homing may end in POLE_STUCK or POLE_PERIOD; choose a heavier pole, or a lighter cart or rotor"
            )
        creeping_n = self.stall_n * (self.homing - DEAD_ZONE_DUTY) / (1.0 - DEAD_ZONE_DUTY) - self.coulomb_n
        most_m_s = min(0.6 * creeping_n / self.damping, _MOST_HOMING_COUNTS_S / self.counts_per_m)
        self.homing_m_s = min(_HOMING_M_S, math.floor(100.0 * most_m_s) / 100.0)
        while self.homing_m_s > 0.03 and self._braking_m(self.homing_m_s) > 0.5 * self.travel_m / POLARITY_SHARE:
            self.homing_m_s = round(self.homing_m_s - 0.01, 2)

    def _braking_m(self, speed_m_s: float) -> float:
        return braking_distance_m(
            mass_kg=self.mass_kg, damping_n_s_m=self.damping, dry_n=self.coulomb_n, speed_m_s=speed_m_s
        )

    def _swing_needed_rad(self) -> float:
        """The first swing that five half swings later, braked by the hinge's friction, still is five counts wide."""
        count_rad = 2.0 * math.pi / self.answers["pole_encoder_counts_per_turn"]
        return float((SWING_COUNTS + 1) * count_rad) + 2.0 * SWING_CROSSINGS * self.held_rad

    def swing_rad(self, duty: float) -> float:
        """How far homing's push with `duty` swings the hanging pole, a rod without friction, once the cart stands."""
        force_n = self.stall_n * (duty - DEAD_ZONE_DUTY) / (1.0 - DEAD_ZONE_DUTY)
        length_m = float(self.answers["pole_length_m"]) * 2.0 / 3.0  # of the pendulum that swings like the rod
        omega = math.sqrt(GRAVITY_M_S2 / length_m)
        speed, angle, rate = 0.0, 0.0, 0.0
        for step in range(_KICK_STEPS * 5):
            push_n = (force_n if step < _KICK_STEPS else 0.0) - self.damping * speed
            push_n -= math.copysign(self.coulomb_n, speed) if speed else min(self.coulomb_n, max(push_n, 0.0))
            change = max(push_n / self.mass_kg * TICK_S, -speed)  # it stops, and does not turn back
            speed += change
            rate -= change / length_m + omega**2 * angle * TICK_S
            angle += rate * TICK_S
        return math.hypot(angle, rate / omega)


_MOTOR_NUMBERS = (
    *("stall_torque_n_m", "no_load_speed_rpm", "stall_current_a", "no_load_current_a", "rated_voltage_v"),
    *("gear_ratio", "rotor_inertia_kg_m2"),
)
