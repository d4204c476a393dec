"""The full comparison of a recorded rollout with a simulated rollout or a simulated cart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.compare.attribution import ANGLE_ZERO, Attribution, attribute
from cartpole_robot.compare.closed_loop import Agreement, ClosedLoop, agreement, closed_loop
from cartpole_robot.compare.distributions import Distance, distances
from cartpole_robot.compare.open_loop import OpenLoopComparison, Tube, compare_open_loop
from cartpole_robot.compare.quantities import SIGNALS, Interval
from cartpole_robot.compare.stepper_notes import board_notes, steps_notes
from cartpole_robot.errors import UsageError
from cartpole_robot.identify.notes import LARGE_ZERO_RAD
from cartpole_robot.open_loop.lost_steps import Jump, lost_steps
from cartpole_robot.open_loop.model import TERMS, Model, model_of, terms_of
from cartpole_robot.open_loop.series import Series, check_drive, check_moved, driven_part, is_same_run, series_of
from cartpole_robot.policy.controllers import PolicyController, open_policy, policy_controller
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rigs.engine_choice import open_loop_engine
from cartpole_robot.simulation.engine import Engine

Floats = NDArray[np.float64]
Progress = Callable[[float], object]
_PERIODS_DIFFER = 0.05
_NOTED_PERIODS_DIFFER = 1e-3
_ZERO_SHOWS = 0.02  # of the gap
_OPEN_LOOP_SHARE = 0.4  # of the work, typically


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What to compare.

    `simulated` is a recording, or the name or file of a cart; then only the open loop is compared. The recorded
    commands are replayed in a simulation of `cart` (None: that of `simulated`). `policy` is replayed on both
    rollouts (None: the one that the recording names, if it still exists). `engine` None: the choice of
    `rigs.engine_choice` for the cart.
    """

    simulated: str
    recorded: Path
    cart: str | None = None
    policy: Path | None = None
    tube: Tube = dataclasses.field(default_factory=Tube)
    attributes: bool = True
    engine: Engine | None = None
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """The timing of a recording in s, one value per row where it was measured."""

    lateness_s: Floats
    command_age_s: Floats


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result; `simulated` and all that needs two rollouts is None, or empty, for a cart alone.

    `jumps` are those of a stepper's cart against its count of steps.
    """

    cart: CartParams
    model: Model
    engine: Engine
    simulated: Recording | None
    recorded: Recording
    open_loop: OpenLoopComparison
    attribution: Attribution | None
    simulated_loop: ClosedLoop | None
    recorded_loop: ClosedLoop
    agreement: Agreement | None
    distances: tuple[Distance, ...]
    latencies: tuple[Latencies | None, Latencies]
    jumps: tuple[Jump, ...]
    notes: tuple[str, ...]

    def parameters(self) -> list[tuple[str, str, float, float | None]]:
        """(label, unit, in this simulation, in the cart file that the recording carries or None), SI."""
        theirs = model_of(self.recorded.cart)
        is_other = self.recorded.cart.fingerprint() != self.cart.fingerprint()
        return [
            (term.label, term.unit, term.read(self.model), term.read(theirs) if is_other else None)
            for term in (TERMS[name] for name in terms_of(self.cart))
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: SI units, None for unknown values."""
        open_loop = self.open_loop
        report = {
            "simulation": {"cart": self.cart.name, "engine": self.engine, "recording": _facts(self.simulated)},
            "recording": _facts(self.recorded),
            "open_loop": {
                "horizons": [
                    {
                        "horizon_s": h.horizon_s,
                        "windows": h.windows,
                        "rmse": _by_signal(h.rmse),
                        "normalised_rmse": _by_signal(h.normalised),
                    }
                    for h in open_loop.horizons
                ],
                "fidelity": None if open_loop.fidelity is None else dataclasses.asdict(open_loop.fidelity),
                "repeated_on_pybullet": None if open_loop.repeated is None else open_loop.repeated.as_dict(),
                "later_s": None if open_loop.later_s is None else open_loop.later_s.as_dict(),
                "growth": {
                    "time_s": open_loop.growth_s.tolist(),
                    "position_m": open_loop.growth[:, 0].tolist(),
                    "angle_rad": open_loop.growth[:, 1].tolist(),
                },
            },
            "closed_loop": {
                "simulated": None if self.simulated_loop is None else self.simulated_loop.as_dict(),
                "recorded": self.recorded_loop.as_dict(),
                "agreement": None if self.agreement is None else dataclasses.asdict(self.agreement),
            },
            "wasserstein": {d.signal: {"distance": d.distance, "normalised": d.normalised} for d in self.distances},
            "attribution": None if self.attribution is None else dataclasses.asdict(self.attribution),
            "jumps": [{"time_s": jump.time_s, "distance_m": jump.distance_m} for jump in self.jumps],
            "parameters": [
                {"label": label, "unit": unit, "in_simulation": ours, "in_the_recordings_cart_file": theirs}
                for label, unit, ours, theirs in self.parameters()
            ],
            "notes": list(self.notes),
        }
        plain: dict[str, Any] = _plain(report)
        return plain


