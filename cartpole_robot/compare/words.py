"""A comparison as text: how far off the simulation is, why, and what to change."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.compare.attribution import LOST_STEPS, Attribution, Blame
from cartpole_robot.compare.closed_loop import ClosedLoop, Cycle
from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.open_loop import HorizonError
from cartpole_robot.compare.quantities import SIGNALS, Interval
from cartpole_robot.identify.cart_file import file_keys

_SUMMARY_HORIZON_S = 0.5
_EXPLAINS = 0.5  # of the gap: a term that alone is to blame
_HARDLY = 0.05
_LEAST_DELAY_S = 2e-3
_SAME_POLICY = 0.99  # of the steps: less means another policy, or another state
_AS_GOOD = 1.5  # times what the first leaves unexplained: a term that leaves no more explains the gap as well
_NOTHING = 1e-5  # m and rad (RMS)
_COUNTS = 0.5  # of error (RMS): rounding alone leaves 0.29
_STEPS = 4.0  # of error (RMS) of a stepper's count: the timer rounds its periods, which the model does not
_WIDTH = 108  # of a terminal
_BAR = 10  # characters for all of the gap


def summary(comparison: Comparison) -> list[str]:
    """The comparison in a few sentences."""
    sentences = [_distance(comparison), _fidelity(comparison), _later(comparison.open_loop.later_s)]
    if comparison.attribution is not None:
        sentences += _why(comparison.attribution, comparison.cart)
    sentences += _loops(comparison)
    return [sentence for sentence in sentences if sentence]


def report_text(comparison: Comparison) -> str:
    """Tables and sentences for a terminal."""
    parts = ["\n".join(_wrapped(sentence) for sentence in summary(comparison)), horizon_table(comparison)]
    if comparison.attribution is not None:
        parts.append(attribution_table(comparison.attribution))
    parts.append(loop_table(comparison))
    if comparison.distances:
        parts.append(distance_table(comparison))
    if comparison.notes:
        parts.append("\n".join(_wrapped(f"note: {note}") for note in comparison.notes))
    return "\n\n".join(parts)


def horizon_table(comparison: Comparison) -> str:
    """Errors by horizon, one line each; intervals only of position and angle, so that a line fits a terminal."""
    place = {signal.name: k for k, signal in enumerate(SIGNALS)}
    order = [place[name] for name in ("cart_position_m", "pole_angle_rad", "cart_speed_m_s", "pole_speed_rad_s")]
    widths = (24, 24, 17, 18)
    heads = "".join(f"{f'{SIGNALS[k].label} {SIGNALS[k].unit}':>{w}}" for k, w in zip(order, widths, strict=True))
    lines = [f"  {'RMS error, restarted':<25}{heads}"]
    for horizon in comparison.open_loop.horizons:
        if not horizon.windows:
            lines.append(f"  every {horizon.horizon_s:g} s: no stretch of the recording is that long")
            continue
        shown = [horizon.rmse[k].scaled(SIGNALS[k].factor) for k in order]
        cells = [*map(interval_text, shown[:2]), *(rounded_text(each.value, 3) for each in shown[2:])]
        lines.append(
            f"  {f'every {horizon.horizon_s:g} s, {horizon.windows} times':<25}"
            + "".join(f" {cell:>{width - 1}}" for cell, width in zip(cells, widths, strict=True))
        )
    repeated = comparison.open_loop.repeated
    lines.append(f"  engine: {comparison.engine}{'' if repeated is None else f'; {repeated.text()}'}")
    return "\n".join(lines)


def attribution_table(found: Attribution) -> str:
    """The terms, best first."""
    lines = [f"  {'one term at its best value':<42}{'simulated':>14}{'best alone':>21}   share of the gap"]
    for blame in found.blames:
        bar = "#" * round(_BAR * blame.explained)
        lines.append(
            f"  {', '.join(filter(None, (blame.label, blame.unit))):<42}{value_text(blame.in_simulation):>14}"
            f"{value_text(blame.best):>21}   {100.0 * blame.explained:5.1f} %  {bar}".rstrip()
        )
    return "\n".join(lines)


def loop_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(figure, simulated, recorded) of the closed loops, as text; "-" for what is not known."""
    pair = (comparison.simulated_loop, comparison.recorded_loop)
    rows: list[tuple[str, str, str]] = []

    def row(label: str, show: Any) -> None:
        left, right = ("-" if loop is None else show(loop) for loop in pair)
        rows.append((label, left, right))

    row("survived", lambda loop: f"{loop.steps} steps, {loop.duration_s:.1f} s")
    row("ended by", _end)
    row("RMS position", lambda loop: _shown(loop.rms_position_m, 1e3, "mm", 1))
    row("RMS angle", lambda loop: _shown(loop.rms_angle_rad, 1e3, "mrad", 1))
    row("effort (RMS duty)", lambda loop: _shown(loop.effort, 1.0, "", 3))
    row("reversals", lambda loop: _shown(loop.reversals_per_s, 1.0, "a second", 1))
    if comparison.cart.stepper is None:
        row("motor power", lambda loop: _shown(loop.mean_power_w, 1.0, "W", 2))
    else:
        row("motor power", lambda loop: "of a stepper: unknown")
    row("cycle of the position", lambda loop: _cycle(loop.position_cycle, 1e3, "mm"))
    row("cycle of the angle", lambda loop: _cycle(loop.angle_cycle, 1e3, "mrad"))
    row("time from command to acceleration", lambda loop: _shown(loop.response_delay_s, 1e3, "ms", 0))
    return rows


