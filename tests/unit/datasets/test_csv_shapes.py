"""The shapes in which others' logs come: the same motion, written in each of them, gives the same recording."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.commands.cli import main
from cartpole_robot.datasets.csv_table import read_csv
from cartpole_robot.datasets.time_text import time_us_of
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.reader import read_recording
from tests.foreign import PERIOD_S, Columns, Convention, driven_swing, write_csv

MAP = Convention().map_text(angle_sign=1)


@pytest.fixture(scope="module")
def truth() -> Columns:
    return driven_swing()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, truth: Columns) -> str:
    """A valid CSV: t,t_host,x,theta,u."""
    return write_csv(tmp_path_factory.mktemp("whole") / "whole.csv", Convention().columns(truth)).read_text()


def imported(folder: Path, content: str | bytes, map_text: str = MAP, name: str = "out") -> Recording:
    source = folder / f"{name}.csv"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / f"{name}.toml").write_text(map_text)
    out = folder / f"{name}.parquet"
    assert main(["import", str(source), "--map", str(folder / f"{name}.toml"), "--out", str(out)]) == 0
    return read_recording(out)


def refused(folder: Path, capsys: pytest.CaptureFixture[str], content: str, map_text: str = MAP) -> str:
    (folder / "bad.csv").write_text(content)
    (folder / "bad.toml").write_text(map_text)
    words = ["--map", str(folder / "bad.toml"), "--out", str(folder / "bad.parquet")]
    assert main(["import", str(folder / "bad.csv"), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def in_time(old: str, new: str) -> str:
    assert old in MAP
    return MAP.replace(old, new)


def without_header(text: str) -> str:
    return text[text.index("\n") + 1 :]


def times_as(text: str, write: Callable[[float], str]) -> str:
    header, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    return "\n".join([header, *(",".join([write(float(row[0])), *row[1:]]) for row in cells)])


def numbered(text: str, first: int = 7) -> str:
    header, *rows = text.splitlines()
    return "\n".join([header, *(",".join([str(first + k), *row.split(",")[1:]]) for k, row in enumerate(rows))])


def with_words(text: str) -> str:
    """The command's size, and a word for its direction."""
    header, *rows = text.splitlines()
    cells = [row.rsplit(",", 1) for row in rows]
    words = [f"{rest},{u.lstrip('-')},{'Left' if u.startswith('-') else 'right'}" for rest, u in cells]
    return "\n".join([f"{header},dir", *words])


def shapes(text: str) -> dict[str, tuple[str | bytes, str]]:
    named = MAP.replace("format = 1", 'format = 1\ncolumns = ["t", "t_host", "x", "theta", "u"]')
    semicolons = MAP.replace("format = 1", 'format = 1\nseparator = ";"')
    lines = text.splitlines()
    start = datetime(2026, 3, 2, 23, 59, 58)
    return {
        "no header": (without_header(text), named),
        "a header and its names": (text, named),
        "savetxt": ("# " + text, MAP),
        "savetxt with spaces": (
            "# " + text.replace(",", " "),
            MAP.replace("format = 1", 'format = 1\nseparator = " "'),
        ),
        "aligned": (text.replace(",", "   "), MAP.replace("format = 1", 'format = 1\nseparator = " "')),
        "percent comment": ("% exported 2026\n% by somebody, with commas\n" + text, MAP),
        "title lines": ("Logger 3.1\nrun,7\n\n" + text, MAP),
        "decimal comma": (text.replace(",", ";").replace(".", ","), semicolons),
        "decimal comma, stated": (
            text.replace(",", ";").replace(".", ","),
            semicolons.replace("format = 1", 'format = 1\ndecimal = ","'),
        ),
        "sep= line": ("sep=;\n" + text.replace(",", ";"), MAP),
        "units": ("\n".join([lines[0], "s,s,cm,deg,%", *lines[1:]]), MAP),
        "comment in the middle": ("\n".join([*lines[:50], "# a remark", "", *lines[50:], ",,,,"]), MAP),
        "separator at the end": ("\n".join([lines[0], *(line + "," for line in lines[1:])]), MAP),
        "windows": ("\ufeff" + text.replace("\n", "\r\n"), MAP),
        "powershell": (text.encode("utf-16"), MAP),
        "quoted": ('"' + text.strip().replace(",", '","').replace("\n", '"\n"') + '"\n', MAP),
        "spaces": (text.replace(",", " , "), MAP),
        "iso": (times_as(text, lambda t: str(start + timedelta(seconds=round(t, 6)))), MAP),
        "iso with zone": (times_as(text, lambda t: (start + timedelta(seconds=t)).isoformat() + "+01:00"), MAP),
        "clock over midnight": (times_as(text, lambda t: str((start + timedelta(seconds=t)).time())), MAP),
        "minutes": (times_as(text, lambda t: f"{int(t) // 60:02d}:{t % 60:06.3f}"), MAP),
        "direction in words": (
            with_words(text),
            MAP.replace('column = "u"', 'column = "u"\ndirection = "dir"'),
        ),
        "row counter": (numbered(text), in_time('device = "t"', f'row_counter = "t"\nperiod_s = {PERIOD_S}')),
        "no time": (
            "\n".join(line.split(",", 1)[1] for line in lines),
            in_time('device = "t"', f"period_s = {PERIOD_S}"),
        ),
    }


