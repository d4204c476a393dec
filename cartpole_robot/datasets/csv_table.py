"""A foreign CSV as columns of numbers; an error names the line and column of a cell that is not a number."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.csv_cells import Cells
from cartpole_robot.datasets.csv_shape import CsvShape, chunks_of, find_shape, headers_within
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.printable import counted
from cartpole_robot.terminal.progress import progress_bar

FEWEST_ROWS = 10  # fewer show no motion
_HEADERS_LISTED = 10


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
    reader = Cells(path=path, shape=shape, may_be_empty=may_be_empty, directions=directions)
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
