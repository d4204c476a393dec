"""A belt with play between the motor, whose encoder the board reads, and the cart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartpole_robot.cart.parts import Motor
from cartpole_robot.files.records import require, require_not_negative, require_positive
from firmware_bridge.constants import TICK_S


@dataclass(frozen=True, kw_only=True)
class Belt:
    """Play of `play_m` from end to end, between the cart and the rotor with its gear.

    `rotor_share` of the cart's mass, as the cart file has it, is the rotor seen through the gear.
    """

    play_m: float = 0.0
    rotor_share: float = 0.46

    def __post_init__(self) -> None:
        require_not_negative(self, "play_m")
        require_positive(self, "rotor_share")
        require(self.play_m <= 0.1, f"play_m = {self.play_m:g}, expected at most 0.1 m")
        require(self.rotor_share < 1.0, f"rotor_share = {self.rotor_share:g}, expected less than 1, the whole cart")


class SlackBelt:
    """Where the rotor is within the play, a millisecond at a time: `before` and `after` each physics step.

    On one side of the play the belt carries F - m a: the motor's force F less what accelerates the rotor m. When that
    would push instead of pull, the rotor leaves. It obeys m dw/dt = F(w) alone, w being its speed, and the cart gets no
    force. On the other side it meets the cart without bouncing and hands over m (w - v), which the motor's force pays
    within the next milliseconds. In the play the cart keeps the mass of the rotor, which its equation of motion
    includes: an approximation, as are a rotor without friction of its own and without the motor's lag.
    """

    def __init__(self, belt: Belt, motor: Motor, cart_mass_kg: float) -> None:
        self._half_m = belt.play_m / 2.0
        self._rotor_kg = belt.rotor_share * cart_mass_kg
        self._cart_kg = cart_mass_kg
        self._motor = motor
        self.offset_m = 0.0  # of the rotor, whose encoder counts, from the cart
        self._is_free = False
        self._rotor_m_s = self._cart_m_s = self._acceleration = 0.0
        self._force_n = 0.0  # of the motor in the last millisecond
        self._debt_n_s = 0.0  # momentum of the rotor that the cart has not received yet

    def before(self, duty: float | None, speed_m_s: float) -> float | None:
        """The duty that gives the cart the belt's force over the next millisecond; None: no force at all."""
        if self._half_m == 0.0:
            return duty
        push_n, damping_n_s_m = self._push(duty)
        force_n = push_n - damping_n_s_m * speed_m_s
        if not self._is_free and self._debt_n_s == 0.0:
            acceleration = self._acceleration + (force_n - self._force_n) / self._cart_kg
            carried_n = force_n - self._rotor_kg * acceleration
            if carried_n * self.offset_m < 0.0 or (self.offset_m == 0.0 and carried_n != 0.0):
                self._is_free = True
                self._rotor_m_s = speed_m_s
        self._cart_m_s, self._force_n = speed_m_s, force_n
        if self._is_free:
            step = TICK_S / self._rotor_kg
            self._rotor_m_s = (self._rotor_m_s + step * push_n) / (1.0 + step * damping_n_s_m)
            return None
        if self._debt_n_s == 0.0:
            return duty
        stall_n = self._motor.stall_force_n
        wanted = push_n / stall_n + self._debt_n_s / (TICK_S * stall_n)
        given = math.copysign(min(1.0, abs(wanted)), wanted)
        paid_n = given * stall_n - push_n
        self._debt_n_s = 0.0 if given == wanted else self._debt_n_s - paid_n * TICK_S
        self._force_n += paid_n
        return self._motor.duty_for(given)

    def after(self, speed_m_s: float) -> None:
        """The cart has that speed now."""
        if self._half_m == 0.0:
            return
        self._acceleration = (speed_m_s - self._cart_m_s) / TICK_S
        if self._is_free:
            self.offset_m += (self._rotor_m_s - speed_m_s) * TICK_S
            if abs(self.offset_m) >= self._half_m:
                self.offset_m = math.copysign(self._half_m, self.offset_m)
                self._debt_n_s = self._rotor_kg * (self._rotor_m_s - speed_m_s)
                self._is_free = False

    def _push(self, duty: float | None) -> tuple[float, float]:
        """The motor's force at rest and its damping."""
        motor = self._motor
        level = 0.0 if duty is None else motor.level(duty)
        if duty is None or (level == 0.0 and not motor.brakes_at_zero):
            return 0.0, 0.0
        return motor.stall_force_n * level, motor.back_emf_n_s_m
