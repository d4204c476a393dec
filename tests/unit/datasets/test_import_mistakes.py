"""An error in a CSV or its map is reported by file, line and column, in one line, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.commands.cli import main
from tests.foreign import Columns, Convention, driven_swing, write_csv

Lines = list[str]
MAP = Convention().map_text(angle_sign=1)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """The lines of a valid CSV; the first is the header t,t_host,x,theta,u."""
    path = write_csv(tmp_path_factory.mktemp("whole") / "whole.csv", Convention().columns(driven_swing()))
    return path.read_text().splitlines()


def refusal(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, map_text: str = MAP, *words: str
) -> str:
    """The error message of the refused import."""
    source = folder / "theirs.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "map.toml").write_text(map_text)
    code = main(["import", str(source), "--map", str(folder / "map.toml"), "--out", str(folder / "o.parquet"), *words])
    captured = capsys.readouterr()
    assert code == 2, captured.out + captured.err
    assert captured.out == ""
    assert captured.err.startswith("cartpole-robot: ")
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["map.toml", "theirs.csv"]
    return captured.err


def with_cell(lines: Lines, line: int, column: int, text: str) -> str:
    """The file with one cell replaced; lines count from 1, as in an editor."""
    cells = lines[line - 1].split(",")
    cells[column] = text
    return "\n".join([*lines[: line - 1], ",".join(cells), *lines[line:]])


def test_file_that_the_tests_below_spoil_is_valid(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("\ufeff# made elsewhere\n" + "\n".join(lines) + "\n\n")
    (tmp_path / "a.toml").write_text(MAP)
    words = ["--map", str(tmp_path / "a.toml"), "--out", str(tmp_path / "a.parquet")]
    assert main(["import", str(tmp_path / "a.csv"), *words]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "nan", "inf", "n/a", "1.2.3"])
@pytest.mark.parametrize(("column", "name"), [(0, "t"), (2, "x"), (3, "theta"), (4, "u")])
def test_cell_that_is_no_number(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, column: int, name: str
) -> None:
    message = refusal(tmp_path, capsys, with_cell(lines, 57, column, text))
    assert f"theirs.csv: line 57, column '{name}'" in message
    assert "expected a" in message
    assert "number" in message


def test_rewards_that_no_number_holds(lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = "\n".join([f"{lines[0]},r", *(f"{line},{1e39}" for line in lines[1:])])
    message = refusal(tmp_path, capsys, content, f'{MAP}\n[as_is]\nreward = "r"\n')
    assert "rewards sum to inf" in message


def repeated(lines: Lines) -> str:
    return "\n".join([*lines[:30], lines[29], *lines[30:]])


def swapped(lines: Lines) -> str:
    return "\n".join([*lines[:30], lines[31], lines[30], *lines[32:]])


def slower_later(lines: Lines) -> str:
    rows = [line.split(",") for line in lines[1:]]
    times = np.concatenate([np.arange(200) * 0.02, 4.0 + np.arange(200) * 0.027])
    return "\n".join([lines[0], *(",".join([repr(float(t)), *row[1:]]) for t, row in zip(times, rows, strict=True))])


def with_dates(lines: Lines) -> str:
    cells = [line.split(",") for line in lines[1:]]
    times = [f"27.11.2026 10:00:{float(row[0]):09.6f}" for row in cells]
    return "\n".join([lines[0], *(",".join([time, *row[1:]]) for time, row in zip(times, cells, strict=True))])


def semicolons(lines: Lines) -> str:
    return "\n".join(lines).replace(",", ";").replace(".", ",")


def thrice(lines: Lines) -> str:
    return "\n".join([*lines, *lines, *lines])


def other_order(lines: Lines) -> str:
    return "\n".join([*lines, *(",".join(line.split(",")[::-1]) for line in lines)])


def with_groups(lines: Lines) -> str:
    cells = [line.split(",") for line in lines[1:]]
    times = [f'"{1000.0 * float(row[0]) + 5e4:,.0f}"' for row in cells]
    return "\n".join([lines[0], *(",".join([time, *row[1:]]) for time, row in zip(times, cells, strict=True))])


def with_points_of_thousands(lines: Lines) -> str:
    cells = [[cell.replace(".", ",") for cell in line.split(",")] for line in lines[1:]]
    times = [f"{5 + row // 50}.{row % 50 * 20:03d}" for row in range(len(cells))]
    rows = [";".join([time, *row[1:]]) for time, row in zip(times, cells, strict=True)]
    return "sep=;\n" + "\n".join([lines[0].replace(",", ";"), *rows])


def labelled(lines: Lines) -> str:
    names = lines[0].split(",")
    rows = [zip(names, line.split(","), strict=True) for line in lines[1:]]
    return "\n".join(",".join(f"{name}:{cell}" for name, cell in row) for row in rows)


def interleaved(lines: Lines) -> str:
    rows = [line.split(",") for line in lines[1:]]
    return "\n".join(
        [lines[0], *(",".join(row if k % 2 else [*row[:2], "", "", row[4]]) for k, row in enumerate(rows))]
    )


def every_other_later(lines: Lines) -> str:
    return "\n".join([*lines[:200], *lines[200::2]])


def crept(lines: Lines) -> str:
    rows = [line.split(",") for line in lines[1:]]
    times = 0.02 * np.arange(400) + 2e-6 * np.arange(400) ** 2
    return "\n".join([lines[0], *(",".join([repr(float(t)), *row[1:]]) for t, row in zip(times, rows, strict=True))])


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda lines: "", ("theirs.csv: is empty", "expected a header")),
        (lambda lines: lines[0], ("has 0 rows", "expected at least 10")),
        (lambda lines: "\n".join(lines[:6]), ("has 5 rows", "expected at least 10")),
        (lambda lines: "\n".join(lines)[:-25], ("line 401 has 4 cells, expected 5", "cut off")),
        (lambda lines: "\n".join(lines).encode()[:400] + b"\xff\xfe", ("is not UTF-8 text",)),
        (lambda lines: "\n".join(lines) + "\0", ("binary data",)),
        (
            lambda lines: "\n".join(["t,t_host,x,teta,u", *lines[1:]]),
            ("no column 'theta'", "nearest name there is 'teta'"),
        ),
        (lambda lines: "\n".join(["t,x,x,theta,u", *lines[1:]]), ("2 columns 'x'",)),
        (lambda lines: "\n".join(lines).replace(",", ";"), ("no column", "is separator = ',' right?")),
        (semicolons, ("line 1 has no column 't'", "is separator = ',' right?", 'put separator = ";" at the top')),
        (
            lambda lines: semicolons(lines[1:]),
            ("line 1 holds numbers, expected a header", 'put separator = ";" and columns = ["...", ...]', "5 columns"),
        ),
        (thrice, ("lines 402, 803 hold the header again", "remove the repeated headers")),
        (other_order, ("line 402 holds the header again", "another order: divide the file there")),
        (with_dates, ("line 2, column 't': '27.11.2026 10:00:00.000000'", "ISO 8601 (2026-11-27 10:00:00.020)")),
        (with_groups, ("line 2, column 't': '50,000'", "does a sign group thousands?", 'add decimal = ","')),
        (labelled, ("line 1 has no column 't'", "cells hold their names, 't:0.0'", "write the names once")),
        (interleaved, ("line 2, column 'theta': ''", "in 200 of 400 rows", "merge the rows of several sensors")),
        (
            lambda lines: "\n".join([lines[0], *(f"10:00:00.000 -> {line}" for line in lines[1:])]),
            ("line 2, column 't'", "a serial monitor put its time before the row"),
        ),
        (lambda lines: "\n".join([*lines, "\0" * 500]), ("line 402 holds binary data", "log cut off without power")),
        (lambda lines: b"PK\3\4\0\0", ("is a spreadsheet or an archive, expected CSV",)),
        (lambda lines: '{"t": 0.0, "x": 1.0}\n' * 20, ("looks like JSON",)),
        (lambda lines: with_cell(lines, 52, 3, "-9999"), ("line 52, column 'theta': reads -9999 (1 row", "lowest and")),
        (repeated, ("line 31, column 't'", "two rows at once, 0.56 s and then 0.56 s")),
        (
            lambda lines: repeated([*lines[:200], *lines[199:]]),
            ("line 31, column 't'", "there twice (2 rows like the one before, on lines 31, 202)"),
        ),
        (swapped, ("line 32, column 't'", "time goes backwards, 0.6 s and then 0.58 s")),
        (slower_later, ("line 203, column 't'", "0.027 s", "0.02 s", "expected one period")),
        (every_other_later, ("line 202, column 't'", "0.04 s", "0.02 s", "expected one period")),
        (crept, ("off its tick", "changes in the course of the file")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_file_that_is_no_regular_table(
    lines: Lines,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Lines], str | bytes],
    parts: tuple[str, ...],
) -> None:
    message = refusal(tmp_path, capsys, spoil(lines))
    for part in parts:
        assert part in message


def test_folder_and_missing_file_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    for source, message in (("nothing.csv", "no such file"), (".", "is a folder")):
        words = ["--map", str(tmp_path / "map.toml"), "--out", str(tmp_path / "o.parquet")]
        assert main(["import", str(tmp_path / source), *words]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            'unit = "deg"',
            'unit = "rad"',
            ("column 'theta'", "as rad", "turns, expected at most one", "is its unit deg?"),
        ),
        (
            'unit = "deg"',
            'unit = "rad"\nwraps = false',
            ("column 'theta'", "expected less than half a turn", "is its unit deg?"),
        ),
        ('unit = "cm"', 'unit = "m"', ("column 'x'", "from the middle", "ends 0.198 m", "correct unit (m)")),
        ('unit = "cm"', 'unit = "counts"\ncounts_per_m = 1e6', ("column 'x'", "the cart moves by", "the duty goes up")),
        ('device = "t"', 'device = "t"\nunit = "ms"', ("rows are 2e-05 s apart", "correct the unit in [time]")),
        ('unit = "cm"', 'unit = "mm"', ("effective length", "correct the unit of the position or of the angle")),
        (
            'device = "t"',
            'device = "t"\nhost = "t_host"\nhost_unit = "ms"\nbase = "host"',
            ("0.001 s per second", "correct unit or host_unit"),
        ),
        ('unit = "deg"', 'unit = "deg"\nlowest = 9\nhighest = 9', ("lowest = 9 and highest = 9 leave no reading",)),
        (
            'unit = "deg"',
            'unit = "deg"\nlowest = 900',
            ("column 'theta'", "are not from lowest = 900 to highest = inf"),
        ),
        ('cart = "sensorsini"', "", ("names no cart", "--cart")),
        ('cart = "sensorsini"', 'cart = "jim"', ("'jim'", "expected one of")),
    ],
)
def test_unit_that_cannot_be(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, parts: tuple[str, ...]
) -> None:
    assert old in MAP
    message = refusal(tmp_path, capsys, "\n".join(lines), MAP.replace(old, new))
    for part in parts:
        assert part in message


def test_time_in_another_unit_shows_in_the_poles_length(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in lines[1:]]
    slow = "\n".join([lines[0], *(",".join([repr(float(row[0]) * 10.0), *row[1:]]) for row in rows)])
    message = refusal(tmp_path, capsys, slow)
    assert "the cart file says 0.2633 m" in message
    assert "correct the unit in [time]" in message


def test_cart_that_never_moves_under_a_driven_motor_is_refused(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in lines[1:]]
    still = "\n".join([lines[0], *(",".join([*row[:2], "1.5", *row[3:]]) for row in rows)])
    message = refusal(tmp_path, capsys, still)
    assert "column 'x': the cart moves by 0 mm in all while the duty goes up to" in message


def test_nothing_that_moves_is_refused(lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split(",") for line in lines[1:]]
    still = "\n".join([lines[0], *(",".join([*row[:2], "1.5", "3.0", "0"]) for row in rows)])
    assert "neither cart nor pole moves" in refusal(tmp_path, capsys, still)


def test_point_in_a_file_of_decimal_commas_is_refused(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = MAP.replace("format = 1", 'format = 1\ndecimal = ","').replace('device = "t"', 'device = "t"\nunit = "ms"')
    message = refusal(tmp_path, capsys, with_points_of_thousands(lines), stated)
    assert "line 3, column 't': '5.000'" in message
    assert "does a sign group thousands?" in message


def test_map_with_names_and_the_wrong_separator_names_the_right_one(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = MAP.replace("format = 1", 'format = 1\ncolumns = ["t", "t_host", "x", "theta", "u"]')
    assert 'put separator = ";" at the top' in refusal(tmp_path, capsys, semicolons(lines[1:]), named)


def test_direction_in_unknown_words_names_those_that_are_read(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turning = "\n".join([f"{lines[0]},dir", *(f"{line},clockwise" for line in lines[1:])])
    message = refusal(tmp_path, capsys, turning, MAP.replace('column = "u"', 'column = "u"\ndirection = "dir"'))
    for part in ("line 2, column 'dir': 'clockwise'", "right or left, forward or backward", "or 1 and 0"):
        assert part in message


def test_counts_that_are_not_whole_are_refused(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(tmp_path, capsys, "\n".join(lines), MAP + '[counts]\ncart = "x"\n')
    assert "column 'x'" in message
    assert "expected a whole number" in message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("format = 1", "format = 2", ("format = 2, expected 1",)),
        ("[duty]", "[dutty]", ("unknown key 'dutty'", "expected one of")),
        ('column = "u"', 'column = "u"\ngain = 3', ("[duty]: unknown key 'gain'",)),
        ('column = "u"', "", ("[duty]: expected either column or constant",)),
        ('unit = "deg"', 'unit = "grad"', ("[angle] unit = 'grad'", "'rad', 'deg', 'turns', 'counts'")),
        ('unit = "deg"', 'unit = "counts"', ("[angle]: counts_per_turn is missing",)),
        ('unit = "cm"', 'unit = "cm"\ncounts_per_m = 5', ("[position]: counts_per_m is given",)),
        ('zero = "upright"', "", ("[angle]: zero is missing",)),
        ("sign = 1", "sign = 0", ("sign = 0, expected 1 or -1",)),
        ("full_scale = 100.0", "full_scale = 0", ("full_scale = 0, expected a finite number greater than 0",)),
        ("full_scale = 100.0", "rows_late = -1", ("rows_late = -1, expected 0 to 50",)),
        ('device = "t"', "", ("[time]: no clock",)),
        ('device = "t"', 'device = "t"\nbase = "host"', ("base = 'host', and no column is named in host",)),
        ("format = 1", 'format = 1\nseparator = ", "', ("expected one character",)),
        ("format = 1", "format = ", ("is not valid TOML",)),
    ],
)
def test_mistake_in_the_map(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, parts: tuple[str, ...]
) -> None:
    assert old in MAP
    message = refusal(tmp_path, capsys, "\n".join(lines), MAP.replace(old, new, 1))
    assert "map.toml" in message
    for part in parts:
        assert part in message


def test_missing_section_is_named(lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(tmp_path, capsys, "\n".join(lines), MAP[: MAP.index("[duty]")])
    assert "the section [duty] is missing" in message


def test_noise_explains_nothing_and_asks_for_a_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(8)
    noise: Columns = {
        "t": np.arange(300) * 0.02,
        "t_host": np.arange(300) * 0.02,
        "x": rng.uniform(-10.0, 10.0, 300),
        "theta": rng.uniform(-170.0, 170.0, 300),
        "u": rng.uniform(-90.0, 90.0, 300),
    }
    path = write_csv(tmp_path / "noise.csv", noise)
    content = path.read_text()
    path.unlink()
    message = refusal(tmp_path, capsys, content, Convention().map_text())
    assert "the motion does not show it: neither sign explains the pole's motion" in message
