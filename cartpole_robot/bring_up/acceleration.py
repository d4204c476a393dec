"""The largest acceleration at which a stepper loses no step, found by trial: a drive to one side, then to a switch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cartpole_robot.bring_up.motor_checks import steps_lost_m
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Stepper
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.cfg_message import stepper_message
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.signals import State
from firmware_bridge.errors import BridgeError

MARGIN = 0.8
"""Of the largest acceleration at which no step was lost: what a cart file is given."""
_TRIALS = ((0.3, 1), (0.45, -1), (0.6, 1), (0.7, -1), (0.8, 1), (0.9, -1), (1.0, 1), (1.0, -1))
"""The share of the largest acceleration, and the side of each trial.

A drive there and back would lose as many steps both ways, and end where it began.
"""
_WAY_SHARE = 0.8  # of the travel limit: how far a trial goes from the middle
_COAST_STEPS = 2  # control periods at the largest speed
_SETTLE_STEPS = 5
_NO_SWITCH = "NO_SWITCH"  # in place of a firmware's fault
_LOST = ("STEPS_LOST", "POLE_STILL", "POLE_SIGN", "END_SWITCH", _NO_SWITCH)
"""What a trial ends in with a motor that falls behind its pulses."""
_ANYWHERE = State(0.0, 0.0, 0.0, 0.0)  # the cart stays where it is
_PAUSED, _ATTEMPTS = "COMMAND_TIMEOUT", 3
_REST_S = 1.0
_ASKED_EVERY_S = 0.1
_RESTING_STATES = 5
_DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One acceleration: how far from its place the left switch stopped the cart afterwards, and the fault, if any."""

    acceleration_m_s2: float
    speed_m_s: float
    off_m: float
    fault: str | None
    is_lost: bool

    @property
    def text(self) -> str:
        """What came of a trial that lost steps."""
        how = f"the switch is {1000.0 * self.off_m:.1f} mm off"
        if self.fault is not None:
            came = "the cart did not come back to its left switch"
            how = came if self.fault == _NO_SWITCH else f"the firmware stopped by {self.fault}"
        return f"at {self.acceleration_m_s2:.3g} m/s² up to {self.speed_m_s:.2f} m/s {how}"


@dataclass(frozen=True, kw_only=True)
class Accelerations:
    """The trials, in order; the last one may have lost steps."""

    trials: tuple[Trial, ...]

    @property
    def lost(self) -> Trial | None:
        """The trial that lost steps, None where none did."""
        return self.trials[-1] if self.trials and self.trials[-1].is_lost else None

    @property
    def largest_m_s2(self) -> float:
        """The largest acceleration without a lost step to either side, 0 where the first trial lost some."""
        below = math.inf if self.lost is None else self.lost.acceleration_m_s2
        return max((each.acceleration_m_s2 for each in self.trials if each.acceleration_m_s2 < below), default=0.0)

    @property
    def usable_m_s2(self) -> float:
        """That with a margin."""
        return float(f"{MARGIN * self.largest_m_s2:.{_DIGITS}g}")

    @property
    def fastest_m_s(self) -> float:
        """The largest speed of the trials without a lost step."""
        return max((each.speed_m_s for each in self.trials if not each.is_lost), default=0.0)


def stepper_of(cart: CartParams) -> Stepper:
    """The cart's stepper. Raises `UsageError` for a DC motor's cart."""
    if cart.stepper is None:
        raise UsageError(f"cart {cart.name!r} has a DC motor, and accelerations are tried with a stepper")
    return cart.stepper


def tried_cart(cart: CartParams, most_m_s2: float | None) -> CartParams:
    """`cart` with `most_m_s2` as its largest acceleration. Raises `UsageError` for one beyond motor or board."""
    stepper = stepper_of(cart)
    if most_m_s2 is None:
        return cart
    try:
        return dataclasses.replace(cart, stepper=dataclasses.replace(stepper, maximum_acceleration_m_s2=most_m_s2))
    except ValueError as error:
        raise UsageError(
            f"accelerations up to {most_m_s2:g} m/s² cannot be tried with the cart {cart.name!r}, whose file has "
            f"{stepper.maximum_acceleration_m_s2:g}: {error}"
        ) from None


def tried_accelerations(rig: FirmwareRig, on_trial: Callable[[Trial], object] = lambda _: None) -> Accelerations:
    """Larger and larger accelerations up to the limit of the rig's cart, until the first that loses steps.

    The cart homes where it is not homed and stays between its switches. At the end it stands at the left one, motor
    off; one that has lost steps has to home again. Raises `RigError` where something else ends a trial.
    """
    most_m_s2 = stepper_of(rig.cart).maximum_acceleration_m_s2
    rig.make_ready_to_swing()
    reference_m = _left_switch_m(rig)
    trials: list[Trial] = []
    for share, side in _TRIALS:
        trials.append(_tried(rig, share * most_m_s2, side, reference_m))
        on_trial(trials[-1])
        if trials[-1].is_lost:
            _forget_zeros(rig)
            break
    return Accelerations(trials=tuple(trials))


