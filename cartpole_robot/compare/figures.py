"""The report's Plotly figures, each from a comparison, for a page of any width."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from cartpole_robot.compare.attribution import Attribution, Blame
from cartpole_robot.compare.open_loop import OpenLoopComparison, Tube
from cartpole_robot.compare.quantities import SIGNALS, Signal
from cartpole_robot.compare.trajectories import FAINT, LIMIT, RECORDED, SIMULATED, Trajectories, evenly, shown_range
from cartpole_robot.compare.words import rounded_text, value_text
from cartpole_robot.recording.format import Recording

Floats = NDArray[np.float64]
_MOST_POINTS = 50_000  # of a curve: browsers draw more too slowly
_TICKS = [digit * 10.0**power for power in range(-4, 7) for digit in (1, 2, 5)]
_LONG_S, _AT_FIRST_S = 40.0, 20.0  # of a recording longer than `_LONG_S`, what is shown at first
_GRID = "#e6e8eb"
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
POSITION, ANGLE = SIGNALS[0], SIGNALS[2]


def trajectory_figure(found: Trajectories, simulated: Recording | None, tube: Tube) -> Any:
    """Position, angle and duty against time, with restarted simulated runs. Shape 0 is the scrubber's time.

    The simulated rollout, under its own commands, is hidden until switched on in the legend.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[0.38, 0.38, 0.24])
    chosen = evenly(len(found.time_s), _MOST_POINTS)
    run = evenly(len(found.run_s), _MOST_POINTS)
    for row, (signal, column) in enumerate(((POSITION, 0), (ANGLE, 1)), start=1):
        hover = f"%{{y:.4~g}} {signal.unit}"
        one = {"row": row, "col": 1}
        _line(figure, found.time_s[chosen], signal.factor * found.recorded[chosen, column], "recorded", hover, **one)
        shown = signal.factor * found.simulated[:, column]
        _line(figure, found.run_s[run], shown[run], "simulated, restarted", hover, **one)
        figure.add_scatter(
            x=single(found.run_s[found.starts]),
            y=single(shown[found.starts]),
            mode="markers",
            name="a start",
            legendgroup="a start",
            showlegend=row == 1,
            marker={"color": "white", "size": 6, "line": {"color": SIMULATED, "width": 1.5}},
            hoverinfo="skip",
            **one,
        )
        reach = shown_range(
            found.recorded[:, column], found.simulated[:, column], (tube.position_m, tube.angle_rad)[column]
        )
        figure.update_yaxes(
            title_text=f"{signal.label} [{signal.unit}]", range=[signal.factor * end for end in reach], **one
        )
    if simulated is not None:
        _own_way(figure, simulated)
    figure.add_scatter(
        x=single(found.time_s[chosen]),
        y=single(found.duty[chosen]),
        name="commanded to both",
        line={"color": "#2f8f5b", "width": 1.2, "shape": "hv"},
        hovertemplate="%{y:.3f}",
        row=3,
        col=1,
    )
    strongest = max(0.05, float(np.nanmax(np.abs(found.duty), initial=0.0)))
    figure.update_yaxes(title_text="duty", range=[-1.15 * strongest, 1.15 * strongest], row=3, col=1)
    figure.update_xaxes(title_text="time [s]", row=3, col=1)
    figure.update_xaxes(range=[float(found.time_s[0]), shown_until_s(found)], hoverformat=".2f")
    figure.update_layout(
        hovermode="x unified",
        shapes=[
            {
                "type": "line",
                "yref": "paper",
                "x0": 0.0,
                "x1": 0.0,
                "y0": 0,
                "y1": 1,
                "line": {"color": "#5f6873", "width": 1, "dash": "dot"},
            }
        ],
    )
    return figure


def shown_until_s(found: Trajectories) -> float:
    """Where the curves end at first: the recording's end, or earlier for a long one."""
    end_s = float(found.time_s[-1])
    return end_s if end_s <= _LONG_S else _AT_FIRST_S


def _line(figure: Any, time_s: Floats, values: Floats, name: str, hover: str, **where: int) -> None:
    is_recorded = name == "recorded"
    figure.add_scatter(
        x=single(time_s),
        y=single(values),
        name=name,
        legendgroup=name,
        showlegend=where["row"] == 1,
        mode="lines",
        line={"color": RECORDED if is_recorded else SIMULATED, "width": 1.8 if is_recorded else 1.5},
        hovertemplate=hover,
        **where,
    )


def _own_way(figure: Any, simulated: Recording) -> None:
    rows = evenly(len(simulated.rows), _MOST_POINTS)
    ticks = simulated.column("tick").astype(np.int64)
    time_s = (ticks - ticks[0]) * simulated.cart.timing.control_period_s
    for row, signal in enumerate((POSITION, ANGLE), start=1):
        figure.add_scatter(
            x=single(time_s[rows]),
            y=single(signal.factor * simulated.column(signal.name)[rows]),
            name="simulated rollout, its own commands",
            legendgroup="own",
            showlegend=row == 1,
            visible="legendonly",
            mode="lines",
            line={"color": "#7d6b9e", "width": 1.2, "dash": "dot"},
            hovertemplate=f"%{{y:.4~g}} {signal.unit}",
            row=row,
            col=1,
        )


