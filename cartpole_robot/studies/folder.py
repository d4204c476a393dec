"""The folder of a study: what it is, and a file for each cell that is finished."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cartpole_robot.errors import UsageError
from cartpole_robot.provenance import commit, machine, versions
from cartpole_robot.run_folder import read_json, write_json
from cartpole_robot.studies.study import Study, study_of_record

STUDY_FILE = "study.json"
_CELLS, _LOCK = "cells", "lock"
_RECORD_KEYS = {"key", "error", "wall_s", "host", "commit"}


class StudyFolder:
    """A study's folder. Reading needs no lock; only who holds `opened` writes."""

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self.study = study

    @staticmethod
    def existing(path: Path) -> StudyFolder:
        """The folder at `path`, to be shown. Raises `UsageError`."""
        where = path / STUDY_FILE
        found = read_json(where, f"{path}: is no study's folder (it has no readable {STUDY_FILE}); check the path")
        return StudyFolder(path, study_of_record(str(found.get("name")), found.get("of", {}), where=str(where)))

    @staticmethod
    @contextlib.contextmanager
    def opened(path: Path, study: Study) -> Iterator[StudyFolder]:
        """The folder, new or of this very study, and nobody else's until the end of the block.

        Raises `UsageError` where another run has it, or where something else is there: nothing is overwritten.
        """
        _check_is_ours(path)
        try:
            (path / _CELLS).mkdir(parents=True, exist_ok=True)
            lock = (path / _LOCK).open("a")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written to ({error.strerror}); choose another --out") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it with the process
            except OSError:
                raise UsageError(
                    f"{path}: another run works in it; wait for its end, stop it, or choose another --out"
                ) from None
            folder = StudyFolder(path, study)
            folder._begin()
            yield folder

    def _begin(self) -> None:
        path = self.path / STUDY_FILE
        of = json.loads(json.dumps(self.study.record))
        if not path.exists():
            here = {"versions": versions(), "commit": commit(), "machine": machine()}
            write_json(path, {"kind": "study", "name": self.study.name, "of": of, **here})
            return
        found = read_json(path, f"{path}: is damaged; choose another --out")
        for name, value in of.items():
            if found.get("of", {}).get(name) != value:
                raise UsageError(
                    f"{self.path}: is the folder of another study: its {name} differ{_briefly(found, name, value)}; "
                    "choose another --out"
                )

    def finished(self) -> dict[str, dict[str, Any]]:
        """The records of the study's finished cells, by key. Raises `UsageError` for a damaged one."""
        records = {}
        for key in {cell.key for cell in self.study.cells}:
            path = self.path / _CELLS / f"{key}.json"
            if path.exists():
                message = f"{path}: is damaged; delete it, and the next run makes that cell again"
                record = read_json(path, message)
                if record.get("key") != key or not record.keys() >= _RECORD_KEYS:
                    raise UsageError(message)
                records[key] = record
        return records

    def keep(self, record: Mapping[str, Any], commit: str | None) -> dict[str, Any]:
        """Write a finished cell, whole or not at all; returns what was written."""
        kept = {**record, "commit": commit}
        path = self.path / _CELLS / f"{record['key']}.json"
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return kept


def _check_is_ours(path: Path) -> None:
    """Raises `UsageError` for a folder with something in it that no study left there."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file, expected a folder, new or of this study; choose another --out")
    if path.is_dir() and not (path / STUDY_FILE).exists():
        left = {item.name for item in path.iterdir()} - {_CELLS, _LOCK, f".{STUDY_FILE}.partial"}
        if left:
            raise UsageError(f"{path}: exists already and is no study's folder; choose another --out")


def _briefly(found: Mapping[str, Any], name: str, value: Any) -> str:
    before, now = json.dumps(found.get("of", {}).get(name)), json.dumps(value)
    return f" ({before} there, {now} here)" if len(before) + len(now) < 150 else ""
