"""Episodes that start with a swing-up: a rig around any rig, whose `reset` needs no hand."""

from __future__ import annotations

import contextlib
import gc
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.rig import SwingRig
from cartpole_robot.signals import TIME_MASK, Measurement, State, wrap_angle_rad
from cartpole_robot.terminal.lines import say

ATTEMPTS = 3
ZERO_CHECK_EVERY = 20  # episodes
_TIMEOUT_S = 30.0  # of a cart without a firmware, whose file allows it none
_LONGEST_REST_S = 3600.0  # the cart's clock wraps a little later
_SETTLING_S = 10.0  # more, from upright to still
_RETRIED = frozenset(  # before the next one it homes where its zeros are lost: a torn wire does not survive that
    (
        *("SWING_TIMEOUT", "TRAVEL_LIMIT", "END_SWITCH", "POLE_ANGLE", "POLE_ZERO", "POLE_STILL"),
        *("COMMAND_TIMEOUT", "REVERSALS", "UNSETTLED", "MOTOR_HOT"),
    )
)
_RESTS_S = {  # with the motor off, before the next attempt
    "MOTOR_HOT": 40.0,  # the mean of duty² falls to a tenth
    "POLE_STILL": 8.0,  # the cart homes again, and the pole that fell must not pull it so hard that it is stuck
    "CART_STUCK": 8.0,
}
_PULLING_RAD_S = 2.0  # a pole that is faster pulls at its cart
_ADVICE = {
    "SUPPLY_HIGH": "a braking motor returns more than the capacitor takes: docs/hardware/building.md has a clamp "
    "for it",
    "SWING_TIMEOUT": "the pole may be blocked, the motor weaker or the friction higher than the cart file says",
    "TRAVEL_LIMIT": "the motor may be stronger, or its brake weaker, than the cart file says",
    "END_SWITCH": "the motor may be stronger, or its brake weaker, than the cart file says",
    "POLE_ANGLE": "the pole's length or the delay may differ from the cart file",
    "UNSETTLED": "the dead zone, the delay or the pole's length may differ from the cart file",
}


class SwingDriver(Protocol):
    """What drives a swing-up, such as `policy.swing_up.SwingUpController`."""

    def reset(self) -> None:
        """Begin a swing-up."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty for an observation (4,)."""

    def is_settled(self) -> bool:
        """Whether the newest observations lie in the cart's start spread."""

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        """The motor has been off for so long, or driven elsewhere with that mean of duty²."""


