"""A swing-up as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from cartpole_robot.cart.params import CartParams
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.signals import State

_LINE, _LIMIT = "#1f5a99", "#c0392b"
_SHADES = {"pump": "#fdf1dc", "catch": "#dcebfa", "balance": "#e2f3e6"}


@dataclass(frozen=True, kw_only=True)
class SwingStep:
    """One control step: the state, the duty sent, and the name of the controller's phase."""

    state: State
    duty: float
    phase: str


def draw_swing_up(steps: Sequence[SwingStep], cart: CartParams, path: Path) -> None:
    """Write angle, position and duty over time to `path` as PNG, the phases shaded; a file there is replaced."""
    period_s = cart.timing.control_period_s
    time_s = period_s * np.arange(len(steps))
    turned = np.unwrap([step.state.pole_angle_rad for step in steps])
    upright = 2.0 * math.pi * round(float(turned[-1]) / (2.0 * math.pi))
    figure = Figure(figsize=(9.0, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    angle, position, duty = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    angle.plot(time_s, np.degrees(turned - upright), color=_LINE)
    angle.axhline(0.0, color="#7a828c", linewidth=0.8)
    angle.set_ylabel("pole from upright [°]")
    angle.yaxis.set_major_locator(MultipleLocator(90.0))
    position.plot(time_s, [step.state.cart_position_m for step in steps], color=_LINE)
    for side in (-1.0, 1.0):
        position.axhline(side * cart.limits.cart_position_m, color=_LIMIT, linewidth=0.9, linestyle="--")
    position.set_ylabel("cart [m]")
    duty.step(time_s, [step.duty for step in steps], where="post", color=_LINE, linewidth=1.0)
    duty.set_ylabel("duty")
    duty.set_ylim(-1.08, 1.08)
    duty.set_xlabel("time [s]")
    at = 0
    for phase, group in groupby(step.phase for step in steps):
        end = at + len(list(group))
        for panel in (angle, position, duty):
            panel.axvspan(at * period_s, end * period_s, color=_SHADES.get(phase, "#f2f2f2"), linewidth=0.0, zorder=0)
        if end - at > 0.04 * len(steps):
            angle.text((at + end) / 2.0 * period_s, 1.01, phase, transform=angle.get_xaxis_transform(), ha="center")
        at = end
    for panel in (angle, position, duty):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(0.0, at * period_s)
    figure.align_ylabels([angle, position, duty])
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=110, format="png")
