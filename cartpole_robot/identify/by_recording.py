"""What each recording shows by itself, and intervals that hold across recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cartpole_robot.identify.across import combined
from cartpole_robot.identify.fit import Estimate, Fit, Fitted, OneRecording, Progress, Quantity, bound_at
from cartpole_robot.open_loop.model import TERMS, Model, Term
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import Window
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]
_STANDARD_95 = 0.975
_SURE = 0.05  # probability below which recordings disagree, shared among all that is compared
_MATTERS = 0.01  # of the mean: a smaller spread is no disagreement, however sure
_STEPS_ON_PYBULLET = 4
_HEAVIER = 0.15
_FORCES = ("motor_gain", "back_emf", "viscous", "coulomb")
_DIFFERENCE = 1e-3  # of a term's size

RATIOS = (
    Quantity(
        name="force_per_kg",
        label="stall force per kg",
        unit="N/kg",
        read=lambda model: model.cart.motor.stall_force_n / model.cart.pole_cart.mass_kg,
        needs="motor_gain",
    ),
    Quantity(
        name="damping_per_kg",
        label="back-EMF and viscous friction per kg",
        unit="1/s",
        read=lambda model: model.cart.damping_n_s_m / model.cart.pole_cart.mass_kg,
        needs="motor_gain",
    ),
    Quantity(
        name="coulomb_per_kg",
        label="Coulomb friction per kg",
        unit="m/s²",
        read=lambda model: model.cart.friction.cart_coulomb_n / model.cart.pole_cart.mass_kg,
        needs="motor_gain",
    ),
)
"""Per kg of cart and pole: what shows in the motion of the cart, whatever it weighs."""
_RATIO_OF = {"motor_gain": "force_per_kg", "damping": "damping_per_kg", "coulomb": "coulomb_per_kg"}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A recording by itself: its windows, and the terms that it can show."""

    name: str
    windows: tuple[Window, ...]
    terms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What a recording shows of one quantity, or all recordings together do."""

    recording: str
    value: float
    error: float
    freedom: int

    def is_normal(self, quantity: Term | Quantity) -> bool:
        """Whether the error is that of a normal estimate: at a bound of the search it is not."""
        low, high = self.interval(quantity)
        return bool(np.isfinite(self.error)) and self.error > 0.0 and bound_at(quantity, self.value, high - low) is None

    def interval(self, quantity: Term | Quantity) -> tuple[float, float]:
        reach = self.error * float(stdtrit(self.freedom, _STANDARD_95))
        return max(quantity.low, self.value - reach), min(quantity.high, self.value + reach)


def estimates_across(
    all_series: Sequence[Series],
    recordings: Sequence[Evidence],
    fitted: Fitted,
    terms: Sequence[str],
    *,
    figures: Sequence[Quantity] = RATIOS,
    progress: Progress | None = None,
) -> tuple[tuple[Estimate, ...], tuple[Estimate, ...]]:
    """The estimates of the terms, and those of the `figures`, with intervals that hold across `recordings`.

    The values are those of `fitted`, which explains all recordings best. Each recording is fitted again by itself, from
    there. Recordings that show a term differently widen its interval; a term that fewer than two of them show keeps the
    interval of the common fit.
    """
    fits: list[tuple[Evidence, Fitted]] = []
    if len(recordings) > 1:
        for done, one in enumerate(recordings, start=1):
            refined = _refined(all_series, one, fitted)
            if refined is not None:
                fits.append((one, refined))
            if progress is not None:
                progress(done / len(recordings))
    ratios = [figure for figure in figures if figure.needs in terms]
    quantities: list[Term | Quantity] = [*(e.term for e in fitted.estimates), *ratios]
    found = [
        _across(
            quantity,
            _shown(quantity, "all", fitted, terms),
            [_shown(quantity, one.name, fit, one.terms) for one, fit in fits if _is_shown(quantity, one.terms)],
            _SURE / len(quantities),
        )
        for quantity in quantities
    ]
    count = len(fitted.estimates)
    estimates, known_ratios = found[:count], {one.term.name: one for one in found[count:]}
    if fits:
        pole_kg = fitted.model.cart.pole_cart.pole_mass_kg
        estimates = [_with_mass(one, estimates, known_ratios, pole_kg) for one in estimates]
    return tuple(estimates), tuple(found[count:])


def _with_mass(
    force: Estimate, estimates: Sequence[Estimate], ratios: Mapping[str, Estimate], pole_kg: float
) -> Estimate:
    """A force's interval, which holds as well what the interval of the mass makes of the force per kg."""
    ratio = ratios.get(_RATIO_OF.get(force.term.name, ""))
    mass = next((one for one in estimates if one.term.name == "cart_mass"), None)
    if ratio is None or mass is None:
        return force
    low, high = (ratio.value * (end + pole_kg) for end in (mass.low, mass.high))
    return dataclasses.replace(
        force, low=max(force.term.low, min(force.low, low)), high=min(force.term.high, max(force.high, high))
    )


