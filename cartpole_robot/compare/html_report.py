"""A comparison as one page that opens without a network: figures, tables, and the two carts to be moved by hand."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from cartpole_robot import __version__
from cartpole_robot.compare import figures
from cartpole_robot.compare.animation_figure import cart_pole_figure, frames_of
from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.histograms import distribution_figure, latency_figure
from cartpole_robot.compare.open_loop import Tube
from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.compare.report_tables import distance_table, facts_table, horizon_table, loop_table, parameter_table
from cartpole_robot.compare.trajectories import Trajectories, trajectories
from cartpole_robot.compare.words import summary
from cartpole_robot.files.new_file import new_file
from cartpole_robot.open_loop.error import PAST_S

_PLOT = {"displayModeBar": False, "responsive": True, "displaylogo": False}
_LATENCIES = (
    ("lateness_s", "lateness", "by how much later than at the earliest a measurement was there"),
    ("command_age_s", "command age", "how old the newest command was at each control tick"),
)


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page. Raises `UsageError` where something is at `path`, or nothing can be written."""
    text = report_page(comparison)
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # a name may be no Unicode


def report_page(comparison: Comparison) -> str:
    """The page, HTML with all that it needs inside."""
    ours, theirs = comparison.simulated, comparison.recorded
    left = f"the cart {comparison.cart.name}" if ours is None else ours.path.name
    title = escape(f"{left} against {theirs.path.name}")
    found = trajectories(comparison)
    frames = frames_of(found, comparison.cart)
    sections = [
        "<h1>Simulation against cart</h1>",
        f'<p class="subtitle"><span class="simulated">{escape(left)}</span> against '
        f'<span class="recorded">{escape(theirs.path.name)}</span></p>',
        facts_table(comparison),
        _summary(comparison),
        _animation(comparison, found, frames),
        _trajectories(comparison, found),
        _horizons(comparison),
        _attribution(comparison),
        _section("parameters", "Parameters", parameter_table(comparison)),
        _closed_loop(comparison),
        _distributions(comparison),
        _latencies(comparison),
        f'<p class="faint">Made by cartpole_robot {escape(__version__)}. This file needs no network.</p>',
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{_packaged('report.css')}</style>",
            f"<script>{get_plotlyjs()}</script>",
            "</head>",
            "<body>",
            *sections,
            f'<script type="application/json" id="frames">{json.dumps(frames, separators=(",", ":"))}</script>',
            f"<script>{_packaged('report.js')}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _packaged(name: str) -> str:
    return resources.files("cartpole_robot.compare").joinpath(name).read_text(encoding="utf-8")


def _section(name: str, title: str, *parts: str) -> str:
    return "\n".join([f'<section id="section-{name}">', f"<h2>{escape(title)}</h2>", *parts, "</section>"])


def _plot(name: str, figure: Any, height_px: int, caption: str = "") -> str:
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    drawn = figures.styled(figure, height_px).to_html(
        full_html=False, include_plotlyjs=False, div_id=name, default_height=f"{height_px}px", config=_PLOT
    )
    return f"<figure>{drawn}{told}</figure>"


def _summary(comparison: Comparison) -> str:
    told = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in summary(comparison))
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    listed = f'<div class="notes"><ul>{notes}</ul></div>' if notes else ""
    return _section("summary", "In words", f'<div class="summary">{told}</div>', listed)


def _animation(comparison: Comparison, found: Trajectories, frames: dict[str, Any]) -> str:
    horizons_s = [h.horizon_s for h in comparison.open_loop.horizons if h.windows]
    told = (
        "No stretch of the recording is long enough to simulate: the recorded cart alone."
        if not horizons_s
        else f"The simulated cart gets the recorded commands. Every {max(horizons_s):g} s it is put into the state "
        f"that the {PAST_S:g} s of readings before tell, and then left alone."
    )
    cells = "".join(
        f'<tr><td>{label} [{unit}]</td><td class="recorded" id="recorded-{name}"></td>'
        f'<td class="simulated" id="simulated-{name}"></td><td id="{name}-error"></td></tr>'
        for label, name, unit in (("cart position", "position", "mm"), ("pole angle", "angle", "mrad"))
    )
    return _section(
        "animation",
        "The two carts",
        f"<p>{escape(told)}</p>",
        '<div class="stage">',
        _plot(
            "cart-pole",
            cart_pole_figure(found, comparison.cart),
            380,
            f"An episode ends at the red marks, ±{comparison.cart.limits.cart_position_m:g} m.",
        ),
        '<div class="numbers">'
        '<p><strong><span id="time"></span> s</strong> of the recording, <span id="since"></span> s after a start</p>',
        '<div class="scroll"><table><thead><tr><th></th><th>recorded</th><th>simulated</th><th>error</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div></div>",
        '<div class="player"><button id="play" type="button">▶ Play</button>'
        f'<input id="scrubber" type="range" min="0" max="{len(frames["time_s"]) - 1}" step="1" value="0" '
        'aria-label="time">'
        '<label>speed <select id="speed">'
        + "".join(
            f'<option value="{value}"{" selected" if value == "1" else ""}>{value} &times;</option>'
            for value in ("0.1", "0.25", "0.5", "1", "2", "4")
        )
        + "</select></label></div></div>",
    )


