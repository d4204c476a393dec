"""The figure of a study: performance of the last models over the grid, and learning curves."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.experiments.study.findings import Group
from cartpole_robot.experiments.study.study import Scale, Study, field_text, value_text
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.task import SUCCESS_STEPS
from cartpole_robot.terminal.printable import figure_text

FIGURE_FILE = "figure.png"
_COLOURS = ("#1f5a99", "#de8728", "#2f8f5b", "#8a4fa3", "#c0392b", "#6b7280")
_LIMIT = "#8a8f98"
_SPREAD = 0.16  # of the distance between neighbouring values: half the width of a column of dots
_POINTS = 150  # of a curve


def draw_study(study: Study, groups: Sequence[Group], records: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write a PNG; replaces an earlier file atomically.

    Top, over the grid: mean steps of each seed's last model, and the share of seeds that balance with its interval.
    Bottom: steps per episode over the training episodes, a line per grid value, for each preset.
    """
    series = study.series
    figure = Figure(figsize=(max(9.0, 4.5 * len(series)), 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    steps, share = above.subplots(1, 2)
    positions = _positions(study)
    width = 1.0 if len(positions) < 2 else min(*np.diff(np.sort(positions)), np.ptp(positions) / 4.0)
    for number, (preset, cart) in enumerate(series):
        own = [group for group in groups if (group.preset, group.cart) == (preset, cart)]
        colour = _COLOURS[number % len(_COLOURS)]
        places = positions + width * 2.0 * _SPREAD * (number - 0.5 * (len(series) - 1))
        name = study.series_name(preset, cart)
        _dots(steps, places, own, width * _SPREAD / max(1, len(series)), colour)
        _shares(share, places, own, colour, name)
    for panel in (steps, share):
        _grid_axis(panel, study, positions)
    steps.axhline(SUCCESS_STEPS, color=_LIMIT, linewidth=0.9, linestyle="--")
    steps.set_ylim(0.0, 1.05 * MAX_EPISODE_STEPS)
    steps.set_ylabel("steps of the last model, a dot per seed")
    steps.set_title("mean of 100 fresh episodes; line: median", loc="left", fontsize=9)
    share.set_ylim(-0.03, 1.03)
    share.set_ylabel(f"share of seeds with at least {SUCCESS_STEPS:.0f}")
    share.set_title("bar: 95 % interval (Wilson)", loc="left", fontsize=9)
    share.legend(frameon=False, fontsize=9, loc="best")
    panels = below.subplots(1, len(series), squeeze=False)[0]
    for panel, (preset, cart) in zip(panels, series, strict=True):
        _curves(panel, study, records, preset, cart)
        panel.set_title(figure_text(study.series_name(preset, cart)), loc="left", fontsize=10)
    panels[0].set_ylabel("steps per episode (median, middle half)")
    handles, labels = panels[0].get_legend_handles_labels()
    below.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(6, max(1, len(labels))),
        frameon=False,
        fontsize=8,
        title=", ".join(map(field_text, study.fields)),
        title_fontsize=8,
    )
    seeds = max(group.of for group in groups)
    figure.suptitle(f"{figure_text(study.title)}: {seeds} seeds each", fontsize=11)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")


def _positions(study: Study) -> NDArray[np.float64]:
    """Where the grid's points lie on the axis, shape (points,)."""
    if study.scale is Scale.CATEGORIES:
        return np.arange(len(study.points), dtype=float)
    values = np.array([float(point[study.fields[0]]) for point in study.points])
    return np.log10(values) if study.scale is Scale.LOG else values


def _grid_axis(panel: Axes, study: Study, positions: NDArray[np.float64]) -> None:
    labels = [", ".join(value_text(point[name]) for name in study.fields) for point in study.points]
    is_crowded = sum(map(len, labels)) > 45
    panel.set_xticks(
        positions,
        labels,
        rotation=35.0 if is_crowded else 0.0,
        ha="right" if is_crowded else "center",
        fontsize=8,
    )
    panel.set_xlabel(", ".join(map(field_text, study.fields)))
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    panel.set_axisbelow(True)


def _dots(panel: Axes, places: NDArray[Any], groups: Sequence[Group], spread: float, colour: str) -> None:
    for place, group in zip(places, groups, strict=True):
        offsets = spread * np.linspace(-1.0, 1.0, group.of)[: group.seeds] if group.of > 1 else np.zeros(group.seeds)
        panel.plot(place + offsets, group.last_steps, "o", markersize=3.0, color=colour, alpha=0.6, markeredgewidth=0)
    known = [(place, statistics.median(g.last_steps)) for place, g in zip(places, groups, strict=True) if g.seeds]
    panel.plot([place for place, _ in known], [median for _, median in known], color=colour, linewidth=1.4)


def _shares(panel: Axes, places: NDArray[Any], groups: Sequence[Group], colour: str, name: str) -> None:
    known = [(place, g.successes / g.seeds, *g.interval) for place, g in zip(places, groups, strict=True) if g.seeds]
    if not known:
        return
    at, share, low, high = np.array(known).T
    errors = np.clip([share - low, high - share], 0.0, None)
    panel.errorbar(
        at, share, errors, fmt="o", markersize=4.5, color=colour, linewidth=1.2, capsize=2.5, label=figure_text(name)
    )


def _curves(panel: Axes, study: Study, records: Mapping[str, Mapping[str, Any]], preset: str, cart: str) -> None:
    colours = colormaps["viridis"](np.linspace(0.0, 0.92, len(study.points)))
    for colour, point in zip(colours, study.points, strict=True):
        courses = [
            records[cell.key].get("episode_steps", [])
            for cell in study.cells
            if (cell.preset, cell.cart, cell.point) == (preset, cart, point) and cell.key in records
        ]
        found = episode_bands(courses)
        if found is None:
            continue
        episodes, low, median, high = found
        label = ", ".join(value_text(point[name]) for name in study.fields)
        panel.plot(episodes, median, color=colour, linewidth=1.3, label=label)
        panel.fill_between(episodes, low, high, color=colour, alpha=0.13, linewidth=0.0)
    panel.set_xlabel("training episodes")
    panel.set_ylim(0.0, max(1.0, 1.03 * panel.get_ylim()[1]))
    panel.set_xlim(left=0.0)
    panel.spines[["top", "right"]].set_visible(False)


def episode_bands(courses: Sequence[Sequence[int]]) -> tuple[NDArray[Any], ...] | None:
    """Episode numbers, and lower quartile, median and upper quartile over the seeds of their steps, each (points,).

    Each seed's curve is first averaged over windows of episodes. The bands end where fewer than half of the seeds
    continue, at a whole window. None if there is no curve.
    """
    lengths = sorted((len(course) for course in courses), reverse=True)
    if not lengths or lengths[(len(lengths) - 1) // 2] == 0:
        return None
    last = lengths[(len(lengths) - 1) // 2]
    window = max(1, min(10, last // 5), last // _POINTS)
    count = last // window
    means = np.full((len(courses), count), np.nan)
    for row, course in zip(means, courses, strict=True):
        whole = min(count, len(course) // window)
        row[:whole] = np.reshape(course[: whole * window], (whole, window)).mean(axis=1)
    low, median, high = np.nanquantile(means, (0.25, 0.5, 0.75), axis=0)
    return window * (np.arange(count) + 0.5), low, median, high
