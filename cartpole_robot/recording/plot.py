"""A recording as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.new_file import check_is_new, not_written
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.summary import recording_summary
from cartpole_robot.terminal.printable import figure_text

_MEASURED, _SPEED, _ASKED, _APPLIED, _LIMIT = "#1f5a99", "#8db3da", "#b9c4d0", "#2f8f5b", "#c0392b"


def draw_recording(recording: Recording, path: Path, *, may_replace: bool = False) -> None:
    """Position, angle, their speeds, duty and timing against the cart's time, as PNG.

    Raises `UsageError` where the picture cannot be written, or, unless it `may_replace`, something is there already.
    """
    summary = recording_summary(recording)
    rows, cart = recording.rows, recording.cart
    time_s = _cart_time_s(rows, cart)
    has_timing = any(np.isfinite(rows[name]).any() for name in ("lateness_s", "command_age_s"))
    figure = Figure(figsize=(9.0, 8.4 if has_timing else 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        4 if has_timing else 3, 1, sharex=True, height_ratios=[3, 3, 2, 1.4] if has_timing else [3, 3, 2]
    )
    _signal(panels[0], time_s, rows, ("cart_position_m", "cart_speed_m_s"), ("cart position [m]", "cart speed [m/s]"))
    _signal(panels[1], time_s, rows, ("pole_angle_rad", "pole_speed_rad_s"), ("pole angle [rad]", "pole speed [rad/s]"))
    _limits(panels[0], cart.limits.cart_position_m, rows["cart_position_m"])
    _limits(panels[1], cart.limits.pole_angle_rad, rows["pole_angle_rad"])
    _duties(panels[2], time_s, rows)
    if has_timing:
        _timing(panels[3], time_s, rows)
    for panel in panels:
        panel.spines["top"].set_visible(False)
        panel.grid(axis="x", color="#e6e8eb", linewidth=0.8)
        panel.margins(x=0.01)
    panels[-1].set_xlabel("cart time [s]")
    figure.align_ylabels(list(panels))
    figure.suptitle(
        figure_text(
            f"{Path(str(summary['policy'])).name} on {cart.name}, rig {summary['rig']}, seed {summary['seed']}: "
            f"{summary['steps']} steps in {summary['duration_s']:.1f} s, end: {summary['end'] or 'cut off'}"
        ),
        fontsize=11,
    )
    try:
        with atomic_file(path, may_replace=may_replace) as file:
            figure.savefig(file, dpi=130, format="png")
    except FileExistsError:
        check_is_new(path)
        raise
    except OSError as error:
        raise UsageError(not_written(path, error)) from None


def _signal(panel: Axes, time_s: NDArray[Any], rows: Any, names: tuple[str, str], labels: tuple[str, str]) -> None:
    """A position on the left axis, its speed behind it on the right."""
    right = panel.twinx()
    right.plot(time_s, rows[names[1]], color=_SPEED, linewidth=0.8)
    right.set_ylabel(labels[1], color=_SPEED)
    right.tick_params(axis="y", colors=_SPEED)
    right.spines["top"].set_visible(False)
    panel.plot(time_s, rows[names[0]], color=_MEASURED, linewidth=1.4)
    panel.set_ylabel(labels[0], color=_MEASURED)
    panel.set_zorder(right.get_zorder() + 1)
    panel.patch.set_visible(False)


def _limits(panel: Axes, limit: float, values: NDArray[Any]) -> None:
    """The limits, as lines where the signal comes near them, else as a note, so that the signal fills the panel."""
    largest = float(np.nanmax(np.abs(values)))
    if largest > 0.4 * limit:
        for side in (-limit, limit):
            panel.axhline(side, color=_LIMIT, linewidth=0.9, linestyle="--")
    panel.annotate(
        f"episode ends at ±{limit:.3g}", (0.995, 0.03), xycoords="axes fraction", ha="right", color=_LIMIT, fontsize=8
    )


def _duties(panel: Axes, time_s: NDArray[Any], rows: Any) -> None:
    """Row k's requested duty holds from tick k on; its applied duty is that of the period before."""
    panel.step(time_s, rows["requested_duty"], where="post", color=_ASKED, linewidth=1.0, label="requested")
    panel.step(time_s, rows["applied_duty"], where="pre", color=_APPLIED, linewidth=1.0, label="applied")
    panel.set_ylabel("duty")
    panel.legend(loc="upper right", ncols=2, frameon=False, fontsize=8)
    largest = float(np.nanmax(np.abs([*rows["requested_duty"], *rows["applied_duty"]])))
    panel.set_ylim(-1.6 * max(largest, 0.05), 1.6 * max(largest, 0.05))


def _timing(panel: Axes, time_s: NDArray[Any], rows: Any) -> None:
    for name, label, colour in (("command_age_s", "command age", _MEASURED), ("lateness_s", "lateness", _LIMIT)):
        if np.isfinite(rows[name]).any():
            panel.plot(time_s, rows[name] * 1000.0, ".", markersize=2.5, color=colour, label=label)
    panel.set_ylabel("[ms]")
    panel.set_ylim(0.0, 1.5 * panel.get_ylim()[1])
    panel.legend(loc="upper right", ncols=2, frameon=False, fontsize=8)


def _cart_time_s(rows: Any, cart: CartParams) -> NDArray[np.float64]:
    """Seconds of the cart's clock since the first row, shape (rows,); the clock's wrap is undone."""
    period_us = cart.timing.control_period_us
    ticks = (rows["tick"].astype(np.int64) - int(rows["tick"][0])) * period_us
    clock = rows["mcu_time_us"].astype(np.int64) - int(rows["mcu_time_us"][0])
    wraps = np.round((ticks - clock) / 2.0**32)
    return np.asarray((clock + wraps * 2.0**32) * 1e-6)
