"""A comparison as one picture: the trajectories, the error against the horizon, and which term is to blame."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cartpole_robot.compare.attribution import Attribution
from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.open_loop import OpenLoopComparison, Tube
from cartpole_robot.compare.quantities import SIGNALS, Signal
from cartpole_robot.compare.trajectories import (
    FAINT,
    LIMIT,
    RECORDED,
    SIMULATED,
    Trajectories,
    shown_range,
    trajectories,
)
from cartpole_robot.compare.words import value_text
from cartpole_robot.files.new_file import new_file

_SHOWN_S = 10.0
_GRID, _INK = "#e6e8eb", "#5f6873"
_POSITION, _ANGLE = SIGNALS[0], SIGNALS[2]


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw it as PNG. Raises `UsageError` where `path` exists or cannot be written."""
    found, open_loop = trajectories(comparison), comparison.open_loop
    tube = Tube() if open_loop.fidelity is None else open_loop.fidelity.tube
    figure = Figure(figsize=(10.5, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.15, 1.0])[:, 0]
    _draw_trajectories(above, found, tube)
    if comparison.attribution is None:
        _draw_horizons(below, open_loop)
    else:
        left, right = below.subfigures(1, 2, squeeze=False, width_ratios=[1.45, 1.0])[0]
        _draw_horizons(left, open_loop)
        _blames(right.subplots(), comparison.attribution)
    ours = comparison.simulated
    figure.suptitle(
        f"{f'the cart {comparison.cart.name}' if ours is None else ours.path.name} (simulated) against "
        f"{comparison.recorded.path.name} (recorded)",
        fontsize=11,
        parse_math=False,  # a name may hold a dollar
    )
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
    with new_file(path, option="--png") as partial:
        figure.savefig(partial, dpi=130, format="png")


def _draw_trajectories(figure: SubFigure, found: Trajectories, tube: Tube) -> None:
    panels = figure.subplots(2, 1, sharex=True)
    for column, (panel, signal) in enumerate(zip(panels, (_POSITION, _ANGLE), strict=True)):
        _trajectory(panel, found, signal, column, (tube.position_m, tube.angle_rad)[column])
    panels[0].legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=9, borderaxespad=0.2)
    panels[1].set_xlabel("time [s]")
    figure.align_ylabels(list(panels))


def _draw_horizons(figure: SubFigure, found: OpenLoopComparison) -> None:
    panels = figure.subplots(1, 2)
    for panel, signal in zip(panels, (_POSITION, _ANGLE), strict=True):
        _horizons(panel, found, signal)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _trajectory(panel: Axes, found: Trajectories, signal: Signal, column: int, tube: float) -> None:
    is_shown, is_near = found.time_s <= _SHOWN_S, ~(found.run_s > _SHOWN_S)
    recorded, simulated = found.recorded[is_shown, column], found.simulated[is_near, column]
    starts = found.starts[found.run_s[found.starts] <= _SHOWN_S]
    panel.plot(found.time_s[is_shown], signal.factor * recorded, color=RECORDED, linewidth=1.6, label="recorded")
    panel.plot(
        found.run_s[is_near], signal.factor * simulated, color=SIMULATED, linewidth=1.4, label="simulated, restarted"
    )
    panel.plot(
        found.run_s[starts],
        signal.factor * found.simulated[starts, column],
        "o",
        markersize=4.5,
        markerfacecolor="white",
        color=SIMULATED,
        label="a start",
    )
    panel.set_ylim(*(signal.factor * end for end in shown_range(recorded, simulated, tube)))
    panel.set_ylabel(f"{signal.label} [{signal.unit}]")
    panel.grid(axis="x", color=_GRID, linewidth=0.8)
    panel.margins(x=0.01)


def _horizons(panel: Axes, found: OpenLoopComparison, signal: Signal) -> None:
    column, place = (0, 0) if signal is _POSITION else (1, 2)
    panel.set_title(f"{signal.label}: RMS error [{signal.unit}]", fontsize=10, loc="left")
    panel.set_xlabel("time since a start, or horizon [s]", fontsize=9)
    known = [h for h in found.horizons if h.windows and h.rmse[place].value > 0.0]
    if not known:
        panel.text(0.5, 0.5, "no stretch is long enough", ha="center", color=_INK, transform=panel.transAxes)
        panel.set_yticks([])
        return
    panel.set_yscale("log")
    errors = [h.rmse[place].scaled(signal.factor) for h in known]
    panel.plot(found.growth_s[1:], signal.factor * found.growth[1:, column], color=SIMULATED, label="at that time")
    panel.errorbar(
        [h.horizon_s for h in known],
        [e.value for e in errors],
        yerr=([e.value - e.low for e in errors], [e.high - e.value for e in errors]),
        fmt="o",
        markersize=5,
        capsize=3,
        color=RECORDED,
        label="over a horizon, 95 %",
    )
    if found.fidelity is not None:
        tube = found.fidelity.tube
        reach = signal.factor * (tube.position_m if signal is _POSITION else tube.angle_rad)
        panel.axhline(
            reach,
            color=LIMIT,
            linewidth=1.0,
            linestyle="--",
            label=f"tube, {1e3 * tube.position_m:g} mm and {1e3 * tube.angle_rad:g} mrad",
        )
        panel.axvspan(found.fidelity.lower_quartile_s, found.fidelity.upper_quartile_s, color=FAINT, alpha=0.3, lw=0)
        median_s = found.fidelity.median_s.value
        panel.axvline(median_s, color=_INK, linewidth=1.0, label=f"in the tube {median_s:.2f} s (median)")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_xlim(left=0.0)
    panel.grid(color=_GRID, linewidth=0.8)
    panel.set_axisbelow(True)


def _blames(panel: Axes, found: Attribution) -> None:
    blames = found.blames[::-1]
    shares = [100.0 * blame.explained for blame in blames]
    bars = panel.barh(range(len(blames)), shares, color=[SIMULATED if share >= 5.0 else FAINT for share in shares])
    for bar, share in zip(bars, shares, strict=True):
        is_inside = share > 80.0
        panel.text(
            share - 2.0 if is_inside else share + 2.0,
            bar.get_y() + bar.get_height() / 2.0,
            f"{share:.0f} %",
            va="center",
            ha="right" if is_inside else "left",
            fontsize=8,
            color="white" if is_inside else "black",
        )
    labels = []
    for blame in blames:
        change = f"{value_text(blame.in_simulation)} → {value_text(blame.best)} {blame.unit}".rstrip()
        labels.append(f"{blame.label}\n{change}" if blame.explained >= 0.05 else blame.label)
    panel.set_yticks(range(len(blames)), labels, fontsize=8)
    panel.tick_params(axis="y", length=0)
    panel.set_xlim(0.0, 100.0)
    panel.set_title("which term is to blame", fontsize=10, loc="left")
    panel.set_xlabel("explained by itself [% of the gap]", fontsize=9)