def _trajectories(comparison: Comparison, found: Trajectories) -> str:
    until_s = figures.shown_until_s(found)
    part = "" if until_s == found.time_s[-1] else f"The first {until_s:g} s are shown; the window follows the carts. "
    return _section(
        "trajectories",
        "Trajectories",
        _plot(
            "trajectories",
            figures.trajectory_figure(found, comparison.simulated, _tube(comparison)),
            640,
            f"{part}Rings are starts. A simulated curve may run out of the picture: drag to enlarge, click twice to "
            "see all. A click moves the carts above to that time.",
        ),
    )


def _tube(comparison: Comparison) -> Tube:
    fidelity = comparison.open_loop.fidelity
    return Tube() if fidelity is None else fidelity.tube


def _horizons(comparison: Comparison) -> str:
    found = comparison.open_loop
    if not len(found.growth_s):
        return _section("horizons", "Error against horizon", "<p>The recording has no stretch that is long enough.</p>")
    plots = "".join(
        _plot(f"horizon-{name}", figures.horizon_figure(found, signal), 400)
        for name, signal in (("position", figures.POSITION), ("angle", figures.ANGLE))
    )
    return _section(
        "horizons",
        "Error against horizon",
        "<p>The line is the error at that time after a start, over all starts. A dot is the error over a whole "
        "horizon, the simulation started anew at its end, with its 95 % interval. The grey band holds the middle half "
        "of the times after which a run leaves the tube.</p>",
        f'<div class="beside">{plots}</div>',
        horizon_table(comparison),
    )


def _attribution(comparison: Comparison) -> str:
    found = comparison.attribution
    if found is None:
        told = "<p>Not asked for, or the recording is too short to say.</p>"
        return _section("attribution", "Which term is to blame", told)
    gap = f"{1e3 * found.gap[0]:.3g} mm and {1e3 * found.gap[1]:.3g} mrad"
    return _section(
        "attribution",
        "Which term is to blame",
        f"<p>The gap, {gap} over {found.windows} windows of {found.window_s:g} s that each start where the simulation "
        "does best, and how much of its square goes away when one term alone has its best value. Shares do not add "
        "up: terms stand in for each other.</p>",
        _plot("attribution", figures.attribution_figure(found), 80 + 42 * len(found.blames)),
    )


def _closed_loop(comparison: Comparison) -> str:
    told = []
    if comparison.simulated_loop is None:
        told.append("<p>There is no simulated rollout: the recorded one alone.</p>")
    found = comparison.agreement
    told.append(loop_table(comparison))
    if found is not None:
        told.append(f"<p>{escape(_agreement(comparison))}</p>")
    return _section("closed-loop", "Closed loop", *told)


def _agreement(comparison: Comparison) -> str:
    found = comparison.agreement
    if found is None:
        return ""
    different = found.first_different_tick
    text = f"In {100 * found.same_tick:.1f} % of the {found.turns} ticks that both have, both were told the same" + (
        "." if different is None else f"; the first tick at which they were not is {different}."
    )
    if found.simulated is None or found.recorded is None:
        return text + " No policy could be asked once more."
    return (
        f"{text} Shown each rollout's states once more, the policy asks for the same duty in "
        f"{100 * found.simulated:.1f} % of the simulated turns and {100 * found.recorded:.1f} % of the recorded ones."
    )


def _distributions(comparison: Comparison) -> str:
    simulated = comparison.simulated
    if simulated is None or not comparison.distances:
        return _section(
            "distributions", "Distributions", "<p>They need a simulated rollout beside the recorded one.</p>"
        )
    plots = "".join(
        _plot(f"distribution-{signal.name}", distribution_figure(simulated, comparison.recorded, signal), 300)
        for signal in SIGNALS
    )
    return _section("distributions", "Distributions", f'<div class="beside">{plots}</div>', distance_table(comparison))


def _latencies(comparison: Comparison) -> str:
    ours, theirs = comparison.latencies
    told, parts = [], []
    for key, label, meaning in _LATENCIES:
        simulated, recorded = None if ours is None else getattr(ours, key), getattr(theirs, key)
        where = [
            name
            for name, column in (("the simulated rollout", simulated), ("the recorded one", recorded))
            if column is not None and len(column)
        ]
        if not where:
            told.append(f"<p>{label.capitalize()}: nobody measured it.</p>")
            continue
        note = "" if len(where) == 2 else f"; measured in {where[0]} alone"
        parts.append(
            _plot(
                f"latency-{key.removesuffix('_s')}",
                latency_figure(simulated, recorded, label),
                300,
                f"{label}: {meaning}{note}",
            )
        )
    return _section("latencies", "Latencies", *told, f'<div class="beside">{"".join(parts)}</div>')
