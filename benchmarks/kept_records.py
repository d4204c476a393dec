"""The finished parts of a long benchmark in a file of JSON lines, with which the same command continues.

The first line says what was measured. Each further line is one finished part, appended as it ends.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cartpole_robot
import firmware_bridge
from cartpole_robot.errors import UsageError
from cartpole_robot.files.plain_data import parse_json, read_bounded

_SOURCES = (".py", ".c", ".h")

Record = dict[str, Any]


def code_digest() -> str:
    """Twelve digits of a SHA-256 over the sources of both packages: Python and C, without data files."""
    digest = hashlib.sha256()
    for package in (cartpole_robot, firmware_bridge):
        root = Path(str(package.__file__)).parent
        for path in sorted(path for path in root.rglob("*") if path.suffix in _SOURCES):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class KeptRecords:
    """Records by key; the last one of a key counts. Without a path they are in memory alone."""

    def __init__(self, path: Path | None, measured: Mapping[str, Any]) -> None:
        """Read the file at `path`, or begin it. `measured` says what is measured, for JSON.

        Raises `UsageError` for a file that is none of these, one with something else measured, and a place where none
        can be written.
        """
        self._path, self._records = path, dict[str, Record]()
        measured = json.loads(json.dumps(measured))
        if path is None:
            return
        if path.exists():
            self._read(path, measured)
            return
        try:
            path.write_text(json.dumps(measured) + "\n")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror}); choose another --keep") from None

    def _read(self, path: Path, measured: Mapping[str, Any]) -> None:
        no_records = f"{path}: holds no records of a benchmark; choose another --keep"
        try:
            content = read_bounded(path)
            first, *lines = content.split(b"\n")
            found = parse_json(first)
        except (OSError, ValueError):
            raise UsageError(no_records) from None
        if not isinstance(found, dict):
            raise UsageError(no_records)
        check_same(found, measured, where=str(path))
        for number, line in enumerate(lines, 2):
            if not line.strip():
                continue
            try:
                record = parse_json(line)
                self._records[record["key"]] = record
            except (ValueError, TypeError, KeyError):
                if number <= len(lines):  # else half a line, of a run that was killed
                    raise UsageError(f"{path}, line {number}: is no record; remove that line") from None
                path.write_bytes(content[: content.rindex(b"\n") + 1])

    def get(self, key: str) -> Record | None:
        """The record of that key; None if there is none yet."""
        return self._records.get(key)

    def add(self, key: str, record: Mapping[str, Any]) -> Record:
        """Append a record to the file, and return it as it will be read."""
        line = json.dumps({"key": key, **record})
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(line + "\n")
        self._records[key] = json.loads(line)
        return self._records[key]


def json_text(value: Any) -> str:
    """`value` as JSON, which has no infinity and no NaN: null in their place."""
    return json.dumps(_finite(json.loads(json.dumps(value))), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_same(
    found: Mapping[str, Any], measured: Mapping[str, Any], *, where: str, option: str = "--keep", under: str = ""
) -> None:
    """Raise `UsageError`, naming the first value that differs and the `option` to change, unless both are equal."""
    for name in (*measured, *(name for name in found if name not in measured)):
        had, has = found.get(name), measured.get(name)
        if isinstance(had, Mapping) and isinstance(has, Mapping):
            check_same(had, has, where=where, option=option, under=f"{under}{name}.")
        elif had != has:
            raise UsageError(
                f"{where}: was measured with {under}{name} = {had!r}, this run has {has!r}; continue with the same, or "
                f"choose another {option}"
            )
