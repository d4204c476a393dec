"""The results of a campaign: rows and curves as a file to continue from, as text and as a plot."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartpole_robot.campaign.bench import CONTINUES
from cartpole_robot.campaign.curves import Curve
from cartpole_robot.campaign.trials import Kind, Outcome
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.records import record_from_table, require

_GOOD, _BAD, _LIMIT = "#1f5a99", "#c0392b", "#2f8f5b"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The results of all trials of one kind; `messages` counts each message of the rig.

    `worst` and `median` are None if no trial has a figure. `struck` counts how often the disturbance occurred,
    `speeds_m_s` holds the least, median and greatest speed of the cart then; empty where it does not matter. In
    `rocked` trials nothing moved after the strike until the host rocked the cart. `repeats` counts trials that were
    repeated and `unjudged` those that were not judged, since the machine was too busy for them.
    """

    group: str
    name: str
    must: str
    unit: str
    good: int
    count: int
    worst: float | None
    median: float | None
    messages: Mapping[str, int]
    took_s: float
    struck: int = 1
    speeds_m_s: tuple[float, ...] = ()
    rocked: int = 0
    repeats: int = 0
    unjudged: int = 0

    def __post_init__(self) -> None:
        count = len(self.speeds_m_s)
        require(count in (0, 3), f"speeds_m_s has {count} numbers, expected none, or least, median and greatest")

    @property
    def is_good(self) -> bool:
        """Whether every judged trial was good, and the disturbance occurred at least once."""
        return self.good == self.count - self.unjudged and self.struck > 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A curve at one size: how many episodes balanced to the end, and the steps of each."""

    size: float
    good: int
    count: int
    steps: list[int]
    messages: Mapping[str, int]

    def __post_init__(self) -> None:
        require(0 <= self.good <= self.count > 0, f"{self.good} of {self.count} episodes are good, which cannot be")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurveResult:
    """The results of one curve."""

    name: str
    unit: str
    must_bear: float
    points: list[Point]

    @property
    def is_good(self) -> bool:
        """Whether the cart balanced at every size that it must bear."""
        return all(point.good == point.count for point in self.points if abs(point.size) <= self.must_bear)

    @property
    def balances_from(self) -> float:
        """The smallest of the sizes around 0 where every episode balanced."""
        return self._reach(-1)

    @property
    def balances_to(self) -> float:
        """The largest of the sizes around 0 where every episode balanced."""
        return self._reach(1)

    def _reach(self, side: int) -> float:
        reached = 0.0
        for point in sorted(self.points, key=lambda point: abs(point.size)):
            if point.size * side >= 0:
                if point.good < point.count:
                    break
                reached = point.size
        return reached


def row_of(kind: Kind, outcomes: list[Outcome], took_s: float) -> Row:
    """The row for `outcomes`, at least one."""
    figures = [outcome.figure for outcome in outcomes if outcome.figure is not None]
    speeds = sorted(outcome.speed_m_s for outcome in outcomes if outcome.speed_m_s is not None)
    return Row(
        group=kind.group,
        name=kind.name,
        must=kind.must,
        unit=kind.unit,
        good=sum(outcome.is_good and outcome.is_judged for outcome in outcomes),
        count=len(outcomes),
        worst=(min if kind.is_more_better else max)(figures, default=None),
        median=statistics.median(figures) if figures else None,
        messages=dict(Counter(outcome.message for outcome in outcomes).most_common()),
        took_s=round(took_s, 1),
        struck=sum(outcome.struck for outcome in outcomes),
        speeds_m_s=(speeds[0], statistics.median(speeds), speeds[-1]) if speeds else (),
        rocked=sum(outcome.was_rocked for outcome in outcomes),
        repeats=sum(outcome.repeats for outcome in outcomes),
        unjudged=sum(not outcome.is_judged for outcome in outcomes),
    )


def point_of(size: float, outcomes: list[Outcome]) -> Point:
    """The point of a curve at `size`."""
    return Point(
        size=size,
        good=sum(outcome.is_good for outcome in outcomes),
        count=len(outcomes),
        steps=[round(outcome.figure or 0.0) for outcome in outcomes],  # one that did not begin balanced none
        messages=dict(Counter(outcome.message for outcome in outcomes).most_common()),
    )


def curve_of(curve: Curve, points: list[Point]) -> CurveResult:
    """The result of `curve` with its points."""
    return CurveResult(name=curve.name, unit=curve.unit, must_bear=curve.must_bear, points=points)


# ---- as text ----


def _figure(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 1e4 else f"{number:.4g}"


def row_text(row: Row) -> str:
    """Two lines: the trials with their results, and the requirement."""
    counts = row.messages.items()
    summary = ", ".join(f"{what} {count}" if len(counts) > 1 else what for what, count in counts)
    mark = "FAIL" if not row.is_good else "--  " if row.unjudged == row.count else "ok  "
    figures = "no figure" if row.worst is None else f"worst {_figure(row.worst)} {row.unit}"
    if row.count > 1 and row.median is not None:
        figures += f", median {_figure(row.median)}"
    if row.struck == 0:
        summary += "; the disturbance never occurred"
    if row.speeds_m_s:
        low, median, high = row.speeds_m_s
        summary += f"; struck at {low:.2f} to {high:.2f} m/s, median {median:.2f}"
    if row.rocked:
        summary += f"; {row.rocked} stood still until the host rocked the cart"
    if row.repeats:
        summary += f"; {row.repeats} repeated: the machine was busy"
    return (
        f"  {mark} {row.group:<8} {row.name:<28} {row.good:>4} of {row.count:<4}  {figures:<34} {summary}\n"
        f"                {row.must}"
    )


def curve_text(curve: CurveResult) -> str:
    """Two lines: the range where the cart balances with what stops it beyond, and the requirement."""
    low, high = curve.balances_from, curve.balances_to
    reach = f"balances to {high:g} {curve.unit}" if low == 0.0 else f"balances from {low:g} to {high:g} {curve.unit}"
    beyond = Counter(
        what for point in curve.points if not low <= point.size <= high for what in point.messages if what != CONTINUES
    )
    mark = "ok  " if curve.is_good else "FAIL"
    stops = f", beyond: {', '.join(sorted(beyond))}" if beyond else ", and no more was tried"
    must = f"must balance at {curve.must_bear:g} {curve.unit}"
    return f"  {mark} curve    {curve.name:<28} {reach}{stops}\n                {must}"


# ---- as a file ----


def to_record(rows: list[Row], curves: list[CurveResult]) -> dict[str, Any]:
    """Rows and curves as JSON-ready tables."""
    return {
        "trials": [dataclasses.asdict(row) for row in rows],
        "curves": [dataclasses.asdict(curve) for curve in curves],
    }


def from_record(record: dict[str, Any], where: str) -> tuple[list[Row], list[CurveResult]]:
    """The rows and curves in a record made by `to_record`. Raises `UsageError` for any other record."""
    try:
        rows = [record_from_table(Row, row, where="trial") for row in record["trials"]]
        curves = [record_from_table(CurveResult, curve, where="curve") for curve in record["curves"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: is not a campaign of this version ({error}); choose another --out") from None
    return rows, curves


# ---- as a plot ----


def draw_curves(curves: list[CurveResult], path: Path, title: str) -> None:
    """Write the share of balanced episodes over the size of each disturbance as PNG, replacing an existing file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 2.3 * len(curves) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 1, squeeze=False)[:, 0]
    for panel, curve in zip(panels, curves, strict=True):
        sizes = [point.size for point in curve.points]
        shares = [100.0 * point.good / point.count for point in curve.points]
        panel.plot(sizes, shares, color=_GOOD, linewidth=1.4, marker="o", markersize=4)
        panel.axvline(curve.must_bear, color=_LIMIT, linewidth=1.0, linestyle="--")
        panel.annotate(
            f"must balance at {curve.must_bear:g} {curve.unit}",
            (curve.must_bear, 6),
            xytext=(4, 0),
            textcoords="offset points",
            color=_LIMIT,
            fontsize=8,
        )
        for point in curve.points:
            worst = next((what for what in point.messages if what != CONTINUES), None)
            if worst is not None and point.good == 0 and abs(point.size) == max(abs(size) for size in sizes):
                panel.annotate(
                    worst,
                    (point.size, 0),
                    xytext=(0, 8),
                    textcoords="offset points",
                    ha="right" if point.size > 0 else "left",
                    color=_BAD,
                    fontsize=8,
                )
        panel.set_ylim(-6, 108)
        panel.set_ylabel("balanced [%]")
        panel.set_xlabel(f"{curve.name} [{curve.unit}]")
        panel.grid(axis="y", color="#e6e8eb", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")
