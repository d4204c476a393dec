"""The shape of a foreign CSV: encoding, separator, comments, header, units, decimal sign, found in its first rows."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cartpole_robot.datasets.csv_lines import (
    COMMENTS,
    Row,
    is_blank,
    is_comment,
    row_chunks,
    rows_of,
    scanned,
    stated_separator,
)
from cartpole_robot.datasets.time_text import time_us_of
from cartpole_robot.errors import UsageError

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_SEPARATORS = (";", ",", "\t", "|", " ")
_HEADER_ROWS = 100  # within which the header must be
_LOOKED_AT = 50  # rows below the header that show the decimal sign


@dataclass(frozen=True, kw_only=True)
class CsvShape:
    """How to read a file: its columns, and on which line its rows begin.

    `names` has one name per cell, `places` where the requested columns are. Columns in `text_times` hold dates or times
    of day. `lines` is the length of the file; `notes` are for the report.
    """

    encoding: str
    separator: str
    decimal: str
    names: tuple[str, ...]
    places: dict[str, int]
    first_line: int
    text_times: frozenset[str]
    lines: int
    sha256: str
    notes: tuple[str, ...]


def chunks_of(path: Path, shape: CsvShape) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Line numbers and cells of the rows, some thousand at a time, without comments and blank lines."""
    width = len(shape.names)
    for lines, rows in row_chunks(path, shape.encoding, shape.separator):
        firsts = "".join(row[0] if row and row[0] else "#" for row in rows)
        is_plain = lines[0] >= shape.first_line and not any(mark in firsts for mark in COMMENTS)
        if is_plain and all(len(row) == width for row in rows):
            yield lines, rows
            continue
        kept = [
            (line, row)
            for line, row in zip(lines, rows, strict=True)
            if line >= shape.first_line and not is_blank(row) and not is_comment(row)
        ]
        for _, row in kept:
            if len(row) == width + 1 and not row[-1].strip():  # each line ends with a separator
                row.pop()
        yield [line for line, _ in kept], [row for _, row in kept]


def headers_within(path: Path, shape: CsvShape) -> tuple[list[int], bool]:
    """The lines among the rows that name the columns again, and whether all have them in the same order."""
    found = [
        (line, row)
        for lines, rows in chunks_of(path, shape)
        for line, row in zip(lines, rows, strict=True)
        if shape.places.keys() <= set(_stripped(row))
    ]
    return [line for line, _ in found], all(tuple(_stripped(row)) == shape.names for _, row in found)


def find_shape(
    path: Path,
    wanted: set[str],
    *,
    times: frozenset[str] = frozenset(),
    separator: str = ",",
    decimal: str | None = None,
    header: Sequence[str] = (),
) -> CsvShape:
    """The shape of the file at `path`, in which the columns `wanted` must be. Raises `UsageError` where one is not."""
    encoding, lines, sha256 = scanned(path)
    notes = []
    stated = stated_separator(path, encoding)
    if stated is not None:
        separator = stated
    rows = list(itertools.islice(rows_of(path, encoding, separator), _HEADER_ROWS + _LOOKED_AT))
    if stated is not None:
        rows = rows[1:]
    table = [row for row in rows if not is_comment(row[1])]
    if not table or not any(table[0][1]):
        raise UsageError(f"{path}: is empty, expected a header with the names of the columns; choose another file")
    if header:
        names, first = tuple(header), int(_stripped(table[0][1]) == list(header))
    else:
        names, first, note = _header(path, rows, table, wanted, separator)
        notes += note
        _check_separator(path, table, names, wanted, separator)
    data = table[first:]
    if data and _is_units(data[0][1], [names.index(name) for name in wanted if name in names]):
        notes.append(f"line {data[0][0]} is a row of units ({', '.join(_stripped(data[0][1]))[:60]})")
        data = data[1:]
    data = data[:_LOOKED_AT]
    if data:
        _check_width(path, names, data[0], separator, is_given=bool(header))
    places = {name: _place(name, names, path, table[0][0], separator) for name in sorted(wanted)}
    cells = {name: [row[place].strip() for _, row in data if len(row) > place] for name, place in places.items()}
    text_times = frozenset(name for name in times if cells[name] and _is_time(cells[name][0]))
    if decimal is None:
        numbers = [cell for name, column in cells.items() if name not in text_times for cell in column]
        decimal = "," if _has_decimal_commas(numbers) else "."
        notes += ['decimal commas (decimal = ",")'] if decimal == "," else []
    return CsvShape(
        encoding=encoding,
        separator=separator,
        decimal=decimal,
        names=names,
        places=places,
        first_line=data[0][0] if data else lines + 2,
        text_times=text_times,
        lines=lines,
        sha256=sha256,
        notes=tuple(notes),
    )


