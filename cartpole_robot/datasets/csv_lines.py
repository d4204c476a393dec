"""The lines of a foreign CSV as rows of cells: encoding, separator, and errors that name the line."""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.files.regular_file import open_regular

COMMENTS = ("#", "%")
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)  # as Excel writes it
_BLOCK = 1 << 20
_CHUNK_ROWS = 4096
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # byte order marks

_OTHER_FILES = {
    b"PK": ("a spreadsheet or an archive", "export the sheet as CSV, or unpack it"),
    b"\x1f\x8b": ("compressed", "unpack it"),
    b"PAR1": ("a Parquet file", "a recording needs no import; pandas writes others as CSV"),
}

Row = tuple[int, list[str]]


def scanned(path: Path) -> tuple[str, int, str]:
    """Encoding, number of lines and SHA-256 of a text file. Raises `UsageError` for what is none."""
    digest, lines, nul_line, encoding = hashlib.sha256(), 0, 0, "utf-8-sig"
    try:
        with open_regular(path) as file:
            start = file.read(4)
            encoding = _WIDE.get(start[:2], encoding)
            file.seek(0)
            while block := file.read(_BLOCK):
                digest.update(block)
                if not nul_line and (at := block.find(b"\0")) >= 0:
                    nul_line = lines + block.count(b"\n", 0, at) + 1
                lines += block.count(b"\n")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a CSV file; name the file in it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}, expected CSV; save it as a file first") from None
    for magic, (what, advice) in _OTHER_FILES.items():
        if start.startswith(magic) and (magic != b"PK" or nul_line):
            raise UsageError(f"{path}: is {what}, expected CSV; {advice}")
    if nul_line and encoding == "utf-8-sig":
        advice = "choose another file" if nul_line == 1 else "remove them, as a log cut off without power ends in them"
        raise UsageError(f"{path}: line {nul_line} holds binary data (bytes of 0), expected CSV; {advice}")
    return encoding, lines, digest.hexdigest()


def rows_of(path: Path, encoding: str, separator: str) -> Iterator[Row]:
    """Line number and cells of each row that is not blank."""
    for lines, rows in row_chunks(path, encoding, separator):
        for line, row in zip(lines, rows, strict=True):
            if not is_blank(row):
                yield line, row


def row_chunks(path: Path, encoding: str, separator: str) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Line numbers and cells of all rows, some thousand at a time; a blank line has no cells."""
    with path.open(encoding=encoding, newline="") as file:
        text: Iterable[str] = file if separator != " " else (line.strip() for line in file)
        reader = csv.reader(text, delimiter=separator, skipinitialspace=separator == " ")
        while True:
            before = reader.line_num
            try:
                rows = list(itertools.islice(reader, _CHUNK_ROWS))
            except csv.Error as error:
                raise UsageError(
                    f"{path}: line {reader.line_num} is not valid CSV ({error}); fix or remove that line"
                ) from None
            except UnicodeError:
                raise UsageError(
                    f"{path}: line {_line_that_is_no_text(path, encoding)} is not UTF-8 text, expected CSV; save "
                    "it as UTF-8, or export it again"
                ) from None
            if not rows:
                return
            yield _line_numbers(rows, before, reader.line_num), rows


def _line_numbers(rows: list[list[str]], before: int, last: int) -> list[int]:
    """On which line each row ends; a quoted cell may span several."""
    if last - before == len(rows):
        return list(range(before + 1, last + 1))
    spans = (1 + sum(cell.count("\n") for cell in row) for row in rows)
    return [before + lines for lines in itertools.accumulate(spans)]


def _line_that_is_no_text(path: Path, encoding: str) -> int:
    if encoding != "utf-8-sig":
        return 1
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def stated_separator(path: Path, encoding: str) -> str | None:
    """The separator that the first line states as "sep=;", if it does."""
    try:
        with path.open(encoding=encoding, newline="") as file:
            stated = _SEPARATOR_LINE.fullmatch(file.readline(16).rstrip("\r\n"))
    except UnicodeError:
        return None  # the rows report it, with its line
    return None if stated is None else stated[1]


def is_blank(row: list[str]) -> bool:
    """Whether no cell of a row holds anything."""
    return not any(cell.strip() for cell in row)


def is_comment(row: list[str]) -> bool:
    """Whether a row begins as a comment does."""
    return row[0].lstrip().startswith(COMMENTS)
