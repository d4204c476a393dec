"""Which way an angle counts, found from the motion of a free pole.

With this package's signs (theta 0 upright, positive when the pole leans toward +x) a pole on an accelerated cart obeys

    theta'' = (g sin(theta) - x'' cos(theta)) / l_eff - c theta',   l_eff = (I + m l^2) / (m l),

whatever drives the cart. If the angle counts the other way, theta and its derivatives change sign and x'' does not, so
the term in x'' has the wrong sign. If it counts from hanging, sine and cosine change sign. So the signs of two fitted
factors decide. If its zero is off by d, theta + d obeys the equation, and

    g sin(theta + d) - x'' cos(theta + d)
        = cos(d) (g sin(theta) - x'' cos(theta)) + sin(d) (g cos(theta) + x'' sin(theta)),

so two more fitted factors show d.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.datasets.row_clock import RowClock
from cartpole_robot.datasets.smoothing import smoothed, window_rows
from cartpole_robot.datasets.trimmed_fit import few_rows, plain_fit, trimmed_fit
from cartpole_robot.terminal.printable import counted

CLEAR_RATIO = 1.25  # of the two residuals; less is no verdict
_FEWEST_ROWS = 50
_STANDS = 1e-9  # rad/s and rad/s^2: a count that stays is smoothed to less
_LEAST_EXPLAINED = 0.5  # of the variance of theta'', by the better sign
_CLEAR_GRAVITY = 10.0  # standard errors of the gravity term
_CLEAR_ZERO = 5.0  # standard errors of an angle
_LEAST_ZERO_RAD = 0.03  # less is within what friction and smoothing do
_MOST_ZERO_RAD = math.radians(100.0)  # more is a zero at the other end, or nearer to it
_OTHER_MOTION = 0.05  # of the variance of theta'': a column that explains less is no angle of a free pole
_MOVES_RAD = 0.2
_SMOOTH = 0.05  # of an angle's variance: a motion leaves less than this to noise


@dataclass(frozen=True, kw_only=True)
class AngleVerdict:
    """What the motion shows about an angle that was read with sign +1 and the zero of the map.

    `sign` is the one to read it with and `is_zero_right` whether 0 is where the map puts it; each is None where the
    motion does not decide it. `why` is one line for both. The residuals are root mean squares of theta'', in rad/s^2,
    over the `rows` used; `rms_rad_s2` is that of theta'' itself. Lengths are l_eff in m: from gravity, from the cart's
    acceleration (None where it does not show), and the cart's own. `zero_shift_rad` has to be added to the angle for
    its zero to be right, None where none shows; residuals and lengths are then those with the right zero.
    `is_other_motion` where the angle moves, and not at all as a pole does.
    """

    sign: int | None
    is_zero_right: bool | None
    why: str
    rows: int = 0
    rows_left_out: int = 0
    rms_rad_s2: float | None = None
    residual_plus_rad_s2: float | None = None
    residual_minus_rad_s2: float | None = None
    gravity_length_m: float | None = None
    acceleration_length_m: float | None = None
    cart_length_m: float | None = None
    zero_shift_rad: float | None = None
    is_other_motion: bool = False
    is_needed: bool = True

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def evidence(self) -> str:
        """The residuals of both signs, as text."""
        if self.residual_plus_rad_s2 is None or self.residual_minus_rad_s2 is None or not self.rms_rad_s2:
            return self.why
        shares = [
            f"sign {sign} leaves {residual:.3g} rad/s² ({100.0 * self.explained(residual):.0f} % explained)"
            for sign, residual in ((1, self.residual_plus_rad_s2), (-1, self.residual_minus_rad_s2))
        ]
        given = "as given, for the motion does not tell which; " if self.sign is None else ""
        return f"{given}of the pole's {self.rms_rad_s2:.3g} rad/s² {shares[0]}, {shares[1]}"

    def explained(self, residual: float) -> float:
        """The share of the variance of theta'' that a fit with this `residual` explains."""
        return 1.0 - (residual / self.rms_rad_s2) ** 2 if self.rms_rad_s2 else 0.0


def judge_angle(
    angle_rad: NDArray[np.float64], position_m: NDArray[np.float64], clock: RowClock, cart: CartParams
) -> AngleVerdict:
    """The verdict on a continuous angle, counted from the map's upright; both signals have shape (rows,)."""
    if float(np.ptp(angle_rad)) == 0.0:
        return AngleVerdict(sign=None, is_zero_right=None, why="the angle is constant", is_needed=False)
    angle, speed, acceleration = smoothed(angle_rad, clock)
    _, _, cart_acceleration = smoothed(position_m, clock)
    gravity = cart.pole_cart.gravity_m_s2
    is_known = np.isfinite(angle) & np.isfinite(cart_acceleration)
    if is_known.sum() < _FEWEST_ROWS:
        return AngleVerdict(
            sign=None,
            is_zero_right=None,
            why=f"only {counted(int(is_known.sum()), 'row')} far enough from gaps, expected at least {_FEWEST_ROWS}",
        )
    is_motion = float(np.ptp(angle[is_known])) > _MOVES_RAD and (
        float(np.var(angle_rad[is_known] - angle[is_known])) < _SMOOTH * float(np.var(angle_rad[is_known]))
    )
    # Where its hinge holds the pole, it obeys no gravity; where most rows are such, they would pass for the motion.
    is_moving = is_known & ((np.abs(speed) > _STANDS) | (np.abs(acceleration) > _STANDS))
    if is_moving.sum() < _FEWEST_ROWS:
        return AngleVerdict(
            sign=None,
            is_zero_right=None,
            why=f"the pole moves in {counted(int(is_moving.sum()), 'row')} only, expected at least {_FEWEST_ROWS}",
        )
    known = few_rows(is_moving)
    angle, speed, acceleration = angle[known], speed[known], acceleration[known]
    cart_acceleration = cart_acceleration[known]
    shift_rad = _zero_shift(angle, speed, acceleration, cart_acceleration, gravity, window_rows(clock))
    angle = angle + (shift_rad or 0.0)
    terms = np.column_stack([gravity * np.sin(angle), cart_acceleration * np.cos(angle), speed])
    free = trimmed_fit(terms, acceleration)
    used = free.is_used
    rms = float(np.sqrt(np.mean(np.square(acceleration[used]))))
    pull, push, _ = free.coefficients
    pull_error, push_error = _standard_errors(terms[used], free.rms)
    # With a wrong zero both terms change sign, so the angle's sign is judged for the zero that the motion shows.
    gravity_sign = -1.0 if pull < 0.0 else 1.0
    residuals = {
        sign: plain_fit(
            np.column_stack([gravity_sign * (terms[:, 0] - sign * terms[:, 1]), speed]), acceleration, used
        ).rms
        for sign in (1, -1)
    }
    better = min(residuals, key=lambda sign: residuals[sign])
    ratio = residuals[-better] / max(residuals[better], 1e-12)
    explained = 1.0 - (residuals[better] / rms) ** 2 if rms else 0.0
    is_gravity_clear = abs(pull) > _CLEAR_GRAVITY * pull_error
    is_zero_right = bool(pull > 0.0) and not (shift_rad is not None and abs(shift_rad) > _MOST_ZERO_RAD)
    sign: int | None = better
    why = "the motion shows it"
    if explained < _LEAST_EXPLAINED:
        sign, why = None, f"neither sign explains the pole's motion ({100.0 * max(explained, 0.0):.0f} % at best)"
    elif ratio < CLEAR_RATIO:
        sign, why = (
            None,
            (
                "both signs fit the pole's motion about equally well (residuals "
                f"{residuals[1]:.3g} and {residuals[-1]:.3g} rad/s²), since the cart accelerates too little, or only "
                "in step with the angle"
            ),
        )
    return AngleVerdict(
        sign=sign,
        is_zero_right=is_zero_right if is_gravity_clear and explained >= _LEAST_EXPLAINED else None,
        why=why,
        rows=round(int(is_moving.sum()) * float(np.mean(used))),
        rows_left_out=round(int(is_moving.sum()) * float(np.mean(~used))),
        rms_rad_s2=rms,
        residual_plus_rad_s2=residuals[1],
        residual_minus_rad_s2=residuals[-1],
        gravity_length_m=1.0 / abs(float(pull)) if is_gravity_clear else None,
        acceleration_length_m=1.0 / abs(float(push)) if abs(push) > _CLEAR_GRAVITY * push_error else None,
        cart_length_m=cart.pole_cart.equal_pendulum_m,
        zero_shift_rad=shift_rad,
        is_other_motion=is_motion and explained < _OTHER_MOTION,
    )


