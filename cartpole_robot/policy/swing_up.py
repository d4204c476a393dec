"""The swing-up controller: pumps the hanging pole upright, catches it, and balances it. NumPy alone.

Everything is computed from the cart's parameters. While it pumps, a planner chooses the drive by short predictions; a
layer behind it replaces a drive after which the cart could no longer stop on its track. The regulator takes over in
the region that `swing_up_design` has verified. The pole's length is estimated while it swings, because the energy it
needs depends on it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import ObservationScale, StartSpread
from cartpole_robot.policy.lqr import Lqr, LqrController, Matrix
from cartpole_robot.policy.pole_estimate import PoleEstimate
from cartpole_robot.policy.still_pole import StillPole
from cartpole_robot.policy.swing_model import SwingModel
from cartpole_robot.policy.swing_plan import SwingPlanner
from cartpole_robot.policy.track import track_of
from cartpole_robot.signals import State, wrap_angle_rad
from firmware_bridge.constants import ESTIMATOR_LAG_S

HEAT_TIME_S = 16.384  # of the firmware's mean of duty², 2^14 ms
SETTLED_STEPS = 10
_PLAN_S = 0.02
_LOST_RAD = 0.7  # twice the angle of any catch: the regulator keeps the pole until it has clearly failed
_NO_DRIVE = 1e-3
_RUBBING_M_S = 0.05
_NUDGE_S = 0.06  # a pole that stands so still that its encoder seems torn off is set in motion by a push of that length
_NUDGED_RAD_S = 0.5
_LEAST_NUDGE, _MOST_NUDGE = 0.3, 0.6  # of the motor's force
_SPEED_SHARE = 0.2  # of its scale, up to which a speed counts as still: one count alone can read as as much


class Phase(enum.StrEnum):
    """What the controller is doing."""

    PUMP = "pump"
    CATCH = "catch"  # the regulator has the pole
    BALANCE = "balance"  # and has settled it in the start spread


@dataclass(frozen=True, kw_only=True)
class SwingUpDesign:
    """The regulator that catches, and where: z·catch_cost z <= 1, with z the four signals and the past drives."""

    lqr: Lqr
    catch_cost: Matrix


def friction_drive(cart: CartParams) -> float:
    """The drive that makes up for most of the cart's dry friction while it moves; all of it would chatter."""
    drive = drive_model(cart)
    return 0.7 * drive.dry_n / drive.full_force_n


def nudge_drive(cart: CartParams) -> float:
    """The drive that within `_NUDGE_S` gives the pole a speed at which its encoder soon counts."""
    body, model = cart.pole_cart, drive_model(cart)
    speed_m_s = _NUDGED_RAD_S * body.hinge_inertia_kg_m2 / body.coupling_kg_m
    drive = speed_m_s * model.mass_kg / (_NUDGE_S * model.full_force_n)
    return min(_MOST_NUDGE, max(_LEAST_NUDGE, drive))


def is_within(observation: NDArray[Any] | State, spread: StartSpread, scale: ObservationScale) -> bool:
    """Whether an observation (4,) lies in `spread`; speeds count as still up to a fifth of their `scale`."""
    x, v, angle, rate = (float(part) for part in observation)
    return (
        abs(x) <= spread.cart_position_m
        and abs(v) <= max(spread.cart_speed_m_s, _SPEED_SHARE * scale.cart_speed_m_s)
        and abs(wrap_angle_rad(angle)) <= spread.pole_angle_rad
        and abs(rate) <= max(spread.pole_speed_rad_s, _SPEED_SHARE * scale.pole_speed_rad_s)
    )


