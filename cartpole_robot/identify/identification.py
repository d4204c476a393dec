"""Identification of a cart from recordings: estimates with intervals, and errors on held-out data."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.identify.by_recording import Evidence, estimates_across
from cartpole_robot.identify.fit import Estimate, Fit, Fitted, Progress
from cartpole_robot.identify.not_shown import NotShown, not_shown
from cartpole_robot.identify.notes import notes_of
from cartpole_robot.identify.shown_terms import HANGING, SELDOM_SHOWN, SIDES, default_terms, is_driven
from cartpole_robot.identify.stepper_cart import (
    POLE_FIGURES,
    STEPS_PER_M,
    SWUNG_BY_A_STEPPER,
    check_board,
    check_terms,
    not_shown_of_a_stepper,
    within_resolution,
)
from cartpole_robot.open_loop.error import (
    OpenLoopError,
    errors_of,
    farthest_m,
    observed_starts,
    predicted,
    windows_with_past,
)
from cartpole_robot.open_loop.lost_steps import lost_steps
from cartpole_robot.open_loop.model import TERMS, Model, model_of, with_room
from cartpole_robot.open_loop.repeated import Repeated, repeated_on_pybullet
from cartpole_robot.open_loop.series import (
    Series,
    check_drive,
    check_lost_no_steps,
    check_moved,
    driven_part,
    is_same_run,
    part_of,
)
from cartpole_robot.open_loop.windows import Window, bounded, windows_of
from cartpole_robot.rigs.engine_choice import open_loop_engine
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]

_PERIODS_DIFFER = 0.05
_HELD_OUT_HORIZON_S = 0.5
_FEWEST_WINDOWS = 3
_HANGING_WINDOW_S = 2.0
_STANDING_WINDOW_S = 0.5
_LEAST_COASTING_S = 1.0  # shorter stretches are left out
_MOST_WINDOWS = 400
_MOST_ENTRIES = 100_000
_MOST_S = 300.0  # of all windows: what a search simulates again and again
_SECTION_WINDOWS = 8  # at least
_FEWEST_SECTIONS, _MOST_SECTIONS = 3, 5
_MOST_TESTED = 400  # windows of the held-out data
_SEARCHED_SHARE = 0.9  # of the work
_FITTED_SHARE = 0.65  # of a search


@dataclass(frozen=True, kw_only=True)
class IdentifyRequest:
    """What to identify: `terms` by name (None: `default_terms`), from windows of `window_s`.

    `window_s` None: 2 s where the pole hangs all the time, 0.5 s where it stands and every error grows. `held_out` is
    the share of each series, at its end, that is kept for validation. `engine` None: the choice of
    `rigs.engine_choice` for the cart.
    """

    terms: tuple[str, ...] | None = None
    window_s: float | None = None
    held_out: float = 0.3
    may_mix_periods: bool = False
    engine: Engine | None = None
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class Identification:
    """The result; `before` and `after` are the nominal and the identified model's errors on the held-out data.

    `engine` is the one that ran the model, `repeated` what PyBullet makes of `after` where it is another; `not_shown`
    names what stayed as it was.
    """

    nominal: Model
    model: Model
    estimates: tuple[Estimate, ...]
    ratios: tuple[Estimate, ...]
    noise: tuple[float, float]
    before: tuple[OpenLoopError, ...]
    after: tuple[OpenLoopError, ...]
    engine: Engine
    repeated: Repeated | None
    notes: tuple[str, ...]
    recordings: tuple[str, ...]
    not_shown: tuple[NotShown, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "recordings": list(self.recordings),
            "estimates": [
                {"term": e.term.name, **_estimate(e), "before": e.term.read(self.nominal), "at_bound": e.bound}
                for e in self.estimates
            ],
            "ratios": [
                {"ratio": e.term.name, **_estimate(e), "before": e.term.read(self.nominal)} for e in self.ratios
            ],
            "residual": {"position_m": self.noise[0], "angle_rad": self.noise[1]},
            "held_out": [
                {"before": _plain(b), "after": _plain(a)} for b, a in zip(self.before, self.after, strict=True)
            ],
            "engine": self.engine,
            "repeated_on_pybullet": None if self.repeated is None else self.repeated.as_dict(),
            "not_shown": [one.as_dict() for one in self.not_shown],
            "notes": list(self.notes),
        }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "label": estimate.term.label,
        "unit": estimate.term.unit,
        "value": estimate.value,
        "low_95": estimate.low,
        "high_95": estimate.high,
        "between_recordings": estimate.tau,
        "recordings_disagree": estimate.is_disputed,
        "by_recording": [
            {"recording": one.recording, "value": one.value, "low_95": one.low, "high_95": one.high}
            for one in estimate.by_recording
        ],
    }


def _plain(error: OpenLoopError) -> dict[str, Any]:
    return {k: None if v != v else v for k, v in dataclasses.asdict(error).items()}


def identify(
    all_series: Sequence[Series], cart: CartParams, request: IdentifyRequest, *, progress: Progress | None = None
) -> Identification:
    """The model of `cart` that explains `all_series` best.

    Raises `UsageError` for a cart that never moved, different control periods, the same run twice, unknown terms,
    another drive than that of `cart` or too little data; `RunError` where no cart fits.
    """
    _check(all_series, cart, request)
    nominal = model_of(cart, all_series[0].cart)
    of_recording = [(number, part) for number, series in enumerate(all_series) for part in _driven_and_coasting(series)]
    parts = [part for _, part in of_recording]
    names = request.terms or default_terms(parts, cart)
    if not any(is_driven(series) for series in all_series):
        names = tuple(name for name in names if _is_of_the_pole(name))
    known, held_out = zip(*(_split(series, request.held_out) for series in parts), strict=True)
    window_s = request.window_s or _window_s(known)
    every_window = _windows(known, window_s, request.window_s or _HANGING_WINDOW_S)
    windows = bounded(every_window, min(_MOST_WINDOWS, round(_MOST_S / window_s)), _MOST_ENTRIES)
    if len(windows) < _FEWEST_WINDOWS:
        raise UsageError(
            f"the recordings have {len(windows)} windows of {window_s:g} s without a gap, expected at least "
            f"{_FEWEST_WINDOWS}; record for longer, or use shorter windows (--window-s)"
        )
    begin = with_room(nominal, farthest_m(known))
    is_any_driven = any(map(is_driven, all_series))
    chosen, engine_note = open_loop_engine(cart, request.engine)
    assert chosen is not None

    def search(terms: Sequence[str], low: float, high: float) -> _Found:
        with Fit(known, windows, begin, [TERMS[name] for name in terms], chosen, request.workers) as fit:
            try:
                fitted = fit.run(progress=_part(progress, low, low + _FITTED_SHARE * (high - low)))
            except ValueError as error:
                raise RunError(f"no cart fits these recordings: {error}; is the cart file the right one?") from None
        evidence = _evidence(all_series, of_recording, windows, terms, cart)
        more = _part(progress, low + _FITTED_SHARE * (high - low), high)
        if cart.stepper is None:
            return _Found(fitted, *estimates_across(known, evidence, fitted, terms, progress=more))
        estimates, figures = estimates_across(known, evidence, fitted, terms, figures=POLE_FIGURES, progress=more)
        driven = [part for part in known if part.is_coasting is None]
        return _Found(fitted, tuple(within_resolution(estimates, driven, cart.stepper)), figures)

    may_be_alike = [] if request.terms else [name for name in names if _may_be_as_before(name, begin)]
    first = search(names, 0.0, _SEARCHED_SHARE / 2.0 if may_be_alike else _SEARCHED_SHARE)
    alike = [
        e for e in first.estimates if e.term.name in may_be_alike and e.low <= _before(e.term.name, begin) <= e.high
    ]
    found = first
    if alike:
        left_out = {e.term.name for e in alike}
        found = search([name for name in names if name not in left_out], _SEARCHED_SHARE / 2.0, _SEARCHED_SHARE)
    fitted, engine = found.fitted, found.fitted.engine
    estimates = (*found.estimates, *(dataclasses.replace(e, value=_before(e.term.name, begin)) for e in alike))
    kept = [series for series in held_out if len(series) > 0]
    tested = bounded(
        windows_with_past(kept, _HELD_OUT_HORIZON_S, _HELD_OUT_HORIZON_S / 5.0), _MOST_TESTED, _MOST_ENTRIES
    )
    starts = observed_starts(kept, tested, fitted.model, engine)
    before, after = (predicted(kept, model, tested, starts, engine) for model in (nominal, fitted.model))
    repeated = repeated_on_pybullet(engine, kept, fitted.model, tested, starts, after)
    if progress is not None:
        progress(1.0)
    return Identification(
        nominal=nominal,
        model=fitted.model,
        estimates=estimates,
        ratios=found.ratios,
        noise=fitted.noise,
        before=tuple(errors_of(kept, tested, before)),
        after=tuple(errors_of(kept, tested, after)),
        engine=engine,
        repeated=repeated,
        notes=(
            *_engine_notes(chosen, engine_note, engine, repeated),
            *_length_notes(len(windows), len(every_window), window_s),
            *notes_of(cart, names, found.estimates, len(all_series), is_driven=is_any_driven),
            *_alike_notes(alike),
            *_steps_notes(all_series, fitted.model, engine),
        ),
        recordings=tuple(series.name for series in all_series),
        not_shown=_not_shown(
            cart,
            names,
            {e.term.name for e in alike},
            is_driven=is_any_driven,
            are_chosen=request.terms is not None,
        ),
    )


def _not_shown(
    cart: CartParams, names: Sequence[str], alike: set[str], *, is_driven: bool, are_chosen: bool
) -> tuple[NotShown, ...]:
    if cart.stepper is not None:
        return not_shown_of_a_stepper(names, alike, is_driven=is_driven, are_chosen=are_chosen)
    return not_shown(cart, names, alike, is_driven=is_driven, are_chosen=are_chosen)


class _Found(NamedTuple):
    """What a search finds."""

    fitted: Fitted
    estimates: tuple[Estimate, ...]
    ratios: tuple[Estimate, ...]


def _steps_notes(all_series: Sequence[Series], model: Model, engine: Engine) -> list[str]:
    """About a stepper's cart that jumps against its count of steps."""
    return [
        f"{series.name}: the pole moves as if the cart had jumped against its count of steps, by about "
        f"{', '.join(jump.text() for jump in jumps)}: were steps lost there? Leave the recording out, or record "
        "again with smaller accelerations"
        for series in all_series
        if (jumps := lost_steps(driven_part(series), model, engine))
    ]