class SwingStart:
    """A rig that starts its episodes with a swing-up; implements `cartpole_robot.rig.Rig`.

    Everything but `reset` is the rig's own. `newest` describes the start of the newest episode; `cart_time_s` is how
    long the motor has been armed in all, `distance_m` how far the cart has travelled meanwhile. `on_stage` receives a
    line when an attempt begins and when the pole is up; the motor is armed meanwhile, so it must not wait.
    """

    def __init__(
        self,
        rig: SwingRig,
        driver: SwingDriver,
        *,
        attempts: int = ATTEMPTS,
        on_stage: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.rig, self._driver, self._attempts, self._on_stage = rig, driver, attempts, on_stage
        self.command, self.disarm = rig.command, rig.disarm
        self.cart_time_s = self.distance_m = 0.0
        self._position_m = 0.0
        self.newest: SwingUpRecord | None = None
        self._episodes = 0
        self._duty_squares = 0.0  # sum over the steps since the newest swing-up
        self._ended_us: int | None = None  # the cart's clock at its end
        cart = rig.cart
        self._period_s = cart.timing.control_period_s
        self._timeout_s = _TIMEOUT_S if cart.firmware is None else cart.firmware.swing_timeout_s
        self._upright_s = 0.0 if cart.firmware is None else cart.firmware.upright_s
        self._pole_limit_rad = cart.limits.pole_angle_rad if cart.firmware is None else cart.firmware.pole_limit_rad
        self._farthest_m = 0.0
        self._steps = self._turns = 0
        self._rig_step = rig.step

    @property
    def cart(self) -> CartParams:
        """The rig's."""
        return self.rig.cart

    @property
    def episode_cart(self) -> CartParams:
        """The rig's."""
        return self.rig.episode_cart

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of an episode: pole upright, cart still and inside the start spread, armed.

        Where in the spread is up to the swing-up: `start` has no effect. A swing-up that fails is reported and begun
        again, `attempts` times at most; a fault that another swing-up does not cure ends it at once. Raises `RigError`
        with the reason of each attempt, motor off.
        """
        failures: list[str] = []
        self._farthest_m = 0.0
        checks_zero = self._episodes % ZERO_CHECK_EVERY == 0
        self._episodes += 1
        while True:
            try:
                measurement = self.rig.begin_swing(rng, checks_zero=checks_zero and not failures)
                is_upright = self._is_upright(measurement)  # still, or held
                if not is_upright:
                    self._on_stage(f"swinging up, attempt {len(failures) + 1} of {self._attempts} ...")
                with _no_garbage_collection():  # which takes longer than a command may be late
                    duration_s = self.swing_from(measurement)
            except RigError as error:
                failures.append(str(error))
                kind = kind_of(failures[-1])
                if len(failures) == self._attempts or not self._is_curable(kind):
                    self._give_up(failures)
                rest_s = _RESTS_S.get(kind, 0.0)
                wait = f"; tried again after {rest_s:g} s" if rest_s else ""
                say(f"swing-up {len(failures)} of {self._attempts} failed: {error}{wait}")
                self._rest(rest_s)
                continue
            first = self.rig.begin_episode()
            self._turns = round(first.pole_angle_rad / (2.0 * math.pi))
            self._in_first_turn(first)
            self._ended_us = first.mcu_time_us
            self.newest = SwingUpRecord(
                swing_up_s=round(duration_s, 6),
                swing_ups=len(failures) + (not is_upright),
                swing_up_farthest_m=self._farthest_m,
                swing_up_failures=tuple(failures),
            )
            self._on_stage("the pole stands upright" if is_upright else f"up after {duration_s:.1f} s")
            return first

    def measure(self) -> Measurement:
        """The rig's."""
        return self._noted(self.rig.measure())

    def step(self, duty: float) -> Measurement:
        """The rig's."""
        return self._noted(self._rig_step(duty))

    def _noted(self, measurement: Measurement) -> Measurement:
        self._steps += 1
        self._duty_squares += measurement.applied_duty * measurement.applied_duty
        self._travelled(measurement.cart_position_m)
        if self._turns:
            self._in_first_turn(measurement)
        return measurement

    def _is_upright(self, measurement: Measurement) -> bool:
        return _leans_at_most(measurement, self.cart.limits.pole_angle_rad)

    def _travelled(self, position_m: float) -> None:
        self.cart_time_s += self._period_s
        self.distance_m += abs(position_m - self._position_m)
        self._position_m = position_m

    def _in_first_turn(self, measurement: Measurement) -> None:
        """Count the pole's angle from the upright where it stands: a simulated rig counts on over each turn."""
        measurement.pole_angle_rad -= 2.0 * math.pi * self._turns
        if self.cart.encoders is not None:
            measurement.pole_counts -= self._turns * self.cart.encoders.pole_counts_per_turn

    def swing_from(self, measurement: Measurement) -> float:
        """The seconds from that measurement until the pole is upright and settled. Raises `RigError`, motor off."""
        rig, driver = self.rig, self._driver
        self._reckon(measurement)
        self._position_m = measurement.cart_position_m
        driver.reset()
        limits, upright_steps = self.cart.limits, 0
        handed_over_after = math.ceil(self._upright_s / self._period_s) + 2  # the firmware counts in milliseconds
        was_upright = False
        steps, most_s = 0, self._timeout_s + _SETTLING_S
        while steps * self._period_s < most_s:
            self._farthest_m = max(self._farthest_m, abs(measurement.cart_position_m))
            is_upright = self._is_upright(measurement)
            upright_steps = upright_steps + 1 if is_upright else 0
            was_upright = was_upright or upright_steps == handed_over_after
            duty = driver.duty(task.observation(measurement))
            if driver.is_settled() and upright_steps >= handed_over_after:
                return steps * self._period_s
            if abs(measurement.cart_position_m) > limits.cart_position_m:
                raise self._stopped(
                    f"TRAVEL_LIMIT: the swing-up took the cart to {measurement.cart_position_m:+.3f} m, past the limit "
                    f"of {limits.cart_position_m:g} m"
                )
            is_lost = not _leans_at_most(measurement, self._pole_limit_rad)
            if is_lost and (was_upright or not rig.is_swinging):
                raise self._stopped(
                    f"POLE_ANGLE: the pole fell {steps * self._period_s:.1f} s into the swing-up, once upright"
                )
            measurement = rig.step(duty)
            self._ended_us = measurement.mcu_time_us
            self._travelled(measurement.cart_position_m)
            steps += 1
        raise self._stopped(
            f"UNSETTLED: the cart did not come to rest in its start spread within {most_s:g} s, "
            f"the pole at {measurement.pole_angle_rad:+.2f} rad"
        )

    def _is_curable(self, kind: str) -> bool:
        """Whether another attempt may cure that fault: a fast pole can hold a cart that homes."""
        watch = getattr(self.rig, "watch", None)
        if kind != "CART_STUCK" or watch is None:
            return kind in _RETRIED
        newest: Measurement = watch()
        return abs(newest.pole_speed_rad_s) > _PULLING_RAD_S

    def _rest(self, duration_s: float) -> None:
        """Leave the motor off for so long, on a rig with a clock of its own."""
        watch = getattr(self.rig, "watch", None)
        if watch is not None:
            for _ in range(round(duration_s / self._period_s)):
                watch()

    def _reckon(self, measurement: Measurement) -> None:
        """Tell the driver what the motor did since the newest swing-up, which has warmed or cooled it."""
        steps_s = self._steps * self._period_s
        if steps_s > 0.0:
            self._driver.rest(steps_s, self._duty_squares / self._steps)
        if self._ended_us is not None:
            passed_s = ((measurement.mcu_time_us - self._ended_us) & TIME_MASK) * 1e-6
            if steps_s < passed_s < _LONGEST_REST_S:
                self._driver.rest(passed_s - steps_s)
        self._steps, self._duty_squares, self._ended_us = 0, 0.0, None

    def _stopped(self, reason: str) -> RigError:
        """Motor off; returns the error to raise. Raises `RigError` if the cart does not confirm it."""
        self.rig.disarm()
        return RigError(reason)

    def _give_up(self, failures: list[str]) -> NoReturn:
        advice = _ADVICE.get(kind_of(failures[-1]))
        if len(failures) == 1:
            raise RigError(failures[0] if advice is None else f"{failures[0]}; {advice}")
        each = "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, 1))
        raise RigError(f"no swing-up in {len(failures)} attempts: {each}" + ("" if advice is None else f"; {advice}"))

    def close(self) -> None:
        """Close the rig. May be called twice."""
        self.rig.close()


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _leans_at_most(measurement: Measurement, angle_rad: float) -> bool:
    return abs(wrap_angle_rad(measurement.pole_angle_rad)) <= angle_rad


def kind_of(message: str) -> str:
    """The name of the fault that a rig's message begins with, or the message itself, without its numbers."""
    named = re.match(r"[A-Z][A-Z_]{3,}\b", message)
    return named.group() if named else re.sub(r"[-+]?\d+(\.\d+)?", "#", message)
