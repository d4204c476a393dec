"""A foreign CSV as columns of numbers; an error names the line and column of a cell that is not a number."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.csv_shape import CsvShape, chunks_of, find_shape, headers_within
from cartpole_robot.datasets.direction_words import ACCEPTED, direction_number
from cartpole_robot.datasets.time_text import is_other_time, time_us_of
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.printable import counted
from cartpole_robot.terminal.progress import progress_bar

FEWEST_ROWS = 10  # fewer show no motion
_LARGEST = 1e100  # no reading is larger, and the square of a larger one would overflow
_HEADERS_LISTED = 10
_A_FEW = 0.1  # of the rows: more cells that are no numbers are not damage, but another kind of column


@dataclass(frozen=True, kw_only=True)
class CsvTable:
    """The requested columns by name, each float64 of shape (rows,), and the line of each row in the file.

    Columns in `text_times` hold dates or times of day, in seconds. `notes` say what of the file's shape was found.
    """

    path: Path
    sha256: str
    columns: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64]
    text_times: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, which: NDArray[np.bool_] | slice) -> CsvTable:
        """The table with the rows `which` alone."""
        columns = {name: column[which] for name, column in self.columns.items()}
        return dataclasses.replace(self, columns=columns, lines=self.lines[which])

    def refusal(self, row: int, column: str, message: str) -> UsageError:
        """An error about the cell of `column` in `row`, for the caller to raise."""
        return UsageError(f"{self.path}: line {self.lines[row]}, column {column!r}: {message}")


def read_csv(
    path: Path,
    names: set[str],
    *,
    may_be_empty: frozenset[str] = frozenset(),
    times: frozenset[str] = frozenset(),
    directions: frozenset[str] = frozenset(),
    separator: str = ",",
    decimal: str | None = None,
    header: Sequence[str] = (),
) -> CsvTable:
    """The columns `names`. An empty cell is NaN in the columns that `may_be_empty`, an error in the others.

    The columns `times` may hold dates or times of day in place of numbers, `directions` words for right and left. A
    `header` names the columns of a file that
    has none; `decimal` is "," or ".", None where the cells show it. Comments and a row of units are skipped. Raises
    `UsageError`.
    """
    shape = find_shape(path, names, times=times, separator=separator, decimal=decimal, header=header)
    reader = _Cells(path=path, shape=shape, may_be_empty=may_be_empty, directions=directions)
    width = len(shape.names)
    lines = array("q")
    with progress_bar(shape.lines, "reading", " lines", quiet=True) as bar:
        for chunk_lines, rows in chunks_of(path, shape):
            if set(map(len, rows)) - {width}:
                _check_headers(path, shape)
                line, row = next((line, row) for line, row in zip(chunk_lines, rows, strict=True) if len(row) != width)
                raise UsageError(
                    f"{path}: line {line} has {len(row)} cells, expected {width} as in the header; the file was cut "
                    "off or damaged there: remove that line, or export the file again"
                )
            lines.extend(chunk_lines)
            try:
                reader.add(chunk_lines, rows)
            except UsageError:
                _check_headers(path, shape)
                raise
            bar.update(len(rows))
    if len(lines) < FEWEST_ROWS:
        raise UsageError(
            f"{path}: has {counted(len(lines), 'row')}, expected at least {FEWEST_ROWS}; record for longer"
        )
    return CsvTable(
        path=path,
        sha256=shape.sha256,
        columns={name: np.frombuffer(column, np.float64) for name, column in reader.columns.items()},
        lines=np.frombuffer(lines, np.int64),
        text_times=shape.text_times,
        notes=shape.notes,
    )


def _check_headers(path: Path, shape: CsvShape) -> None:
    """Raises `UsageError` where rows name the columns again."""
    lines, is_same_order = headers_within(path, shape)
    if not lines:
        return
    shown = ", ".join(map(str, lines[:_HEADERS_LISTED]))
    more = f" and {len(lines) - _HEADERS_LISTED} more" if len(lines) > _HEADERS_LISTED else ""
    advice = (
        "remove the repeated headers: a log whose clock restarts becomes a recording of its own"
        if is_same_order
        else "their columns are in another order: divide the file there, and import the parts one by one"
    )
    raise UsageError(
        f"{path}: {'line' if len(lines) == 1 else 'lines'} {shown}{more} {'holds' if len(lines) == 1 else 'hold'} the "
        f"header again, expected one log; {advice}"
    )


class _Cells:
    """Collects the columns of one file, chunk by chunk."""

    def __init__(
        self, *, path: Path, shape: CsvShape, may_be_empty: frozenset[str], directions: frozenset[str]
    ) -> None:
        self.columns: dict[str, array[float]] = {name: array("d") for name in shape.places}
        self._path = path
        self._shape = shape
        self._may_be_empty = may_be_empty
        self._directions = directions

    def add(self, lines: list[int], rows: list[list[str]]) -> None:
        """Append the cells of these rows. Raises `UsageError` for the first cell that is no finite number."""
        for name, place in self._shape.places.items():
            texts = [row[place] for row in rows]
            self.columns[name].frombytes(self._numbers(name, texts, lines).tobytes())

    def _numbers(self, name: str, texts: list[str], lines: list[int]) -> NDArray[np.float64]:
        if name in self._shape.text_times:
            moments = [time_us_of(text.strip()) for text in texts]
            numbers = np.array([math.nan if moment is None else moment * 1e-6 for moment in moments])
        else:
            if self._shape.decimal == ",":
                texts = [text.replace(",", ".") for text in texts]
            try:
                numbers = np.array(texts, dtype=object).astype(np.float64)
            except ValueError:
                numbers = np.array([_number(text) for text in texts])
                if name in self._directions:
                    words = np.array([direction_number(text) for text in texts])
                    numbers = np.where(np.isnan(numbers), words, numbers)
        is_bad = ~(np.abs(numbers) <= _LARGEST)
        if is_bad.any() and name in self._may_be_empty:
            is_bad &= np.array([bool(text.strip()) for text in texts])
        if is_bad.any():
            raise self._refusal(name, texts, lines, is_bad)
        return numbers

    def _refusal(self, name: str, texts: list[str], lines: list[int], is_bad: NDArray[np.bool_]) -> UsageError:
        first, bad = int(np.argmax(is_bad)), int(is_bad.sum())
        cell = texts[first].strip()
        expected = "a date or a time of day" if name in self._shape.text_times else "a finite number"
        if name in self._directions:
            expected += f", or {ACCEPTED}"
        what = f"{self._path}: line {lines[first]}, column {name!r}: {cell[:60]!r}, expected {expected}"
        if bad <= max(1.0, _A_FEW * len(lines)):
            return UsageError(f"{what}; fix it, or remove that line (it becomes a gap in the report)")
        affected = f"{what}, as in {bad} of {len(lines)} rows"
        if time_us_of(cell) is not None:
            return UsageError(f"{affected}; that is a date or a time of day: name the column in [time]")
        if is_other_time(cell):
            return UsageError(
                f"{affected}; the column does not hold numbers: dates with a time are read as ISO 8601 (2026-11-27 "
                "10:00:00.020), times of day as 10:00:00.020; write it so"
            )
        if name in self._directions:
            return UsageError(f"{affected}; write one of these words, or 1 and 0")
        if "," in cell and math.isfinite(_number(cell.replace(",", "."))):
            return UsageError(f'{affected}; decimal commas? then add decimal = "," to the map')
        return UsageError(f"{affected}; the column does not hold numbers: name another in the map")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
