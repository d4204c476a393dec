"""Stage `brake`: how far the cart rolls on after short drives, each a little faster than the one before."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cartpole_robot.bring_up.cautious import Brake, weakest_brake
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.signals import Measurement
from cartpole_robot.terminal.interrupts import stopped_by_signals
from firmware_bridge.constants import ESTIMATOR_LAG_S

_SPEEDS_M_S = (0.15, 0.3, 0.5)
_RAMP = 0.025  # of duty, added in each step until the cart has its speed
_DRIVE_S = 2.0  # at most
_ROOM = 0.8  # of the limit: where the cart would come to rest with the weakest brake
_LATE_S = 0.06  # until a command to stop works, at most
_REST_S = 0.5
_LEAST_M_S = 0.03  # slower, the last counts are most of the way
_LEAST_M = 0.5e-3
_RATES_M_S = np.geomspace(1e-3, 3.0, 60)  # dry over viscous deceleration
_WEAKER = 0.8
_FEWEST = 2

Roll = tuple[float, float]  # a speed, and how far the cart rolled from there


def measure_brake(work: Work) -> StageResult:
    """The brake by what the cart rolled. Raises `StageFailedError` where it is weaker than any that is expected."""
    cart = work.cautious_cart
    rig = work.line.rig(cart)
    rig.takes_any_pole_period = True
    weakest = weakest_brake(work.cart)
    rolls: list[Roll] = []
    tried: list[str] = []
    for number, speed_m_s in enumerate(_SPEEDS_M_S):
        try:
            with stopped_by_signals():
                found = _rolled(rig, speed_m_s, weakest, work.rng(number))
        except RigError as error:
            raise StageFailedError(
                f"a drive to {speed_m_s:g} m/s ended: {error}",
                "free the cart, and check its motor's wires",
                {"fault": kind_of(str(error)), "speed_m_s": speed_m_s},
            ) from None
        rolls += found
        tried += [f"{1000.0 * found[0][1]:.0f} mm from {found[0][0]:.2f} m/s"] if found else []
    if len(rolls) < _FEWEST:
        raise StageFailedError(
            f"the cart was hardly faster than {_LEAST_M_S:g} m/s in {len(_SPEEDS_M_S)} drives",
            "check the motor's supply and that the cart runs freely",
            {"rolls": len(rolls)},
        )
    measured = fitted_brake(rolls)
    fastest, share = _shares(rolls, weakest)
    if share > 1.0 / _WEAKER:
        raise StageFailedError(
            f"the cart rolls {share:.2f} times as far as with the weakest brake that its file allows for, from "
            f"{fastest:.2f} m/s",
            "check that the bridge shorts the motor at duty 0 (check-rig, step brake), or correct the cart file's "
            "masses, motor.back_emf_n_s_m and friction",
            {"share": share},
        )
    return StageResult(
        name=StageName.BRAKE,
        line=f"rolls {', '.join(tried)}; half of the speed is gone in {1000.0 * _half_s(measured, fastest):.0f} ms",
        figures={
            "rate_1_s": measured.rate_1_s,
            "dry_m_s2": measured.dry_m_s2,
            "rolls": [list(roll) for roll in rolls],
        },
    )


def _rolled(rig: FirmwareRig, speed_m_s: float, weakest: Brake, rng: np.random.Generator) -> list[Roll]:
    """One drive to that speed, toward the middle of the track, and the roll after it; motor off."""
    measurement = rig.begin_swing(rng)
    limit_m = _ROOM * rig.cart.limits.cart_position_m
    period_s = rig.cart.timing.control_period_s
    side = -1.0 if measurement.cart_position_m > 0.0 else 1.0
    duty = 0.0
    for _ in range(round(_DRIVE_S / period_s)):
        along_m_s = side * measurement.cart_speed_m_s
        stops_m = side * measurement.cart_position_m + _LATE_S * along_m_s + weakest.distance_m(max(0.0, along_m_s))
        if along_m_s >= speed_m_s or stops_m >= limit_m:
            break
        duty = min(1.0, duty + _RAMP)
        measurement = rig.step(side * duty)
    return _roll(_states_at_rest(rig, period_s), side)


def _states_at_rest(rig: FirmwareRig, period_s: float) -> list[tuple[float, float, float]]:
    """Place, speed and duty in each period until the cart has stopped, its motor shorted; then the motor is off."""
    steps = round(_REST_S / period_s)
    if not rig.cart.motor.brakes_at_zero:  # then only a motor that is switched off is shorted, for half a second
        rig.disarm()
        return [_seen(rig.watch()) for _ in range(steps)]
    seen = [_seen(rig.step(0.0)) for _ in range(steps)]
    rig.disarm()
    return seen


def _seen(measurement: Measurement) -> tuple[float, float, float]:
    return measurement.cart_position_m, measurement.cart_speed_m_s, measurement.applied_duty


def _roll(seen: Sequence[tuple[float, float, float]], side: float) -> list[Roll]:
    """Each speed on the way, and what was left to roll from there; a speed is measured a little before its place."""
    rest_m = seen[-1][0]
    rolls = []
    for place_m, speed_m_s, duty in seen:
        along_m_s = side * speed_m_s
        if duty == 0.0 and along_m_s >= _LEAST_M_S:
            rolls.append((along_m_s, side * (rest_m - place_m) + ESTIMATOR_LAG_S * along_m_s))
    return rolls


def fitted_brake(rolls: Sequence[Roll]) -> Brake:
    """The brake that explains the rolls best, by the relative error of each distance."""
    speeds, distances = np.array(rolls).T
    weights = 1.0 / np.maximum(distances, _LEAST_M)
    best = (math.inf, 1.0, 1.0)
    for ratio in _RATES_M_S:
        shape = speeds - ratio * np.log1p(speeds / ratio)
        tau = float(np.sum(weights**2 * shape * distances) / np.sum((weights * shape) ** 2))
        best = min(best, (float(np.sum((weights * (tau * shape - distances)) ** 2)), tau, float(ratio)))
    _, tau, ratio = best
    return Brake(rate_1_s=1.0 / tau, dry_m_s2=ratio / tau)


def _shares(rolls: Sequence[Roll], weakest: Brake) -> tuple[float, float]:
    """The fastest roll's speed, and its distance over that with the weakest brake."""
    speed, distance = max(rolls)
    return speed, distance / weakest.distance_m(speed)


def _half_s(brake: Brake, speed_m_s: float) -> float:
    """How long it takes to lose half of that speed."""
    return (
        math.log((brake.rate_1_s * speed_m_s + brake.dry_m_s2) / (0.5 * brake.rate_1_s * speed_m_s + brake.dry_m_s2))
        / brake.rate_1_s
    )