def _zero_shift(
    angle: NDArray[np.float64],
    speed: NDArray[np.float64],
    acceleration: NDArray[np.float64],
    cart_acceleration: NDArray[np.float64],
    gravity: float,
    rows_per_fact: int,
) -> float | None:
    """What has to be added to the angle for its zero to be right; None where nothing has to, or it does not show.

    Neighbouring rows share their smoothing window, so that `rows_per_fact` of them count as one.
    """
    fits = []
    for sign in (1.0, -1.0):
        along = gravity * np.sin(angle) - sign * cart_acceleration * np.cos(angle)
        across = gravity * np.cos(angle) + sign * cart_acceleration * np.sin(angle)
        fits.append((trimmed_fit(np.column_stack([along, across, speed]), acceleration), along, across))
    fit, along, across = min(fits, key=lambda found: found[0].rms)
    p, q = fit.coefficients[:2].tolist()
    shift_rad, size = math.atan2(q, p), math.hypot(p, q)
    turned = np.column_stack([along * p + across * q, across * p - along * q, speed]) / max(size, 1e-12)
    error_rad = _standard_errors(turned[fit.is_used], fit.rms)[1] * math.sqrt(rows_per_fact) / max(size, 1e-12)
    is_clear = abs(shift_rad) > _LEAST_ZERO_RAD and abs(shift_rad) > _CLEAR_ZERO * error_rad
    return shift_rad if is_clear else None


def _standard_errors(terms: NDArray[np.float64], rms: float) -> tuple[float, float]:
    """Standard errors of the first two coefficients, as if the rows were independent; inf where they do not show."""
    sizes = np.sqrt(np.sum(np.square(terms), axis=0))
    shows = sizes > 1e-9 * sizes.max()
    spread = np.full(terms.shape[1], math.inf)
    scaled = terms[:, shows] / sizes[shows]
    spread[shows] = np.maximum(np.diag(np.linalg.pinv(scaled.T @ scaled, hermitian=True)), 0.0) / sizes[shows] ** 2
    return rms * math.sqrt(spread[0]), rms * math.sqrt(spread[1])
