"""The latencies of a run: percentiles, as text and JSON, and a plot."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.terminal.printable import counted

_PERCENTILES = (50.0, 99.0, 99.9)
_BINS = 60
_ON_BOARD = "  no inference time: the chip decides, not this host"
MEANINGS = {
    "sensor_to_command": "from the earliest possible arrival of a measurement to its command sent",
    "inference": "from the observation to the duty",
    "loop_lateness": "how long after its earliest possible arrival the measurement arrived",
    "command_age": "how old the newest command was at each control tick, by the cart's own clock",
}


@dataclass(frozen=True, kw_only=True)
class LatencyReport:
    """Percentiles of each latency in us, by name, and the other timing facts of the run.

    `missed` counts control ticks without a new command, by the cart's own count; `skipped` counts measurements that
    were not answered because a newer one had arrived. `line_us` is half of the shortest round trip: the time that a
    measurement needs at least to arrive.
    """

    steps: int
    missed: int
    skipped: int
    control_period_us: float
    line_us: float
    figures: dict[str, dict[str, float]]
    settings: dict[str, str]
    startup_s: float
    resident_mb: float

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        head = f"  {'latency, us':<20}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}"
        rows = [
            f"  {name.replace('_', ' '):<20}"
            + "".join(f"{figures[key]:>9.1f}" for key in ("p50", "p99", "p99.9", "max"))
            for name, figures in self.figures.items()
        ]
        on = [name for name, state in self.settings.items() if state == "on"]
        off = [f"{name} ({state.removeprefix('off: ')})" for name, state in self.settings.items() if state != "on"]
        summary = [
            f"  {self.steps} steps of {self.control_period_us:g} us",
            f"  {counted(self.missed, 'control tick')} without a new command in time",
            f"  {counted(self.skipped, 'measurement')} skipped, because a newer one had arrived already",
            f"  a measurement spends at least {self.line_us:.0f} us on the line, before these latencies begin",
            *(() if "inference" in self.figures or not self.figures else (_ON_BOARD,)),
            f"  real-time settings on: {', '.join(on) or 'none'}" + (f"; off: {', '.join(off)}" if off else ""),
            f"  started in {self.startup_s:.2f} s, {self.resident_mb:.0f} MB resident",
        ]
        return "\n".join([head, *rows, *summary])


def figures_of(times: StepTimes, *, without: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """Percentiles and maximum of each latency but those in `without`, in us."""
    found = {}
    for name, column in times.columns().items():
        if len(column) == 0 or name in without:
            continue
        micro = column * 1e6
        found[name] = {
            f"p{p:g}": round(float(v), 2) for p, v in zip(_PERCENTILES, np.percentile(micro, _PERCENTILES), strict=True)
        }
        found[name]["max"] = round(float(micro.max()), 2)
    return found


def draw_latency(times: StepTimes, path: Path, title: str, names: Collection[str] = tuple(MEANINGS)) -> None:
    """Write a histogram of each latency in `names` as PNG, replacing an existing file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {name: column * 1e6 for name, column in times.columns().items() if len(column) and name in names}
    figure = Figure(figsize=(9.0, 2.0 * len(columns) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(columns), 1, squeeze=False)[:, 0]
    for panel, (name, column) in zip(panels, columns.items(), strict=True):
        low, high = max(float(column.min()), 0.1), max(float(column.max()), 0.2)
        if high / low > 20.0:
            edges = np.geomspace(low, high * 1.001, _BINS)
            panel.set_xscale("log")
        else:
            edges = np.linspace(low * 0.98, high * 1.02, _BINS)
        panel.hist(np.maximum(column, low), bins=edges, color="#1f5a99")
        panel.set_yscale("log")
        for percentile, style in ((50.0, "-"), (99.0, "--"), (99.9, ":")):
            value = float(np.percentile(column, percentile))
            panel.axvline(
                max(value, low),
                color="#c0392b",
                linewidth=1.0,
                linestyle=style,
                label=f"p{percentile:g}  {value:.4g} us",
            )
        panel.set_ylabel("steps")
        panel.set_xlabel(f"{name.replace('_', ' ')} [us]: {MEANINGS[name]}", fontsize=9)
        panel.legend(fontsize=8, frameon=False, loc="upper right")
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")
