"""A comparison as one page that opens without a network: figures, tables, and an animation of the two carts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from cartpole_robot import __version__
from cartpole_robot.compare import figures, report_tables
from cartpole_robot.compare.animation_figure import cart_pole_figure, frames_of
from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.histograms import distribution_figure, latency_figure
from cartpole_robot.compare.open_loop import Tube
from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.compare.trajectories import Trajectories, trajectories
from cartpole_robot.compare.words import summary
from cartpole_robot.files.new_file import new_file
from cartpole_robot.open_loop.error import PAST_S

Floats = NDArray[np.float64]
_PACKAGE = "cartpole_robot.compare"  # holds the page's template, style and script
_PLOT = {"displayModeBar": False, "responsive": True, "displaylogo": False}


@dataclass(frozen=True, kw_only=True)
class _Latency:
    """One latency as each rollout measured it, s; None without a simulated rollout, empty where nothing measured it."""

    name: str
    label: str
    meaning: str
    simulated_s: Floats | None
    recorded_s: Floats

    @property
    def measured_in(self) -> list[str]:
        """Names of the rollouts that have it."""
        both = ("the simulated rollout", self.simulated_s), ("the recorded one", self.recorded_s)
        return [name for name, column in both if column is not None and len(column)]


@dataclass(frozen=True, kw_only=True)
class Front:
    """What a page tells before the comparison: sentences under a title, tables under theirs, notes."""

    title: str
    sentences: Sequence[str]
    notes: Sequence[str]
    tables: Sequence[tuple[str, report_tables.Table]]


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page. Raises `UsageError` where `path` exists or cannot be written."""
    text = report_page(comparison)
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # a name may not be valid Unicode


def front_page(front: Front) -> str:
    """A page that has a front, and no comparison."""
    return (
        _environment()
        .get_template("front.html.jinja")
        .render(front=front, version=__version__, css=_packaged("report.css"))
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(_PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def report_page(comparison: Comparison, front: Front | None = None) -> str:
    """The page as self-contained HTML; the template escapes every value that is not `Markup`."""
    simulated = comparison.simulated
    found = trajectories(comparison)
    latencies = _latencies(comparison)
    shown_until_s = figures.shown_until_s(found)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            comparison=comparison,
            front=front,
            simulated_name=f"the cart {comparison.cart.name}" if simulated is None else simulated.path.name,
            recorded_name=comparison.recorded.path.name,
            sentences=summary(comparison),
            tables={
                "facts": report_tables.facts_table(comparison),
                "horizons": report_tables.horizon_table(comparison),
                "parameters": report_tables.parameter_table(comparison),
                "loops": report_tables.loop_table(comparison),
                "distances": report_tables.distance_table(comparison),
            },
            plots=_plots(comparison, found, latencies),
            latencies=latencies,
            frames=frames_of(found, comparison.cart),
            longest_horizon_s=max((h.horizon_s for h in comparison.open_loop.horizons if h.windows), default=None),
            past_s=PAST_S,
            shown_until_s=None if shown_until_s == found.time_s[-1] else shown_until_s,
            version=__version__,
            plotly_js=Markup(get_plotlyjs()),
            css=_packaged("report.css"),
            script=_packaged("report.js"),
        )
    )


def _latencies(comparison: Comparison) -> list[_Latency]:
    ours, theirs = comparison.latencies
    return [
        _Latency(
            name=name,
            label=name.replace("_", " "),
            meaning=meaning,
            simulated_s=getattr(ours, f"{name}_s", None),  # None without a simulated rollout
            recorded_s=getattr(theirs, f"{name}_s"),
        )
        for name, meaning in (
            ("lateness", "by how much a measurement arrived later than the earliest"),
            ("command_age", "how old the newest command was at each control tick"),
        )
    ]


def _packaged(name: str) -> Markup:
    return Markup(resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8"))


def _plots(comparison: Comparison, found: Trajectories, latencies: Sequence[_Latency]) -> dict[str, Markup]:
    """Each figure that has data, by the id of its element."""
    open_loop, attribution, simulated = comparison.open_loop, comparison.attribution, comparison.simulated
    tube = Tube() if open_loop.fidelity is None else open_loop.fidelity.tube
    drawn = {
        "cart-pole": (cart_pole_figure(found, comparison.cart), 380),
        "trajectories": (figures.trajectory_figure(found, simulated, tube), 640),
    }
    if len(open_loop.growth_s):
        for name, signal in (("position", figures.POSITION), ("angle", figures.ANGLE)):
            drawn[f"horizon-{name}"] = figures.horizon_figure(open_loop, signal), 400
    if attribution is not None:
        drawn["attribution"] = figures.attribution_figure(attribution), 80 + 42 * len(attribution.blames)
    if simulated is not None:
        for signal in SIGNALS:
            drawn[f"distribution-{signal.name}"] = distribution_figure(simulated, comparison.recorded, signal), 300
    for latency in latencies:
        if latency.measured_in:
            figure = latency_figure(latency.simulated_s, latency.recorded_s, latency.label)
            drawn[f"latency-{latency.name}"] = figure, 300
    return {name: _plot(name, figure, height_px) for name, (figure, height_px) in drawn.items()}


def _plot(name: str, figure: Any, height_px: int) -> Markup:
    return Markup(
        figures.styled(figure, height_px).to_html(
            full_html=False, include_plotlyjs=False, div_id=name, default_height=f"{height_px}px", config=_PLOT
        )
    )