def _may_be_as_before(name: str, begin: Model) -> bool:
    """Whether the term is left out where its interval contains the value that it has in the file."""
    return name in SWUNG_BY_A_STEPPER or (name in SIDES and TERMS[name].read(begin) == 0.0)


def _before(name: str, begin: Model) -> float:
    return TERMS[name].read(begin)


def _alike_notes(alike: Sequence[Estimate]) -> list[str]:
    """About differences between right and left whose intervals contain 0, and the file's steps per metre."""
    return [
        f"{e.term.label}: no difference that is certain ({e.low:.5g} to {e.high:.5g} {e.term.unit}); the model keeps "
        f"{'those of the file' if e.term.name == STEPS_PER_M else 'both sides alike'} (--terms ... {e.term.name} "
        "searches it all the same)"
        for e in alike
    ]


def _evidence(
    all_series: Sequence[Series],
    of_recording: Sequence[tuple[int, Series]],
    windows: Sequence[Window],
    names: Sequence[str],
    cart: CartParams,
) -> list[Evidence]:
    """Each recording, or section of one, with enough windows, and the terms of `names` that it can show by itself."""
    found = []
    for number, series in enumerate(all_series):
        mine = [(k, part) for k, (recording, part) in enumerate(of_recording) if recording == number]
        own = tuple(window for window in windows if window.series in {k for k, _ in mine})
        seldom = {*SELDOM_SHOWN}
        hidden = seldom - {*default_terms([part for _, part in mine], cart)}
        if not is_driven(series):
            hidden = {name for name in names if not _is_of_the_pole(name)}
        shown = tuple(name for name in names if name not in hidden)
        for name, section in _sections(series.name, own):
            if len(section) >= _FEWEST_WINDOWS and shown:
                found.append(Evidence(name=name, windows=section, terms=shown))
    return found


