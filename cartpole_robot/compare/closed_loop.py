"""Closed loop: the figures of each of two recorded rollouts, and whether their policies agree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import periodogram

from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.policy.controllers import PolicyController
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.summary import recording_summary

Floats = NDArray[np.float64]
_SETTLED_S = 2.0  # earlier, the start shows and not the cycle
_CYCLE_LEAST_S = 4.0  # of a steady motion, for a meaningful frequency
_CYCLE_HZ = (0.2, 12.0)
_TAPS = 6  # periods within which a cart may respond
_ROWS_A_TAP = 20
_SAME_DUTY = 1e-4  # of a duty, which the protocol rounds to 1/32767


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """The strongest oscillation of a signal: its frequency in Hz and amplitude in the signal's unit."""

    frequency_hz: float
    amplitude: float


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """One rollout in figures, SI units; None for what its recording does not show.

    `effort` is the RMS duty. `response_delay_s` is the time from a command to the cart's acceleration, including the
    motor's lag.
    """

    steps: int
    duration_s: float
    end: str | None
    reason: str | None
    rms_position_m: float | None
    rms_angle_rad: float | None
    effort: float | None
    reversals_per_s: float | None
    mean_power_w: float | None
    position_cycle: Cycle | None
    angle_cycle: Cycle | None
    response_delay_s: float | None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often two rollouts, or one policy and a rollout, took the same action; shares of `steps`, None for no policy.

    `same_tick` is over the ticks that both have, from their starts on; `simulated` and `recorded` are the shares of
    each rollout's duties that the policy requests when it is shown that rollout's observations again.
    """

    steps: int
    same_tick: float
    first_different_tick: int | None
    simulated: float | None
    recorded: float | None


def closed_loop(recording: Recording) -> ClosedLoop:
    """The figures of one rollout."""
    summary = recording_summary(recording)
    period_s = recording.cart.timing.control_period_s
    answered = _asked(recording)
    duties = answered["requested_duty"].astype(float)
    return ClosedLoop(
        steps=summary["steps"],
        duration_s=summary["duration_s"],
        end=summary["end"],
        reason=summary["reason"],
        rms_position_m=summary["rms_position_m"],
        rms_angle_rad=summary["rms_angle_rad"],
        effort=float(np.sqrt(np.mean(duties**2))) if len(duties) else None,
        reversals_per_s=summary["reversals_per_s"],
        mean_power_w=summary["mean_power_w"],
        position_cycle=cycle_of(answered["cart_position_m"].astype(float), period_s),
        angle_cycle=cycle_of(answered["pole_angle_rad"].astype(float), period_s),
        response_delay_s=response_delay_s(duties, answered["cart_position_m"].astype(float), period_s),
    )


def cycle_of(values: Floats, period_s: float) -> Cycle | None:
    """The strongest line in the spectrum of the settled part of `values`; None where that is too short or constant.

    The amplitude is that of the sine with the power of the line and its two neighbours.
    """
    settled = values[round(_SETTLED_S / period_s) :]
    if len(settled) * period_s < _CYCLE_LEAST_S or np.ptp(settled) == 0.0:
        return None
    hertz, power = periodogram(settled, fs=1.0 / period_s, window="hann", detrend="linear", scaling="spectrum")
    inside = np.flatnonzero((hertz >= _CYCLE_HZ[0]) & (hertz <= _CYCLE_HZ[1]))
    peak = inside[np.argmax(power[inside])]
    left, middle, right = (float(np.log(power[min(k, len(power) - 1)] + 1e-300)) for k in (peak - 1, peak, peak + 1))
    bend = left - 2.0 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    noise_bins = 1.5  # equivalent noise bandwidth of the Hann window, in lines
    band = power[max(0, peak - 1) : peak + 2].sum() / noise_bins
    return Cycle(frequency_hz=float(hertz[peak] + offset * (hertz[1] - hertz[0])), amplitude=float(np.sqrt(2.0 * band)))


def response_delay_s(duties: Floats, position_m: Floats, period_s: float) -> float | None:
    """The time from a command to the cart's acceleration; None where too little moves.

    The acceleration (second difference) is regressed on the duties of the last `_TAPS` periods, with the two speeds
    before as further regressors: a policy responds to the cart's motion, and without them the correlation would follow
    the loop's own swing. The delay is the middle of the response about its peak, less the half period by which a duty
    that is held and a second difference lie apart.
    """
    k = np.arange(_TAPS, len(duties) - 1)
    if len(k) < _ROWS_A_TAP * _TAPS:
        return None
    past = position_m[k] - position_m[k - 1], position_m[k - 1] - position_m[k - 2]
    regressors = np.column_stack([*(duties[k - lag] for lag in range(_TAPS)), *past, np.sign(past[0])])
    answers = position_m[k + 1] - 2.0 * position_m[k] + position_m[k - 1]
    response = np.linalg.lstsq(regressors, answers, rcond=None)[0][:_TAPS]
    peak = int(np.argmax(response))
    if response[peak] <= 0.0:
        return None
    near = np.arange(max(0, peak - 1), min(_TAPS, peak + 2))
    weights = np.maximum(response[near], 0.0)
    return max(0.0, float((near @ weights / weights.sum() - 0.5) * period_s))  # negative: below the resolution


def agreement(simulated: Recording, recorded: Recording, policy: PolicyController | None) -> Agreement | None:
    """How far they agree; None where one of them requested no duty."""
    pair = [_asked(recording) for recording in (simulated, recorded)]
    steps = min(len(rows) for rows in pair)
    if steps == 0:
        return None
    is_same = np.abs(pair[0]["requested_duty"][:steps] - pair[1]["requested_duty"][:steps]) < _SAME_DUTY
    different = np.flatnonzero(~is_same)
    asked = [None if policy is None else _repeated(rows, policy) for rows in pair]
    return Agreement(
        steps=steps,
        same_tick=float(is_same.mean()),
        first_different_tick=int(different[0]) if len(different) else None,
        simulated=asked[0],
        recorded=asked[1],
    )


def _asked(recording: Recording) -> NDArray[np.void]:
    asked: NDArray[np.void] = recording.rows[~np.isnan(recording.rows["requested_duty"])]
    return asked


def _repeated(rows: NDArray[np.void], policy: PolicyController) -> float:
    """The share of rows in which `policy`, shown the rows' states in order, requests the row's duty."""
    states = np.column_stack([rows[signal.name] for signal in SIGNALS]).astype(np.float32)
    policy.reset()
    recorded = rows["requested_duty"]
    duties = np.empty(len(rows))
    for k, state in enumerate(states):
        duties[k] = policy.duty(state)
        policy.sent(recorded[k])
    return float(np.mean(np.abs(duties - recorded) < _SAME_DUTY))
