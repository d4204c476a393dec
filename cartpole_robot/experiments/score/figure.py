"""The figure of a score: the share of runs that succeed at each varied value, a line for each contender."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cartpole_robot.experiments.score.findings import Finding
from cartpole_robot.experiments.score.parts import ROBUSTNESS, Part, Row
from cartpole_robot.experiments.score.score import Score
from cartpole_robot.files.new_file import new_file
from cartpole_robot.terminal.printable import figure_text

_COLUMNS = 4
_COLOURS = ("#d5368f", "#1f6fb4", "#e08a00")
_MARKERS = ("o", "s", "^")
_APART = 0.03  # between the lines of contenders that score the same


def draw_score(score: Score, findings: list[Finding], path: Path, *, option: str) -> None:
    """Write a PNG to `path`, which must not exist. Raises `UsageError`, `RunError`."""
    rows = [row for row in score.rows if row.part in ROBUSTNESS and row.part is not Part.PUSHES]
    count = len(rows) + 1
    lines = -(-count // _COLUMNS)
    figure = Figure(figsize=(3.3 * _COLUMNS, 0.9 + 2.3 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, _COLUMNS, squeeze=False).ravel().tolist()
    for panel, row in zip(panels, rows, strict=False):
        _panel(panel, row, findings)
    _bars(panels[len(rows)], findings)
    for panel in panels[count:]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(
        f"Share of runs up after {score.ranges.success.run_s:g} s on {figure_text(score.cart.name)}, where one thing "
        "differs from the cart file (dotted: as in the file; lines are moved apart a little)",
        fontsize=11,
    )
    with new_file(path, option=option) as partial:
        figure.savefig(partial, dpi=130, format="png")


def _panel(panel: Axes, row: Row, findings: list[Finding]) -> None:
    for number, finding in enumerate(findings):
        shares = [share - _APART * number for share in finding.shares[row.name]]
        panel.plot(
            row.values,
            shares,
            marker=_MARKERS[number],
            markersize=3.0,
            linewidth=1.0,
            color=_COLOURS[number],
            label=f"{figure_text(finding.contender.label)}: robustness {finding.robustness:.3f}",
        )
    if row.own is not None:
        panel.axvline(row.own, color="#6b7280", linewidth=0.8, linestyle=":")
    panel.set_ylim(-0.12, 1.08)
    panel.set_yticks([0.0, 0.5, 1.0])
    panel.tick_params(labelsize=8)
    name = row.name.partition(".")[2] or row.name
    for unit in ("_kg_m2", "_n_s_m", "_n_m_s", "_n_m", "_kg", "_n", "_m"):
        if "." in row.name and name.endswith(unit):
            name = name[: -len(unit)]
            break
    panel.set_title(name.replace("_", " "), loc="left", fontsize=9)
    panel.set_xlabel(row.unit, fontsize=8)


def _bars(panel: Axes, findings: list[Finding]) -> None:
    """The part with pushes, whose profiles have no order."""
    shares = [finding.parts[Part.PUSHES] for finding in findings]
    panel.bar(range(len(shares)), shares, color=_COLOURS[: len(shares)], width=0.6)
    panel.set_xticks([])
    panel.set_ylim(0.0, 1.08)
    panel.set_yticks([0.0, 0.5, 1.0])
    panel.tick_params(labelsize=8)
    panel.set_title("random pushes", loc="left", fontsize=9)
    panel.set_xlabel("share of the profiles", fontsize=8)
