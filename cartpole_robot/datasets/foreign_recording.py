"""Import: turns a foreign CSV and its column map into a recording, or several where its clock falls into parts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Timing
from cartpole_robot.datasets.angle_sign import AngleVerdict, judge_angle
from cartpole_robot.datasets.column_map import ColumnMap, load_map
from cartpole_robot.datasets.csv_table import FEWEST_ROWS, CsvTable, read_csv
from cartpole_robot.datasets.duty_sign import DutyVerdict, judge_duty
from cartpole_robot.datasets.held_values import held_warning
from cartpole_robot.datasets.recording_rows import Reading, recording_rows
from cartpole_robot.datasets.row_clock import RowClock, read_clock
from cartpole_robot.datasets.settled_signs import Confirm, Settlement
from cartpole_robot.datasets.signals import read_signals
from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.recording.format import ROW_DTYPE, Recording
from cartpole_robot.recording.metadata import (
    ControllerRecord,
    ImportFindings,
    ImportRecord,
    Outcome,
    RecordingMetadata,
    RolloutEnd,
    SourceFile,
)
from cartpole_robot.recording.writer import check_is_free, write_recording
from cartpole_robot.terminal.printable import counted

IMPORT_RIG = "import"


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """Which CSV to read with which map into which recording; a cart and signs given here override the map's.

    Where the file falls into parts, the first becomes `out`, the others its name with _2, _3 and so on.

    `confirm` asks the user about a sign that only the motion shows; None where no user can answer.
    """

    source: Path
    column_map: Path
    out: Path
    cart: str | None = None
    angle_sign: int | None = None
    duty_sign: int | None = None
    confirm: Confirm | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The recordings, one for each part of the file, and what the import found."""

    recordings: tuple[Recording, ...]
    reading: Reading
    angle: AngleVerdict
    duty: DutyVerdict
    warnings: tuple[str, ...]


def import_recording(request: ImportRequest) -> Imported:
    """Import `request.source`; errors in it are reported before anything is written.

    Raises `UsageError` naming file, line, column, what was expected and what to do; `RunError` where the disk refuses.
    """
    check_is_free(request.out)
    column_map = load_map(request.column_map)
    cart = _cart(request, column_map)
    names, may_be_empty = _columns(column_map)
    table = read_csv(
        request.source,
        names,
        may_be_empty=may_be_empty,
        times=frozenset(name for name in (column_map.time.device, column_map.time.host) if name is not None),
        directions=frozenset(name for name in (column_map.duty.direction,) if name is not None),
        separator=column_map.separator,
        decimal=column_map.decimal,
        header=column_map.columns,
    )
    clock = read_clock(table, column_map.time)
    is_out = _unread(table, column_map)
    table, clock = table.rows(~is_out), clock.rows(~is_out)
    settlement = Settlement(where=str(request.source), confirm=request.confirm, warnings=list(clock.notes))
    is_short = _short_parts(table, clock, settlement)
    table, clock = table.rows(~is_short), clock.rows(~is_short)
    paths = _paths(request.out, len(clock.parts()))
    raw = read_signals(table, column_map, cart)
    settlement.warnings += filter(None, [held_warning(raw.position_m, raw.read_angle_rad, clock)])
    angle = judge_angle(raw.angle_rad(1), raw.position_m, clock, cart)
    duty = judge_duty(raw.duty, raw.position_m, raw.angle_rad(1), clock)
    settlement.check_zero(column_map.angle, angle)
    settlement.check_lengths(angle)
    reading = Reading(
        table=table,
        column_map=column_map,
        clock=clock,
        raw=raw,
        cart=_timed_cart(cart, clock, request.source),
        angle_sign=settlement.sign("angle", column_map.angle.sign, request.angle_sign, angle),
        duty_sign=settlement.sign("duty", column_map.duty.sign, request.duty_sign, duty),
    )
    settlement.check_sides(column_map.duty, reading.duty_sign * raw.duty)
    settlement.tell_parts(clock, paths)
    speeds = column_map.speeds
    found = ImportFindings(
        clock=clock.as_dict(),
        angle_sign=reading.angle_sign,
        angle=angle.as_dict(),
        duty_sign=reading.duty_sign,
        duty=duty.as_dict(),
        clipped_rows=raw.clipped_rows,
        unread_rows=int(is_out.sum()),
        speeds="as recorded" if speeds.cart and speeds.pole else "slope of the positions over 0.12 s around each row",
        warnings=tuple(settlement.warnings),
        shape=table.notes,
        parts=len(paths),
    )
    return Imported(
        recordings=_all_written(request, paths, reading, found),
        reading=reading,
        angle=angle,
        duty=duty,
        warnings=found.warnings,
    )


def _paths(out: Path, parts: int) -> list[Path]:
    """Where the recordings of the parts go. Raises `UsageError` where a file is there already."""
    paths = [out, *(out.with_name(f"{out.stem}_{number}{out.suffix}") for number in range(2, parts + 1))]
    for path in paths:
        check_is_free(path)
    return paths


def _all_written(
    request: ImportRequest, paths: list[Path], reading: Reading, found: ImportFindings
) -> tuple[Recording, ...]:
    """Write a recording for each part; on failure nothing of them remains."""
    written: list[Recording] = []
    try:
        for number, (path, part) in enumerate(zip(paths, reading.clock.parts(), strict=True), start=1):
            piece = reading.part(part.rows)
            its = dataclasses.replace(
                found, part=number, clock={**piece.clock.as_dict(), "parts": found.clock["parts"]}
            )
            written.append(_written(path, _metadata(request, piece, its), recording_rows(piece)))
    except BaseException:
        for recording in written:
            recording.path.unlink(missing_ok=True)
        raise
    return tuple(written)