def _header(
    path: Path, rows: list[Row], table: list[Row], wanted: set[str], separator: str
) -> tuple[tuple[str, ...], int, list[str]]:
    """The names of the columns, how many rows of `table` are not data, and notes."""
    for number, (_, row) in enumerate(table[:_HEADER_ROWS]):
        if wanted <= set(_stripped(row)):
            skipped = [f"{number} {'line' if number == 1 else 'lines'} before the header skipped"] if number else []
            return tuple(_stripped(row)), number + 1, skipped
    for line, row in rows:
        if is_comment(row):
            for names in _names_in_comment(row, separator):
                if wanted <= set(names):
                    first = next((k for k, (found, _) in enumerate(table) if found > line), len(table))
                    return tuple(names), first, [f"the header is the comment in line {line}"]
    line, cells = table[0]
    for other in _SEPARATORS:
        split = _split(separator.join(cells), other)
        if other != separator and len(split) > 1 and all(_is_number(cell.replace(",", ".")) for cell in split):
            raise UsageError(
                f"{path}: line {line} holds numbers, expected a header with the names of the columns; the file has "
                f'none: put {_setting(other)} and columns = ["...", ...] at the top of the map, a name for each of '
                f"its {len(split)} columns"
            )
    if all(_is_number(cell) or _is_time(cell) for cell in _stripped(cells)):
        raise UsageError(
            f"{path}: line {line} holds numbers, expected a header with the names of the columns; "
            + (
                f'the file has none: add columns = ["...", ...] to the map, a name for each of its {len(cells)} columns'
                if len(cells) > 1
                else f"is separator = {separator!r} right?"
            )
        )
    return tuple(_stripped(cells)), 1, []


def _names_in_comment(row: list[str], separator: str) -> Iterator[list[str]]:
    """What the names would be, were this comment a header: with the file's separator, or with spaces."""
    text = separator.join(row).lstrip().lstrip("".join(COMMENTS))
    yield _split(text, separator)
    yield text.split()


def _place(name: str, names: Sequence[str], path: Path, line: int, separator: str) -> int:
    """The index of the column's cell in a row. Raises `UsageError` where there is none, or more than one."""
    if names.count(name) == 1:
        return names.index(name)
    if name in names:
        raise UsageError(f"{path}: line {line} has {names.count(name)} columns {name!r}; rename all but one")
    if names[0].startswith(("{", "[")):
        hint = "the line looks like JSON: write it as CSV"
    elif any(cell.startswith((f"{name}:", f"{name}=")) for cell in names):
        hint = f"its cells hold their names, {names[0][:60]!r}: write the names once, in a header"
    elif any("->" in cell for cell in names):
        hint = f'a serial monitor put its time before the rows, {names[0][:60]!r}: remove what is before "->"'
    elif len(names) == 1:
        hint = f"the header is one cell, {names[0][:60]!r}: is separator = {separator!r} right?"
    else:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        hint = (
            f"the nearest name there is {near[0]!r}; correct the map (a file without times: period_s in [time] is "
            "the time between rows)"
        )
    raise UsageError(f"{path}: line {line} has no column {name!r}; {hint}")


def _check_separator(path: Path, table: list[Row], names: Sequence[str], wanted: set[str], separator: str) -> None:
    """Raises `UsageError` where the columns are missing, and another separator would give them all."""
    if wanted <= set(names):
        return
    for line, row in table[:_HEADER_ROWS]:
        text = separator.join(row)
        for other in _SEPARATORS:
            if other != separator and wanted <= set(_split(text, other)):
                raise UsageError(
                    f"{path}: line {line} has no column {min(wanted - set(names))!r}; the header is {text[:60]!r}: is "
                    f"separator = {separator!r} right? put {_setting(other)} at the top of the map (decimal commas are "
                    "found in the cells)"
                )


def _split(text: str, separator: str) -> list[str]:
    return text.split() if separator == " " else _stripped(text.split(separator))


def _setting(separator: str) -> str:
    """How a map gives the separator."""
    return f"separator = {json.dumps(separator)}"


def _check_width(path: Path, names: Sequence[str], first: Row, separator: str, *, is_given: bool) -> None:
    """Raises `UsageError` where already the first row does not fit the header."""
    line, row = first
    if len(row) == len(names) or (len(row) == len(names) + 1 and not row[-1].strip()):
        return
    where = "columns in the map" if is_given else "the header"
    text = separator.join(row)
    fitting = [other for other in _SEPARATORS if other != separator and len(_split(text, other)) == len(names) > 1]
    if fitting:
        advice = f"is separator = {separator!r} right? put {_setting(fitting[0])} at the top of the map"
    elif len(row) == 2 * len(names) and separator == ",":
        advice = "decimal commas? then the cells need another separator; export the file again"
    else:
        advice = f"is separator = {separator!r} right? or the line was cut off: remove it, or export the file again"
    raise UsageError(f"{path}: line {line} has {len(row)} cells, expected {len(names)} as in {where}; {advice}")


def _is_units(row: list[str], places: list[int]) -> bool:
    """Whether none of those cells is a number or a time, and some cell holds text."""
    cells = [row[place].strip() for place in places if place < len(row)]
    return any(cells) and not any(_is_number(cell.replace(",", ".")) or _is_time(cell) for cell in cells)


def _has_decimal_commas(cells: list[str]) -> bool:
    return any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells) and not any("." in cell for cell in cells)


def _is_time(cell: str) -> bool:
    return time_us_of(cell) is not None


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False


def _stripped(row: list[str]) -> list[str]:
    return [cell.strip() for cell in row]