def compare(request: CompareRequest, *, progress: Progress | None = None) -> Comparison:
    """The comparison. Raises `UsageError` naming file and row for recordings that cannot be compared."""
    recorded = read_recording(request.recorded)
    simulated, cart = _simulation(request.simulated)
    if request.cart is not None:
        cart = load_cart(request.cart)
    series = series_of(recorded)
    check_drive(series, cart)
    check_moved(series)
    _check(recorded, series, simulated)
    model = model_of(cart, recorded.cart)
    engine, engine_note = open_loop_engine(cart, request.engine)
    assert engine is not None
    split = _OPEN_LOOP_SHARE if request.attributes else 1.0
    open_loop = compare_open_loop(series, model, engine, tube=request.tube, progress=_part(progress, 0.0, split))
    blamed = None
    if request.attributes:
        blamed = attribute(series, model, engine, workers=request.workers, progress=_part(progress, split, 1.0))
    policy, note = _policy(request, recorded)
    jumps = lost_steps(driven_part(series), model, engine)
    notes = [
        *filter(None, (engine_note, note)),
        *_notes(recorded, simulated, cart, open_loop, blamed),
        *steps_notes(series, jumps),
    ]
    return Comparison(
        cart=cart,
        model=model,
        engine=engine,
        simulated=simulated,
        recorded=recorded,
        open_loop=open_loop,
        attribution=blamed,
        simulated_loop=None if simulated is None else closed_loop(simulated),
        recorded_loop=closed_loop(recorded),
        agreement=None if simulated is None else agreement(simulated, recorded, policy),
        distances=() if simulated is None else distances(simulated, recorded),
        latencies=(None if simulated is None else _latencies(simulated), _latencies(recorded)),
        jumps=tuple(jumps),
        notes=tuple(notes),
    )


def _simulation(simulated: str) -> tuple[Recording | None, CartParams]:
    """The recording of that name and its cart, or the cart alone."""
    path = Path(simulated)
    if path.suffix == ".toml" or not (path.suffix or path.exists()):
        return None, load_cart(simulated)
    recording = read_recording(path)
    return recording, recording.cart


def _check(recorded: Recording, series: Series, simulated: Recording | None) -> None:
    """Raises `UsageError` for two rollouts that cannot be compared."""
    if simulated is None:
        return
    ours = series_of(simulated)
    check_drive(ours, recorded.cart)
    if abs(series.period_s / ours.period_s - 1.0) > _PERIODS_DIFFER:
        raise UsageError(
            f"{simulated.path}: has a control period of {ours.period_s:g} s, {recorded.path} one of "
            f"{series.period_s:g} s; compare recordings of one control period, or {recorded.path} with a cart"
        )
    rigs = [recording.metadata.rig for recording in (simulated, recorded)]
    if is_same_run(ours, series) and rigs[0] != rigs[1]:
        raise UsageError(
            f"{simulated.path} on the rig {rigs[0]} and {recorded.path} on the rig {rigs[1]} have the same readings, "
            "count for count: there is nothing to compare"
        )
    if is_same_run(ours, series):
        raise UsageError(
            f"{simulated.path} and {recorded.path} are recordings of the same run; there is nothing to compare; name "
            "one of the simulation and one of the cart"
        )


