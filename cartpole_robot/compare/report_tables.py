"""The report's tables, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cartpole_robot.compare.comparison import Comparison
from cartpole_robot.compare.quantities import SIGNALS
from cartpole_robot.compare.words import distance_rows, interval_text, loop_rows, value_text
from cartpole_robot.recording.format import Recording

_HASH = 12  # characters of a hash that are shown


class Table(NamedTuple):
    """A head for each column, and rows of cells."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def facts_table(comparison: Comparison) -> Table:
    """File, cart, rig, policy and origin of the two rollouts."""
    pair = [_facts(comparison.simulated, comparison.cart.name), _facts(comparison.recorded, "")]
    rows = [(label, *(facts.get(label, "-") for facts in pair)) for label in pair[1]]
    return Table(("", "simulated", "recorded"), rows)


def _facts(recording: Recording | None, cart: str) -> dict[str, str]:
    if recording is None:
        return {"file": "no rollout: the cart alone", "cart": cart}
    metadata = recording.metadata
    policy_hash = (metadata.controller.policy_hash or "")[:_HASH]
    return {
        "file": recording.path.name,
        "cart": recording.cart.name,
        "rig": _text(metadata.rig),
        "policy": f"{Path(metadata.controller.policy).name} {policy_hash}".rstrip(),
        "seed": _text(metadata.seed),
        "started": _text(metadata.started_at).replace("T", " ").replace("+00:00", " UTC"),
        "commit": _commit(_text(metadata.commit)),
        "rows": f"{len(recording.rows)}, a row every {1e3 * recording.cart.timing.control_period_s:.4g} ms",
    }


def horizon_table(comparison: Comparison) -> Table:
    """Errors by horizon."""
    rows = []
    for horizon in comparison.open_loop.horizons:
        cells = (interval_text(rmse.scaled(signal.factor)) for signal, rmse in zip(SIGNALS, horizon.rmse, strict=True))
        rows.append((f"{horizon.horizon_s:g} s", str(horizon.windows), *cells))
    heads = [f"{signal.label} [{signal.unit}]" for signal in SIGNALS]
    return Table(("horizon", "starts", *heads), rows)


def parameter_table(comparison: Comparison) -> Table:
    """Each term in this simulation, at its best value alone, and in the recording's cart file where that differs."""
    blamed = {} if comparison.attribution is None else {blame.label: blame for blame in comparison.attribution.blames}
    parameters = comparison.parameters()
    has_theirs = any(theirs is not None for *_, theirs in parameters)
    rows = []
    for label, unit, ours, theirs in parameters:
        blame = blamed.pop(label, None)
        row = [label, unit, value_text(ours)]
        if comparison.attribution is not None:
            row += ["-", "-"] if blame is None else [value_text(blame.best), f"{100 * blame.explained:.1f} %"]
        if has_theirs:
            row.append("-" if theirs is None else value_text(theirs))
        rows.append(row)
    for blame in blamed.values():
        row = [blame.label, blame.unit, value_text(blame.in_simulation), value_text(blame.best)]
        rows.append([*row, f"{100 * blame.explained:.1f} %", *(["-"] if has_theirs else [])])
    heads = ["term", "unit", "in the simulation"]
    if comparison.attribution is not None:
        heads += ["best alone", "share of the gap"]
    if has_theirs:
        heads.append("in the recording's cart file")
    return Table(heads, rows)


def loop_table(comparison: Comparison) -> Table:
    """The figures of each rollout; the recorded one alone where there is no other."""
    rows = loop_rows(comparison)
    if comparison.simulated_loop is None:
        return Table(("", "recorded"), [(label, right) for label, _, right in rows])
    return Table(("", "simulated", "recorded"), rows)


def distance_table(comparison: Comparison) -> Table:
    """How differently the two rollouts are distributed over each signal."""
    heads = ("Wasserstein distance", "distance", "of the recorded spread")
    return Table(heads, distance_rows(comparison))


def _commit(text: str) -> str:
    name, plus, changes = text.partition("+")
    return f"{name[:_HASH]}{plus}{changes}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
