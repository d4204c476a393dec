"""Somebody's CSV and its map in, a recording of ours out, by the same writer as every other."""

from __future__ import annotations

import dataclasses
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

IMPORT_RIG = "import"


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """Which CSV, read by which map, into which recording; a cart and signs that count more than the map's.

    `confirm` is asked where only the motion knows a sign; None where there is nobody to ask.
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
    """The recording, and what was found on the way."""

    recording: Recording
    reading: Reading
    angle: AngleVerdict
    duty: DutyVerdict
    warnings: tuple[str, ...]


def import_recording(request: ImportRequest) -> Imported:
    """The recording of `request.source`; nothing is written before everything was looked at.

    Raises `UsageError` naming file, line, column, what was expected and what to do; `RunError` where the disk refuses.
    """
    check_is_free(request.out)
    told = load_map(request.column_map)
    cart = _cart(request, told)
    names, may_be_empty = _columns(told)
    table = read_csv(request.source, names, may_be_empty=may_be_empty, separator=told.separator)
    table, unread = _readable(table, told)
    clock = read_clock(table, told.time)
    raw = read_signals(table, told, cart)
    angle = judge_angle(raw.angle_rad(1), raw.position_m, clock, cart)
    duty = judge_duty(raw.duty, raw.position_m, raw.angle_rad(1), clock)
    settlement = Settlement(where=str(request.source), confirm=request.confirm)
    settlement.check_zero(told.angle.zero, angle)
    settlement.check_lengths(angle)
    reading = Reading(
        table=table,
        told=told,
        clock=clock,
        raw=raw,
        cart=_timed_cart(cart, clock, request.source),
        angle_sign=settlement.sign("angle", told.angle.sign, request.angle_sign, angle),
        duty_sign=settlement.sign("duty", told.duty.sign, request.duty_sign, duty) if duty.is_needed else 1,
    )
    rows = recording_rows(reading)
    found = ImportFindings(
        clock=clock.as_dict(),
        angle_sign=reading.angle_sign,
        angle=angle.as_dict(),
        duty_sign=reading.duty_sign,
        duty=duty.as_dict(),
        clipped_rows=raw.clipped_rows,
        unread_rows=unread,
        speeds="as told" if told.speeds is not None else "slope of the positions over 0.12 s around each row",
        warnings=tuple(settlement.warnings),
    )
    return Imported(
        recording=_written(request.out, _metadata(request, reading, found), rows),
        reading=reading,
        angle=angle,
        duty=duty,
        warnings=found.warnings,
    )


def _cart(request: ImportRequest, told: ColumnMap) -> CartParams:
    name = request.cart or told.cart
    if name is None:
        raise UsageError(
            f'{request.column_map}: names no cart; say which one was recorded with --cart, or cart = "..." in the map'
        )
    return load_cart(name)


def _readable(table: CsvTable, told: ColumnMap) -> tuple[CsvTable, int]:
    """The table without the rows that read no angle, and how many those were. Raises `UsageError` where few stay."""
    lowest, highest = told.angle.readable
    readings = table.columns[told.angle.column]
    is_out = (readings < lowest) | (readings > highest)
    unread = int(is_out.sum())
    if len(table) - unread < FEWEST_ROWS:
        raise UsageError(
            f"{table.path}: column {told.angle.column!r}: reads from {readings.min():g} to {readings.max():g}, and "
            f"{unread} of {len(table)} rows are not from lowest = {lowest:g} to highest = {highest:g}; correct [angle]"
        )
    return (table.without(is_out) if unread else table), unread


def _columns(told: ColumnMap) -> tuple[set[str], frozenset[str]]:
    """All the columns a map names, and those of them in which a cell may be empty."""
    needed = {told.time.device, told.time.host, told.position.column, told.angle.column}
    if told.speeds is not None:
        needed |= {told.speeds.cart, told.speeds.pole}
    needed.add(told.duty.off_where_zero)
    loose = {told.duty.column, told.duty.applied, told.counts.cart, told.counts.pole}
    loose |= set(dataclasses.asdict(told.as_is).values())
    if told.latency is not None:
        loose.add(told.latency.column)
    named = {name for name in needed | loose if name is not None}
    return named, frozenset(name for name in loose - needed if name is not None)


def _timed_cart(cart: CartParams, clock: RowClock, source: Path) -> CartParams:
    """The cart with the file's control period, and the nearest physics step that divides it."""
    steps = max(1, round(clock.period_s / cart.timing.physics_step_s))
    told = f"imported: the period of {source.name}"
    try:
        return dataclasses.replace(
            cart,
            timing=Timing(physics_step_s=clock.period_s / steps, control_period_s=clock.period_s),
            sources={**cart.sources, "timing.control_period_s": told, "timing.physics_step_s": told},
        )
    except ValueError as error:
        raise UsageError(f"{source}: with its period the cart {cart.name!r} cannot be: {error}") from None


def _metadata(request: ImportRequest, reading: Reading, found: ImportFindings) -> RecordingMetadata:
    """What the recording says of itself; the file's name stands where the policy's stands."""
    name, table, clock = request.source.name, reading.table, reading.clock
    return RecordingMetadata(
        cart=reading.cart,
        rig=IMPORT_RIG,
        controller=ControllerRecord(policy=name),
        duration_s=float(clock.ticks[-1]) * clock.period_s,
        imported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=provenance.versions(),
        commit=provenance.commit(),
        machine=provenance.machine(),
        imported=ImportRecord(
            source=SourceFile(file=name, sha256=table.sha256, rows=len(table)),
            map={"file": request.column_map.name, **reading.told.as_dict()},
            found=found,
        ),
    )


def _written(out: Path, metadata: RecordingMetadata, columns: dict[str, NDArray[Any]]) -> Recording:
    """The finished recording. Where it cannot be finished, nothing is left of it."""
    rows = np.zeros(len(columns["tick"]), ROW_DTYPE)
    with np.errstate(over="ignore"):  # a number too large for 32 bits is infinite
        for name, column in columns.items():
            rows[name] = column
    outcome = Outcome(end=RolloutEnd.DURATION, steps=int(np.nansum(rows["reward"])))
    return write_recording(Recording(path=out, metadata=metadata, rows=rows, outcome=outcome))
