"""A comparison in words: how far, why, and what to change."""

from __future__ import annotations

import math
from typing import Any

from cartpole_robot.compare.attribution import Attribution, Blame
from cartpole_robot.compare.closed_loop import ClosedLoop, Cycle
from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.open_loop import HorizonError
from cartpole_robot.compare.quantities import SIGNALS, Interval
from cartpole_robot.identify.cart_file import file_keys

_TOLD_HORIZON_S = 0.5
_EXPLAINS = 0.5  # of the gap: a term that is to blame by itself
_HARDLY = 0.05
_TOLD_DELAY_S = 2e-3
_SAME_POLICY = 0.99  # of the turns: less is another policy, or another state
_CLOSE = 0.8  # of the first's share: a second that explains it as well


def summary(comparison: Comparison) -> list[str]:
    """The comparison in a few sentences."""
    told = [_distance(comparison), _fidelity(comparison), _later(comparison.open_loop.later_s)]
    if comparison.attribution is not None:
        told += _why(comparison.attribution)
    told += _loops(comparison)
    return [sentence for sentence in told if sentence]


def report_text(comparison: Comparison) -> str:
    """Tables and sentences for a terminal."""
    parts = ["\n".join(f"  {line}" for line in summary(comparison))]
    parts.append(horizon_table(comparison))
    if comparison.attribution is not None:
        parts.append(attribution_table(comparison.attribution))
    parts.append(loop_table(comparison))
    if comparison.notes:
        parts.append("\n".join(f"  note: {note}" for note in comparison.notes))
    return "\n\n".join(parts)


def horizon_table(comparison: Comparison) -> str:
    """Errors by horizon, a line each."""
    head = f"  {'open loop, RMS error after':<26}" + "".join(f"{s.label + ' ' + s.unit:>24}" for s in SIGNALS)
    lines = [head]
    for horizon in comparison.open_loop.horizons:
        if not horizon.windows:
            lines.append(f"  {horizon.horizon_s:g} s: no stretch of the recording is that long")
            continue
        cells = "".join(
            f"{interval_text(rmse.scaled(s.factor)):>24}" for s, rmse in zip(SIGNALS, horizon.rmse, strict=True)
        )
        lines.append(f"  {f'{horizon.horizon_s:g} s, {horizon.windows} times':<26}{cells}")
    return "\n".join(lines)


def attribution_table(found: Attribution) -> str:
    """The terms, best first."""
    lines = [f"  {'one term at its best value':<34}{'simulated':>14}{'best alone':>20}   share of the gap"]
    lines += [
        f"  {blame.label:<34}{value_text(blame.in_simulation):>14}{value_text(blame.best):>20}   "
        f"{100.0 * blame.explained:5.1f} %  {'#' * round(20 * blame.explained)}"
        for blame in found.blames
    ]
    return "\n".join(lines)


