"""The report of an import, as JSON values and as text."""

from __future__ import annotations

import dataclasses
from typing import Any

from cartpole_robot.datasets.foreign_recording import Imported
from cartpole_robot.recording.metadata import ImportRecord
from cartpole_robot.recording.summary import recording_summary
from cartpole_robot.terminal.printable import counted

_GAPS_LISTED = 3


def import_record(imported: Imported) -> dict[str, Any]:
    """The figures of the first recording, under "import" what the import found, and the figures of further ones."""
    first, *others = (recording_summary(recording) for recording in imported.recordings)
    return {**first, "import": dataclasses.asdict(_origin(imported)), "further_recordings": others}


def import_text(imported: Imported) -> str:
    """The same as text for a person, without the warnings."""
    clock, raw, source = imported.reading.clock, imported.reading.raw, _origin(imported).source
    rows = [recording.rows for recording in imported.recordings]
    length_s = sum(int(part["tick"][-1]) for part in rows) * clock.period_s
    lines = [
        ("source", f"{source.file}, {sum(len(part) for part in rows)} rows, SHA-256 {source.sha256[:12]}"),
        *(("shape", note) for note in _origin(imported).found.shape),
        ("cart", f"{imported.recordings[0].cart.name}, {length_s:.2f} s of its time"),
        ("period", _period(imported)),
        ("gaps", _gaps(imported)),
        *([("off tick", _off(imported))] if clock.off_rows() else []),
        ("position", f"{raw.position_m.min():.4f} to {raw.position_m.max():.4f} m"),
        ("angle sign", f"{imported.reading.angle_sign}: {imported.angle.evidence()}"),
        ("duty sign", f"{imported.reading.duty_sign}: {imported.duty.evidence()}"),
    ]
    if imported.angle.gravity_length_m is not None:
        lines.append(("pole", _lengths(imported)))
    if imported.angle.rows_left_out:
        lines.append(
            (
                "left out",
                f"{counted(imported.angle.rows_left_out, 'row')} of that fit: no motion explains them; the recording "
                "keeps them",
            )
        )
    unread = _origin(imported).found.unread_rows
    if unread:
        lines.append(
            ("unread", f"{counted(unread, 'row')} without an angle, beyond [angle] lowest or highest; left out")
        )
    if imported.reading.raw.clipped_rows:
        lines.append(("clipped", f"{counted(imported.reading.raw.clipped_rows, 'command')} past full drive"))
    paths = [str(recording.path) for recording in imported.recordings]
    return "\n".join([*paths, *(f"  {name:<14} {text}" for name, text in lines)])


def _origin(imported: Imported) -> ImportRecord:
    origin = imported.recordings[0].metadata.imported
    assert origin is not None  # for the type checker: an import writes it
    return origin


def _period(imported: Imported) -> str:
    clock = imported.reading.clock
    text = f"{clock.period_s * 1000.0:.6g} ms"
    if clock.host_s_per_device_s is not None:
        text += (
            f" by the {clock.base.value}'s clock ({clock.nominal_period_s * 1000.0:.6g} ms of the device's; the host's "
            f"counts {clock.host_s_per_device_s:.5f} s per second of it)"
        )
    return f"{text}, rows up to {clock.worst_jitter_s * 1000.0:.3g} ms off their tick"


def _off(imported: Imported) -> str:
    off = imported.reading.clock.off_rows()
    places = ", ".join(f"line {row.line} by {row.off_s * 1000.0:+.3g} ms" for row in off[:_GAPS_LISTED])
    more = f" and {len(off) - _GAPS_LISTED} more" if len(off) > _GAPS_LISTED else ""
    return f"{counted(len(off), 'row')}: {places}{more}; put on their tick"


def _gaps(imported: Imported) -> str:
    gaps = imported.reading.clock.gaps
    if not gaps:
        return "none"
    places = ", ".join(f"{gap.missing} before line {gap.line}" for gap in gaps[:_GAPS_LISTED])
    more = f" and {counted(len(gaps) - _GAPS_LISTED, 'more place')}" if len(gaps) > _GAPS_LISTED else ""
    missing = sum(gap.missing for gap in gaps)
    return f"{counted(missing, 'row')} missing: {places}{more}; their ticks are left out"


def _lengths(imported: Imported) -> str:
    found = imported.angle
    text = f"effective length {found.gravity_length_m:.4g} m by its swing"
    if found.acceleration_length_m is not None:
        text += f", {found.acceleration_length_m:.4g} m by the cart's acceleration"
    return f"{text}; the cart file says {found.cart_length_m:.4g} m"
