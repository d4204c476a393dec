"""What recordings show of a stepper's cart: it follows its pulses, so that delay, settling and pole are all there is.

While no step is lost, such a cart is kinematic: neither its mass nor its friction nor the force of its motor shows, and
the pole moves as if its pivot were led. Its recorded position is the count of steps, exact but for the true place. Of
the steps in a metre only the pole tells, against gravity: how fast it swings gives its length, and how far a number of
steps swings it gives what they are in metres.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import MOST_STEPS_PER_S, Stepper
from cartpole_robot.errors import UsageError
from cartpole_robot.identify.fit import Estimate, Quantity
from cartpole_robot.identify.not_shown import NotShown
from cartpole_robot.open_loop.model import TERMS, Model, board_of, terms_of
from cartpole_robot.open_loop.series import Series
from firmware_bridge.protocol import read_constants

STEPPER_TERMS = ("delay", "settling", "pole_viscous", "pole_coulomb", "pole_length", "angle_zero")
STEPS_PER_M = "steps_per_m"
SWUNG_BY_A_STEPPER = (STEPS_PER_M,)
_COUNTS_PER_S = read_constants("ramp.h")["RAMP_COUNTS_PER_S"]
NO_PARAMETER = "not a parameter of a stepper cart"


def _pole_period_s(model: Model) -> float:
    body = model.cart.pole_cart
    return 2.0 * math.pi * math.sqrt(body.equal_pendulum_m / body.gravity_m_s2)


POLE_FIGURES = (
    Quantity(
        name="equal_pendulum",
        label="point pendulum that swings alike",
        unit="m",
        read=lambda model: model.cart.pole_cart.equal_pendulum_m,
        needs="pole_length",
    ),
    Quantity(name="pole_period", label="period of small swings", unit="s", read=_pole_period_s, needs="pole_length"),
)
"""What shows of the pole, whatever it weighs and however its mass is spread."""


def check_terms(names: tuple[str, ...], cart: CartParams) -> None:
    """Raises `UsageError` for a name that is no term, or one of another drive than that of `cart`."""
    known = terms_of(cart)
    for name in names:
        if name not in TERMS:
            raise UsageError(f"term {name!r} is not known, expected some of {', '.join(known)}")
        if name not in known:
            what = NO_PARAMETER if cart.stepper is not None else "not a parameter of a cart with a DC motor"
            raise UsageError(f"term {name!r} is {what}, as {cart.name!r} is; expected some of {', '.join(known)}")


def check_board(series: Series, first: Series) -> None:
    """Raises `UsageError` for a recording whose board made other steps of a duty than that of `first`."""
    boards = [None if one.cart.stepper is None else board_of(one.cart.stepper) for one in (first, series)]
    if None not in boards and boards[0] != boards[1]:
        words = "{:g} steps per metre, at most {:g} m/s and {:g} m/s²"
        first_words, words = (words.format(*board) for board in boards if board is not None)
        raise UsageError(
            f"{first.name} was driven with {first_words}, {series.name} with {words}: a duty is another acceleration "
            "in each; identify them separately"
        )


def within_resolution(estimates: Sequence[Estimate], all_series: Sequence[Series], stepper: Stepper) -> list[Estimate]:
    """The estimates, their intervals no narrower than what whole steps and whole periods of the timer leave open.

    The model's pulses are divided at will, the board's are not: on the mean of the motion, the count is up to half a
    step off, and its speed as much as half a count of the timer is of a step's period.
    """
    speeds = [np.diff(series.position_m) / np.diff(series.time_us) * 1e6 for series in all_series if len(series) > 1]
    rms_m_s = float(np.sqrt(np.mean(np.concatenate(speeds) ** 2))) if speeds else 0.0
    if rms_m_s == 0.0:
        return list(estimates)
    floors = {
        "delay": 0.5 / stepper.steps_per_m / rms_m_s,
        STEPS_PER_M: 0.5 * stepper.steps_per_m * rms_m_s / _COUNTS_PER_S * stepper.steps_per_m,
    }
    found = []
    for e in estimates:
        floor = floors.get(e.term.name, 0.0)
        low, high = (math.hypot(abs(end - e.value), floor) for end in (e.low, e.high))
        found.append(
            dataclasses.replace(e, low=max(e.term.low, e.value - low), high=min(e.term.high, e.value + high))
            if floor
            else e
        )
    return found


def not_shown_of_a_stepper(
    names: Collection[str], alike: Collection[str], *, is_driven: bool, are_chosen: bool
) -> tuple[NotShown, ...]:
    """As `not_shown`, of a stepper's cart; `alike` are terms that turned out as the file has them."""
    if not is_driven:
        return (NotShown(keys=("stepper", "delay"), reason="the motor was never driven"),)
    found = [
        NotShown(
            keys=("motor force", "back-EMF", "dead zone", "saturation", "lag of the motor"),
            reason=f"{NO_PARAMETER}: a duty is an acceleration, whatever that takes",
        ),
        NotShown(
            keys=("friction.cart_coulomb_n", "friction.cart_static_n", "friction.cart_viscous_n_s_m"),
            reason=f"{NO_PARAMETER} while no step is lost: it follows its pulses against any friction",
        ),
        NotShown(
            keys=("pole_cart.cart_mass_kg",),
            reason=f"{NO_PARAMETER} while no step is lost: the moving mass follows the pulses",
        ),
        NotShown(
            keys=("stepper.pull_out_force_n", "stepper.corner_speed_m_s", "stepper.pull_in_speed_m_s"),
            reason="they show only where steps are lost",
        ),
        NotShown(
            keys=("pole_cart.pole_mass_kg",),
            reason="a pole swings alike whatever it weighs; its friction in N m is as accurate as this mass",
        ),
        NotShown(keys=("delay.jitter_s", "delay.drop_probability"), reason="only the mean delay is searched"),
    ]
    if STEPS_PER_M not in names:
        reason = (
            "not among --terms"
            if are_chosen
            else "the recorded position is a count of steps, and no pole hung that could be driven to tell; measure "
            "the travel of a known number of steps, or the length of the track in steps"
        )
        found.append(NotShown(keys=(f"stepper.{STEPS_PER_M}",), reason=reason))
    elif STEPS_PER_M in alike:
        found.append(
            NotShown(
                keys=(f"stepper.{STEPS_PER_M}",),
                reason="as in the file, as far as the pole against gravity can tell; a measured length of the track is "
                "more accurate",
            )
        )
    if "settling" not in names:
        found.append(NotShown(keys=("stepper.settling_s",), reason="not among --terms"))
    return tuple(found)


def identified_stepper(model: Model, nominal: Stepper) -> Stepper:
    """The stepper of `nominal` with what was identified: its settling, and steps per metre.

    Largest speed and acceleration stay what they are in metres, but the board makes no more steps a second than it can.
    """
    found = model.cart.stepper
    assert found is not None
    steps_per_m = found.steps_per_m
    if steps_per_m == nominal.steps_per_m:
        return dataclasses.replace(nominal, settling_s=found.settling_s)
    steps_per_m = float(f"{steps_per_m:.6g}")  # as a file has it
    most_m_s = nominal.maximum_speed_m_s
    if steps_per_m * most_m_s > MOST_STEPS_PER_S:
        most_m_s = math.floor(1e4 * MOST_STEPS_PER_S / steps_per_m) / 1e4
    return dataclasses.replace(
        nominal, steps_per_m=steps_per_m, settling_s=found.settling_s, maximum_speed_m_s=most_m_s
    )