def loop_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(figure, simulated, recorded) of the closed loops, as text; "-" for what is not known."""
    pair = (comparison.simulated_loop, comparison.recorded_loop)
    rows: list[tuple[str, str, str]] = []

    def row(label: str, show: Any) -> None:
        left, right = ("-" if loop is None else show(loop) for loop in pair)
        rows.append((label, left, right))

    row("survived", lambda loop: f"{loop.turns} turns, {loop.duration_s:.1f} s")
    row("ended by", _end)
    row("RMS position", lambda loop: _shown(loop.rms_position_m, 1e3, "mm", 1))
    row("RMS angle", lambda loop: _shown(loop.rms_angle_rad, 1e3, "mrad", 1))
    row("effort (RMS duty)", lambda loop: _shown(loop.effort, 1.0, "", 3))
    row("reversals", lambda loop: _shown(loop.reversals_per_s, 1.0, "a second", 1))
    row("motor power", lambda loop: _shown(loop.mean_power_w, 1.0, "W", 2))
    row("cycle of the position", lambda loop: _cycle(loop.position_cycle, 1e3, "mm"))
    row("cycle of the angle", lambda loop: _cycle(loop.angle_cycle, 1e3, "mrad"))
    row("time from command to acceleration", lambda loop: _shown(loop.response_delay_s, 1e3, "ms", 0))
    return rows


def loop_table(comparison: Comparison) -> str:
    """The closed loops beside each other, with what compares them."""
    lines = [f"  {'closed loop':<30}{'simulated':>26}{'recorded':>26}"]
    lines += [f"  {label:<30}{left:>26}{right:>26}" for label, left, right in loop_rows(comparison)]
    found = comparison.agreement
    if found is not None and found.recorded is not None:
        lines.append(
            f"  {'the policy asked once more':<30}{_percent(found.simulated):>26}{_percent(found.recorded):>26}"
        )
    if comparison.distances:
        lines.append(
            "  Wasserstein distance: "
            + ", ".join(
                f"{signal.label} {signal.factor * d.distance:.3g} {signal.unit} ({d.normalised:.2f} of its spread)"
                for signal, d in zip(SIGNALS, comparison.distances, strict=True)
            )
        )
    return "\n".join(lines)


def interval_text(interval: Interval) -> str:
    """Value and interval with three digits."""
    if math.isnan(interval.value):
        return "-"
    return f"{interval.value:.3g} ({interval.low:.3g}-{interval.high:.3g})"


def value_text(value: float | str) -> str:
    """A number with four digits, or the word."""
    return value if isinstance(value, str) else f"{value:.4g}"


def _distance(comparison: Comparison) -> str:
    horizon = _told_horizon(comparison)
    if horizon is None:
        return "The recording has no stretch long enough to replay its commands in the simulation."
    position, angle = horizon.rmse[0], horizon.rmse[2]
    return (
        f"Under the recorded commands the simulation of {comparison.cart.name} is off by {1e3 * position.value:.3g} mm "
        f"and {angle.value:.3g} rad after {horizon.horizon_s:g} s (RMS over {horizon.windows} starts; 95 % within "
        f"{1e3 * position.low:.3g} to {1e3 * position.high:.3g} mm and {angle.low:.3g} to {angle.high:.3g} rad)."
    )


def _told_horizon(comparison: Comparison) -> HorizonError | None:
    known = [h for h in comparison.open_loop.horizons if h.windows]
    return min(known, key=lambda h: abs(h.horizon_s - _TOLD_HORIZON_S), default=None)


def _fidelity(comparison: Comparison) -> str:
    found = comparison.open_loop.fidelity
    if found is None:
        return ""
    tube = f"{1e3 * found.tube.position_m:g} mm and {found.tube.angle_rad:g} rad"
    if 2 * found.inside > found.starts:
        return (
            f"It stays within {tube} of the cart for {found.longest_s:g} s from {found.inside} of {found.starts} "
            "starts."
        )
    first = max(found.first_out, key=lambda name: found.first_out[name])
    return (
        f"It stays within {tube} of the cart for {found.median_s.value:.2f} s (median of {found.starts} starts; half "
        f"of them {found.lower_quartile_s:.2f} to {found.upper_quartile_s:.2f} s); "
        f"{'the position' if first == SIGNALS[0].name else 'the angle'} leaves first, as a rule."
    )


def _later(later_s: Interval | None) -> str:
    if later_s is None or abs(later_s.value) < _TOLD_DELAY_S:
        return ""
    return (
        f"Under the same commands the recorded cart moves {1e3 * abs(later_s.value):.0f} ms "
        f"{'later' if later_s.value > 0 else 'sooner'} than the simulated one (by cross-correlation of their speeds; "
        f"95 % within {1e3 * later_s.low:.0f} to {1e3 * later_s.high:.0f} ms)."
    )


def _why(found: Attribution) -> list[str]:
    first, *others = found.blames
    if first.explained < _HARDLY:
        return [
            "No single term explains the gap: the simulation is as good as one number can make it, or several are "
            "wrong at once (cartpole-robot identify looks for all together)."
        ]
    told = [
        f"{_capital(first.label)} explains {100 * first.explained:.0f} % of the squared error by itself: "
        f"{_change(first)}."
    ]
    rivals = [blame for blame in others if blame.explained > _CLOSE * first.explained]
    if rivals:
        names = " and ".join(f"{blame.label} ({100 * blame.explained:.0f} %)" for blame in rivals)
        told.append(f"This recording hardly tells it from {names}.")
    if first.explained < _EXPLAINS:
        told.append("More than one term is wrong, or one that is not among them: cartpole-robot identify fits all.")
    return told


def _change(blame: Blame) -> str:
    if isinstance(blame.best, str) or isinstance(blame.in_simulation, str):
        return f"the encoders fit best with {blame.best}; see --angle-sign of cartpole-robot import"
    keys = file_keys(blame.term)
    where = f", {keys[0]} in the cart file" if keys else ", in the map of the import"
    return f"{blame.best:.4g} {blame.unit} instead of {blame.in_simulation:.4g}{where}"


def _loops(comparison: Comparison) -> list[str]:
    ours, theirs = comparison.simulated_loop, comparison.recorded_loop
    if ours is None:
        return []
    told = [f"In closed loop the simulated cart lasted {ours.turns} turns, the recorded one {theirs.turns}."]
    found = comparison.agreement
    if found is not None and found.recorded is not None and found.recorded < _SAME_POLICY:
        told.append(
            f"Shown the recorded states once more, the policy asks for the recorded action in only "
            f"{100 * found.recorded:.1f} % of the turns: something else drove, or it saw something else."
        )
    return told


def _end(loop: ClosedLoop) -> str:
    return loop.end or "cut off"


def _shown(value: float | None, factor: float, unit: str, digits: int) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f} {unit}".rstrip()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f} %"


def _cycle(cycle: Cycle | None, factor: float, unit: str) -> str:
    return "-" if cycle is None else f"{cycle.frequency_hz:.2f} Hz, {factor * cycle.amplitude:.2g} {unit}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
