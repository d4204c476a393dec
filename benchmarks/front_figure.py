"""The figure of `benchmarks.regulator_front`: a panel per cart, motor power against position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.front import Point, front_of
from cartpole_robot.files.atomic_file import atomic_file

_DESIGN, _FRONT, _TODAY, _POLICY, _MEDIAN = "#b4bac4", "#0072b2", "#000000", "#d55e00", "#f0e442"  # Okabe and Ito's
_ROOM = 1.6  # times the smallest and largest figure of the front and of what is compared with it


@dataclass(frozen=True, kw_only=True)
class Panel:
    """RMS position (m) and motor power (W) of regulators, of today's among them, and of policies."""

    cart: str
    designs: Sequence[Point]
    today: Point
    policies: Sequence[Point]
    median: Point | None


def draw_fronts(panels: Sequence[Panel], path: Path, *, title: str) -> None:
    """Write a PNG; replaces an earlier file atomically."""
    figure = Figure(figsize=(1.0 + 3.7 * len(panels), 4.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel)
    axes[0].set_ylabel("mean motor power [W]")
    known: dict[str, Artist] = {}
    for axis in axes:
        known |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(known.values()), list(known), loc="outside lower center", ncols=len(known), frameon=False, fontsize=9
    )
    figure.suptitle(title, fontsize=11)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=150, format="png")


def _draw(axis: Axes, panel: Panel) -> None:
    axis.set_title(panel.cart, loc="left", fontsize=10)
    front = [panel.designs[index] for index in front_of(panel.designs)]
    axis.set_xscale("log")
    axis.set_yscale("log")
    _limit(axis, panel, front)
    x, y = 1000.0 * np.array(panel.designs)[:, 0], np.array(panel.designs)[:, 1]
    axis.scatter(x, y, s=11, c=_DESIGN, linewidths=0, label="LQR, other weights", zorder=1)
    axis.plot(
        [1000.0 * x for x, _ in front],
        [y for _, y in front],
        c=_FRONT,
        lw=1.6,
        marker="o",
        ms=3.5,
        label="front of the LQR designs",
        zorder=2,
    )
    if panel.policies:
        x, y = 1000.0 * np.array(panel.policies)[:, 0], np.array(panel.policies)[:, 1]
        axis.scatter(x, y, s=30, c=_POLICY, marker="^", edgecolors="white", linewidths=0.5, label="policies", zorder=4)
    for point, colour, marker, size, label, order in (
        (panel.today, _TODAY, "s", 46, "today's LQR", 5),
        (panel.median, _MEDIAN, "D", 90, "policies, median", 3),  # below the policies, which it would hide
    ):
        if point is not None:
            axis.scatter(
                [1000.0 * point[0]],
                [point[1]],
                s=size,
                c=colour,
                marker=marker,
                edgecolors="black",
                linewidths=0.9,
                label=label,
                zorder=order,
            )
    axis.set_xlabel("RMS cart position [mm]")
    axis.grid(True, which="both", lw=0.4, color="#e3e6ea")
    axis.set_axisbelow(True)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 5.0)))
        scale.set_major_formatter(plain)
        scale.set_minor_formatter(NullFormatter())


def _limit(axis: Axes, panel: Panel, front: Sequence[Point]) -> None:
    """Show the front and what is compared with it; designs far from both are outside."""
    near = np.array([*front, panel.today, *panel.policies])
    low, high = near.min(axis=0) / _ROOM, near.max(axis=0) * _ROOM
    axis.set_xlim(1000.0 * low[0], 1000.0 * high[0])
    axis.set_ylim(low[1], high[1])
