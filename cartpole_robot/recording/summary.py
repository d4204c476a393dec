"""The figures of a recording, as JSON values and as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.metadata import SwingUpRecord

_ENDS = {
    "being written": "not yet: it is still being written",
    "duration": "after its full duration",
    "fall": "by a fall",
    "fault": "by a rig fault",
    "stopped": "by the user",
    "disk": "because the disk was full",
}


_NO_POWER = {Drive.STEPPER.value: "unknown of a stepper: its driver holds the current, whatever the cart does"}


def recording_summary(recording: Recording) -> dict[str, Any]:
    """The figures of a recording, plain JSON values; None for what was not measured. Raises `UsageError` when empty.

    Signals are averaged over the rows that requested a duty, as in an evaluation, so without the last one.
    """
    rows = recording.rows
    if not len(rows):
        raise UsageError(f"{recording.path}: has no rows; it was cut off before the first, record again")
    metadata = recording.metadata
    period_s = recording.cart.timing.control_period_s
    answered = rows[~np.isnan(rows["requested_duty"])]
    sides = np.sign(answered["requested_duty"])
    sides = sides[sides != 0.0]
    duration_s = len(answered) * period_s
    outcome = recording.outcome
    steps = int(np.nansum(rows["reward"])) if outcome is None else outcome.steps
    return {
        "file": str(recording.path),
        "policy": metadata.controller.policy,
        "policy_hash": metadata.controller.policy_hash,
        "rig": metadata.rig,
        "engine": metadata.engine,
        "cart": recording.cart.name,
        "drive": recording.cart.drive.value,
        "is_cart_drawn": metadata.randomization is not None,
        "note": metadata.note,
        "seed": metadata.seed,
        "commit": metadata.commit,
        "started_at": metadata.started_at,
        "rows": len(rows),
        "steps": steps,
        "duration_s": duration_s,
        "swing_up": None if outcome is None or outcome.swing_up is None else dataclasses.asdict(outcome.swing_up),
        "is_imported": metadata.imported is not None,
        "end": "being written" if recording.is_being_written else outcome and outcome.end.value,
        "reason": outcome and outcome.reason,
        "rows_damaged": recording.rows_damaged,
        "rows_lost": outcome and outcome.rows_lost,
        "rms_position_m": _rms(answered["cart_position_m"]),
        "rms_angle_rad": _rms(answered["pole_angle_rad"]),
        "reversals_per_s": float(np.sum(sides[1:] != sides[:-1])) / duration_s if duration_s else None,
        "mean_power_w": _mean(rows["motor_power_w"][1:]),
        "worst_lateness_s": _largest(rows["lateness_s"]),
        "worst_command_age_s": _largest(rows["command_age_s"]),
        "host_s_per_cart_s": _pace(rows, period_s),
    }


def recording_text(summary: Mapping[str, Any]) -> str:
    """The figures of `recording_summary` as text for a person."""
    end = _ENDS.get(str(summary["end"]), "cut off: its writer was killed or the disk was full")
    policy_hash = summary["policy_hash"]
    drawn = " (parameters drawn)" if summary["is_cart_drawn"] else ""
    rig = f"rig {summary['rig']}" + (f" (engine {summary['engine']})" if summary["engine"] else "")
    seed = "" if summary["seed"] is None else f", seed {summary['seed']}"
    swing_up = summary["swing_up"]
    rows = [
        (
            "source" if summary["is_imported"] else "policy",
            f"{summary['policy']}" + (f" ({policy_hash[:12]})" if policy_hash else ""),
        ),
        ("on", f"{rig}, cart {summary['cart']}{drawn}{seed}"),
        *([("swing-up", SwingUpRecord(**swing_up).text)] if swing_up is not None else []),
        ("length", f"{summary['steps']} steps, {summary['duration_s']:.2f} s of the cart's time"),
        ("ended", end + (f": {summary['reason']}" if summary["reason"] else "")),
        ("RMS position", _shown(summary["rms_position_m"], 1000.0, "mm", 1)),
        ("RMS angle", _shown(summary["rms_angle_rad"], 1000.0, "mrad", 2)),
        ("reversals", _shown(summary["reversals_per_s"], 1.0, "a second", 1)),
        ("motor power", _shown(summary["mean_power_w"], 1.0, "W mean", 2, none=_NO_POWER.get(summary["drive"]))),
        ("command age", _shown(summary["worst_command_age_s"], 1000.0, "ms at most", 1)),
        ("lateness", _shown(summary["worst_lateness_s"], 1000.0, "ms at most", 2)),
    ]
    if summary["note"]:
        rows.append(("note", str(summary["note"])))
    if summary["rows_damaged"] or summary["rows_lost"]:
        rows.append(("missing rows", f"{summary['rows_damaged']} damaged, {summary['rows_lost'] or 0} lost"))
    return "\n".join([str(summary["file"]), *(f"  {name:<14} {text}" for name, text in rows)])


def _pace(rows: Any, period_s: float) -> float | None:
    if len(rows) < 2:
        return None
    return float(rows["host_time_s"][-1] - rows["host_time_s"][0]) / (period_s * (len(rows) - 1))


def _rms(values: NDArray[Any]) -> float | None:
    with np.errstate(over="ignore"):
        return math.sqrt(float(np.mean(np.square(values)))) if len(values) else None


def _mean(values: NDArray[Any]) -> float | None:
    mean = float(np.mean(values)) if len(values) else math.nan
    return None if math.isnan(mean) else mean


def _largest(values: NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else None


def _shown(value: float | None, factor: float, unit: str, digits: int, *, none: str | None = None) -> str:
    return (none or "not measured") if value is None else f"{value * factor:.{digits}f} {unit}"