def horizon_figure(found: OpenLoopComparison, signal: Signal) -> Any:
    """The error of one signal, position or angle, against the time since a start, and over the horizons."""
    column, place = (0, 0) if signal is POSITION else (1, 2)
    figure = go.Figure()
    figure.add_scatter(
        x=single(found.growth_s[1:]),
        y=single(signal.factor * found.growth[1:, column]),
        mode="lines",
        name="at that time",
        line={"color": SIMULATED, "width": 2.2},
        hovertemplate=f"%{{x:.2f}} s after a start: %{{y:.3~g}} {signal.unit}<extra></extra>",
    )
    known = [h for h in found.horizons if h.windows and h.rmse[place].value > 0.0]
    errors = [h.rmse[place].scaled(signal.factor) for h in known]
    figure.add_scatter(
        x=[h.horizon_s for h in known],
        y=[e.value for e in errors],
        error_y={
            "type": "data",
            "array": [e.high - e.value for e in errors],
            "arrayminus": [e.value - e.low for e in errors],
            "thickness": 1.6,
            "width": 5,
        },
        mode="markers",
        name="over a horizon, with 95 %",
        marker={"color": RECORDED, "size": 9},
        customdata=[
            [h.windows, rounded_text(e.low, 3), rounded_text(e.high, 3)] for h, e in zip(known, errors, strict=True)
        ],
        hovertemplate=f"over %{{x}} s: %{{y:.3~g}} {signal.unit} "
        "(95 % within %{customdata[1]} to %{customdata[2]}), %{customdata[0]} starts<extra></extra>",
    )
    if found.fidelity is not None:
        fidelity = found.fidelity
        reach = signal.factor * (fidelity.tube.position_m if signal is POSITION else fidelity.tube.angle_rad)
        figure.add_hline(y=reach, line={"color": LIMIT, "width": 1.2, "dash": "dash"})
        figure.add_annotation(
            text=f"tube: {reach:g} {signal.unit}",
            x=1.0,
            xref="paper",
            xanchor="right",
            y=math.log10(reach),  # annotations on a log axis take the exponent
            yanchor="bottom",
            showarrow=False,
            font={"color": LIMIT},
        )
        figure.add_vrect(
            x0=fidelity.lower_quartile_s,
            x1=fidelity.upper_quartile_s,
            fillcolor=FAINT,
            opacity=0.3,
            line_width=0,
            layer="below",
        )
        figure.add_vline(
            x=fidelity.median_s.value,
            line={"color": "#5f6873", "width": 1.2},
            name=f"in the tube for {fidelity.median_s.value:.2f} s (median)",
            showlegend=True,
        )
    figure.update_yaxes(
        type="log",
        title_text=f"{signal.label}, RMS error [{signal.unit}]",
        tickvals=_TICKS,
        ticktext=[f"{tick:g}" for tick in _TICKS],
    )
    figure.update_xaxes(title_text="time since a start, or horizon [s]", rangemode="tozero")
    return figure


def attribution_figure(found: Attribution) -> Any:
    """One bar per term: the share of the gap that it explains by itself."""
    blames = found.blames[::-1]
    figure = go.Figure()
    figure.add_bar(
        x=[100.0 * blame.explained for blame in blames],
        y=[_label(blame) for blame in blames],
        orientation="h",
        marker={"color": [SIMULATED if blame.explained >= 0.05 else FAINT for blame in blames]},
        text=[f"{100.0 * blame.explained:.0f} %" for blame in blames],
        textposition=["inside" if blame.explained > 0.85 else "outside" for blame in blames],
        insidetextfont={"color": "white"},
        cliponaxis=False,
        customdata=[
            [
                blame.label,
                *(f"{value_text(value)} {blame.unit}".rstrip() for value in (blame.in_simulation, blame.best)),
            ]
            for blame in blames
        ],
        hovertemplate="%{customdata[0]}: explains %{x:.1f} %<br>simulated %{customdata[1]}<br>best alone "
        "%{customdata[2]}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 100], title_text="explained by itself [% of the gap]")
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6)
    return figure


def _label(blame: Blame) -> str:
    """The term, and below it the best change of it alone."""
    values = [value_text(value) for value in (blame.in_simulation, blame.best)]
    change = (
        f"{values[0]} → {values[1]} {blame.unit}".rstrip() if values[0] != values[1] else f"{values[0]} {blame.unit}"
    )
    return f'{blame.label}<br><span style="color:#5f6873;font-size:11px">{change}</span>'


def single(values: Floats) -> NDArray[np.float32]:
    """`values` in single precision: half the bytes, and still more digits than a screen shows."""
    return values.astype(np.float32)


def styled(figure: Any, height_px: int) -> Any:
    """`figure` in the report's style."""
    figure.update_layout(
        template="none",
        height=height_px,
        autosize=True,
        margin={"l": 62, "r": 14, "t": 34, "b": 48},
        font={"family": _FONT, "size": 13, "color": "#23282f"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
        hoverlabel={"bgcolor": "white", "font": {"family": _FONT, "size": 12}},
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, linecolor="#c4cbd3", showline=True, ticks="outside", ticklen=4)
    figure.update_yaxes(automargin=True, title_standoff=8)
    figure.update_yaxes(gridcolor=_GRID, zerolinecolor="#c4cbd3", zerolinewidth=1)
    return figure