@pytest.mark.parametrize("shape", shapes("a,b\n1,2\n"))
def test_shape_gives_the_same_recording(text: str, truth: Columns, tmp_path: Path, shape: str) -> None:
    content, map_text = shapes(text)[shape]
    rows = imported(tmp_path, content, map_text).rows
    assert rows["tick"].tolist() == list(range(400))
    assert rows["cart_position_m"] == pytest.approx(truth["x"], abs=1e-9)
    assert rows["requested_duty"][:-1] == pytest.approx(truth["u"][:-1], abs=1e-9)
    assert np.diff(rows["mcu_time_us"].astype(np.int64)) == pytest.approx(20_000)


@pytest.mark.parametrize(
    ("unit", "factor", "section"), [("in", 1.0 / 2.54, "position"), ("turns", 1.0 / 360.0, "angle")]
)
def test_inches_and_turns(truth: Columns, tmp_path: Path, unit: str, factor: float, section: str) -> None:
    columns = Convention().columns(truth)
    name, old = ("x", "cm") if section == "position" else ("theta", "deg")
    columns[name] = columns[name] * factor
    source = write_csv(tmp_path / "theirs.csv", columns)
    rows = imported(tmp_path, source.read_text(), MAP.replace(f'unit = "{old}"', f'unit = "{unit}"')).rows
    assert rows["cart_position_m"] == pytest.approx(truth["x"], abs=1e-9)
    off = rows["pole_angle_rad"] - truth["theta"]
    assert np.abs((off + math.pi) % (2.0 * math.pi) - math.pi).max() < 1e-9


def test_pole_only_file_has_a_constant_position(tmp_path: Path) -> None:
    theta, speed, angles = math.pi - 0.8, 0.0, []
    for _ in range(300 * 20):
        speed += 0.001 * (9.81 / 0.2633 * math.sin(theta) - 0.05 * speed)
        theta += 0.001 * speed
        angles.append(theta)
    held = {"t": np.arange(300) * PERIOD_S, "theta": np.degrees(np.array(angles[::20]))}
    source = write_csv(tmp_path / "theirs.csv", held)
    map_text = MAP.replace('column = "x"', "constant = 3.0").replace('column = "u"', "constant = 0.0")
    rows = imported(tmp_path, source.read_text(), map_text).rows
    assert (rows["cart_position_m"] == 0.03).all()
    assert np.abs(rows["cart_speed_m_s"]).max() < 1e-9
    assert rows["pole_angle_rad"][0] == pytest.approx(angles[0])


def test_cart_only_file_has_a_constant_angle(truth: Columns, tmp_path: Path) -> None:
    columns = Convention().columns(truth)
    del columns["theta"]
    source = write_csv(tmp_path / "theirs.csv", columns)
    rows = imported(tmp_path, source.read_text(), MAP.replace('column = "theta"', "constant = 180.0")).rows
    assert (rows["pole_angle_rad"] == -math.pi).all()
    assert np.abs(rows["pole_speed_rad_s"]).max() < 1e-9
    assert rows["cart_position_m"] == pytest.approx(truth["x"], abs=1e-9)