def _tried(rig: FirmwareRig, acceleration_m_s2: float, side: int, reference_m: float) -> Trial:
    """One trial; one that ends because the host paused is repeated."""
    duties, speed_m_s = pushes(rig.cart, acceleration_m_s2, side)
    fault = None
    off_m = math.nan
    for attempt in range(_ATTEMPTS):
        try:
            off_m = _off_m(rig, duties, reference_m)
            break
        except RigError as error:
            fault = kind_of(str(error))
            is_last = attempt == _ATTEMPTS - 1
            if fault not in _LOST and (fault != _PAUSED or is_last):
                raise
            rig.disarm()
            if fault in _LOST:
                break
            fault = None
    limits = stepper_message(rig.cart)
    assert limits is not None
    is_lost = fault is not None or off_m > steps_lost_m(limits, stepper_of(rig.cart).steps_per_m)
    return Trial(acceleration_m_s2=acceleration_m_s2, speed_m_s=speed_m_s, off_m=off_m, fault=fault, is_lost=is_lost)


def _off_m(rig: FirmwareRig, duties: Sequence[float], reference_m: float) -> float:
    """How far from its place the left switch stops the cart after these duties. Raises `RigError`."""
    rig.begin_hanging(_ANYWHERE, np.random.default_rng(0))
    for duty in duties:
        rig.step(duty)
    rig.disarm()
    _let_rest(rig)
    return abs(_left_switch_m(rig) - reference_m)


def _forget_zeros(rig: FirmwareRig) -> None:
    """Switch the driver off, with which the firmware drops zeros that are wrong and that no switch has shown it."""
    try:
        rig.link.mode("ESTOP")
    except BridgeError as error:
        raise RigError(str(error)) from None


def pushes(cart: CartParams, acceleration_m_s2: float, side: int) -> tuple[Sequence[float], float]:
    """The duties that take the cart from the middle to the left (-1) or right (1) and to rest, and its largest speed.

    A cart that loses all of these steps, or none, stays before its travel limit.
    """
    stepper = stepper_of(cart)
    _, firmware = encoders_and_settings(cart)
    period_s, full = cart.timing.control_period_s, stepper.maximum_acceleration_m_s2
    way_m = _WAY_SHARE * firmware.travel_limit_m
    coast_s = _COAST_STEPS * period_s
    # v²/a + v * coast = way
    fastest = 0.5 * acceleration_m_s2 * (math.sqrt(coast_s**2 + 4.0 * way_m / acceleration_m_s2) - coast_s)
    speed_m_s = min(stepper.maximum_speed_m_s, fastest)
    gained_m_s = acceleration_m_s2 * period_s
    whole = int(speed_m_s / gained_m_s)
    duty, rest = acceleration_m_s2 / full, (speed_m_s - whole * gained_m_s) / (full * period_s)
    up = [*[duty] * whole, rest]
    duties = [*up, *[0.0] * _COAST_STEPS, *(-each for each in up), *[0.0] * _SETTLE_STEPS]
    return [side * each for each in duties], speed_m_s


def _let_rest(rig: FirmwareRig) -> None:
    """Hold the cart until one that has slipped has come to rest, and its motor has locked again."""
    end_s = rig.link.clock() + _REST_S
    while rig.link.clock() < end_s:
        rig.watch()


def _left_switch_m(rig: FirmwareRig) -> float:
    """Where the firmware stops the cart at the left switch, by its steps; motor off. Raises `RigError`.

    A switch that closes elsewhere than at homing raises it with STEPS_LOST.
    """
    link = rig.link
    states, closed = link.protocol.enums["cart_state"], link.protocol.enums["input_flag"]["LEFT_SWITCH"]
    per_m = stepper_of(rig.cart).steps_per_m
    track_m = 2.0 * encoders_and_settings(rig.cart)[1].switch_m
    end_s = link.clock() + 2.0 * track_m / encoders_and_settings(rig.cart)[1].homing_speed_m_s
    asked_s, resting, before = -math.inf, 0, 0
    try:
        link.forget_states()
        while link.clock() < end_s:
            if link.clock() - asked_s >= _ASKED_EVERY_S:
                link.mode("JOG_LEFT")
                asked_s = link.clock()
            state = link.newest_state(link.clock() + 1.0)
            if state is None:
                raise RigError("no measurement for 1 s; check the cable")
            if state.state == states["FAULT"]:
                raise RigError(f"{link.protocol.enums['fault'](state.fault).name} on the way to the left switch")
            resting = resting + 1 if state.inputs & closed and state.cart_counts == before else 0
            before = state.cart_counts
            if resting >= _RESTING_STATES:
                return before / per_m
        raise RigError(f"{_NO_SWITCH}: the cart did not come to its left switch")
    except BridgeError as error:
        raise RigError(str(error)) from None
    finally:
        rig.disarm()