def _cart(request: ImportRequest, column_map: ColumnMap) -> CartParams:
    name = request.cart or column_map.cart
    if name is None:
        raise UsageError(
            f"{request.column_map}: names no cart; name the one that was recorded with --cart, or in the map with "
            'cart = "..."'
        )
    return load_cart(name)


def _unread(table: CsvTable, column_map: ColumnMap) -> NDArray[np.bool_]:
    """Which rows have no angle, (rows,). Raises `UsageError` where too few remain."""
    column = column_map.angle.column
    if column is None:
        return np.zeros(len(table), bool)
    lowest, highest = column_map.angle.readable
    readings = table.columns[column]
    is_out: NDArray[np.bool_] = (readings < lowest) | (readings > highest)
    if len(table) - is_out.sum() < FEWEST_ROWS:
        raise UsageError(
            f"{table.path}: column {column!r}: reads from {readings.min():g} to {readings.max():g}, "
            f"and {is_out.sum()} of {len(table)} rows are not from lowest = {lowest:g} to highest = {highest:g}; "
            "correct [angle]"
        )
    return is_out


def _short_parts(table: CsvTable, clock: RowClock, settlement: Settlement) -> NDArray[np.bool_]:
    """Which rows are in parts that are too short for a recording, (rows,). Raises `UsageError` where all are."""
    is_short = np.zeros(len(table), bool)
    for part in clock.parts():
        rows = part.rows.stop - part.rows.start
        if rows < FEWEST_ROWS:
            is_short[part.rows] = True
            is_or_are = "is" if rows == 1 else "are"
            settlement.warnings.append(
                f"{part.place} {is_or_are} left out: {part.why} there, and {counted(rows, 'row')} {is_or_are} too few "
                f"for a recording ({FEWEST_ROWS})"
            )
    if is_short.all():
        raise UsageError(
            f"{table.path}: falls into {len(clock.parts())} parts of fewer than {FEWEST_ROWS} rows, the second from "
            f"line {clock.parts()[1].first_line} ({clock.parts()[1].why}); name a steadier clock in [time]"
        )
    return is_short


def _columns(column_map: ColumnMap) -> tuple[set[str], frozenset[str]]:
    """All columns a map names, and those of them in which a cell may be empty."""
    time = column_map.time
    needed = {time.device, time.host, time.row_counter, column_map.position.column, column_map.angle.column}
    needed |= {column_map.speeds.cart, column_map.speeds.pole}
    needed |= {column_map.duty.off_where_zero, column_map.duty.direction}
    loose = {column_map.duty.column, column_map.duty.applied, column_map.counts.cart, column_map.counts.pole}
    loose |= set(dataclasses.asdict(column_map.as_is).values())
    if column_map.latency is not None:
        loose.add(column_map.latency.column)
    named = {name for name in needed | loose if name is not None}
    return named, frozenset(name for name in loose - needed if name is not None)


def _timed_cart(cart: CartParams, clock: RowClock, source: Path) -> CartParams:
    """The cart with the file's control period and the nearest physics step that divides it."""
    steps = max(1, round(clock.period_s / cart.timing.physics_step_s))
    origin = f"imported: the period of {source.name}"
    try:
        return dataclasses.replace(
            cart,
            timing=Timing(physics_step_s=clock.period_s / steps, control_period_s=clock.period_s),
            sources={**cart.sources, "timing.control_period_s": origin, "timing.physics_step_s": origin},
        )
    except ValueError as error:
        raise UsageError(f"{source}: the cart {cart.name!r} cannot have its period: {error}") from None


def _metadata(request: ImportRequest, reading: Reading, found: ImportFindings) -> RecordingMetadata:
    """The recording's metadata; the name of the file takes the place of a policy's."""
    name, table, clock = request.source.name, reading.table, reading.clock
    return RecordingMetadata(
        cart=reading.cart,
        rig=IMPORT_RIG,
        controller=ControllerRecord(policy=name),
        duration_s=float(clock.ticks[-1] - clock.ticks[0]) * clock.period_s,
        imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=provenance.versions(),
        commit=provenance.commit(),
        machine=provenance.machine(),
        imported=ImportRecord(
            source=SourceFile(file=name, sha256=table.sha256, rows=len(table)),
            map={"file": request.column_map.name, **reading.column_map.as_dict()},
            found=found,
        ),
    )


def _written(out: Path, metadata: RecordingMetadata, columns: dict[str, NDArray[Any]]) -> Recording:
    """Write the finished recording; on failure nothing of it remains."""
    rows = np.zeros(len(columns["tick"]), ROW_DTYPE)
    with np.errstate(over="ignore"):  # a number too large for 32 bits becomes infinite
        for name, column in columns.items():
            rows[name] = column
    total = float(np.nansum(rows["reward"], dtype=np.float64))
    if not math.isfinite(total):
        raise UsageError(f"{metadata.controller.policy}: its rewards sum to {total}; leave their column out of the map")
    outcome = Outcome(end=RolloutEnd.DURATION, steps=int(total))
    return write_recording(Recording(path=out, metadata=metadata, rows=rows, outcome=outcome))