def _refined(all_series: Sequence[Series], one: Evidence, fitted: Fitted) -> Fitted | None:
    steps = {"most_iterations": _STEPS_ON_PYBULLET} if fitted.engine is Engine.PYBULLET else {}
    with Fit(all_series, one.windows, fitted.model, [TERMS[name] for name in one.terms], fitted.engine, 1) as fit:
        try:
            return fit.refine(fitted.noise, _heavier_and_lighter(fitted.model, one.terms), **steps)
        except ValueError:
            return None  # the search met a model that no cart can have


def _heavier_and_lighter(model: Model, terms: Sequence[str]) -> list[Model]:
    """Carts that move almost as `model` does, all forces in proportion; none where the mass is known."""
    if "cart_mass" not in terms:
        return []
    found = []
    for factor in (1.0 - _HEAVIER, 1.0 + _HEAVIER):
        other = model
        for name in ("cart_mass", *_FORCES):
            other = TERMS[name].write(other, factor * TERMS[name].read(model))
        found.append(other)
    return found


def _is_shown(quantity: Term | Quantity, terms: Sequence[str]) -> bool:
    return (quantity.name if isinstance(quantity, Term) else quantity.needs) in terms


def _shown(quantity: Term | Quantity, name: str, fitted: Fitted, terms: Sequence[str]) -> _Shown:
    slopes = np.array([_slope(quantity.read, TERMS[term], fitted.model) for term in terms])
    error = float(np.sqrt(max(0.0, slopes @ fitted.covariance @ slopes)))
    return _Shown(recording=name, value=quantity.read(fitted.model), error=error, freedom=fitted.freedom)


def _slope(read: Callable[[Model], float], term: Term, model: Model) -> float:
    """The derivative by a term; one-sided at its bounds."""
    value, step = term.read(model), _DIFFERENCE * term.size(model)
    low, high = max(term.low, value - step), min(term.high, value + step)
    return (read(term.write(model, high)) - read(term.write(model, low))) / (high - low)


def _across(quantity: Term | Quantity, all_of_them: _Shown, each: Sequence[_Shown], sure: float) -> Estimate:
    low, high = all_of_them.interval(quantity)
    alone = Estimate(term=quantity, value=all_of_them.value, low=low, high=high)
    alone = dataclasses.replace(
        alone,
        by_recording=tuple(
            OneRecording(recording=one.recording, value=one.value, low=ends[0], high=ends[1])
            for one in each
            for ends in [one.interval(quantity)]
        ),
    )
    known = [one for one in each if one.is_normal(quantity)]
    if len(known) < 2:
        return alone
    values, errors = (np.array([getattr(one, name) for one in known]) for name in ("value", "error"))
    across = combined(values, errors, sum(one.freedom for one in known))
    return dataclasses.replace(
        alone,
        low=max(quantity.low, min(low, across.low)),
        high=min(quantity.high, max(high, across.high)),
        tau=across.tau,
        is_disputed=across.p < sure and across.tau > _MATTERS * abs(across.mean),
    )
