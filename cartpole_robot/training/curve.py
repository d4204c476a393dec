"""Plot of the learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.terminal.printable import figure_text
from cartpole_robot.training.config import GuardAction, TrainingConfig
from cartpole_robot.training.guard import settled_spans, spans_since
from cartpole_robot.training.log import EvaluationRow, GuardEvent, LearningLog

_RUNNING_SHARE = 20  # the running mean spans a twentieth of the episodes, at least 5 and at most 100
_DOT, _MEAN, _GREEDY, _EPSILON = "#b9c4d0", "#1f5a99", "#de8728", "#8a8f98"
_NO_FALLS, _SETTLED = "#eef4ea", "#d8e8ce"
_RATIOS = (
    ("position_ratio", "RMS position", "#1f5a99"),
    ("angle_ratio", "RMS angle", "#de8728"),
    ("power_ratio", "motor power", "#4f8f3a"),
    ("reversals_ratio", "reversals", "#a04b87"),
)
_LEAST_SHOWN, _MOST_SHOWN = 0.05, 5.0


def draw_learning_curve(log: LearningLog, config: TrainingConfig, path: Path, *, title: str) -> None:
    """Write a PNG of episode lengths, their running mean, greedy evaluations and epsilon over training steps.

    Below it stand the figures of the evaluations divided by the regulator's, where the training compares them.
    """
    compared = [row for row in log.evaluations if row.position_ratio is not None]
    figure = Figure(figsize=(8.0, 6.4 if compared else 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes
    if compared:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_ratios(below, compared)
    else:
        axes = figure.add_subplot()
    ends = np.array([row.step for row in log.episodes])
    lengths = np.array([row.length for row in log.episodes], dtype=float)
    axes.plot(ends, lengths, ".", markersize=3.0, color=_DOT, label="an episode")
    if len(lengths):
        window = min(len(lengths), max(5, min(100, len(lengths) // _RUNNING_SHARE)))
        mean = np.convolve(lengths, np.full(window, 1.0 / window), mode="valid")
        axes.plot(ends[window - 1 :], mean, color=_MEAN, linewidth=1.8, label=f"mean of {window} episodes")
    axes.plot(
        [row.step for row in log.evaluations],
        [row.mean_steps for row in log.evaluations],
        color=_GREEDY,
        linewidth=1.2,
        marker="o",
        markersize=3.5,
        label=f"greedy, mean of {config.evaluation_episodes}",
    )
    last_step = max([*(row.step for row in log.episodes), *(row.step for row in log.evaluations)], default=0)
    settled = "settled, updates paused" if config.collapse_guard is GuardAction.HOLD else "settled"
    shades = (
        (spans_since(GuardEvent.NO_FALLS, log.guard, last_step), "no fall in the memory", _NO_FALLS),
        (settled_spans(log.guard, config, last_step), settled, _SETTLED),
    )
    for spans, label, color in shades:
        for number, (begin, end) in enumerate(spans):
            axes.axvspan(begin, end, color=color, linewidth=0.0, zorder=0, label=label if number == 0 else None)
    if config.extension_steps and last_step > config.steps:
        axes.axvline(config.steps, color=_EPSILON, linewidth=1.0, linestyle=":", label="planned end")
    if not compared:
        axes.set_xlabel("training steps")
    axes.set_ylabel("steps survived")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(figure_text(title), loc="left", fontsize=11)
    right = axes.twinx()
    right.plot(
        ends, [row.epsilon for row in log.episodes], color=_EPSILON, linewidth=1.0, linestyle="--", label="epsilon"
    )
    right.set_ylim(0.0, 1.05)
    right.set_ylabel("epsilon", color=_EPSILON)
    right.spines[["top", "left"]].set_visible(False)
    right.tick_params(axis="y", colors=_EPSILON)
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    labels = [*axes.get_legend_handles_labels()[1], *right.get_legend_handles_labels()[1]]
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3 if len(handles) > 4 else 4, frameon=False, fontsize=9
    )
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")


def _draw_ratios(axes: Axes, rows: Sequence[EvaluationRow]) -> None:
    """The four figures over the regulator's, on a logarithmic scale."""
    steps = [row.step for row in rows]
    for name, label, color in _RATIOS:
        ratios = [math.nan if (ratio := getattr(row, name)) is None else ratio for row in rows]
        if not all(map(math.isnan, ratios)):
            axes.plot(steps, ratios, color=color, linewidth=1.4, marker="o", markersize=2.5, label=label)
    axes.axhline(1.0, color=_EPSILON, linewidth=1.0, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(_LEAST_SHOWN, _MOST_SHOWN)
    axes.set_yticks([0.1, 0.3, 1.0, 3.0], ["0.1", "0.3", "1", "3"])
    axes.minorticks_off()
    axes.set_xlabel("training steps")
    axes.set_ylabel("greedy / LQR")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", ncols=4, frameon=False, fontsize=9)
