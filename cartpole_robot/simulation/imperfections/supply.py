"""A motor supply that sags under load and rises while the motor feeds back, and the 5 V rail that measures it."""

from __future__ import annotations

from dataclasses import dataclass

from cartpole_robot.cart.parts import Motor
from cartpole_robot.files.records import require, require_not_negative, require_positive
from firmware_bridge.constants import TICK_S

RAIL_V = 5.0  # what the firmware takes it for until it has measured it


@dataclass(frozen=True, kw_only=True)
class Supply:
    """A supply that gives current through `source_ohm` and takes none back, with a capacitor of `bulk_f` and a clamp.

    At duty d, speed v and voltage U the motor's current is i = (d U - E) / R. R is the nominal voltage over the stall
    current; the back-EMF E is the nominal voltage times back_emf_n_s_m * v / stall_force_n. The bridge draws d i. What
    it feeds back (d i < 0, when the duty falls faster than the speed) charges the capacitor:
    dU/dt = -(d i + idle_a) / bulk_f. The board's own `idle_a` discharges it again. Above `clamp_v` a clamp, such as a
    suppressor diode, takes (U - clamp_v) / clamp_ohm; there is none by default.
    """

    source_ohm: float = 0.0
    bulk_f: float = 1.0
    idle_a: float = 0.0
    clamp_v: float | None = None
    clamp_ohm: float = 0.1

    def __post_init__(self) -> None:
        require_not_negative(self, "source_ohm", "idle_a")
        require_positive(self, "bulk_f", "clamp_ohm")
        if self.clamp_v is not None:
            require_positive(self, "clamp_v")
        require(self.bulk_f >= 1e-4, f"bulk_f = {self.bulk_f:g}, expected at least 0.0001, a bridge module's own")


class MotorSupply:
    """The supply of a cart with that motor, a millisecond at a time."""

    def __init__(self, supply: Supply, motor: Motor) -> None:
        """Raises ValueError for a motor without voltage or stall current."""
        if motor.supply_voltage_v is None or motor.stall_current_a is None:
            raise ValueError(
                "the supply's current is unknown without motor.supply_voltage_v and motor.stall_current_a; "
                "add them to the cart file, or leave out [supply]"
            )
        self._supply = supply
        self._motor_ohm = motor.supply_voltage_v / motor.stall_current_a
        self._back_emf_v_s_m = motor.supply_voltage_v * motor.back_emf_n_s_m / motor.stall_force_n
        self._charged_v = 0.0
        self.motor_a = 0.0  # the current that was drawn last
        self.clamped_j = 0.0  # what the clamp has taken in all

    def voltage(self, source_v: float, duty: float | None, speed_m_s: float) -> float:
        """The voltage one millisecond later, at that voltage of the source without load; the duty is the motor's.

        With an open bridge (None) the motor draws nothing.
        """
        supply = self._supply
        now_v = max(source_v, self._charged_v)
        self.motor_a = 0.0
        drawn_a = supply.idle_a
        if duty is not None:
            self.motor_a = (duty * now_v - self._back_emf_v_s_m * speed_m_s) / self._motor_ohm
            drawn_a += duty * self.motor_a
        if drawn_a > 0.0 and self._charged_v <= source_v:
            self._charged_v = source_v
            return max(0.0, source_v - supply.source_ohm * drawn_a)
        self._charged_v = max(source_v, self._clamped(now_v - drawn_a * TICK_S / supply.bulk_f))
        return self._charged_v

    def _clamped(self, unclamped_v: float) -> float:
        """The capacitor's voltage after a millisecond with the clamp (by implicit Euler, as it is faster than that)."""
        supply = self._supply
        if supply.clamp_v is None or unclamped_v <= supply.clamp_v:
            return unclamped_v
        drained = TICK_S / (supply.clamp_ohm * supply.bulk_f)
        volts = (unclamped_v + drained * supply.clamp_v) / (1.0 + drained)
        self.clamped_j += volts * (volts - supply.clamp_v) / supply.clamp_ohm * TICK_S
        return volts


@dataclass(frozen=True, kw_only=True)
class Rail:
    """The chip's 5 V rail, against which it measures the supply: `rail_v` less `shared_ohm` per ampere in the motor.

    A supply of U reads U * 5 V / rail, as long as the firmware does not know the rail: the lower, the higher it reads.
    """

    rail_v: float = RAIL_V
    shared_ohm: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(self, "shared_ohm")
        require(2.7 <= self.rail_v <= 5.5, f"rail_v = {self.rail_v:g}, expected 2.7 (where the chip resets) to 5.5")

    def voltage(self, motor_a: float) -> float:
        """The rail while that current is in the motor, at least the 2.7 V at which the chip would reset."""
        return max(2.7, self.rail_v - self.shared_ohm * abs(motor_a))
