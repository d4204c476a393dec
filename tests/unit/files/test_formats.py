from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot import __version__
from cartpole_robot.errors import UsageError
from cartpole_robot.files.formats import check_format

Completed = subprocess.CompletedProcess[str]
WRITER = {"versions": {"cartpole-robot": "0.0.9"}, "commit": "abc123"}


@pytest.mark.parametrize(
    ("words", "file", "record", "kind"),
    [
        (("train", "--resume", "FOLDER"), "run.json", {"kind": "training", "rig": "sim"}, "run"),
        (("export", "FOLDER", "--out", "exported"), "run.json", {"kind": "training", "rig": "sim"}, "run"),
        (("study", "gamma", "--out", "FOLDER"), "study.json", {"kind": "study", "of": {}}, "study"),
        (("study", "show", "FOLDER"), "study.json", {"kind": "study", "of": {}}, "study"),
        (
            ("stability-map", "lqr", "--cart", "diy_arduino", "--out", "FOLDER"),
            "stability_map.json",
            {"kind": "stability map", "of": {}},
            "stability map",
        ),
    ],
)
def test_folder_of_the_format_before_is_refused_in_one_line_and_left_as_it_is(
    words: tuple[str, ...],
    file: str,
    record: dict[str, object],
    kind: str,
    command_here: Callable[..., Completed],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    text = json.dumps({**record, **WRITER})
    (folder / file).write_text(text)
    done = command_here(*(folder if word == "FOLDER" else word for word in words), cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"old/{file}: has {kind} format 1, this version reads 2; " in line
    assert ("--out" in line) is ("--out" in words and kind != "run")
    assert line.endswith(", or open it with cartpole-robot 0.0.9 (commit abc123)")
    assert (folder / file).read_text() == text
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("header", "writer"),
    [
        ({"versions": {"cartpole-robot": __version__}, "commit": "abc123"}, "the commit abc123 of cartpole-robot"),
        ({"versions": {"cartpole-robot": __version__}}, "the commit of cartpole-robot that wrote it"),
        ({"versions": {"cartpole-robot": "0.0.9"}}, "cartpole-robot 0.0.9"),
        ({}, "the version of cartpole-robot that wrote it"),
    ],
)
def test_writer_is_not_named_by_the_version_that_refuses_its_file(header: dict[str, object], writer: str) -> None:
    with pytest.raises(UsageError, match=f"or open it with {re.escape(writer)}$"):
        check_format(Path("x"), "run", {"format": 1, **header}, expected=2, remedy="train again")


@pytest.mark.parametrize("found", [1, 3, "2", True, None, [2], "\x1b[31m2"])
def test_only_the_number_itself_is_accepted(found: object) -> None:
    check_format(Path("x"), "run", {"format": 2}, expected=2, remedy="train again")
    with pytest.raises(UsageError, match=r"^x: has run format .*, this version reads 2; train again, or ") as refused:
        check_format(Path("x"), "run", {"format": found}, expected=2, remedy="train again")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "change",
    [{"of": []}, {"of": None}, {"kind": "zz"}, {"of": {"seeds": "x"}}, {"of": {"seeds": []}}],
    ids=str,
)
def test_damaged_study_is_named_and_left_as_it_is(
    change: dict[str, object], command_here: Callable[..., Completed], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    record = {"format": 2, "kind": "study", "name": "gamma", "of": {}, **change}
    (folder / "study.json").write_text(json.dumps(record))
    done = command_here("study", "gamma", "--out", folder)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "study.json: is damaged" in line or "is the folder of another study" in line
    assert json.loads((folder / "study.json").read_text()) == record