def _sections(name: str, windows: Sequence[Window]) -> list[tuple[str, tuple[Window, ...]]]:
    """The windows of a recording with its name; of a long one in sections that follow each other, each with a name.

    A section has its share of what was driven and of what was not. Where the model lacks something, the sections of one
    recording differ as recordings do.
    """
    count = min(_MOST_SECTIONS, len(windows) // _SECTION_WINDOWS)
    if count < _FEWEST_SECTIONS:
        return [(name, tuple(windows))]
    parts = [list(part) for _, part in itertools.groupby(windows, key=lambda window: window.series)]
    found = []
    for k in range(count):
        ends = [(k * len(part) // count, (k + 1) * len(part) // count) for part in parts]
        section = tuple(window for part, (a, b) in zip(parts, ends, strict=True) for window in part[a:b])
        found.append((f"{name} {k + 1}/{count}", section))
    return found


def _is_of_the_pole(term: str) -> bool:
    return term.startswith("pole") or term == "angle_zero"


def _length_notes(used: int, of: int, window_s: float) -> list[str]:
    if used == of:
        return []
    return [f"the recordings are long: {used} of their {of} windows of {window_s:g} s, evenly spread, were used"]


def _part(progress: Progress | None, low: float, high: float) -> Callable[[float], object] | None:
    return None if progress is None else lambda share: progress(low + (high - low) * share)


def _engine_notes(chosen: Engine, note: str | None, engine: Engine, repeated: Repeated | None) -> list[str]:
    notes = [] if note is None else [note]
    if engine is not chosen:
        notes.append("the native engine's result has another error on PyBullet: PyBullet continued the search")
    if repeated is not None and not repeated.is_same:
        notes.append(f"the engines differ: {repeated.text()}; run again with --engine pybullet")
    return notes


def _check(all_series: Sequence[Series], cart: CartParams, request: IdentifyRequest) -> None:
    if not all_series:
        raise UsageError("no recording to identify from; name at least one")
    check_terms(request.terms or (), cart)
    for series in all_series:
        check_drive(series, cart)
        check_board(series, all_series[0])
        check_lost_no_steps(series)
        check_moved(series)
    for number, series in enumerate(all_series):
        for other in all_series[:number]:
            if is_same_run(series, other):
                raise UsageError(
                    f"{other.name} and {series.name} are recordings of the same run, which would count "
                    "twice; leave one out"
                )
            ratio = series.period_s / other.period_s
            if abs(ratio - 1.0) > _PERIODS_DIFFER and not request.may_mix_periods:
                raise UsageError(
                    f"{other.name} has a control period of {other.period_s:g} s, {series.name} one of "
                    f"{series.period_s:g} s; identify them separately, or use --mixed-periods if the delay is the same"
                )


def _windows(all_series: Sequence[Series], window_s: float, coasting_window_s: float) -> list[Window]:
    """Windows of `window_s`; of `coasting_window_s` where the motor was off."""
    found = []
    for number, series in enumerate(all_series):
        length_s = window_s if series.is_coasting is None else coasting_window_s
        found += [dataclasses.replace(window, series=number) for window in windows_of([series], length_s)]
    return found


def _window_s(all_series: Sequence[Series]) -> float:
    driven = [series for series in all_series if series.is_coasting is None]
    hangs = all(float(np.cos(series.angle_rad).max(initial=-1.0)) < HANGING for series in driven)
    return _HANGING_WINDOW_S if hangs else _STANDING_WINDOW_S


def _split(series: Series, held_out: float) -> tuple[Series, Series]:
    cut = len(series) if series.is_coasting is not None else round((1.0 - held_out) * len(series))
    return part_of(series, 0, cut), part_of(series, cut, len(series))


def _driven_and_coasting(series: Series) -> list[Series]:
    """The stretches under commands and those with the motor off, each as its own series."""
    if series.is_coasting is None:
        return [series]
    edges = [0, *(np.flatnonzero(np.diff(series.is_coasting)) + 1).tolist(), len(series)]
    found = []
    for first, end in itertools.pairwise(edges):
        part = part_of(series, first, end)
        if not series.is_coasting[first]:
            found.append(dataclasses.replace(part, is_coasting=None))
            continue
        fallen = np.flatnonzero(np.cos(part.angle_rad) < HANGING)  # a leaning pole may still fall to either side
        part = part_of(part, int(fallen[0]) if len(fallen) else len(part), len(part))
        if len(part) * part.period_s >= _LEAST_COASTING_S:
            found.append(dataclasses.replace(part, name=f"{series.name}, motor off"))
    return found