class SwingUpController:
    """Maps observations to duties; `reset` it before each swing-up. Implements `policy.controllers.Controller`.

    `phase` is the current phase, `catches` counts the attempts to catch the pole. `reset` keeps the motor's heat,
    because swing-ups in a row heat it further; call `rest` for time with the motor off.
    """

    def __init__(self, cart: CartParams, design: SwingUpDesign) -> None:
        self._cart, self._design, self._motor = cart, design, cart.commanded_motor
        self._lqr = LqrController(design.lqr, self._motor)
        self._model, self._track, self._friction = SwingModel(cart), track_of(cart), friction_drive(cart)
        self._period_s = cart.timing.control_period_s
        self._held = max(1, round(_PLAN_S / self._period_s))
        self._planner = SwingPlanner(
            self._model, self._track, design.catch_cost[:4, :4], step_s=self._held * self._period_s
        )
        self._lag_s = ESTIMATOR_LAG_S if cart.encoders is not None else 0.0
        self._ahead_s = 0.0 if cart.stepper is None else cart.stepper.counts_ahead_s
        self._pole = PoleEstimate(cart, self._lag_s)
        self._pieces, self._before = _on_the_way(cart.mean_delay_s + cart.motor.lag_s, self._period_s)
        self._still, self._nudge = StillPole(cart), nudge_drive(cart)
        self._keep_heat = math.exp(-self._period_s / HEAT_TIME_S)
        self._heat = 0.0
        self.reset()

    def reset(self) -> None:
        self.phase, self.catches = Phase.PUMP, 0
        self._drives = [0.0] * max(self._before, len(self._pieces), len(self._design.lqr.duty_gain))
        self._planner.reset()
        self._lqr.reset()
        self._pole.reset()
        self._still.reset()
        self._nudge_steps, self._nudged = 0, 0.0
        self._until_plan, self._drive = 0, 0.0
        self._seen: deque[State] = deque(maxlen=SETTLED_STEPS)

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        """Update the heat for a time with the motor off, or driven elsewhere with that mean of duty²."""
        kept = math.exp(-duration_s / HEAT_TIME_S)
        self._heat = kept * self._heat + (1.0 - kept) * duty_square

    def is_settled(self, spread: StartSpread | None = None) -> bool:
        """Whether the newest ten observations lie in `spread`, by default the cart's start spread."""
        within, scale = spread or self._cart.start, self._cart.observation_scale
        return len(self._seen) == SETTLED_STEPS and all(is_within(seen, within, scale) for seen in self._seen)

    @property
    def pole_scale(self) -> float:
        """The pole's length, estimated from its swings, as a multiple of the length in the cart's parameters."""
        return self._pole.scale

    def numbers(self) -> dict[str, float]:
        """What the twin in C (`page/native/swing_up.c`) takes, besides the design and the arrays of `arrays`."""
        firmware = self._cart.firmware
        motor, compensates = self._cart.motor, self._cart.compensates_dead_zone
        return {
            **self._planner.numbers(),
            **self._pole.numbers(),
            **self._still.numbers(),
            "saturation": self._motor.saturation,
            "left_bridge_dead_zone": motor.left_dead_zone_duty if compensates else 0.0,
            "right_bridge_dead_zone": motor.right_dead_zone_duty if compensates else 0.0,
            "brakes": float(self._motor.brakes_at_zero or self._motor.back_emf_n_s_m == 0.0),
            "period_s": self._period_s,
            "held": self._held,
            "lag_s": self._lag_s,
            "ahead_s": self._ahead_s,
            "friction": self._friction,
            "nudge": self._nudge,
            "bearable": 1.0 if firmware is None else firmware.continuous_duty,
            "keep_heat": self._keep_heat,
            "before": self._before,
            "pieces": len(self._pieces),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that the twin in C takes, by name."""
        variants = self._planner.variants()
        return {
            "state_gain": self._design.lqr.state_gain,
            "duty_gain": self._design.lqr.duty_gain,
            "catch_cost": self._design.catch_cost,
            "plan_catch_cost": self._design.catch_cost[:4, :4],
            "start": np.array(self._cart.start.as_tuple()),
            "scale": np.array(self._cart.observation_scale.as_tuple()),
            "piece_age": np.array([age for age, _ in self._pieces], np.float64),
            "piece_s": np.array([duration_s for _, duration_s in self._pieces], np.float64),
            **{field.name: getattr(variants, field.name) for field in dataclasses.fields(variants)},
        }

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units, the angle in any turn."""
        x, v, angle, rate = (float(part) for part in observation)
        seen = State(x, v, wrap_angle_rad(angle), rate)
        self._seen.append(seen)
        self._pole.update(seen)
        self._choose_phase(seen)
        self._look_at_pole(seen)
        if self.phase is Phase.PUMP:
            duty = self._pumped(self.predicted(seen))
            self._lqr.remember(duty)
        else:
            duty = self._balanced(seen)
        self._drives.insert(0, self._motor.level(duty))
        self._drives.pop()
        at_bridge = self._cart.bridge_duty(duty)
        self._heat = self._keep_heat * self._heat + (1.0 - self._keep_heat) * at_bridge * at_bridge
        return duty

    def _choose_phase(self, seen: State) -> None:
        if self.phase is Phase.PUMP:
            z = np.array((*seen, *self._drives[: len(self._design.lqr.duty_gain)]))
            if abs(seen.pole_angle_rad) < _LOST_RAD and float(z @ self._design.catch_cost @ z) <= 1.0:
                self.phase = Phase.CATCH
                self.catches += 1
        elif abs(seen.pole_angle_rad) > _LOST_RAD:
            self.phase = Phase.PUMP
            self._until_plan = 0
            self._planner.reset()
        elif self.phase is Phase.CATCH and self.is_settled():
            self.phase = Phase.BALANCE

    def _look_at_pole(self, seen: State) -> None:
        """Begin to nudge a pole that stands too still while the cart travels: against the way the cart goes."""
        self._nudge_steps -= 1
        if self._still.passes_for_torn(seen.cart_position_m, seen.pole_angle_rad):
            self._nudge_steps = math.ceil(_NUDGE_S / self._period_s)
            self._nudged = -math.copysign(self._nudge, seen.cart_speed_m_s)

    def _balanced(self, seen: State) -> float:
        """The regulator's duty, and what dry friction takes of it; and a nudge where the pole stands too still."""
        duty = self._lqr.duty(np.array(seen))
        drive = self._motor.level(duty)
        if self._friction and duty:
            drive += self._friction * math.tanh(seen.cart_speed_m_s / _RUBBING_M_S)
        if self._nudge_steps > 0:
            nudged = self._duty(max(-1.0, min(1.0, drive + self._nudged)), seen)
            self._lqr.sent(nudged)
            return nudged
        return self._duty(drive, seen) if self._friction and duty else duty

    def predicted(self, seen: State) -> State:
        """The state when the next command takes effect: by the model, under the commands on their way.

        Speeds are first brought to the moment of the positions, which lag less. A stepper's cart is not yet where its
        pulses are counted, and what is estimated of their speed is about the cart's by now.
        """
        cart, pole = self._model.accelerations(seen, self._drives[self._before - 1])
        x, v, angle, rate = seen
        state = State(x - self._ahead_s * v, v + (self._lag_s - self._ahead_s) * cart, angle, rate + self._lag_s * pole)
        for steps_ago, duration_s in self._pieces:
            state = self._model.after(state, self._drives[steps_ago - 1], duration_s)
        return state

    def most_duty(self) -> float:
        """The largest duty: all while the motor is cool, and what it bears for ever when it has become warm."""
        firmware = self._cart.firmware
        if firmware is None:
            return 1.0
        bearable = firmware.continuous_duty
        return bearable + (1.0 - bearable) * max(0.0, 1.0 - self._heat / (0.8 * bearable * bearable))

    def _pumped(self, state: State) -> float:
        most = self.most_duty()
        if self._until_plan <= 0:
            self._until_plan = self._held
            self._model.stretch_pole(self._pole.scale)
            self._drive = self._planner.drive(state, (-self._motor.level(-most), self._motor.level(most)))
        self._until_plan -= 1
        drive = self._drive
        if self._nudge_steps > 0 and abs(drive) < self._nudge:
            drive = self._nudged
        return self._duty(self._stoppable(state, drive, most), state)

    def _stoppable(self, state: State, drive: float, most: float) -> float:
        """`drive`, or else the next that leaves the cart able to stop on its track one step later."""
        least = math.inf
        chosen = drive
        for choice in (
            drive,
            0.5 * drive,
            0.0,
            *(share * self._motor.level(d) for share in (0.5, 1.0) for d in (-most, most)),
        ):
            past = self._track.past_m(self._model.after(state, choice, self._period_s))
            if past <= 0.0:
                return choice
            if past < least:
                least, chosen = past, choice
        return chosen

    def _duty(self, drive: float, state: State) -> float:
        """The duty for `drive`; no drive brakes also where the bridge would coast at duty 0."""
        if abs(drive) < _NO_DRIVE:
            if self._motor.brakes_at_zero or self._motor.back_emf_n_s_m == 0.0:
                return 0.0
            drive = math.copysign(_NO_DRIVE, -state.cart_speed_m_s)
        return max(-1.0, min(1.0, self._motor.duty_for(drive)))


def _on_the_way(late_s: float, period_s: float) -> tuple[list[tuple[int, float]], int]:
    """The commands in force from a measurement to the effect of its own, oldest first, as (steps ago, duration).

    The second is how many steps ago the command was sent that is in force just before the measurement.
    """
    count = math.ceil(late_s / period_s - 1e-9)
    ends = [late_s - (age - 1) * period_s for age in range(count, 0, -1)]
    begins = [0.0, *ends][:count]
    pieces = [(age, end - begin) for age, begin, end in zip(range(count, 0, -1), begins, ends, strict=True)]
    return pieces, int(late_s / period_s + 1e-9) + 1
