"""The folder of a study or stability map: its description, and a file for each finished cell."""

from __future__ import annotations

import collections
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cartpole_robot import __version__
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file, is_partial, remove_partials
from cartpole_robot.files.formats import check_format
from cartpole_robot.files.new_file import not_written
from cartpole_robot.files.provenance import commit, machine, versions
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.files.run_folder import LOCK_FILE, locked_folder, read_json, write_json

FOLDER_FORMAT = 2
_CELLS = "cells"
_KEY = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    """What the file of every finished cell holds; each kind of experiment adds its results.

    An `error` is the reason why a cell has none. Raises ValueError for a key that is no hash: it names a file.
    """

    key: str
    label: str = ""
    error: str | None
    engine: str | None = None
    wall_s: float
    cpu_s: float | None = None
    host: str
    version: str | None = None
    commit: str | None

    def __post_init__(self) -> None:
        check_key(self.key)


class Whole(Protocol):
    """The experiment of a folder: its `kind` ("study"), its cells, and the `record` that identifies it."""

    @property
    def kind(self) -> str:
        """The kind of experiment, for messages and the file name."""

    @property
    def name(self) -> str:
        """The name for a person."""

    @property
    def keys(self) -> Iterable[str]:
        """The keys of its cells; duplicates are allowed."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Everything that its results depend on, except the code, for JSON."""

    @property
    def record_kind(self) -> type[CellRecord]:
        """The type of its cells' records."""

    def has_grown(self, name: str, before: Any, now: Any) -> bool:
        """Whether that part of the record is an allowed extension of what it was before."""


class CellFolder:
    """A folder of finished cells. Reading needs no lock; writing needs the context `opened`."""

    def __init__(self, path: Path, whole: Whole) -> None:
        self.path = path
        self.whole = whole

    @staticmethod
    @contextlib.contextmanager
    def opened(path: Path, whole: Whole) -> Iterator[CellFolder]:
        """The folder, new or of this experiment, locked until the end of the block.

        An experiment that has grown continues in its folder. Raises `UsageError` if another run holds the folder, or if
        it has other contents: nothing is overwritten.
        """
        _check_is_ours(path, whole.kind)
        try:
            (path / _CELLS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(not_written(path, error)) from None
        with locked_folder(
            path,
            busy="another run works in it; wait for its end, stop it, or choose another --out",
            unwritable="choose another --out",
        ):
            remove_partials(path)
            remove_partials(path / _CELLS)
            folder = CellFolder(path, whole)
            folder._begin()
            yield folder

    def _begin(self) -> None:
        kind = self.whole.kind
        path = self.path / _file_of(kind)
        of = json.loads(json.dumps(self.whole.record))
        here = {"versions": versions(), "commit": commit(), "machine": machine()}
        if not path.exists():
            write_json(path, {"format": FOLDER_FORMAT, "kind": kind, "name": self.whole.name, "of": of, **here})
            return
        damaged = f"{path}: is damaged; choose another --out"
        found = _checked(path, kind, damaged)
        before = found.get("of", {})
        if found.get("kind") != kind or not isinstance(before, dict):
            raise UsageError(damaged)
        changed = [name for name, value in of.items() if before.get(name) != value]
        for name in changed:
            try:
                has_grown = name in before and self.whole.has_grown(name, before[name], of[name])
            except (TypeError, IndexError, KeyError):
                raise UsageError(damaged) from None
            if not has_grown:
                raise UsageError(
                    f"{self.path}: is the folder of another {kind}: its {name} differ"
                    f"{_briefly(before.get(name), of[name])}; choose another --out"
                )
        if changed:
            write_json(path, {**found, "of": of, "grown": [*found.get("grown", []), here]})

    def finished(self) -> dict[str, dict[str, Any]]:
        """The records of the finished cells, by key. Raises `UsageError` for a damaged one."""
        records = {}
        for key in dict.fromkeys(self.whole.keys):
            path = self.path / _CELLS / f"{key}.json"
            if path.exists():
                message = f"{path}: is damaged; delete it, and the next run makes that cell again"
                record = read_json(path, message)
                try:
                    found = record_from_table(self.whole.record_kind, record, where="the cell")
                except UsageError as error:
                    raise UsageError(f"{message} ({error})") from None
                if found.key != key:
                    raise UsageError(message)
                records[key] = record
        return records

    def of_other_code(self, records: Mapping[str, Mapping[str, Any]], commit: str | None) -> list[str]:
        """A sentence for each other version or commit of the code that made finished cells."""
        makers = collections.Counter((one.get("version"), one["commit"]) for one in records.values())
        return [
            f"{self.path}: {count} of {len(records)} finished cells were made by {_code(*maker)}, this is "
            f"{_code(__version__, commit)}; they are kept, and --out with a new folder makes all of them again"
            for maker, count in makers.items()
            if maker != (__version__, commit)
        ]

    def keep(self, record: Mapping[str, Any], commit: str | None) -> dict[str, Any]:
        """Write a finished cell with the version of the code, atomically; returns what was written."""
        kept = {**record, "version": __version__, "commit": commit}
        path = self.path / _CELLS / f"{record['key']}.json"
        with atomic_file(path, may_replace=True) as file:
            file.write(f"{json.dumps(kept)}\n".encode())
        return kept


def check_key(key: str) -> None:
    """Raise ValueError unless `key` is the hash of a cell."""
    require(_KEY.fullmatch(key) is not None, f"key = {key[:40]!r}, expected 20 hexadecimal digits")


def folder_record(path: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """The path and contents of the description of a folder of that kind. Raises `UsageError` for another folder."""
    where = path / _file_of(kind)
    message = f"{path}: is no {kind}'s folder (it has no readable {where.name}); check the path"
    return where, _checked(where, kind, message, remedy=f"run the {kind} again into a new folder")


def _checked(path: Path, kind: str, message: str, *, remedy: str = "choose another --out") -> dict[str, Any]:
    """What a folder of that kind says in the file `path`. Raises `UsageError`, with `message` where it is damaged."""
    found = read_json(path, message)
    check_format(path, kind, found, expected=FOLDER_FORMAT, remedy=remedy)
    return found


def _file_of(kind: str) -> str:
    return f"{kind.replace(' ', '_')}.json"


def _check_is_ours(path: Path, kind: str) -> None:
    """Raises `UsageError` for a folder with something in it that no work of this kind left there."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file, expected a folder, new or of this {kind}; choose another --out")
    file = _file_of(kind)
    if path.is_dir() and not (path / file).exists():
        left = {item.name for item in path.iterdir() if not is_partial(item.name)} - {_CELLS, LOCK_FILE}
        if left:
            raise UsageError(f"{path}: exists already and is no {kind}'s folder; choose another --out")


def _briefly(before: Any, now: Any) -> str:
    there, here = json.dumps(before), json.dumps(now)
    return f" ({there} there, {here} here)" if len(there) + len(here) < 150 else ""


def _code(version: str | None, commit: str | None) -> str:
    head, _, changes = (commit or "").partition("+")
    text = f"commit {head[:12]}{' with changes' if changes else ''}" if head else "no known commit"
    return f"cartpole-robot {version or 'of no known version'} ({text})"