def loop_table(comparison: Comparison) -> str:
    """The closed loops side by side, and their agreement; the recorded one alone where there is no other."""
    rows = [("closed loop", "simulated", "recorded"), *loop_rows(comparison)]
    found = comparison.agreement
    if found is not None and found.recorded is not None:
        rows.append(("the policy asked again", _percent(found.simulated), _percent(found.recorded)))
    return _lines(rows if comparison.simulated_loop else [(label, right) for label, _, right in rows])


def distance_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(signal, Wasserstein distance, the same over the recorded signal's standard deviation), as text."""
    return [
        (
            signal.label,
            f"{rounded_text(signal.factor * found.distance, 3)} {signal.unit}",
            rounded_text(found.normalised, 2),
        )
        for signal, found in zip(SIGNALS, comparison.distances, strict=False)  # none, where there is one rollout
    ]


def distance_table(comparison: Comparison) -> str:
    """How differently the two rollouts are distributed over each signal."""
    rows = [("Wasserstein distance", "distance", "of the recorded spread"), *distance_rows(comparison)]
    return _lines(rows)


def _lines(rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"  {label:<36}" + "".join(f"{cell:>26}" for cell in cells) for label, *cells in rows)


def interval_text(interval: Interval) -> str:
    """Value and interval with three digits."""
    if math.isnan(interval.value):
        return "-"
    value, low, high = (rounded_text(number, 3) for number in (interval.value, interval.low, interval.high))
    return f"{value} ({low}-{high})"


def rounded_text(value: float, digits: int) -> str:
    """A number with `digits` significant digits, without an exponent where none is needed; "-" for NaN."""
    return "-" if math.isnan(value) else f"{float(f'{value:.{digits}g}'):g}"


def value_text(value: float | str) -> str:
    """A number with four digits, or the text itself."""
    return value if isinstance(value, str) else f"{float(f'{value:.4g}'):g}"


def _distance(comparison: Comparison) -> str:
    horizon = _summary_horizon(comparison)
    if horizon is None:
        return "The recording has no stretch long enough to replay its commands in the simulation."
    position, angle = horizon.rmse[0].scaled(1e3), horizon.rmse[2]
    return (
        f"Under the recorded commands the simulation of {comparison.cart.name}, restarted every "
        f"{horizon.horizon_s:g} s, is off by {_two(position.value)} mm and {_two(angle.value)} rad (RMS over "
        f"{horizon.windows} starts; 95 % within {_two(position.low)} to {_two(position.high)} mm and "
        f"{_two(angle.low)} to {_two(angle.high)} rad)."
    )


def _summary_horizon(comparison: Comparison) -> HorizonError | None:
    known = [h for h in comparison.open_loop.horizons if h.windows]
    return min(known, key=lambda h: abs(h.horizon_s - _SUMMARY_HORIZON_S), default=None)


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
        f"usually {'the position' if first == SIGNALS[0].name else 'the angle'} leaves first."
    )


