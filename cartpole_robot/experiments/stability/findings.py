"""Results of a stability map: an outcome per grid point, and how far each parameter may differ from the cart's own."""

from __future__ import annotations

import enum
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cartpole_robot.experiments.stability.grid import Axis, Grid
from cartpole_robot.experiments.stability.stability_map import Entrant, StabilityMap, cells_at

Records = Mapping[str, Mapping[str, Any]]


class Kind(enum.StrEnum):
    """What a policy did at a grid point."""

    SURVIVED = "survived"  # every episode
    FELL = "fell"  # in one episode or more, or the firmware stopped it
    REFUSED = "refused"  # no fall, but the rig refused to begin an episode
    NO_CART = "no cart"  # the parameters at this point are not a possible cart


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A policy at a grid point. `steps` has an entry for each episode that began; a fault ended `stopped` of them.

    `why` has a line for each reason: why there is no cart, which firmware faults ended episodes, why the rig refused to
    begin one (after which no more begin). It is empty if the pole just fell.
    """

    kind: Kind
    episodes: int
    max_steps: int
    steps: tuple[int, ...] = ()
    stopped: int = 0
    why: str = ""

    @property
    def faults(self) -> list[str]:
        """Names of the firmware's faults."""
        return list(dict.fromkeys(re.findall(r"^[A-Z][A-Z_]+\b", self.why, flags=re.MULTILINE)))

    @property
    def summary(self) -> tuple[str, str]:
        """What happened, and the faults that caused it, as short texts."""
        text = self.kind.value
        if self.kind is Kind.FELL:
            fell = len(self.steps) - self.survived - self.stopped
            text = "falls" if not self.stopped else "falls or is stopped" if fell else "is stopped"
        return ("is refused" if self.kind is Kind.REFUSED else text), "/".join(self.faults)

    @property
    def survived(self) -> int:
        """Episodes that reached their last step."""
        return sum(steps >= self.max_steps for steps in self.steps)

    @property
    def share(self) -> float:
        """Share of the requested episodes that was survived."""
        return self.survived / self.episodes

    @property
    def mean_steps(self) -> float:
        """Mean over the requested episodes; one that did not begin counts 0 steps."""
        return sum(self.steps) / self.episodes

    def as_dict(self) -> dict[str, Any]:
        return {"outcome": self.kind.value, "survived": self.survived, "faults": self.faults}


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Along one axis through the cart's own point: the range of values around it at which every episode is survived.

    `low` and `high` are indices into the axis's values; None if the own point itself is not survived. `below` and
    `above` are the outcomes next to the range, None at the grid's ends.
    """

    axis: Axis
    low: int | None
    high: int | None
    below: Outcome | None
    above: Outcome | None

    @property
    def text(self) -> str:
        """In the unit of the axis: "0 to 60 ms; is stopped at 70 ms (COMMAND_TIMEOUT)"."""
        axis = self.axis
        if self.low is None or self.high is None:
            return "none: not even at the cart's own value"
        low, high = axis.shown(self.low), axis.shown(self.high)
        span = f"{low if low == high else f'{low} to {high}'} {axis.shown_unit}".rstrip()
        if axis.is_factor and axis.own is not None:
            own = axis.own * axis.scale
            ends = dict.fromkeys(f"{axis.values[index] * own:.3g}" for index in (self.low, self.high))
            span = f"{' to '.join(ends)} {axis.unit}".rstrip() + f" ({span})"
        ended: dict[tuple[str, str], list[str]] = {}
        for outcome, index in ((self.below, self.low - 1), (self.above, self.high + 1)):
            if outcome is not None:
                ended.setdefault(outcome.summary, []).append(axis.shown(index))
        ends_at = [
            f"{text} at {' and '.join(values)} {axis.shown_unit}".rstrip() + (f" ({faults})" if faults else "")
            for (text, faults), values in ended.items()
        ]
        return "; ".join([span, *ends_at]) if ends_at else f"{span}, the whole grid"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `from` and `to` in SI units, or as factors of the cart's own value if the axis has factors."""
        values = self.axis.values
        return {
            "axis": self.axis.key,
            "is_factor": self.axis.is_factor,
            "own": self.axis.own,
            "from": None if self.low is None else values[self.low],
            "to": None if self.high is None else values[self.high],
            "below": self.below and self.below.as_dict(),
            "above": self.above and self.above.as_dict(),
            "text": self.text,
        }


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One policy on one grid: an outcome for each finished point, by its indices on x and y."""

    entrant: Entrant
    grid: Grid
    outcomes: Mapping[tuple[int, int], Outcome]

    def count(self, kind: Kind) -> int:
        return sum(outcome.kind is kind for outcome in self.outcomes.values())

    @property
    def carts(self) -> int:
        """Number of finished points at which a cart is possible."""
        return len(self.outcomes) - self.count(Kind.NO_CART)

    @property
    def share(self) -> float:
        """Share of the possible carts on which every episode is survived."""
        return self.count(Kind.SURVIVED) / max(1, self.carts)

    @property
    def margins(self) -> tuple[Margin, Margin]:
        """Along x and along y, the other at the cart's own value."""
        x, y = self.grid.axes
        row = [self.outcomes.get((index, y.own_index)) for index in range(len(x.values))]
        column = [self.outcomes.get((x.own_index, index)) for index in range(len(y.values))]
        return _margin(x, row), _margin(y, column)

    def as_dict(self) -> dict[str, Any]:
        return {
            "map": self.grid.title,
            **self.entrant.as_dict(),
            "points": len(self.grid.points),
            "finished": len(self.outcomes),
            "carts": self.carts,
            "survived": self.count(Kind.SURVIVED),
            "refused": self.count(Kind.REFUSED),
            "share_survived": self.share,
            "margins": [margin.as_dict() for margin in self.margins],
        }


