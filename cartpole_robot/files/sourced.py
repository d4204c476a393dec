"""Numbers with a source each, as TOML files write them: `{ value = 0.57, source = "maker's manual, page 4" }`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import check_keys


def plain_numbers(table: Any, section: str, sources: dict[str, str], file_source: str, path: Path) -> dict[str, Any]:
    """`table` with each `{value, source}` replaced by its value; the sources go into `sources` by "section.key".

    Raises `UsageError` for a number without a source of its own, its section's or its file's.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {section} = {table!r}, expected a table of values; write [{section}]")
    section_source = str(table.pop("source", file_source))
    plain: dict[str, Any] = {}
    for key, entry in table.items():
        source = section_source
        plain[key] = entry
        if isinstance(entry, dict):
            where = f"{path}: [{section}] {key}"
            check_keys(entry, ["value", "source"], where=where)
            if "value" not in entry:
                raise UsageError(f"{where}: value is missing; write {{ value = ..., source = ... }}")
            plain[key] = entry["value"]
            source = str(entry.get("source", section_source))
        if not source:
            raise UsageError(
                f'{path}: [{section}] {key} names no source; add source = "..." ("assumed" where it was not measured)'
            )
        sources[f"{section}.{key}"] = source
    return plain