def _policy(request: CompareRequest, recorded: Recording) -> tuple[PolicyController | None, str | None]:
    """The policy to ask again, and a note about it."""
    named = recorded.metadata.controller
    path = request.policy
    if path is None:
        if not named.policy.endswith(".npz"):
            return None, None
        path = Path(named.policy)
    try:
        bundle, path = open_policy(path)
    except UsageError:
        if request.policy is not None:
            raise
        return None, f"{path}: the recording's policy is gone or not readable; it is not asked again"
    if request.policy is None and bundle.policy_hash() != named.policy_hash:
        return None, f"{path}: holds another policy than the recording's; it is not asked again"
    return policy_controller(bundle), None


def _notes(
    recorded: Recording,
    simulated: Recording | None,
    cart: CartParams,
    open_loop: OpenLoopComparison,
    blamed: Attribution | None,
) -> list[str]:
    notes = []
    periods_s = [c.timing.control_period_s for c in (recorded.cart, cart)]
    if abs(periods_s[0] / periods_s[1] - 1.0) > _NOTED_PERIODS_DIFFER:
        notes.append(
            f"{recorded.path.name} has a control period of {periods_s[0]:g} s, the simulation one of {periods_s[1]:g} "
            "s: the commands are replayed at their recorded times, with the simulation's own delay"
        )
    notes += board_notes(recorded, cart)
    if open_loop.repeated is not None and not open_loop.repeated.is_same:
        notes.append(f"the engines differ: {open_loop.repeated.text()}; run again with --engine pybullet")
    if open_loop.is_thinned:
        notes.append("the recording is long: its windows were thinned evenly")
    if all(h.windows == 0 for h in open_loop.horizons):
        notes.append(
            f"{recorded.path.name} has no {open_loop.horizons[0].horizon_s:g} s without a gap after 0.3 s to observe "
            "the start in: no open loop"
        )
    zero_rad = _wrong_zero_rad(blamed, cart)
    if zero_rad is not None:
        notes.append(
            f"{recorded.path.name} may show the pole's angle with a wrong zero: {math.degrees(zero_rad):.0f} degrees "
            "with the pole upright fit best, whatever else is wrong; correct the offset in the map's [angle], or use "
            "the cart file that cartpole-robot identify writes, which keeps the zero"
        )
    both = [r for r in (simulated, recorded) if r is not None]
    hashes = {r.metadata.controller.policy_hash for r in both}
    if len(hashes) > 1:
        notes.append("the two rollouts were driven by different policies: the closed loops differ for that alone")
    starts = {r.metadata.seed for r in both}
    if len(starts) > 1:
        notes.append("the two rollouts began in different states: equal ticks say little")
    notes.extend(f"{r.path.name}: {r.rows_damaged} damaged rows were left out" for r in both if r.rows_damaged)
    return notes


def _wrong_zero_rad(found: Attribution | None, cart: CartParams) -> float | None:
    """The angle zero that fits best where it is large and shows at all; a bad fit is no reason to trust the zero."""
    zero = None if found is None else next((b for b in found.blames if b.term == ANGLE_ZERO), None)
    if zero is None or isinstance(zero.best, str) or zero.explained < _ZERO_SHOWS:
        return None
    off_rad = min(abs(zero.best), abs(zero.best - model_of(cart).angle_zero_rad))
    return zero.best if off_rad >= LARGE_ZERO_RAD else None


def _latencies(recording: Recording) -> Latencies:
    lateness, age = (recording.column(name).astype(float) for name in ("lateness_s", "command_age_s"))
    return Latencies(lateness_s=lateness[np.isfinite(lateness)], command_age_s=age[np.isfinite(age)])


def _facts(recording: Recording | None) -> dict[str, Any] | None:
    if recording is None:
        return None
    metadata = recording.metadata
    return {
        "file": str(recording.path),
        "cart": recording.cart.name,
        "rows": len(recording.rows),
        **{key: getattr(metadata, key) for key in ("rig", "seed", "started_at", "commit")},
        "policy": metadata.controller.policy,
        "policy_hash": metadata.controller.policy_hash,
    }


def _by_signal(intervals: tuple[Interval, ...]) -> dict[str, dict[str, float]]:
    return {signal.name: interval.as_dict() for signal, interval in zip(SIGNALS, intervals, strict=True)}


def _plain(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _part(progress: Progress | None, low: float, high: float) -> Progress | None:
    return None if progress is None else lambda share: progress(low + (high - low) * share)