def test_report_says_what_was_special(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = text.splitlines()
    content = "\n".join(["# old log", "title", lines[0], "s,s,cm,deg,%", *lines[1:]])
    recording = imported(tmp_path, content)
    assert recording.metadata.imported is not None
    assert recording.metadata.imported.found.shape == (
        "1 line before the header skipped",
        "line 4 is a row of units (s, s, cm, deg, %)",
    )
    assert "shape          line 4 is a row of units" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "old", "new", "parts"),
    [
        (without_header, "", "", ("line 1 holds numbers", "columns = [", "each of its 5 columns")),
        (lambda text: text.replace("t,t_host", "s,t_host", 1), "", "", ("no column 't'", "period_s in [time]")),
        (lambda text: text.replace(".", ","), "", "", ("line 2 has 10 cells, expected 5", "decimal commas?")),
        (lambda text: text.replace("\n", ",1\n").replace(",1", "", 1), "", "", ("line 2 has 6 cells", "separator")),
        (
            lambda text: text.replace(",", ";").replace(".", ","),
            "format = 1",
            'format = 1\nseparator = ";"\ndecimal = "."',
            ("line 2", "as in 400 of 400 rows", 'add decimal = ","'),
        ),
        (
            lambda text: times_as(text, lambda t: "2026-03-02"),
            "",
            "",
            ("as in 400 of 400 rows", "does not hold numbers"),
        ),
        (
            lambda text: times_as(text, lambda t: f"2026-03-02 14:05:{t:06.3f}"),
            'device = "t"',
            'device = "t_host"\n[counts]\ncart = "t"',
            ("as in 400 of 400 rows", "a date or a time of day: name the column in [time]"),
        ),
        (lambda text: text, "format = 1", 'format = 1\ndecimal = ";"', ('expected "." or ","',)),
        (lambda text: text, "format = 1", 'format = 1\ncolumns = ["t", "t"]', ("columns has a name twice",)),
        (lambda text: text, 'device = "t"', 'device = "t"\nperiod_s = 0.02', ("device and period_s both",)),
        (lambda text: text, 'column = "x"', 'column = "x"\nconstant = 1', ("either column or constant",)),
        (lambda text: text, 'column = "x"', "constant = 1", ("[position] and [angle] are constant",)),
    ],
)
def test_message_tells_what_to_do(
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[str], str],
    old: str,
    new: str,
    parts: tuple[str, ...],
) -> None:
    map_text = MAP.replace(old, new, 1) if old else MAP
    if new == "constant = 1":
        map_text = map_text.replace('column = "theta"', "constant = 1")
    message = refused(tmp_path, capsys, spoil(text), map_text)
    for part in parts:
        assert part in message
    assert ("remove that line" in message) is False


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-02 00:00:00,25", 86_400_250_000),
        ("14:05:03.000001", 50_703_000_001),
        ("4:05:03", 14_703_000_000),
        ("02:03.5", 123_500_000),
        ("2026", None),
        ("20260302", None),
        ("2026-03-02", None),
        ("99:99", None),
        ("12.5", None),
        ("9999-99-99 10:00:00", None),
        ("", None),
    ],
)
def test_text_of_a_time(text: str, microseconds: int | None) -> None:
    assert time_us_of(text) == microseconds


def test_lines_are_counted_through_quoted_cells_and_blank_lines(tmp_path: Path) -> None:
    rows = [f"{k},note" for k in range(20)]
    rows[4] = '4,"two\nlines"'
    rows[9] = ""
    rows[15] = "no number,note"
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["t,remark", *rows]))
    with pytest.raises(UsageError, match="line 18, column 't': 'no number'"):
        read_csv(path, {"t"})


def test_long_file_is_read_in_chunks_and_its_lines_are_counted_through(tmp_path: Path) -> None:
    rows = [f"{k},{k / 2}" for k in range(20_000)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["t,x", *rows[:9000], "# a remark", "", *rows[9000:]]))
    table = read_csv(path, {"t", "x"})
    assert (table.columns["t"] == np.arange(20_000)).all()
    assert (table.columns["x"] == np.arange(20_000) / 2).all()
    assert table.lines[[0, 8999, 9000, -1]].tolist() == [2, 9001, 9004, 20_003]
    rows[17_000] = "17000,oops"
    path.write_text("\n".join(["t,x", *rows]))
    with pytest.raises(UsageError, match="line 17002, column 'x': 'oops', expected a finite number; fix it, or remove"):
        read_csv(path, {"t", "x"})
