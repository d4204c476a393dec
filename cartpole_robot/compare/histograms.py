"""The report's histograms: the distributions of the two rollouts' signals and latencies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from cartpole_robot.compare.figures import single
from cartpole_robot.compare.quantities import Signal
from cartpole_robot.compare.trajectories import RECORDED, SIMULATED
from cartpole_robot.compare.words import rounded_text
from cartpole_robot.recording.format import Recording

Floats = NDArray[np.float64]
_BINS = 40


def distribution_figure(simulated: Recording, recorded: Recording, signal: Signal) -> Any:
    """The distribution of one signal in both rollouts."""
    columns = [signal.factor * each.column(signal.name).astype(float) for each in (simulated, recorded)]
    columns = [column[np.isfinite(column)] for column in columns]
    figure = _histogram(
        [("simulated", columns[0], SIMULATED), ("recorded", columns[1], RECORDED)],
        lambda v: f"{rounded_text(v, 3)} {signal.unit}",
    )
    figure.update_xaxes(title_text=f"{signal.label} [{signal.unit}]")
    return figure


def latency_figure(simulated_s: Floats | None, recorded_s: Floats, label: str) -> Any:
    """A histogram of one latency, ms, of each recording that measured it."""
    every = [("simulated", simulated_s, SIMULATED), ("recorded", recorded_s, RECORDED)]
    figure = _histogram(
        [(name, 1e3 * column, colour) for name, column, colour in every if column is not None and len(column)],
        lambda v: f"{rounded_text(v, 3)} ms",
    )
    figure.update_xaxes(title_text=f"{label} [ms]")
    return figure


def _histogram(columns: Sequence[tuple[str, Floats, str]], text: Callable[[float], str]) -> Any:
    """Outlines over common bins, in percent of each column."""
    everything = np.concatenate([column for _, column, _ in columns])
    low, high = float(everything.min()), float(everything.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-12):
        low, high = low - max(0.5 * abs(low), 1e-3), high + max(0.5 * abs(high), 1e-3)
    edges = np.linspace(low, high, _BINS + 1)
    figure = go.Figure()
    for name, column, colour in columns:
        shares = 100.0 * np.histogram(column, edges)[0] / len(column)
        figure.add_scatter(
            x=single(np.repeat(edges, 2)),
            y=single(np.concatenate([[0.0], np.repeat(shares, 2), [0.0]])),
            mode="lines",
            name=f"{name}, median {text(float(np.median(column)))}",
            line={"color": colour, "width": 1.5},
            fill="tozeroy",
            fillcolor=_faded(colour),
            hovertemplate=f"{name}: %{{y:.1f}} % at %{{x:.4~g}}<extra></extra>",
        )
    figure.update_yaxes(title_text="share of the rows [%]", rangemode="tozero")
    spare = 0.04 * (edges[-1] - edges[0])
    figure.update_xaxes(range=[edges[0] - spare, edges[-1] + spare])
    return figure


def _faded(colour: str) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.25)"
