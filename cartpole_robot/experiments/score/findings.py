"""The figures of a score: of each contender its swing-ups, its minutes under pushes, and the six parts."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartpole_robot.experiments.score.parts import ROBUSTNESS, Part, Row
from cartpole_robot.experiments.score.score import Contender, Score, finished_rows

Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one contender scored. Times are NaN-free: None stands for a pole that never came up.

    `shares` has the share of runs that succeed at each value of a row, by its name; `successes` whether the value does.
    """

    contender: Contender
    swing_ups: int
    tried: int
    median_up_s: float | None
    longest_up_s: float | None
    longest_hold_s: float
    up_share: float
    up_share_error: float
    parts: Mapping[Part, float]
    robustness: float
    shares: Mapping[str, tuple[float, ...]]
    stops: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "policy": self.contender.source,
            "label": self.contender.label,
            "policy_hash": self.contender.policy_hash,
            "swing_ups": self.swing_ups,
            "swing_ups_tried": self.tried,
            "median_up_s": self.median_up_s,
            "longest_up_s": self.longest_up_s,
            "longest_hold_s": self.longest_hold_s,
            "up_share_under_pushes": self.up_share,
            "up_share_standard_error": self.up_share_error,
            "robustness": self.robustness,
            "parts": {part.value: share for part, share in self.parts.items()},
            "shares": {name: list(shares) for name, shares in self.shares.items()},
            "stops": dict(self.stops),
        }


def findings_of(score: Score, records: Records) -> list[Finding]:
    """The figures of each contender of a finished score."""
    return [_finding(score, contender, finished_rows(score, contender, records)) for contender in score.contenders]


def _finding(score: Score, contender: Contender, found: Mapping[str, list[Any]]) -> Finding:
    swings, minutes = found["swing-ups"], found["minutes"]
    ups = [record["up_s"][0] for record in swings]
    up_s = sorted(each for each in ups if 0.0 <= each <= score.ranges.success.run_s)
    up_shares = [record["up_shares"][0] for record in minutes]
    shares = {
        row.name: tuple(statistics.mean(map(float, record["at_goal"])) for record in found[row.name])
        for row in score.rows
        if row.part in ROBUSTNESS
    }
    parts = {part: _part(score, part, shares) for part in ROBUSTNESS}
    stops = collections.Counter(stop for record in minutes for stop in record["stops"])
    return Finding(
        contender=contender,
        swing_ups=len(up_s),
        tried=len(ups),
        median_up_s=statistics.median(up_s) if up_s else None,
        longest_up_s=up_s[-1] if up_s else None,
        longest_hold_s=max(record["longest_s"][0] for record in swings),
        up_share=statistics.mean(up_shares),
        up_share_error=statistics.stdev(up_shares) / len(up_shares) ** 0.5 if len(up_shares) > 1 else 0.0,
        parts=parts,
        robustness=statistics.mean(parts.values()),
        shares=shares,
        stops=dict(stops.most_common()),
    )


def _part(score: Score, part: Part, shares: Mapping[str, tuple[float, ...]]) -> float:
    """The share of values that succeed, over all rows of the part; with noise a value does with most of its runs."""
    least = score.ranges.success.share_of_repeats
    found = [share > least for row in score.rows if row.part is part for share in shares[row.name]]
    return statistics.mean(map(float, found))


def score_text(score: Score, findings: list[Finding]) -> str:
    """A table for a person: a column for each contender."""
    ranges = score.ranges
    minute_s = ranges.long_run.duration_s
    run_s = ranges.success.run_s
    labels = [finding.contender.label for finding in findings]
    width = max(16, *(len(label) + 2 for label in labels))

    def line(name: str, texts: list[str]) -> str:
        return f"  {name:<31}" + "".join(f"{text:>{width}}" for text in texts)

    def times(value: float | None) -> str:
        return "never" if value is None else f"{value:.2f} s"

    lines = [
        f"{score.name}, rig sim, engine native, seed {score.seed}",
        "",
        line("", labels),
        line(f"swung up and held to {minute_s:g} s", [f"{each.swing_ups} of {each.tried}" for each in findings]),
        line("time to upright, median", [times(each.median_up_s) for each in findings]),
        line("                 longest", [times(each.longest_up_s) for each in findings]),
        line("longest hold", [f"{each.longest_hold_s:.1f} of {minute_s:g} s" for each in findings]),
        line(f"share of {minute_s:g} s up under pushes", [f"{each.up_share:.3f}" for each in findings]),
        line("  standard error", [f"{each.up_share_error:.3f}" for each in findings]),
        "",
        line("robustness", [f"{each.robustness:.3f}" for each in findings]),
    ]
    for part in ROBUSTNESS:
        rows = [row for row in score.rows if row.part is part]
        lines.append(line(f"  {part.value}", [f"{each.parts[part]:.3f}" for each in findings]))
        if len(rows) > 1:
            lines += [line(f"    {_short(row)}", [_count(score, each, row) for each in findings]) for row in rows]
    lines += [
        "",
        f"  A value of the robustness score succeeds where the pole is up and slow after {run_s:g} s from hanging.",
    ]
    lines.append(f"  Pushes are {ranges.pushes.scale:g} times those of the double pendulum, as shares of strength.")
    stops = sorted({stop for each in findings for stop in each.stops})
    if stops:
        lines.append(f"  Motor off in {ranges.long_run.runs} minutes under pushes:")
    lines += [line(f"  {stop}", [str(each.stops.get(stop, 0)) for each in findings]) for stop in stops]
    return "\n".join(lines)


def _count(score: Score, finding: Finding, row: Row) -> str:
    shares = finding.shares[row.name]
    return f"{sum(share > score.ranges.success.share_of_repeats for share in shares)} of {len(shares)}"


def _short(row: Row) -> str:
    return row.name.partition(".")[2] or row.name
