"""A belt with play between the motor, whose encoder the board reads, and the cart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartpole_robot.cart.parts import Motor
from cartpole_robot.files.records import require, require_not_negative, require_positive
from firmware_bridge.constants import TICK_S


@dataclass(frozen=True, kw_only=True)
class Belt:
    """Play of `play_m` from end to end, between the cart and the rotor with its gear: `rotor_kg`, seen at the belt."""

    play_m: float = 0.0
    rotor_kg: float = 0.3

    def __post_init__(self) -> None:
        require_not_negative(self, "play_m")
        require_positive(self, "rotor_kg")
        require(self.play_m <= 0.1, f"play_m = {self.play_m:g}, expected at most 0.1 m")


class SlackBelt:
    """Where the rotor is within the play, a millisecond at a time: `before` and `after` each physics step.

    On one side of the play, the belt carries F - m a, the motor's force F less what accelerates the rotor m. When that
    would push instead of pull, the rotor leaves: it obeys m dw/dt = F(w) alone, w being its speed, and the cart gets no
    force. On the other side it meets the cart without bouncing and hands over m (w - v); the motor pays this momentum
    as fast as its stall force allows. In the play the cart keeps the mass of the rotor, which its equation of motion
    includes: an approximation, as are a rotor without friction of its own and without the motor's lag.
    """

    def __init__(self, belt: Belt, motor: Motor) -> None:
        self._half_m = belt.play_m / 2.0
        self._rotor_kg = belt.rotor_kg
        self._motor = motor
        self.offset_m = 0.0  # of the rotor, whose encoder counts, from the cart
        self._is_free = False
        self._duty: float | None = None
        self._rotor_m_s = self._cart_m_s = 0.0
        self._debt_n_s = 0.0  # momentum of the rotor that the cart has not received yet

    def before(self, duty: float | None, speed_m_s: float) -> float | None:
        """The duty that gives the cart the belt's force over the next millisecond; None: no force at all."""
        if self._half_m == 0.0:
            return duty
        self._cart_m_s = speed_m_s
        self._duty = duty
        if self._is_free:
            push_n, damping_n_s_m = self._motor_push()
            step = TICK_S / self._rotor_kg
            self._rotor_m_s = (self._rotor_m_s + step * push_n) / (1.0 + step * damping_n_s_m)
            return None
        if self._debt_n_s == 0.0:
            return duty
        stall_n = self._motor.stall_force_n
        level = 0.0 if duty is None else self._motor.level(duty)
        wanted = level + self._debt_n_s / (TICK_S * stall_n)
        given = math.copysign(min(1.0, abs(wanted)), wanted)
        self._debt_n_s -= (given - level) * TICK_S * stall_n
        if abs(self._debt_n_s) < 1e-9:
            self._debt_n_s = 0.0
        return self._motor.duty_for(given)

    def after(self, speed_m_s: float) -> None:
        """The cart has that speed now."""
        if self._half_m == 0.0:
            return
        if self._is_free:
            self.offset_m += (self._rotor_m_s - speed_m_s) * TICK_S
            if abs(self.offset_m) >= self._half_m:
                self.offset_m = math.copysign(self._half_m, self.offset_m)
                self._debt_n_s = self._rotor_kg * (self._rotor_m_s - speed_m_s)
                self._is_free = False
        elif self._debt_n_s == 0.0:
            acceleration = (speed_m_s - self._cart_m_s) / TICK_S
            push_n, damping_n_s_m = self._motor_push()
            carried_n = push_n - damping_n_s_m * speed_m_s - self._rotor_kg * acceleration
            if carried_n * self.offset_m < 0.0 or (self.offset_m == 0.0 and carried_n != 0.0):
                self._is_free = True
                self._rotor_m_s = speed_m_s

    def _motor_push(self) -> tuple[float, float]:
        """The motor's force at rest and its damping, under the duty in force."""
        motor, duty = self._motor, self._duty
        level = 0.0 if duty is None else motor.level(duty)
        if duty is None or (level == 0.0 and not motor.brakes_at_zero):
            return 0.0, 0.0
        return motor.stall_force_n * level, motor.back_emf_n_s_m