def _later(later_s: Interval | None) -> str:
    if later_s is None or abs(later_s.value) < _LEAST_DELAY_S or later_s.low <= 0.0 <= later_s.high:
        return ""
    ends = sorted(1e3 * abs(end) for end in (later_s.low, later_s.high))
    return (
        f"Under the same commands the recorded cart moves {1e3 * abs(later_s.value):.0f} ms "
        f"{'later' if later_s.value > 0 else 'sooner'} than the simulated one (by cross-correlation of their speeds; "
        + (
            f"95 % within {ends[0]:.0f} to {ends[1]:.0f} ms)."
            if ends[1] - ends[0] > 0.5
            else "the same in every resampling)."
        )
    )


def _why(found: Attribution, cart: CartParams) -> list[str]:
    first, *others = found.blames
    if max(found.gap) < _NOTHING:
        return ["From a good start no error is left: there is no gap to explain."]
    if first.explained < _EXPLAINS and _is_of_the_counts(found, cart):
        return ["From a good start only the encoders' resolution is left: there is no gap to explain."]
    if first.explained < _HARDLY:
        return [
            "No single term explains the gap: the simulation is as good as one number can make it, or several are "
            "wrong at once (cartpole-robot identify fits all together)."
        ]
    sentences = [
        f"{_capital(first.label)} explains {100 * first.explained:.0f} % of the squared error by itself: "
        f"{_change(first)}."
    ]
    rivals = [blame for blame in others if 1.0 - blame.explained < _AS_GOOD * (1.0 - first.explained)]
    if first.explained < _EXPLAINS:
        rivals = []  # none of them explains it
    if rivals:
        names = " and ".join(f"{blame.label} ({100 * blame.explained:.0f} %)" for blame in rivals)
        sentences.append(f"This recording hardly distinguishes it from {names}.")
    if first.explained < _EXPLAINS:
        sentences.append("More than one term is wrong, or one not listed: cartpole-robot identify fits all together.")
    return sentences


def _is_of_the_counts(found: Attribution, cart: CartParams) -> bool:
    encoders = cart.encoders
    if encoders is None:
        return False
    counts = found.gap[0] * encoders.cart_counts_per_m, found.gap[1] * encoders.pole_counts_per_rad
    if cart.stepper is not None:
        counts = counts[0] * _COUNTS / _STEPS, counts[1]
    return max(counts) < _COUNTS


def _change(blame: Blame) -> str:
    if blame.term == LOST_STEPS:
        return f"{blame.best}, against its count of steps; the pole shows it, the recorded position does not"
    if isinstance(blame.best, str) or isinstance(blame.in_simulation, str):
        return f"the encoders fit best with {blame.best}; see --angle-sign of cartpole-robot import"
    keys = file_keys(blame.term)
    where = f", {keys[0]} in the cart file" if keys else ""
    if blame.term == "angle_zero":
        where += ", or the offset of the angle in the map of the import"
    return f"{blame.best:.4g} {blame.unit} instead of {blame.in_simulation:.4g}{where}"


def _loops(comparison: Comparison) -> list[str]:
    ours, theirs = comparison.simulated_loop, comparison.recorded_loop
    if ours is None:
        return []
    sentences = [f"In closed loop the simulated cart lasted {ours.steps} steps, the recorded one {theirs.steps}."]
    found = comparison.agreement
    if found is not None and found.recorded is not None and found.recorded < _SAME_POLICY:
        sentences.append(
            f"Shown the recorded states again, the policy requests the recorded action in only "
            f"{100 * found.recorded:.1f} % of the steps: another controller drove, or it saw other states."
        )
    return sentences


def _end(loop: ClosedLoop) -> str:
    return loop.end or "cut off"


def _shown(value: float | None, factor: float, unit: str, digits: int) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f} {unit}".rstrip()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f} %"


def _cycle(cycle: Cycle | None, factor: float, unit: str) -> str:
    return "-" if cycle is None else f"{cycle.frequency_hz:.2f} Hz, {factor * cycle.amplitude:.2g} {unit}"


def _two(value: float) -> str:
    return rounded_text(value, 2)


def _wrapped(text: str) -> str:
    """`text` in lines, each number kept next to its unit."""
    held = re.sub(r"(?<=\d) (?=\S)", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.fill(held, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
