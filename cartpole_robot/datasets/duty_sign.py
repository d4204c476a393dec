"""Which way a command pushes, found from the cart's acceleration.

    x'' = k duty - b x' - c sign(x') + what the pole does to the cart

is fitted for duties of different ages, up to 0.1 s. With the right sign k is positive; with the wrong one the best k is
0, and the duty explains nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.row_clock import RowClock
from cartpole_robot.datasets.smoothing import smoothed
from cartpole_robot.datasets.trimmed_fit import few_rows, plain_fit

CLEAR_RATIO = 1.25
_FEWEST_ROWS = 50
_LONGEST_DELAY_S = 0.1
_LEAST_DUTY = 0.02
_STILL_M_S = 0.02


@dataclass(frozen=True, kw_only=True)
class DutyVerdict:
    """What the motion shows about a duty that was read with sign +1.

    `sign` is None where the motion does not decide it; `is_needed` is False where the duty is always 0 and has no sign.
    The residuals of the cart's acceleration, in m/s^2, are with the duty and without it, over the `rows` used.
    `push_m_s2` is how duty 1 accelerates a cart at rest, `delay_periods` the age of the duty that fits best.
    """

    sign: int | None
    why: str
    is_needed: bool = True
    rows: int = 0
    residual_with_m_s2: float | None = None
    residual_without_m_s2: float | None = None
    push_m_s2: float | None = None
    delay_periods: int | None = None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def evidence(self) -> str:
        """The residuals, as text."""
        if self.residual_with_m_s2 is None or self.residual_without_m_s2 is None or self.push_m_s2 is None:
            return self.why
        given = "as given, for the motion does not tell which; " if self.sign is None else ""
        return (
            f"{given}with sign {1 if self.push_m_s2 > 0.0 else -1} the duty leaves {self.residual_with_m_s2:.3g} m/s² "
            f"of the cart's acceleration unexplained, with the other {self.residual_without_m_s2:.3g} m/s²"
        )


def judge_duty(
    duty: NDArray[np.float64], position_m: NDArray[np.float64], angle_rad: NDArray[np.float64], clock: RowClock
) -> DutyVerdict:
    """The verdict on a requested duty; signals have shape (rows,), the angle is continuous and counts from upright."""
    if float(np.nanmax(np.abs(duty), initial=0.0)) < _LEAST_DUTY:
        return DutyVerdict(sign=None, why="the duty is always 0 and has no sign", is_needed=False)
    _, speed, acceleration = smoothed(position_m, clock)
    angle, pole_speed, _ = smoothed(angle_rad, clock)
    moves = np.isfinite(speed) & np.isfinite(angle) & (np.abs(speed) >= _STILL_M_S)
    if moves.sum() < _FEWEST_ROWS:  # static friction holds a cart at rest whatever the duty
        return DutyVerdict(sign=None, why=f"the cart moves in fewer than {_FEWEST_ROWS} rows")
    chosen = few_rows(moves)
    speed, acceleration, angle, pole_speed = (values[chosen] for values in (speed, acceleration, angle, pole_speed))
    others = np.column_stack(
        [
            speed,
            np.tanh(speed / _STILL_M_S),
            np.sin(angle) * np.cos(angle),
            np.square(pole_speed) * np.sin(angle),
            np.ones(len(speed)),
        ]
    )
    longest = max(1, round(_LONGEST_DELAY_S / clock.period_s))
    fits = []
    for delay in range(longest + 1):
        late = np.where(chosen >= delay, duty[np.maximum(chosen - delay, 0)], np.nan)
        used = np.isfinite(late)
        if used.sum() < _FEWEST_ROWS:
            return DutyVerdict(sign=None, why=f"the cart moves in fewer than {_FEWEST_ROWS} rows")
        fits.append((delay, plain_fit(np.column_stack([late, others]), acceleration, used)))
    delay, best = min(fits, key=lambda fit: fit[1].rms)
    without = plain_fit(others, acceleration, best.is_used)
    push = float(best.coefficients[0])
    is_clear = without.rms > CLEAR_RATIO * best.rms
    residuals = f"{best.rms:.3g} and {without.rms:.3g} m/s² of the cart's acceleration"
    return DutyVerdict(
        sign=(1 if push > 0.0 else -1) if is_clear else None,
        why="the motion shows it" if is_clear else f"either sign leaves about as much unexplained: {residuals}",
        rows=round(int(moves.sum()) * float(np.mean(best.is_used))),
        residual_with_m_s2=best.rms,
        residual_without_m_s2=without.rms,
        push_m_s2=push,
        delay_periods=delay,
    )