def findings_of(whole: StabilityMap, records: Records) -> list[Finding]:
    """A finding for each grid and policy, with the points finished so far."""
    return [
        Finding(entrant=entrant, grid=grid, outcomes=dict(_outcomes(whole, entrant, grid, records)))
        for grid in whole.grids
        for entrant in whole.entrants
    ]


def _outcomes(
    whole: StabilityMap, entrant: Entrant, grid: Grid, records: Records
) -> Iterator[tuple[tuple[int, int], Outcome]]:
    cells = cells_at(whole, entrant, grid)
    for point in grid.points:
        place = point.x, point.y
        if point.plant is None:
            yield place, _outcome(whole, Kind.NO_CART, point.why_none or "")
        elif (record := records.get(cells[place].key)) is not None:
            yield place, _outcome_of(whole, record)


def _outcome_of(whole: StabilityMap, record: Mapping[str, Any]) -> Outcome:
    steps = tuple(record["steps"])
    has_survived = all(count >= whole.conditions.max_steps for count in steps)
    is_refused = record["refused"] is not None
    kind = Kind.FELL if not has_survived else Kind.REFUSED if is_refused else Kind.SURVIVED
    why = [*record["faults"], *([record["refused"]] if is_refused else [])]
    return _outcome(whole, kind, "\n".join(dict.fromkeys(why)), steps, stopped=len(record["faults"]))


def _outcome(whole: StabilityMap, kind: Kind, why: str, steps: tuple[int, ...] = (), *, stopped: int = 0) -> Outcome:
    episodes, max_steps = whole.conditions.episodes, whole.conditions.max_steps
    return Outcome(kind=kind, episodes=episodes, max_steps=max_steps, steps=steps, stopped=stopped, why=why)


def _margin(axis: Axis, line: list[Outcome | None]) -> Margin:
    def is_survived(index: int) -> bool:
        found = line[index] if 0 <= index < len(line) else None
        return found is not None and found.kind is Kind.SURVIVED

    low = high = axis.own_index
    if not is_survived(low):
        return Margin(axis=axis, low=None, high=None, below=None, above=None)
    while is_survived(low - 1):
        low -= 1
    while is_survived(high + 1):
        high += 1
    return Margin(
        axis=axis,
        low=low,
        high=high,
        below=line[low - 1] if low > 0 else None,
        above=line[high + 1] if high + 1 < len(line) else None,
    )


def rows_of(whole: StabilityMap, records: Records) -> list[dict[str, Any]]:
    """A row for each policy at each finished point, including points without a possible cart."""
    rows = []
    for finding in findings_of(whole, records):
        cells = cells_at(whole, finding.entrant, finding.grid)
        x, y = finding.grid.axes
        for (i, j), outcome in finding.outcomes.items():
            cell = cells.get((i, j))
            record = records[cell.key] if cell is not None else {}
            rows.append(
                {
                    "map": finding.grid.title,
                    "policy": finding.entrant.label,
                    "policy_hash": finding.entrant.policy_hash,
                    "x": x.key,
                    "x_value": x.values[i],
                    "x_is_factor": x.is_factor,
                    "y": y.key,
                    "y_value": y.values[j],
                    "y_is_factor": y.is_factor,
                    "is_own_point": (i, j) == (x.own_index, y.own_index),
                    "outcome": outcome.kind.value,
                    "episodes": outcome.episodes,
                    "survived": outcome.survived if cell is not None else None,
                    "share_survived": outcome.share if cell is not None else None,
                    "mean_steps": outcome.mean_steps if cell is not None else None,
                    "steps": list(outcome.steps),
                    "rms_position_m": record.get("rms_position_m"),
                    "rms_angle_rad": record.get("rms_angle_rad"),
                    "faults": outcome.faults,
                    "why": outcome.why,
                    "key": cell.key if cell is not None else None,
                    **{name: record.get(name) for name in ("engine", "wall_s", "cpu_s", "host", "version", "commit")},
                }
            )
    return rows


def map_text(whole: StabilityMap, findings: list[Finding], records: Records) -> str:
    """A table for a person: for each map and policy the share of points survived, and the margin along each axis."""
    conditions = whole.conditions
    lines = [
        f"{whole.name}, rig {conditions.rig}, engine {conditions.engine}: {conditions.episodes} episodes per point, "
        f"seeds from {conditions.first_seed}, up to {conditions.max_steps} steps"
    ]
    for grid in whole.grids:
        own = [finding for finding in findings if finding.grid is grid]
        none = sum(point.plant is None for point in grid.points)
        without = f", {none} of them no cart" if none else ""
        lines += ["", f"{grid.title}: {len(grid.points)} points{without}"]
        width = max(len(axis.name) for axis in grid.axes)
        for finding in own:
            share = f"{100.0 * finding.share:.0f} % ({finding.count(Kind.SURVIVED)} of {finding.carts})"
            if len(finding.outcomes) < len(grid.points):
                share += f", {len(grid.points) - len(finding.outcomes)} points not finished"
            lines.append(f"  {finding.entrant.label}: survives at {share}")
            lines += [f"    {margin.axis.name:<{width}}   {margin.text}" for margin in finding.margins]
    times = [record["wall_s"] for record in records.values()]
    if times:
        lines += ["", f"{len(times)} cells, {statistics.mean(times):.2f} s each"]
    return "\n".join(lines)
