"""The swing-up controller: pumps the hanging pole upright, catches it, and balances it. NumPy alone."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.lqr import Lqr, LqrController, Matrix
from cartpole_robot.policy.pole_estimate import PoleEstimate
from cartpole_robot.policy.swing_model import SwingModel
from cartpole_robot.policy.swing_plan import PlanWeights, SwingPlanner, Track
from cartpole_robot.signals import State, wrap_angle_rad
from firmware_bridge.constants import ESTIMATOR_LAG_S

HEAT_TIME_S = 16.384
_PLAN_S = 0.02


class Phase(enum.StrEnum):
    """What the controller is doing."""

    PUMP = "pump"
    CATCH = "catch"
    BALANCE = "balance"


@dataclass(frozen=True, kw_only=True)
class SwingUpDesign:
    """The regulator that catches, and where: z·catch_cost z <= 1, with z the four signals and the past drives."""

    lqr: Lqr
    catch_cost: Matrix


def friction_drive(cart: CartParams) -> float:
    """The drive that makes up for most of the cart's dry friction while it moves."""
    return 0.7 * cart.friction.cart_coulomb_n / cart.motor.stall_force_n


def track_of(cart: CartParams) -> Track:
    limits, firmware = cart.limits, cart.firmware
    if math.isinf(cart.terminal_speed_m_s):
        brake = cart.motor.stall_force_n / cart.pole_cart.mass_kg
    else:
        brake = braking_deceleration_m_s2(cart)
    position_m = 0.95 * limits.cart_position_m
    stop_m = position_m if firmware is None else min(limits.cart_position_m, 0.95 * firmware.travel_limit_m)
    most_m = limits.cart_position_m if firmware is None else min(limits.cart_position_m, firmware.travel_limit_m)
    return Track(position_m=position_m, stop_m=stop_m, most_m=most_m, brake_m_s2=brake)


class SwingUpController:
    """Implements `cartpole_robot.policy.controllers.Controller`."""

    def __init__(self, cart: CartParams, design: SwingUpDesign, weights: PlanWeights | None = None) -> None:
        self._cart, self._design = cart, design
        self._motor = cart.commanded_motor
        self._lqr = LqrController(design.lqr, self._motor)
        self._model = SwingModel(cart)
        self._friction = friction_drive(cart)
        self._track = track_of(cart)
        self._period_s = cart.timing.control_period_s
        self._held = max(1, round(_PLAN_S / self._period_s))
        self._planner = SwingPlanner(
            self._model, self._track, design.catch_cost[:4, :4], step_s=self._held * self._period_s, weights=weights
        )
        self._lag_s = ESTIMATOR_LAG_S if cart.encoders is not None else 0.0
        self._pole = PoleEstimate(cart, self._lag_s)
        late_s = cart.mean_delay_s + cart.motor.lag_s
        # What is in force between a measurement and the effect of its command: (steps ago, duration), oldest first
        count = math.ceil(late_s / self._period_s - 1e-9)
        ends = [min(late_s, late_s - (j - 1) * self._period_s) for j in range(count, 0, -1)]
        begins = [0.0, *ends[:-1]]
        self._pieces = [(j, e - b) for j, b, e in zip(range(count, 0, -1), begins, ends, strict=True)]
        self._before = int(late_s / self._period_s + 1e-9) + 1
        self._keep_heat = math.exp(-self._period_s / HEAT_TIME_S)
        self._heat = 0.0
        self.reset()

    def reset(self) -> None:
        self.phase = Phase.PUMP
        self._drives = [0.0] * (max(self._before, len(self._pieces), len(self._design.lqr.duty_gain)) + 1)
        self._planner.reset()
        self._lqr.reset()
        self._pole.reset()
        self._model.stretch_pole(1.0)
        self._until_plan = 0
        self.catches = 0

    def duty(self, observation: NDArray[Any]) -> float:
        x, v, angle, rate = (float(part) for part in observation)
        seen = State(x, v, wrap_angle_rad(angle), rate)
        self._pole.update(seen)
        self._choose_phase(seen)
        if self.phase is Phase.PUMP:
            duty = self._pumped(seen)
            self._lqr.remember(duty)
        else:
            duty = self._balanced(seen)
        self._drives.insert(0, self._motor.level(duty))
        self._drives.pop()
        bridge = self._cart.bridge_duty(duty)
        self._heat = self._keep_heat * self._heat + (1.0 - self._keep_heat) * bridge * bridge
        return duty

    def _balanced(self, seen: State) -> float:
        duty = self._lqr.duty(np.array(seen))
        if self._friction and duty:
            drive = self._motor.level(duty) + self._friction * math.tanh(seen.cart_speed_m_s / 0.05)
            duty = max(-1.0, min(1.0, self._motor.duty_for(drive)))
        return duty

    def catch_level(self, seen: State) -> float:
        """z·catch_cost z: at most 1 where the regulator takes over."""
        z = np.array((*seen, *self._drives[: len(self._design.lqr.duty_gain)]))
        return float(z @ self._design.catch_cost @ z)

    def _choose_phase(self, seen: State) -> None:
        if self.phase is Phase.PUMP:
            if abs(seen.pole_angle_rad) < 0.6 and self.catch_level(seen) <= 1.0:
                self.phase = Phase.CATCH
                self.catches += 1
            return
        if abs(seen.pole_angle_rad) > 0.7:
            self.phase = Phase.PUMP
            self._until_plan = 0

    def predicted(self, seen: State) -> State:
        """The state when the next command takes effect."""
        before = self._drives[self._before - 1]
        cart, pole = self._model.accelerations(seen, before)
        state = State(seen[0], seen[1] + self._lag_s * cart, seen[2], seen[3] + self._lag_s * pole)
        for steps_ago, duration_s in self._pieces:
            state = self._model.after(state, self._drives[steps_ago - 1], duration_s)
        return state

    def most_duty(self) -> float:
        firmware = self._cart.firmware
        if firmware is None:
            return 1.0
        most = firmware.continuous_duty
        return most + (1.0 - most) * max(0.0, 1.0 - self._heat / (0.8 * most * most))

    def _pumped(self, seen: State) -> float:
        state = self.predicted(seen)
        if self._until_plan <= 0:
            self._model.stretch_pole(self._pole.scale)
            most = self.most_duty()
            bounds = (-self._motor.level(-most), self._motor.level(most))
            self._drive = self._planner.drive(state, bounds)
            self._until_plan = self._held
        self._until_plan -= 1
        return self._duty(self._stoppable(state, self._drive), state)

    def _stoppable(self, state: State, drive: float) -> float:
        """`drive`, or as much less as leaves the cart able to stop on its track one step later."""
        most = self.most_duty()
        back = self._motor.level(math.copysign(most, -state.cart_speed_m_s))
        for choice in (drive, 0.5 * drive, 0.0, 0.5 * back):
            after = self._model.after(state, choice, self._period_s)
            if self._stops(after):
                return choice
        return back

    def _stops(self, state: State) -> bool:
        x, v = state.cart_position_m, state.cart_speed_m_s
        track = self._track
        return abs(x + v * (abs(v) / (2.0 * track.brake_m_s2))) <= track.stop_m and abs(x + v * self._period_s) <= track.position_m

    def _duty(self, drive: float, state: State) -> float:
        if abs(drive) < 1e-3:
            if self._motor.brakes_at_zero or self._motor.back_emf_n_s_m == 0.0:
                return 0.0
            drive = math.copysign(1e-3, -state.cart_speed_m_s)
        return max(-1.0, min(1.0, self._motor.duty_for(drive)))
