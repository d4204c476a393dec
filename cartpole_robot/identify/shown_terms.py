"""Which terms recordings of a cart show, and so which are searched where the user names none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.identify.stepper_cart import STEPPER_TERMS, SWUNG_BY_A_STEPPER
from cartpole_robot.open_loop.series import Series

Floats = NDArray[np.float64]

_MOTOR = ("delay", "motor_gain")
_REST = ("coulomb", "dead_zone", "pole_viscous", "pole_coulomb", "pole_length", "angle_zero")
_SWUNG = ("cart_mass",)
_DRIVEN_HARD = ("saturation",)
_DRIVEN_ALIKE = ("gain_asymmetry",)  # to both sides
_AND_VARIED = ("dead_zone_asymmetry",)
SIDES = (*_DRIVEN_ALIKE, *_AND_VARIED)
BRAKING_TERMS = (*_MOTOR, "damping", *_REST)
COASTING_TERMS = (*_MOTOR, "back_emf", "viscous", *_REST)
SELDOM_SHOWN = (*_SWUNG, *_DRIVEN_HARD, *SIDES, *SWUNG_BY_A_STEPPER)
HANGING = 0.0  # cosine of the angle: never above the hinge
_HARD = 0.5  # duty
_FEWEST_HARD = 0.02  # of the ticks
_FEWEST_TO_A_SIDE = 0.1  # of the ticks
_BULK = (0.05, 0.95)  # quantiles: between them a side's duties
_SAME_DUTIES = 0.3  # of the larger duty: the most by which the bulks of both sides differ


def default_terms(all_series: Sequence[Series], cart: CartParams) -> tuple[str, ...]:
    """All terms that these recordings of `cart` can show.

    The cart's inertia, as distinct from the motor's force, shows in how little the pole moves the cart: where the pole
    hangs or goes round, not where it stands. Saturation shows where the motor is driven hard. A difference between
    right and left shows where both sides get much the same duties, else it looks like saturation; that of the dead
    zones where small and large duties are among them. A stepper's cart has the delay, the pole, and how the motor
    settles; its steps per metre show where the pole hangs.
    """
    driven = [series for series in all_series if is_driven(series) and series.is_coasting is None]
    swung = any(float(np.cos(series.angle_rad).min(initial=1.0)) < HANGING for series in driven)
    if cart.stepper is not None:
        return STEPPER_TERMS + (SWUNG_BY_A_STEPPER if swung else ())
    names: tuple[str, ...] = BRAKING_TERMS if cart.motor.brakes_at_zero else COASTING_TERMS
    if swung:
        names += _SWUNG
    hard = [float(np.mean(np.abs(np.nan_to_num(series.duty)) > _HARD)) for series in driven]
    if max(hard, default=0.0) > _FEWEST_HARD:
        names += _DRIVEN_HARD
    return names + _asymmetries(np.concatenate([[0.0], *(np.nan_to_num(series.duty) for series in driven)]))


def _asymmetries(duty: Floats) -> tuple[str, ...]:
    sides = [side[side > 0.0] for side in (duty, -duty)]
    if min(map(len, sides)) < max(1.0, _FEWEST_TO_A_SIDE * len(duty)):
        return ()
    bulks = np.array([np.quantile(side, _BULK) for side in sides])
    most = _SAME_DUTIES * bulks.max()
    if np.ptp(bulks, axis=0).max() > most:
        return ()
    return _DRIVEN_ALIKE + (_AND_VARIED if np.ptp(bulks, axis=1).min() > most else ())


def is_driven(series: Series) -> bool:
    """Whether a duty was ever requested."""
    return bool((abs(series.duty) > 0.0).any())
