"""The figure of a stability map: a row of panels per map, a panel per policy, one colour scale."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from cartpole_robot.experiments.stability.findings import Finding, Kind
from cartpole_robot.experiments.stability.grid import Axis
from cartpole_robot.experiments.stability.stability_map import StabilityMap
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.terminal.printable import figure_text

FIGURE_FILE = "figure.png"
_COLOURS = colormaps["cividis"]
_REFUSED, _NO_CART = "#c3c7cd", "#eef0f2"
_HATCH, _LINE = "////", "#6b7280"
_OWN = "#d5368f"
_MOST_TICKS = 12
_MOST_CHARACTERS = 36  # of the tick labels on one axis
_LONGEST_LABEL = 34


def draw_map(whole: StabilityMap, findings: list[Finding], path: Path) -> None:
    """Write a PNG of the share of episodes survived over each map's axes per policy; a ring marks the cart itself.

    Replaces an earlier file atomically.
    """
    rows, columns = len(whole.grids), len(whole.entrants)
    width = max(5.6, 1.9 + 3.1 * columns)
    figure = Figure(figsize=(width, 1.3 + 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for number, grid in enumerate(whole.grids):
        own = [finding for finding in findings if finding.grid is grid]
        for panel, finding in zip(panels[number], own, strict=True):
            _panel(panel, finding)
            label = finding.entrant.label
            label = label if len(label) <= _LONGEST_LABEL else f"...{label[3 - _LONGEST_LABEL :]}"
            panel.set_title(f"{figure_text(label)}: {100.0 * finding.share:.0f} %", loc="left", fontsize=10)
            _ticks(panel, grid.x, grid.y, is_first=panel is panels[number][0])
    bar = figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), _COLOURS), ax=panels.ravel().tolist(), shrink=0.7, aspect=30, pad=0.02
    )
    bar.set_label("share of episodes survived", fontsize=9)
    bar.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0], labels=["0", "25 %", "50 %", "75 %", "100 %"], fontsize=8)
    _legend(figure, {outcome.kind for finding in findings for outcome in finding.outcomes.values()})
    conditions = whole.conditions
    title = (
        f"Policies made for {whole.cart.name}, on other carts (rig {conditions.rig}): {conditions.episodes} episodes "
        f"of {conditions.max_steps} steps per point;",
        "next to each policy the share of carts on which it survives all",
    )
    lines = [line for part in title for line in textwrap.wrap(part, int(11.5 * width))]
    figure.suptitle("\n".join(lines), fontsize=10.5)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")


def _legend(figure: Figure, kinds: set[Kind]) -> None:
    """Explain ring, hatch and cross, if they occur."""
    ring = Line2D([], [], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=_OWN, linestyle="none")
    ring.set_markeredgewidth(2.0)
    handles: list[Artist] = [ring]
    labels = ["the cart's own point"]
    if Kind.REFUSED in kinds:
        handles.append(Patch(facecolor=_REFUSED, edgecolor=_LINE, hatch=_HATCH, linewidth=0.5))
        labels.append("the rig refuses to begin")
    if Kind.NO_CART in kinds:
        handles.append(Line2D([], [], marker="x", markersize=4.5, color=_LINE, markeredgewidth=0.9, linestyle="none"))
        labels.append("no cart can be there")
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _panel(panel: Axes, finding: Finding) -> None:
    x, y = finding.grid.axes
    shares = np.full((len(y.values), len(x.values)), np.nan)
    for (i, j), outcome in finding.outcomes.items():
        if outcome.kind in (Kind.SURVIVED, Kind.FELL):
            shares[j, i] = outcome.share
            continue
        is_refused = outcome.kind is Kind.REFUSED
        colour, hatch = (_REFUSED, _HATCH) if is_refused else (_NO_CART, None)
        corner = i - 0.5, j - 0.5
        panel.add_patch(Rectangle(corner, 1.0, 1.0, facecolor=colour, edgecolor=_LINE, hatch=hatch, linewidth=0.0))
        if not is_refused:
            panel.plot(i, j, "x", markersize=4.5, color=_LINE, markeredgewidth=0.9)
    panel.imshow(shares, cmap=_COLOURS, vmin=0.0, vmax=1.0, origin="lower", aspect="auto", interpolation="nearest")
    panel.set_xticks(np.arange(len(x.values) + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(len(y.values) + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=0.8)
    panel.tick_params(which="both", length=0)
    panel.plot(
        x.own_index, y.own_index, "o", markersize=9, markerfacecolor="none", markeredgecolor=_OWN, markeredgewidth=2.0
    )
    panel.set_xlim(-0.5, len(x.values) - 0.5)
    panel.set_ylim(-0.5, len(y.values) - 0.5)


def _ticks(panel: Axes, x: Axis, y: Axis, *, is_first: bool) -> None:
    for axis, set_ticks, set_label in (
        (x, panel.set_xticks, panel.set_xlabel),
        (y, panel.set_yticks, panel.set_ylabel),
    ):
        step = -(-len(axis.values) // _MOST_TICKS)
        at = [index for index in range(len(axis.values)) if (index - axis.own_index) % step == 0]
        is_shown = axis is x or is_first
        labels = [axis.shown(index) if is_shown else "" for index in at]
        is_crowded = axis is x and sum(map(len, labels)) > _MOST_CHARACTERS
        set_ticks(at, labels, fontsize=8, rotation=60.0 if is_crowded else 0.0)
        if is_shown:
            set_label(axis.label, fontsize=9)
