from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kept_records import KeptRecords
from cartpole_robot.errors import UsageError

MEASURED = {"benchmark": "precise_seeds", "code": "abc", "config": {"steps": 10, "cost": {"duty": 0.1}}}


def test_a_continued_run_finds_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    KeptRecords(path, MEASURED).add("a/1", {"figure": 0.25, "power": float("nan")})
    again = KeptRecords(path, MEASURED)
    found = again.get("a/1")
    assert found is not None
    assert found["figure"] == 0.25
    assert again.get("a/2") is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"code": "other"}, "code = 'abc', this run has 'other'"),
        ({"config": {"steps": 10, "cost": {"duty": 0.2}}}, r"config\.cost\.duty = 0\.1, this run has 0\.2"),
        ({"config": {"steps": 10, "cost": None}}, r"config\.cost = "),
        ({"benchmark": "regulator_front"}, "benchmark = 'precise_seeds', this run has 'regulator_front'"),
    ],
)
def test_a_file_of_something_else_is_refused_and_unchanged(tmp_path: Path, changed: dict, named: str) -> None:
    path = tmp_path / "kept.jsonl"
    KeptRecords(path, MEASURED).add("a/1", {})
    before = path.read_bytes()
    with pytest.raises(UsageError, match=named):
        KeptRecords(path, {**MEASURED, **changed})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["", "\n", "[1]\n", "a,b\n1,2\n", '{"benchmark": "precise_seeds"'])
def test_a_file_without_records_is_refused_and_unchanged(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"other\.csv"):
        KeptRecords(path, MEASURED)
    assert path.read_text() == content


def test_half_a_line_of_a_killed_run_is_dropped_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    KeptRecords(path, MEASURED).add("a/1", {"figure": 1})
    whole = path.read_text()
    path.write_text(whole + '{"key": "a/2", "fig')
    kept = KeptRecords(path, MEASURED)
    assert (kept.get("a/2"), path.read_text()) == (None, whole)
    kept.add("a/2", {"figure": 2})
    assert KeptRecords(path, MEASURED).get("a/2") == {"key": "a/2", "figure": 2}
    path.write_text(whole + "broken\n" + '{"key": "a/3"}\n')
    with pytest.raises(UsageError, match="line 3"):
        KeptRecords(path, MEASURED)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none/kept\.jsonl: cannot be written"):
        KeptRecords(tmp_path / "none" / "kept.jsonl", MEASURED)
