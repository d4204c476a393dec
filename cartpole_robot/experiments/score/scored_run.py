"""One run of a score: a driver on a disturbed cart, under the rules of the firmware."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartpole_robot import swing_up_task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.experiments.score.disturbed_cart import DisturbedCart
from cartpole_robot.experiments.score.drivers import Driver
from cartpole_robot.experiments.score.parts import Trial
from cartpole_robot.experiments.score.ranges import ScoreRanges
from cartpole_robot.rollout.drive_limits import DriveLimits
from cartpole_robot.signals import wrap_angle_rad

FELL, PAST_LIMIT, DIVERGED = "POLE_ANGLE", "PAST_LIMIT", "DIVERGED"
_STILL_S, _STILL_M = 0.1, 1e-4  # as `rigs.lockstep_rig` waits for a coasting cart,
_COASTING_S = 10.0  # and so long at most: a swinging pole may move one with little dry friction for a minute
_FAR_SHARE, _NEAR_SHARE = 0.8, 0.1  # of the limit: beyond the first a cart is driven back to within the second
_COOLING_S = 40.0  # with the motor off, after MOTOR_HOT, as `rigs.swing_start` waits
_BACK_DUTY, _BACK_M_S = 0.25, 0.15  # of a cart whose file has no homing


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """What a run showed. `up_s` is when the pole came up to stay up to the end, infinite if it was not up at the end.

    `is_at_goal`: the last state is near upright and slow, the motor on. `stops` are the reasons for which the motor was
    switched off.
    """

    up_share: float
    up_s: float
    longest_s: float
    is_at_goal: bool
    stops: tuple[str, ...]


def scored_run(driver: Driver, cart: CartParams, trial: Trial, ranges: ScoreRanges) -> RunFigures:
    """Drive for the trial's duration. Where the firmware of `cart` would stop the motor, it is off until the cart is at
    rest, a cart far out is driven back, and the driver swings up again. Raises `UsageError`.
    """
    disturbed = DisturbedCart(trial.plant, trial.disturbance, step_s=ranges.varied.step_s, seed=trial.seed)
    period_s = cart.timing.control_period_s
    rules, height = _Rules(cart, driver), ranges.success.height_share
    driver.rest(math.inf)
    steps = round(trial.duration_s / period_s)
    up = longest = run = 0
    observation = disturbed.place(trial.start)
    rules.begin(disturbed.measurement.cart_position_m)
    measured = disturbed.measurement
    try:
        for _ in range(steps):
            duty = driver.duty(observation) if rules.is_on else rules.duty(measured.cart_position_m)
            observation = disturbed.step(duty)
            rules.observe(disturbed)
            run = run + 1 if math.cos(measured.pole_angle_rad) >= height else 0
            up += run > 0
            longest = max(longest, run)
    except ArithmeticError:
        return RunFigures(up_share=0.0, up_s=math.inf, longest_s=0.0, is_at_goal=False, stops=(DIVERGED,))
    success = ranges.success
    is_at_goal = (
        rules.is_on
        and abs(wrap_angle_rad(measured.pole_angle_rad)) < success.final_angle_rad
        and abs(measured.pole_speed_rad_s) < success.final_speed_rad_s
    )
    return RunFigures(
        up_share=up / steps,
        up_s=(steps - run) * period_s if run else math.inf,
        longest_s=longest * period_s,
        is_at_goal=is_at_goal,
        stops=tuple(rules.stops),
    )


class _Rules:
    """Whether the motor is on, and what brings a cart back after it was not."""

    def __init__(self, cart: CartParams, driver: Driver) -> None:
        self._cart, self._driver, self._limits = cart, driver, DriveLimits(cart)
        self._period_s = cart.timing.control_period_s
        firmware = cart.firmware
        self._back_duty = _BACK_DUTY if firmware is None else firmware.homing_duty
        self._back_m_s = _BACK_M_S if firmware is None else firmware.homing_speed_m_s
        self.stops: list[str] = []
        self.is_on = self._is_driven_back = False
        self._off_s = self._still_s = self._least_s = self._squares = 0.0
        self._before_m = self._speed_m_s = 0.0

    def begin(self, position_m: float) -> None:
        """The motor is cool, and on."""
        self._limits.begin(position_m)
        self._switch_on()

    def _switch_on(self) -> None:
        self.is_on = True
        self._swing_up = swing_up_task.SwingUp(self._cart)
        self._driver.begin()

    def observe(self, disturbed: DisturbedCart) -> None:
        """Take the measurement after one more step, and switch the motor off or on."""
        measured = disturbed.measurement
        position_m, speed_m_s = measured.cart_position_m, measured.cart_speed_m_s
        if self.is_on:
            reason = self._limits.passed(position_m, speed_m_s, measured.pole_angle_rad, disturbed.commanded_duty)
            if reason is None and self._swing_up.has_fallen(measured.pole_angle_rad):
                reason = FELL
            if reason is None and abs(position_m) > self._cart.limits.cart_position_m:
                reason = PAST_LIMIT
            if reason is not None:
                self._switch_off(reason, position_m)
            return
        self._off_s += self._period_s
        self._squares += disturbed.commanded_duty**2
        self._still_s = self._still_s + self._period_s if abs(position_m - self._before_m) < _STILL_M else 0.0
        self._before_m, self._speed_m_s = position_m, speed_m_s
        limit_m = self._cart.limits.cart_position_m
        is_at_rest = self._still_s >= _STILL_S - 1e-9 or self._off_s >= _COASTING_S
        if abs(position_m) > _FAR_SHARE * limit_m and is_at_rest:
            self._is_driven_back = True
        elif abs(position_m) < _NEAR_SHARE * limit_m:
            self._is_driven_back = False
        if is_at_rest and self._off_s >= self._least_s and not self._is_driven_back:
            mean = self._squares * self._period_s / self._off_s
            self._driver.rest(self._off_s, mean)
            self._limits.resume(position_m, self._off_s, mean)
            self._switch_on()

    def _switch_off(self, reason: str, position_m: float) -> None:
        self.stops.append(reason)
        self.is_on = self._is_driven_back = False
        self._off_s = self._still_s = self._squares = self._speed_m_s = 0.0
        self._before_m = position_m
        self._least_s = _COOLING_S if reason == "MOTOR_HOT" else 0.0

    def duty(self, position_m: float) -> float:
        """The duty while the driver rests: none, or slowly back to the middle."""
        if not self._is_driven_back or -math.copysign(self._speed_m_s, position_m * self._speed_m_s) >= self._back_m_s:
            return 0.0
        return -math.copysign(self._back_duty, position_m)
