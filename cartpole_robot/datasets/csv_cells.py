"""The cells of a foreign CSV as numbers, column by column; an error says what a cell seems to be."""

from __future__ import annotations

import math
import re
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.datasets.csv_shape import CsvShape
from cartpole_robot.datasets.direction_words import ACCEPTED, direction_number
from cartpole_robot.datasets.time_text import is_other_time, time_us_of
from cartpole_robot.errors import UsageError

_LARGEST = 1e100  # no reading is larger, and the square of a larger one would overflow
_A_FEW = 0.1  # of the rows: more cells that are no numbers are not damage, but another kind of column
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d+)?")


class Cells:
    """Collects the columns of one file, chunk by chunk.

    An empty cell is NaN in the columns that `may_be_empty`; those in `directions` may hold words for right and left.
    """

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
            plain = texts
            if self._shape.decimal == ",":  # a point would be a separator of thousands
                plain = ["" if "." in text else text.replace(",", ".") for text in texts]
            try:
                numbers = np.array(plain, dtype=object).astype(np.float64)
            except ValueError:
                numbers = np.array([_number(text) for text in plain])
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
        if not cell:
            return UsageError(f"{affected}; merge the rows of several sensors, so that each row has all these columns")
        if "->" in cell:
            return UsageError(f'{affected}; a serial monitor put its time before the row: remove what is before "->"')
        if _THOUSANDS.fullmatch(cell):
            other = "." if self._shape.decimal == "," else ","
            is_one_sign = cell.count(other) == 1 and cell.replace(other, "").lstrip("+-").isdigit()
            decimals = f'; is it a decimal sign? then add decimal = "{other}" to the map' if is_one_sign else ""
            return UsageError(f"{affected}; does a sign group thousands? then export the file without{decimals}")
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
