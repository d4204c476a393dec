"""A foreign CSV as columns of numbers; an error names the line and column of a cell that is not a number."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import hashlib
import io
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.progress import progress_bar

FEWEST_ROWS = 10  # fewer show no motion
_BAR_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class CsvTable:
    """The requested columns by name, each float64 of shape (rows,), and the line of each row in the file."""

    path: Path
    sha256: str
    columns: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lines)

    def without(self, is_out: NDArray[np.bool_]) -> CsvTable:
        """The table without the rows where `is_out`, shape (rows,)."""
        columns = {name: column[~is_out] for name, column in self.columns.items()}
        return dataclasses.replace(self, columns=columns, lines=self.lines[~is_out])

    def refusal(self, row: int, column: str, message: str) -> UsageError:
        """An error about the cell of `column` in `row`, for the caller to raise."""
        return UsageError(f"{self.path}: line {self.lines[row]}, column {column!r}: {message}")


def read_csv(
    path: Path, names: set[str], *, may_be_empty: frozenset[str] = frozenset(), separator: str = ","
) -> CsvTable:
    """The columns `names`. An empty cell is NaN in the columns that `may_be_empty`, an error in the others.

    Lines before the header that begin with "#" are skipped, as are blank ones. Raises `UsageError`.
    """
    content = _content(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}: line {line} is not UTF-8 text, expected CSV; export the file again") from None
    if "\0" in text:
        raise UsageError(f"{path}: holds binary data, expected CSV; choose another file")
    rows = _rows(text, path, separator)
    header_line, header = next(rows, (1, []))
    if not any(header):
        raise UsageError(f"{path}: is empty, expected a header with the names of the columns; choose another file")
    places = {name: _place(name, header, path, header_line, separator) for name in sorted(names)}
    cells: dict[str, array[float]] = {name: array("d") for name in names}
    lines = array("q")
    for line, row in _counted(rows, total=content.count(b"\n")):
        if len(row) != len(header):
            raise UsageError(
                f"{path}: line {line} has {len(row)} cells, expected {len(header)} as in the header; "
                "the file was cut off or damaged there: remove that line, or export the file again"
            )
        lines.append(line)
        for name, place in places.items():
            cells[name].append(_number(row[place], name, line, path, may_be_empty=name in may_be_empty))
    if len(lines) < FEWEST_ROWS:
        raise UsageError(f"{path}: has {len(lines)} rows, expected at least {FEWEST_ROWS}; record for longer")
    return CsvTable(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        columns={name: np.array(column) for name, column in cells.items()},
        lines=np.array(lines, np.int64),
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a CSV file; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _rows(text: str, path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of each row, the header first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    is_before_header = True
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(
                f"{path}: line {reader.line_num} is not valid CSV ({error}); fix or remove that line"
            ) from None
        if not row or (is_before_header and row[0].lstrip().startswith("#")):
            continue
        is_before_header = False
        yield reader.line_num, [cell.strip() for cell in row]


def _counted(rows: Iterator[tuple[int, list[str]]], total: int) -> Iterator[tuple[int, list[str]]]:
    """The rows, with a progress bar where reading them takes a while."""
    with progress_bar(total, "reading", " lines", quiet=True) as bar:
        for number, row in enumerate(rows, start=1):
            yield row
            if number % _BAR_ROWS == 0:
                bar.update(_BAR_ROWS)


def _place(name: str, header: list[str], path: Path, line: int, separator: str) -> int:
    """The index of the column's cell in a row. Raises `UsageError` where there is none, or more than one."""
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise UsageError(f"{path}: line {line} has {header.count(name)} columns {name!r}; rename all but one")
    near = difflib.get_close_matches(name, header, n=1, cutoff=0.0)
    if len(header) == 1:
        hint = f"the header is one cell, {header[0][:60]!r}: is separator = {separator!r} right?"
    else:
        hint = f"the nearest name there is {near[0]!r}; correct the map"
    raise UsageError(f"{path}: line {line} has no column {name!r}; {hint}")


def _number(text: str, column: str, line: int, path: Path, *, may_be_empty: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        if not text and may_be_empty:
            return math.nan
        number = math.nan
    if math.isfinite(number):
        return number
    raise UsageError(
        f"{path}: line {line}, column {column!r}: {text!r}, expected a finite number; fix it, or remove that line "
        "(it becomes a gap in the report)"
    )
